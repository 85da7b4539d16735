use std::ops::Range;
use std::{error, fmt};

/// Why an input, or the rest of it, cannot be read.
///
/// Offsets count from the start of the bytes that the failing step read: the compressed input for
/// [`Corrupt`](Self::Corrupt), the base64 text for [`Base64`](Self::Base64), the inflated text for the others.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Error {
    /// There is nothing in the input, or only white space.
    Empty,
    /// A limit was passed; what came before it has been delivered.
    Limit {
        /// Which limit.
        what: Limit,
        /// Its value.
        limit: usize,
        /// Offset at which it was passed.
        at: usize,
    },
    /// The compressed data is damaged.
    Corrupt {
        /// What it was taken for.
        compression: Compression,
        /// What is wrong with it.
        damage: Damage,
        /// Offset in the compressed data.
        at: usize,
    },
    /// The bytes are a known format that this crate does not read.
    Unsupported {
        /// Its name and what to do.
        format: &'static str,
    },
    /// The text is not base64 in the standard alphabet.
    Base64 {
        /// Offset of the first byte that does not belong.
        at: usize,
    },
    /// The text is not JSON from here on.
    Json {
        /// What is wrong.
        problem: JsonProblem,
        /// Offset in the text.
        at: usize,
    },
    /// There is JSON or some other text, but no subscription envelope.
    NotAnEnvelope {
        /// Offset in the text.
        at: usize,
    },
}

impl Error {
    /// Returns the offset at which reading failed, where there is one.
    #[must_use]
    pub const fn offset(&self) -> Option<usize> {
        match *self {
            Self::Empty | Self::Unsupported { .. } => None,
            Self::Limit { at, .. }
            | Self::Corrupt { at, .. }
            | Self::Base64 { at }
            | Self::Json { at, .. }
            | Self::NotAnEnvelope { at } => Some(at),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("input is empty"),
            Self::Limit { what, limit, at } => write!(f, "more than {limit} {what} at byte {at}"),
            Self::Corrupt {
                compression,
                damage,
                at,
            } => {
                write!(f, "{compression} data is damaged at byte {at}: {damage}")
            }
            Self::Unsupported { format } => f.write_str(format),
            Self::Base64 { at } => {
                write!(
                    f,
                    "text is not base64 at byte {at}; the standard alphabet is expected"
                )
            }
            Self::Json { problem, at } => write!(f, "text is not JSON at byte {at}: {problem}"),
            Self::NotAnEnvelope { at } => {
                write!(
                    f,
                    "no CloudWatch Logs envelope at byte {at}; is this stream fed by a subscription?"
                )
            }
        }
    }
}

impl error::Error for Error {}

/// Names of the limits that an [`Error::Limit`] can report; their values are in [`Limits`](crate::Limits).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// [`Limits::inflated_bytes`](crate::Limits::inflated_bytes).
    InflatedBytes,
    /// [`Limits::inflate_ratio`](crate::Limits::inflate_ratio).
    InflateRatio,
    /// [`Limits::members`](crate::Limits::members).
    Members,
    /// [`Limits::layers`](crate::Limits::layers).
    Layers,
    /// [`Limits::envelopes`](crate::Limits::envelopes).
    Envelopes,
    /// [`Limits::events`](crate::Limits::events).
    Events,
    /// [`Limits::json_depth`](crate::Limits::json_depth).
    JsonDepth,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InflatedBytes => "inflated bytes",
            Self::InflateRatio => "inflated bytes per compressed byte",
            Self::Members => "gzip members",
            Self::Layers => "compressed layers",
            Self::Envelopes => "envelopes",
            Self::Events => "log events",
            Self::JsonDepth => "levels of nesting",
        })
    }
}

/// Compressed forms that are told apart by their first bytes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 1950.
    Zlib,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
        })
    }
}

/// How compressed data is damaged.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Damage {
    /// The data ends too early.
    Truncated,
    /// The header is not one.
    Header,
    /// The deflate stream does not decode.
    Stream,
    /// The text does not have the checksum that was sent with it.
    Checksum,
    /// The text does not have the length that was sent with it.
    Length,
    /// Something other than zero padding follows.
    TrailingBytes,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "it ends too early",
            Self::Header => "the header is invalid",
            Self::Stream => "the deflate stream does not decode",
            Self::Checksum => "the checksum differs",
            Self::Length => "the length differs",
            Self::TrailingBytes => "other bytes follow",
        })
    }
}

/// How text fails to be JSON, or to be the JSON of an envelope.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JsonProblem {
    /// The text ends too early.
    Truncated,
    /// A byte that cannot stand here.
    Unexpected {
        /// The byte.
        found: u8,
    },
    /// A control character or an invalid escape in a string.
    BadString,
    /// A member of the envelope has a type that makes no sense for it.
    WrongType,
}

impl fmt::Display for JsonProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("it ends too early"),
            Self::Unexpected { found } => write!(f, "unexpected byte `{}`", found.escape_ascii()),
            Self::BadString => {
                f.write_str("a string holds a control character or an invalid escape")
            }
            Self::WrongType => f.write_str("the member has an unexpected type"),
        }
    }
}

/// One log event that cannot be delivered; its neighbours can.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EventError {
    /// Place of the event in its payload, from 0.
    pub index: usize,
    /// Offset of what is wrong, in the text that [`Payloads::text`](crate::Payloads::text) returns.
    pub offset: usize,
    /// Where the event lies in that text, so that it can be kept apart.
    pub range: Range<usize>,
    /// What is wrong.
    pub problem: EventProblem,
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "log event {} at byte {}: {}",
            self.index, self.offset, self.problem
        )
    }
}

impl error::Error for EventError {}

/// What is wrong with one log event.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventProblem {
    /// The event is not an object.
    NotAnObject,
    /// There is no `message`.
    NoMessage,
    /// There is no `timestamp`.
    NoTimestamp,
    /// `id`, `message` or `extractedFields` has a type that makes no sense.
    WrongType,
    /// `timestamp` is not a number, or one that does not fit into 64 bits.
    BadTimestamp,
    /// A string holds a control character or an invalid escape.
    BadString,
    /// The message is longer than [`Limits::event_bytes`](crate::Limits::event_bytes). It can still be had, to be
    /// cut: see [`Payload::oversized`](crate::Payload::oversized).
    TooLarge,
}

impl fmt::Display for EventProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "it is not an object",
            Self::NoMessage => "it has no `message`",
            Self::NoTimestamp => "it has no `timestamp`",
            Self::WrongType => "a member has an unexpected type",
            Self::BadTimestamp => "`timestamp` is not a 64-bit number",
            Self::BadString => "a string holds a control character or an invalid escape",
            Self::TooLarge => "`message` is too large",
        })
    }
}
