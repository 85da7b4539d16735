//! What comes out of a file: [`Record`], [`BadRecord`], and at the end a [`Summary`].

use std::fmt;

use crate::error::{RecordError, RecordFault};
use crate::event::Event;

/// One record of a file, borrowed from the reader's window.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub(crate) event: Event<'a>,
    pub(crate) index: u64,
    pub(crate) offset: u64,
    pub(crate) repaired: bool,
}

impl<'a> Record<'a> {
    /// The record, already scanned.
    #[must_use]
    pub const fn event(&self) -> Event<'a> {
        self.event
    }

    /// Its JSON text.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.event.raw()
    }

    /// Number of the record in its file, from 0. Bad records count.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Offset of its first byte in the inflated file.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether bytes that were no UTF-8 were replaced by U+FFFD.
    #[must_use]
    pub const fn is_repaired(&self) -> bool {
        self.repaired
    }
}

/// Something in the place of a record that is none. Reading goes on behind it.
#[derive(Clone, Copy, Debug)]
pub struct BadRecord<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) index: u64,
    pub(crate) offset: u64,
    pub(crate) fault: RecordFault,
}

impl<'a> BadRecord<'a> {
    /// The bytes, for the dead letter. Of a record that is too long only the beginning.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What is wrong and where, as an error that borrows nothing.
    #[must_use]
    pub const fn error(&self) -> RecordError {
        RecordError {
            index: self.index,
            offset: self.offset,
            fault: self.fault,
        }
    }
}

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FileKind {
    /// Nothing but blanks.
    Empty,
    /// A log file: an object with a list `Records`.
    Records,
    /// A log file whose `Records` is null.
    NullRecords,
    /// A list of records.
    List,
    /// One record, or several one after the other (JSON lines).
    Lines,
    /// An event of EventBridge, or several: the record is its `detail`.
    EventBridge,
    /// A digest: hashes of log files, no records. It need not be read to its end.
    Digest,
    /// JSON, but none of these.
    Other,
}

impl fmt::Display for FileKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "empty file",
            Self::Records => "log file",
            Self::NullRecords => "log file without records",
            Self::List => "list of records",
            Self::Lines => "records line by line",
            Self::EventBridge => "EventBridge events",
            Self::Digest => "digest file",
            Self::Other => "other JSON",
        })
    }
}

/// What was read, given once the end is verified.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// What the file was.
    pub kind: FileKind,
    /// Good records.
    pub records: u64,
    /// Bad records.
    pub bad_records: u64,
    /// Bytes of JSON text.
    pub inflated_bytes: u64,
    /// Bytes that were fed; the same as the text's for a plain file.
    pub compressed_bytes: u64,
    /// Gzip members; 0 for a plain file.
    pub members: u32,
}
