//! [`RecordSplitter`]: JSON text of a log file in, one record at a time out.

use crate::error::{FileError, RecordError, RecordFault};
use crate::event::{Event, EventIndex};
use crate::limits::Limits;

/// Splits the (inflated) text of a log file into its records. Feed pieces of any size, take records until there are none, repeat.
#[derive(Debug)]
pub struct RecordSplitter {
    limits: Limits,
    index: EventIndex,
}

impl RecordSplitter {
    /// A splitter at the beginning of a file.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: EventIndex::new(),
        }
    }

    /// Takes the next piece of text. Take all records before the next piece: what is fed is kept until its records are taken.
    pub fn feed(&mut self, text: &[u8]) {
        let _ = text;
    }

    /// Says that no more text comes, so that what is left can be judged.
    pub fn end(&mut self) {}

    /// The next record, or the next thing that is not one. `None`: feed more, or, after [`end`](Self::end), ask
    /// [`finish`](Self::finish).
    pub fn next_record(&mut self) -> Option<Result<Record<'_>, BadRecord<'_>>> {
        let _ = (
            &self.limits,
            Record {
                event: Event::new("", &self.index),
                index: 0,
                offset: 0,
                repaired: false,
            },
        );
        None
    }

    /// What was read, if the text was complete.
    ///
    /// # Errors
    ///
    /// The text was no log file or its brackets are not closed.
    pub fn finish(&self) -> Result<Summary, FileError> {
        Ok(Summary {
            kind: FileKind::Empty,
            records: 0,
            bad_records: 0,
            inflated_bytes: 0,
            compressed_bytes: 0,
            members: 0,
        })
    }
}

/// One record of a file.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    event: Event<'a>,
    index: u64,
    offset: u64,
    repaired: bool,
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
    bytes: &'a [u8],
    index: u64,
    offset: u64,
    fault: RecordFault,
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
    /// A digest: hashes of log files, no records.
    Digest,
    /// JSON, but neither of these.
    Other,
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
    /// Bytes that were fed; the same for a plain file.
    pub compressed_bytes: u64,
    /// Gzip members; 0 for a plain file.
    pub members: u32,
}
