//! [`FileReader`]: records from anything that implements `Read`.

use std::io::{self, Read};

use crate::error::ReadError;
use crate::file::FileDecoder;
use crate::limits::Limits;
use crate::record::{Record, Summary};

/// Reads the records of one file.
///
/// Three ways to take them: [`next_record`](Self::next_record) borrows, [`read_record`](Self::read_record) copies into a buffer that is used
/// again, and [`records`](Self::records) iterates over owned text. All of them go on behind a bad record and end with the verified end of the
/// file; a file that is cut or damaged ends with an error instead.
///
/// ```
/// use forebay_cloudtrail::FileReader;
///
/// let file: &[u8] = br#"{"Records":[{"eventName":"A"},{"eventName":nonsense},{"eventName":"C"}]}"#;
/// let mut reader = FileReader::new(file);
/// let mut names = Vec::new();
/// while let Some(item) = reader.next_record() {
///     match item {
///         Ok(record) => names.push(record.event().event_name().unwrap().to_string()),
///         Err(error) if error.is_fatal() => return Err(error.into()),
///         Err(_) => names.push("bad".to_owned()),
///     }
/// }
/// assert_eq!(names, ["A", "bad", "C"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileReader<R> {
    source: R,
    decoder: FileDecoder,
    piece: Vec<u8>,
    start: usize,
    state: ReadState,
    /// Why nothing more is read, until it was told.
    failed: Option<ReadError>,
    summary: Option<Summary>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ReadState {
    Reading,
    Ended,
    Done,
}

impl<R: Read> FileReader<R> {
    /// A reader with the default limits. `source` needs no buffer of its own.
    pub fn new(source: R) -> Self {
        Self::with_limits(source, Limits::default())
    }

    /// A reader with other limits.
    pub fn with_limits(source: R, limits: Limits) -> Self {
        Self {
            source,
            decoder: FileDecoder::new(limits),
            piece: Vec::new(),
            start: 0,
            state: ReadState::Reading,
            failed: None,
            summary: None,
        }
    }

    /// The next record, borrowed.
    ///
    /// # Errors
    ///
    /// [`ReadError::Record`] stands for one bad record, and reading goes on; after any other error there is nothing more.
    pub fn next_record(&mut self) -> Option<Result<Record<'_>, ReadError>> {
        loop {
            if let Some(found) = self.decoder.advance() {
                return Some(self.decoder.show(found).map_err(|bad| bad.error().into()));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            match self.step() {
                Ok(true) => {}
                Ok(false) => return None,
                // Records from before the damage may wait in the decoder: they come first.
                Err(error) => {
                    self.state = ReadState::Done;
                    self.failed = Some(error);
                }
            }
        }
    }

    /// Copies the text of the next record into `buffer`, which is cleared first. `Ok(false)`: the file was read to its verified end.
    ///
    /// # Errors
    ///
    /// As [`next_record`](Self::next_record).
    pub fn read_record(&mut self, buffer: &mut Vec<u8>) -> Result<bool, ReadError> {
        buffer.clear();
        match self.next_record().transpose()? {
            Some(record) => {
                buffer.extend_from_slice(record.text().as_bytes());
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Iterates over the text of the records.
    pub fn records(&mut self) -> Records<'_, R> {
        Records { reader: self }
    }

    /// What was read; `None` before the verified end.
    pub const fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// Reads on. `false`: there is nothing more.
    fn step(&mut self) -> Result<bool, ReadError> {
        match self.state {
            ReadState::Done => return Ok(false),
            ReadState::Ended => {
                self.summary = Some(self.decoder.finish()?);
                self.state = ReadState::Done;
                return Ok(false);
            }
            ReadState::Reading => {}
        }
        if self.start >= self.piece.len() {
            self.piece.resize(PIECE, 0);
            self.start = 0;
            let length = read(&mut self.source, &mut self.piece)?;
            self.piece.truncate(length);
            if length == 0 {
                self.decoder.end();
                self.state = ReadState::Ended;
                return Ok(true);
            }
        }
        let used = self
            .decoder
            .feed(self.piece.get(self.start..).unwrap_or_default())?;
        self.start += used;
        Ok(true)
    }
}

/// The text of a file's records; see [`FileReader::records`].
#[derive(Debug)]
pub struct Records<'a, R> {
    reader: &'a mut FileReader<R>,
}

impl<R: Read> Iterator for Records<'_, R> {
    type Item = Result<String, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.reader.next_record()?;
        Some(item.map(|record| record.text().to_owned()))
    }
}

fn read(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Compressed bytes that are read at a time.
const PIECE: usize = 4 << 10;
