//! [`FileReader`]: records from anything that implements `Read`.

use std::io::Read;

use crate::error::ReadError;
use crate::file::FileDecoder;
use crate::limits::Limits;
use crate::splitter::Record;

/// Reads the records of one file.
#[derive(Debug)]
pub struct FileReader<R> {
    source: R,
    decoder: FileDecoder,
}

impl<R: Read> FileReader<R> {
    /// A reader with the default limits.
    pub fn new(source: R) -> Self {
        Self {
            source,
            decoder: FileDecoder::new(Limits::default()),
        }
    }

    /// The next record.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]; after a [`ReadError::Record`] reading goes on.
    pub fn next_record(&mut self) -> Option<Result<Record<'_>, ReadError>> {
        let _ = &mut self.source;
        self.decoder
            .next_record()
            .map(|item| item.map_err(|bad| bad.error().into()))
    }
}
