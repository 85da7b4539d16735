use thiserror::Error;

/// A text that cannot be the value it was read as.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ParseError {
    /// Identities are never empty.
    #[error("{what} is empty")]
    Empty {
        /// What was read.
        what: &'static str,
    },
    /// Identities have a length limit.
    #[error("{what} is {length} bytes long; at most {limit} are allowed")]
    TooLong {
        /// What was read.
        what: &'static str,
        /// Bytes found.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A number has a character that is not a decimal digit.
    #[error("{what} has a character that is not a digit at byte {at}")]
    NotDigit {
        /// What was read.
        what: &'static str,
        /// Offset of the character.
        at: usize,
    },
    /// A hash range that starts after its end, or does not fit 128 bits.
    #[error(
        "hash range {start}..={end} is not a range of 128-bit integers; KCL reads it as a broken lease"
    )]
    HashRange {
        /// The start as written.
        start: String,
        /// The end as written.
        end: String,
    },
}

/// A setting that cannot work.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ConfigError {
    /// A duration or count outside of its limits.
    #[error("{setting} is {found}, but must be {expected}")]
    OutOfRange {
        /// Name of the field.
        setting: &'static str,
        /// The value given.
        found: String,
        /// The limit in words.
        expected: &'static str,
    },
}
