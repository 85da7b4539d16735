//! [`FileDecoder`]: the bytes of an S3 object in, one record at a time out.

use crate::error::FileError;
use crate::inflate::Inflater;
use crate::limits::Limits;
use crate::record::{BadRecord, FileKind, Record, Summary};
use crate::splitter::{Found, RecordSplitter};

/// Inflates and splits a log file as its bytes arrive.
///
/// Gzip with any number of members, zlib and plain JSON are told apart by their first bytes; a gzip file inside a gzip file is unwrapped
/// once more. See [`RecordSplitter`] for the JSON that is read.
///
/// Memory: at most 48 KiB for the inflater, a window of 8 KiB that grows only for a record that does not fit, and the index of one record. Nothing
/// is allocated per record.
///
/// ```
/// use forebay_cloudtrail::{FileDecoder, Limits};
///
/// # let pieces: [&[u8]; 2] = [br#"{"Records":[{"eventName":"A"},"#, br#"{"eventName":"B"}]}"#];
/// let mut decoder = FileDecoder::new(Limits::default());
/// let mut names = Vec::new();
/// for piece in pieces { // as they come from S3
///     let mut rest = piece;
///     while !rest.is_empty() {
///         let used = decoder.feed(rest)?;
///         rest = &rest[used..];
///         while let Some(item) = decoder.next_record() {
///             match item {
///                 Ok(record) => names.push(record.event().event_name().unwrap().to_string()),
///                 Err(bad) => eprintln!("{}: {:?}", bad.error(), bad.bytes()),
///             }
///         }
///     }
/// }
/// decoder.end();
/// while let Some(item) = decoder.next_record() { /* as above */ }
/// let summary = decoder.finish()?; // only now is the file known to be complete
/// assert_eq!((summary.records, names.len()), (2, 2));
/// # Ok::<(), forebay_cloudtrail::FileError>(())
/// ```
#[derive(Debug)]
pub struct FileDecoder {
    limits: Limits,
    inflater: Inflater,
    splitter: RecordSplitter,
    /// The inflater may have more to give without more to take.
    pending: bool,
    ended: bool,
    error: Option<FileError>,
}

impl FileDecoder {
    /// A decoder at the beginning of a file.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            splitter: RecordSplitter::new(limits.clone()),
            limits,
            inflater: Inflater::new(),
            pending: false,
            ended: false,
            error: None,
        }
    }

    /// Takes bytes as they come from S3 and returns how many were used. Take all records, then feed the rest. What is used without a record
    /// being complete is kept, up to [`Limits::record_bytes`].
    ///
    /// # Errors
    ///
    /// The file is damaged, no log file, or over a limit. Records before the damage can still be taken.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, FileError> {
        let used = match self.error {
            None => self.pump(bytes),
            Some(_) => 0,
        };
        match self.error.as_ref().or_else(|| self.splitter.refused()) {
            Some(error) => Err(error.clone()),
            None => Ok(used),
        }
    }

    /// The next record, or the next thing in the place of one; `None`: feed more, or, after [`end`](Self::end), ask
    /// [`finish`](Self::finish).
    pub fn next_record(&mut self) -> Option<Result<Record<'_>, BadRecord<'_>>> {
        let found = self.advance()?;
        Some(self.show(found))
    }

    /// Looks for the next item without borrowing it.
    pub(crate) fn advance(&mut self) -> Option<Found> {
        loop {
            if let Some(found) = self.splitter.advance() {
                return Some(found);
            }
            if self.pending && self.error.is_none() {
                self.pump(&[]);
            } else if self.ended {
                self.ended = false;
                if self.error.is_none() {
                    self.splitter.end();
                }
            } else {
                return None;
            }
        }
    }

    /// Borrows the item that [`advance`](Self::advance) found.
    pub(crate) fn show(&mut self, found: Found) -> Result<Record<'_>, BadRecord<'_>> {
        self.splitter.show(found)
    }

    /// Says that no more bytes come. Take the records that this sets free, then ask [`finish`](Self::finish).
    pub fn end(&mut self) {
        self.ended = true;
        if self.error.is_some() {
            return;
        }
        self.splitter.feed(self.inflater.end());
    }

    /// Confirms the verified end: checksum and length of every gzip member are right, the JSON text is closed, and every record was taken.
    ///
    /// # Errors
    ///
    /// Something is missing or damaged. Records that were taken are good all the same.
    pub fn finish(&self) -> Result<Summary, FileError> {
        if let Some(error) = self.error.as_ref().or_else(|| self.splitter.refused()) {
            return Err(error.clone());
        }
        self.inflater.finish()?;
        let summary = self.splitter.finish()?;
        Ok(Summary {
            compressed_bytes: self.inflater.used(),
            members: self.inflater.members(),
            ..summary
        })
    }

    /// What the file looks like so far.
    #[must_use]
    pub const fn kind(&self) -> FileKind {
        self.splitter.kind()
    }

    /// Compressed bytes that were used so far.
    #[must_use]
    pub const fn compressed_bytes(&self) -> u64 {
        self.inflater.used()
    }

    /// Inflates once into the free end of the window. Returns how many bytes were used; a failure is remembered.
    fn pump(&mut self, bytes: &[u8]) -> usize {
        let room = self.splitter.spare();
        let (length, before) = (room.len(), self.inflater.produced());
        let progress = self.inflater.run(bytes, room, &self.limits);
        // What came out before a failure is good.
        let produced = usize::try_from(self.inflater.produced() - before).unwrap_or(0);
        self.splitter.filled(produced);
        match progress {
            Ok(progress) => {
                // With bytes left the next feed brings it out.
                self.pending = produced == length && progress.used == bytes.len();
                progress.used
            }
            Err(error) => {
                self.error = Some(error);
                0
            }
        }
    }
}
