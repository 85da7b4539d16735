use std::{error, fmt};

/// Why an aggregated Kinesis record is refused as a whole.
///
/// A record that merely looks aggregated is not an error: see [`PlainReason`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Error {
    /// The aggregate holds more user records or more keys than [`Limits`](crate::Limits) allows.
    Limit {
        /// What there is too much of: `user records`, `partition keys` or `explicit hash keys`.
        what: &'static str,
        /// The limit that was passed.
        limit: usize,
        /// Byte offset in the Kinesis record of the first one beyond the limit.
        offset: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit {
                what,
                limit,
                offset,
            } => write!(
                f,
                "aggregated record holds more than {limit} {what} (passed at byte {offset}); raise the limit if the producer is trusted"
            ),
        }
    }
}

impl error::Error for Error {}

/// Why a Kinesis record counts as a plain one.
///
/// The rules are those of Amazon's client library (`AggregatorUtil`): whatever fails one of them is delivered whole.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PlainReason {
    /// The first four bytes are not `F3 89 9A C2`: the ordinary case.
    Magic,
    /// The magic is there, but no more than 16 bytes follow it.
    Short,
    /// The last 16 bytes are not the MD5 digest of the message: damage, or a chance match of the magic.
    Digest,
    /// Magic and digest are right, but between them is no `AggregatedRecord`.
    Message {
        /// Byte offset in the Kinesis record at which the message stops making sense.
        offset: usize,
    },
}

impl fmt::Display for PlainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("record does not start with the aggregation magic"),
            Self::Short => f.write_str("record is too short to be an aggregate"),
            Self::Digest => f.write_str("digest at the end does not match the message"),
            Self::Message { offset } => write!(f, "message is malformed at byte {offset}"),
        }
    }
}

/// One user record that cannot be delivered; its neighbours can.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RecordError {
    /// Sub-sequence number of the user record: its place in the aggregate, from 0.
    pub sub_sequence: u64,
    /// Byte offset of the user record in the Kinesis record.
    pub offset: usize,
    /// Length of the user record in bytes, so that it can be kept apart.
    pub len: usize,
    /// What is wrong with it.
    pub problem: RecordProblem,
}

/// What is wrong with one user record.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecordProblem {
    /// The partition key index points past the table.
    PartitionKeyIndex {
        /// Index found.
        index: u64,
        /// Length of the table.
        table: usize,
    },
    /// The explicit hash key index points past the table.
    ExplicitHashKeyIndex {
        /// Index found.
        index: u64,
        /// Length of the table.
        table: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, index, table) = match self.problem {
            RecordProblem::PartitionKeyIndex { index, table } => ("partition key", index, table),
            RecordProblem::ExplicitHashKeyIndex { index, table } => {
                ("explicit hash key", index, table)
            }
        };
        write!(
            f,
            "user record {} at byte {} names {what} {index}, but the table has {table}",
            self.sub_sequence, self.offset
        )
    }
}

impl error::Error for RecordError {}

/// A hash key that is not a decimal number below 2^128.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HashKeyError;

impl fmt::Display for HashKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hash key is not a decimal number from 0 to 2^128 - 1")
    }
}

impl error::Error for HashKeyError {}

/// The user record does not fit into the aggregate any more: finish it and begin the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AggregatorFull {
    /// Bytes the Kinesis record would have had.
    pub needed: usize,
    /// Bytes it may have.
    pub limit: usize,
}

impl fmt::Display for AggregatorFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "aggregate would take {} bytes, the limit is {}",
            self.needed, self.limit
        )
    }
}

impl error::Error for AggregatorFull {}
