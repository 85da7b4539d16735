use std::fmt;
use std::str::FromStr;

/// A sequence number of 56 decimal digits, laid out in 186 bits as the KCL decodes it.
///
/// From the top: version nibble 2, creation second of the shard (36 bits), index in the shard (64), zeros (12),
/// second of arrival (36), shard number (32), version nibble 2. The index alone orders the records of a shard.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SequenceNumber {
    created: u64,
    index: u64,
    arrived: u64,
    shard: u32,
}

impl SequenceNumber {
    pub(crate) fn new(shard: u32, created_ms: u64, index: u64, arrived_ms: u64) -> Self {
        Self {
            created: (created_ms / 1000) & SECOND_MASK,
            index,
            arrived: (arrived_ms / 1000) & SECOND_MASK,
            shard,
        }
    }

    /// Where the record stands in its shard.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The number of the shard that issued it.
    pub fn shard(&self) -> u32 {
        self.shard
    }

    /// The second at which that shard was made, by which a recreated stream is told apart.
    pub(crate) fn created(&self) -> u64 {
        self.created
    }

    fn limbs(self) -> [u32; 6] {
        let low = VERSION
            | u128::from(self.shard) << 4
            | u128::from(self.arrived) << 36
            | u128::from(self.index) << 84;
        let high = self.index >> 44 | self.created << 20 | (VERSION as u64) << 56;
        [
            low as u32,
            (low >> 32) as u32,
            (low >> 64) as u32,
            (low >> 96) as u32,
            high as u32,
            (high >> 32) as u32,
        ]
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = self.limbs();
        let mut groups = Vec::with_capacity(7);
        while limbs.iter().any(|limb| *limb != 0) {
            let mut remainder = 0u64;
            for limb in limbs.iter_mut().rev() {
                let value = remainder << 32 | u64::from(*limb);
                *limb = (value / GROUP) as u32;
                remainder = value % GROUP;
            }
            groups.push(remainder);
        }
        let text: String = groups
            .iter()
            .rev()
            .map(|group| format!("{group:09}"))
            .collect();
        f.write_str(text.trim_start_matches('0'))
    }
}

impl FromStr for SequenceNumber {
    type Err = ParseSequenceNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > 57 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseSequenceNumberError);
        }
        let mut limbs = [0u32; 6];
        for digit in text.bytes() {
            let mut carry = u64::from(digit - b'0');
            for limb in &mut limbs {
                let value = u64::from(*limb) * 10 + carry;
                *limb = value as u32;
                carry = value >> 32;
            }
        }
        let [a, b, c, d, e, f] = limbs;
        let low = u128::from(a) | u128::from(b) << 32 | u128::from(c) << 64 | u128::from(d) << 96;
        let high = u64::from(e) | u64::from(f) << 32;
        let number = Self {
            created: high >> 20 & SECOND_MASK,
            index: (low >> 84) as u64 | high << 44,
            arrived: (low >> 36) as u64 & SECOND_MASK,
            shard: (low >> 4) as u32,
        };
        // Whatever does not come back unchanged was not issued by this layout.
        if number.limbs() == limbs {
            Ok(number)
        } else {
            Err(ParseSequenceNumberError)
        }
    }
}

/// The text is no sequence number of this layout.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseSequenceNumberError;

impl fmt::Display for ParseSequenceNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a sequence number; pass one on as it was received")
    }
}

impl std::error::Error for ParseSequenceNumberError {}

const VERSION: u128 = 2;
const SECOND_MASK: u64 = (1 << 36) - 1;
const GROUP: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_56_digits_and_read_back() {
        for index in [0, 1, 1 << 44, u64::MAX >> 1, u64::MAX] {
            let number = SequenceNumber::new(7, 1_795_564_800_123, index, 1_795_564_900_000);
            assert_eq!(number.to_string().len(), 56);
            assert_eq!(number.to_string().parse(), Ok(number));
        }
    }

    #[test]
    fn later_records_have_larger_numbers_of_equal_length() {
        let first = SequenceNumber::new(1, 1_000_000, 4, 9_000_000).to_string();
        let second = SequenceNumber::new(1, 1_000_000, 5, 9_000_000).to_string();
        assert!(first < second);
    }

    #[test]
    fn foreign_numbers_are_refused() {
        for text in ["", "0", "-1", "12x", &"9".repeat(56), &"1".repeat(100)] {
            assert_eq!(
                text.parse::<SequenceNumber>(),
                Err(ParseSequenceNumberError)
            );
        }
    }
}
