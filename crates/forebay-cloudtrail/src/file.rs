//! [`FileDecoder`]: the bytes of an S3 object in, one record at a time out.

use crate::error::FileError;
use crate::limits::Limits;
use crate::splitter::{BadRecord, Record, RecordSplitter, Summary};

/// Inflates and splits a log file as its bytes arrive.
#[derive(Debug)]
pub struct FileDecoder {
    splitter: RecordSplitter,
}

impl FileDecoder {
    /// A decoder at the beginning of a file.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            splitter: RecordSplitter::new(limits),
        }
    }

    /// Takes bytes as they come from S3 and returns how many were used. Take all records, then feed the rest.
    ///
    /// # Errors
    ///
    /// The file is damaged or over a limit. Records before the damage can still be taken.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, FileError> {
        self.splitter.feed(bytes);
        Ok(bytes.len())
    }

    /// The next record, or the next thing that is not one; `None`: feed more.
    pub fn next_record(&mut self) -> Option<Result<Record<'_>, BadRecord<'_>>> {
        self.splitter.next_record()
    }

    /// Says that no more bytes come. Take the records that this sets free, then ask [`finish`](Self::finish).
    pub fn end(&mut self) {
        self.splitter.end();
    }

    /// Confirms the verified end: checksum and length of every gzip member are right and the JSON text is closed.
    ///
    /// # Errors
    ///
    /// Something is missing or damaged. Records that were taken are good all the same.
    pub fn finish(&mut self) -> Result<Summary, FileError> {
        self.splitter.finish()
    }
}
