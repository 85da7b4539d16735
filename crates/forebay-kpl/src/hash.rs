use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};

use crate::error::HashKeyError;

/// A point in the hash space of a stream, 0 to 2^128 - 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HashKey(u128);

impl HashKey {
    /// The lowest point.
    pub const MIN: Self = Self(0);

    /// The highest point.
    pub const MAX: Self = Self(u128::MAX);

    /// Makes a hash key of a number.
    #[must_use]
    pub const fn new(value: u128) -> Self {
        Self(value)
    }

    /// Hashes a partition key as Kinesis does: MD5, read as an unsigned big-endian number.
    #[must_use]
    pub fn of_partition_key(partition_key: &[u8]) -> Self {
        Self(u128::from_be_bytes(Md5::digest(partition_key).into()))
    }

    /// Reads the decimal form that Kinesis uses (`ExplicitHashKey`, `StartingHashKey`, `EndingHashKey`).
    ///
    /// # Errors
    ///
    /// [`HashKeyError`] unless all bytes are digits, at least one, and the number is below 2^128.
    pub fn from_decimal(digits: &[u8]) -> Result<Self, HashKeyError> {
        if digits.is_empty() {
            return Err(HashKeyError);
        }
        digits
            .iter()
            .try_fold(0u128, |sum, &byte| {
                let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
                sum.checked_mul(10)?.checked_add(u128::from(digit))
            })
            .map(Self)
            .ok_or(HashKeyError)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl FromStr for HashKey {
    type Err = HashKeyError;

    fn from_str(text: &str) -> Result<Self, HashKeyError> {
        Self::from_decimal(text.as_bytes())
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The part of the hash space that a shard owns; both ends belong to it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct HashRange {
    start: HashKey,
    end: HashKey,
}

impl HashRange {
    /// The whole hash space.
    pub const ALL: Self = Self {
        start: HashKey::MIN,
        end: HashKey::MAX,
    };

    /// Makes a range; `None` if it ends before it starts.
    #[must_use]
    pub fn new(start: HashKey, end: HashKey) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// Returns the first key of the range.
    #[must_use]
    pub const fn start(&self) -> HashKey {
        self.start
    }

    /// Returns the last key of the range.
    #[must_use]
    pub const fn end(&self) -> HashKey {
        self.end
    }

    /// Says whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_key_hashes_as_big_endian_md5() {
        // MD5("a") = 0cc175b9c0f1b6a831c399e269772661, RFC 1321 appendix A.5.
        assert_eq!(
            HashKey::of_partition_key(b"a").get(),
            0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661
        );
        assert_eq!(
            HashKey::of_partition_key(b"").get(),
            0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e
        );
    }

    #[test]
    fn decimal_form_is_strict() {
        let cases: &[(&str, Option<u128>)] = &[
            ("0", Some(0)),
            ("007", Some(7)),
            ("340282366920938463463374607431768211455", Some(u128::MAX)),
            ("340282366920938463463374607431768211456", None),
            ("9999999999999999999999999999999999999999", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("1a", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                text.parse::<HashKey>().ok().map(HashKey::get),
                *expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn both_ends_belong_to_a_range() {
        let range = HashRange::new(HashKey::new(5), HashKey::new(7)).unwrap();
        let inside: Vec<u128> = (0..10)
            .filter(|key| range.contains(HashKey::new(*key)))
            .collect();
        assert_eq!(inside, [5, 6, 7]);
        assert_eq!(HashRange::new(HashKey::new(7), HashKey::new(5)), None);
        assert!(HashRange::ALL.contains(HashKey::MAX));
    }
}
