use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::error::ParseError;

/// How far a shard has been processed, in the order of the KCL.
///
/// `AtTimestamp < TrimHorizon < Latest < any Sequence < ShardEnd`; sequences compare as numbers and then by
/// sub-sequence.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the lease table knows these five forms and no other"
)]
pub enum Checkpoint {
    /// Not started; starts at a time which the row does not hold (see [`Lease::start_at`](crate::Lease::start_at)).
    AtTimestamp,
    /// Not started; starts at the oldest record kept.
    TrimHorizon,
    /// Not started; starts at the newest record.
    Latest,
    /// Everything up to and including this user record is done.
    Sequence {
        /// Sequence number of the Kinesis record.
        number: SequenceNumber,
        /// Index of the user record in an aggregated record; 0 otherwise.
        sub_sequence: u64,
    },
    /// The shard has ended and everything in it is done.
    ShardEnd,
}

impl Checkpoint {
    /// A position without a sub-sequence.
    pub const fn at(number: SequenceNumber) -> Self {
        Self::Sequence {
            number,
            sub_sequence: 0,
        }
    }

    /// Reads the attributes `checkpoint` and `checkpointSubSequenceNumber`; an absent second one is 0.
    ///
    /// # Errors
    /// [`ParseError`] if `text` is neither a sentinel nor a decimal number.
    pub fn parse(text: &str, sub_sequence: u64) -> Result<Self, ParseError> {
        Ok(match text {
            "AT_TIMESTAMP" => Self::AtTimestamp,
            "TRIM_HORIZON" => Self::TrimHorizon,
            "LATEST" => Self::Latest,
            "SHARD_END" => Self::ShardEnd,
            number => Self::Sequence {
                number: number.parse()?,
                sub_sequence,
            },
        })
    }

    /// The attribute `checkpoint`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::AtTimestamp => "AT_TIMESTAMP",
            Self::TrimHorizon => "TRIM_HORIZON",
            Self::Latest => "LATEST",
            Self::Sequence { number, .. } => number.as_str(),
            Self::ShardEnd => "SHARD_END",
        }
    }

    /// The attribute `checkpointSubSequenceNumber`: 0 for sentinels.
    pub const fn sub_sequence(&self) -> u64 {
        match self {
            Self::Sequence { sub_sequence, .. } => *sub_sequence,
            _ => 0,
        }
    }

    /// Whether nothing has been processed yet.
    pub const fn is_start(&self) -> bool {
        matches!(self, Self::AtTimestamp | Self::TrimHorizon | Self::Latest)
    }

    /// Whether the shard is done.
    pub const fn is_shard_end(&self) -> bool {
        matches!(self, Self::ShardEnd)
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::AtTimestamp => 0,
            Self::TrimHorizon => 1,
            Self::Latest => 2,
            Self::Sequence { .. } => 3,
            Self::ShardEnd => 4,
        }
    }
}

impl Ord for Checkpoint {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (
                Self::Sequence {
                    number,
                    sub_sequence,
                },
                Self::Sequence {
                    number: other_number,
                    sub_sequence: other_sub,
                },
            ) => number.cmp(other_number).then(sub_sequence.cmp(other_sub)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Checkpoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())?;
        match self.sub_sequence() {
            0 => Ok(()),
            sub_sequence => write!(formatter, "/{sub_sequence}"),
        }
    }
}

/// A Kinesis sequence number: up to 129 decimal digits, kept inline so that copying it never allocates.
///
/// Order is numeric. Real numbers have 56 digits and do not fit `u128`, and text order would put "9" after "10"
/// and move a checkpoint backwards; so the length decides first and the digits second.
#[derive(Clone, Copy)]
pub struct SequenceNumber {
    length: u8,
    digits: [u8; Self::MAX_DIGITS],
}

impl SequenceNumber {
    /// The longest number the Kinesis API accepts.
    pub const MAX_DIGITS: usize = 129;

