//! Errors: of a notice, of one record, of a file, of a reader.

use std::error::Error;
use std::{fmt, io};

/// Why a notice was not taken. Nothing in the message may be read; it belongs into the dead letter.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NoticeError {
    /// Something is larger than a notice may be.
    Limit {
        /// What was counted.
        what: NoticeLimit,
        /// The most that is taken.
        limit: usize,
        /// What was there, at least.
        seen: usize,
    },
    /// The bucket name is none: access-point ARNs, upper case, slashes and escapes are refused.
    RefusedBucket {
        /// Number of the object in the notice, from 0.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The key cannot name a log file.
    RefusedKey {
        /// Number of the object in the notice, from 0.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The form is known, but a member that it needs is missing or has another type.
    Malformed {
        /// The form that was recognised.
        form: crate::Form,
        /// The member, as a path.
        member: &'static str,
    },
}

/// What a notice may have too much of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NoticeLimit {
    /// Bytes of the SQS body.
    BodyBytes,
    /// Bytes of a message inside an SNS envelope.
    MessageBytes,
    /// Objects in one notice.
    Objects,
    /// SNS envelopes around each other.
    Envelopes,
}

impl fmt::Display for NoticeLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::BodyBytes => "bytes of the body",
            Self::MessageBytes => "bytes of the inner message",
            Self::Objects => "objects in one notice",
            Self::Envelopes => "envelopes around each other",
        })
    }
}

impl fmt::Display for NoticeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit { what, limit, seen } => write!(
                formatter,
                "notice refused: {seen} {what}, at most {limit} are taken"
            ),
            Self::RefusedBucket { index, why } => {
                write!(formatter, "notice refused: bucket of object {index} {why}")
            }
            Self::RefusedKey { index, why } => {
                write!(formatter, "notice refused: key of object {index} {why}")
            }
            Self::Malformed { form, member } => {
                write!(
                    formatter,
                    "{form} without a usable `{member}`; check who else may send to the queue"
                )
            }
        }
    }
}

impl Error for NoticeError {}

/// What is wrong with one record. The next record is read all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RecordFault {
    /// No valid JSON from this byte of the record on.
    Syntax {
        /// Byte offset from the start of the record.
        at: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// The text ends inside the record.
    Truncated,
    /// The element is JSON, but no object.
    NotAnObject,
    /// An object, but without any member that makes it a CloudTrail record.
    NotARecord,
    /// Longer than [`Limits::record_bytes`](crate::Limits::record_bytes).
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// Arrays and objects nested deeper than 64.
    TooDeep {
        /// Byte offset from the start of the record.
        at: usize,
    },
    /// More than 4,096 members.
    TooManyMembers,
}

impl fmt::Display for RecordFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { at, expected } => {
                write!(formatter, "expected {expected} at byte {at} of the record")
            }
            Self::Truncated => formatter.write_str("the text ends inside the record"),
            Self::NotAnObject => formatter.write_str("the element is not an object"),
            Self::NotARecord => {
                formatter.write_str("the object has no member of a CloudTrail record")
            }
            Self::TooLong { limit } => write!(
                formatter,
                "longer than {limit} bytes; raise `record_bytes` to read it"
            ),
            Self::TooDeep { at } => write!(
                formatter,
                "nested deeper than 64 at byte {at} of the record"
            ),
            Self::TooManyMembers => formatter.write_str("more than 4096 members"),
        }
    }
}

/// One record that could not be read, and where it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordError {
    pub(crate) index: u64,
    pub(crate) offset: u64,
    pub(crate) fault: RecordFault,
}

impl RecordError {
    /// Number of the record in its file, from 0. Bad records count.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Offset of the record's first byte in the inflated file.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// What is wrong.
    #[must_use]
    pub const fn fault(&self) -> RecordFault {
        self.fault
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "record {} at offset {}: {}",
            self.index, self.offset, self.fault
        )
    }
}

impl Error for RecordError {}

/// Why a file cannot be read to its end. Records before the fault are good and were handed out.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FileError {
    /// The first bytes are no CloudTrail file.
    NotALogFile {
        /// What the bytes look like.
        found: &'static str,
    },
    /// A compression that is not read here.
    UnsupportedCompression {
        /// Its name.
        name: &'static str,
    },
    /// The compressed data is damaged.
    Corrupt {
        /// What is wrong.
        what: &'static str,
        /// Offset in the compressed file, near the damage.
        at: u64,
    },
    /// The compressed data ends early: the download or the upload was cut.
    TruncatedCompression {
        /// Bytes that were there.
        at: u64,
    },
    /// The JSON text ends before its last bracket.
    Unclosed {
        /// Inflated bytes that were there.
        at: u64,
    },
    /// A limit of [`Limits`](crate::Limits) was passed.
    Limit {
        /// The limit's name.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// Offset in the file: of the compressed bytes, but for `records` of the inflated ones.
        at: u64,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALogFile { found } => {
                write!(
                    formatter,
                    "not a CloudTrail log file: {found}; check the rule that chose this object"
                )
            }
            Self::UnsupportedCompression { name } => {
                write!(
                    formatter,
                    "the file is compressed with {name}; gzip, zlib and plain JSON are read"
                )
            }
            Self::Corrupt { what, at } => write!(
                formatter,
                "damaged file: {what} near compressed offset {at}; fetch it again"
            ),
            Self::TruncatedCompression { at } => {
                write!(
                    formatter,
                    "compressed data ends early, after {at} bytes; fetch it again"
                )
            }
            Self::Unclosed { at } => {
                write!(formatter, "JSON text ends early, after {at} inflated bytes")
            }
            Self::Limit { what, limit, at } => {
                write!(
                    formatter,
                    "over the limit `{what}` of {limit} at offset {at}; nothing behind it is read"
                )
            }
        }
    }
}

impl Error for FileError {}

/// What went wrong while a [`FileReader`](crate::FileReader) was read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// One record; reading goes on.
    Record(RecordError),
    /// The file; nothing more comes.
    File(FileError),
    /// The source; nothing more comes.
    Io(io::Error),
}

impl ReadError {
    /// Whether nothing more can be read.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::Record(_))
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Record(_) => "a record could not be read",
            Self::File(_) => "the file could not be read to its end",
            Self::Io(_) => "the source could not be read",
        })
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match self {
            Self::Record(error) => error,
            Self::File(error) => error,
            Self::Io(error) => error,
        })
    }
}

impl From<RecordError> for ReadError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<FileError> for ReadError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