    /// The digits, without leading zeros.
    pub fn as_str(&self) -> &str {
        // Only digits are ever stored, so the fallback is never used.
        std::str::from_utf8(self.bytes()).unwrap_or("0")
    }

    fn bytes(&self) -> &[u8] {
        self.digits
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

impl FromStr for SequenceNumber {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const WHAT: &str = "sequence number";
        if text.is_empty() {
            return Err(ParseError::Empty { what: WHAT });
        }
        if let Some(at) = text.bytes().position(|byte| !byte.is_ascii_digit()) {
            return Err(ParseError::NotDigit { what: WHAT, at });
        }
        let significant = match text.trim_start_matches('0') {
            "" => "0",
            rest => rest,
        };
        let mut digits = [0; Self::MAX_DIGITS];
        let (Some(place), Ok(length)) = (
            digits.get_mut(..significant.len()),
            u8::try_from(significant.len()),
        ) else {
            return Err(ParseError::TooLong {
                what: WHAT,
                length: significant.len(),
                limit: Self::MAX_DIGITS,
            });
        };
        place.copy_from_slice(significant.as_bytes());
        Ok(Self { length, digits })
    }
}

impl From<u128> for SequenceNumber {
    fn from(mut value: u128) -> Self {
        let mut digits = [0; Self::MAX_DIGITS];
        let mut length = 0_u8;
        for place in digits.iter_mut().take(39) {
            *place = b'0' + (value % 10) as u8;
            value /= 10;
            length += 1;
            if value == 0 {
                break;
            }
        }
        if let Some(used) = digits.get_mut(..usize::from(length)) {
            used.reverse();
        }
        Self { length, digits }
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.length
            .cmp(&other.length)
            .then_with(|| self.bytes().cmp(other.bytes()))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SequenceNumber {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for SequenceNumber {}

impl std::hash::Hash for SequenceNumber {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SequenceNumber({})", self.as_str())
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: u128) -> Checkpoint {
        Checkpoint::at(value.into())
    }

    #[test]
    fn checkpoints_are_ordered_as_the_kcl_orders_them() {
        let sub = Checkpoint::Sequence {
            number: 10_u128.into(),
            sub_sequence: 3,
        };
        let order = [
            Checkpoint::AtTimestamp,
            Checkpoint::TrimHorizon,
            Checkpoint::Latest,
            number(0),
            number(9),
            number(10),
            sub,
            number(11),
            Checkpoint::ShardEnd,
        ];
        assert!(order.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn numbers_wider_than_128_bits_keep_their_order() {
        let nine = "9".repeat(55).parse::<SequenceNumber>().expect("digits");
        let ten = format!("1{}", "0".repeat(55))
            .parse::<SequenceNumber>()
            .expect("digits");
        assert!(nine < ten);
        assert_eq!(
            "007".parse::<SequenceNumber>().expect("digits"),
            7_u128.into()
        );
    }

    #[test]
    fn what_is_not_a_number_is_refused_with_its_place() {
        assert_eq!(
            "".parse::<SequenceNumber>(),
            Err(ParseError::Empty {
                what: "sequence number"
            })
        );
        assert_eq!(
            "12x".parse::<SequenceNumber>(),
            Err(ParseError::NotDigit {
                what: "sequence number",
                at: 2
            })
        );
        assert!("1".repeat(130).parse::<SequenceNumber>().is_err());
        assert!(Checkpoint::parse("latest", 0).is_err());
    }

    #[test]
    fn both_attributes_survive_a_round_trip() {
        for checkpoint in [
            Checkpoint::AtTimestamp,
            Checkpoint::Latest,
            Checkpoint::ShardEnd,
            number(u128::MAX),
        ] {
            assert_eq!(
                Checkpoint::parse(checkpoint.as_str(), checkpoint.sub_sequence()),
                Ok(checkpoint)
            );
        }
    }
}
