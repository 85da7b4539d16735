use std::fmt;
use std::io::{BufRead, Read};

use crate::columns::Columns;
use crate::error::{Error, ErrorKind, LineError, NotText};
use crate::format::{BYTE_ORDER_MARK, Format, without_line_end};
use crate::format_set::FormatSet;
use crate::lines::is_blank;
use crate::position::Position;
use crate::record_buf::RecordBuf;
use crate::wrapping::Wrapping;

/// Reads records from a source of lines, such as a decompressed S3 object.
///
/// - A header line sets the format of the lines below it, as often as one comes: files can be concatenated.
/// - Lines above the first header line have the configured formats, by default those of AWS (14 columns for VPC, 36
///   for Transit Gateway flow logs).
/// - Blank lines, a byte order mark and carriage returns at line ends are passed over.
/// - A bad line is an error with its position and text; the next call goes on with the line below it.
///
/// [`Reader::read_record`] reuses the record's memory: once that has grown to the longest line, reading allocates
/// nothing. [`Reader::records`] gives owned records. The source does not need a large buffer; for a file, a
/// `BufReader` will do.
pub struct Reader<R> {
    source: R,
    formats: FormatSet,
    header: Header,
    max_line: usize,
    wrapping: Wrapping,
    next: Position,
    last: Position,
    finished: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `source`.
    pub fn new(source: R) -> Self {
        Self {
            source,
            formats: FormatSet::default(),
            header: Header::Absent,
            max_line: Format::MAX_LINE,
            wrapping: Wrapping::Bare,
            next: Position::START,
            last: Position::START,
            finished: false,
        }
    }

    /// Sets the formats of lines that have no header line above them.
    #[must_use]
    pub fn with_formats(mut self, formats: impl Into<FormatSet>) -> Self {
        self.formats = formats.into();
        self
    }

    /// Sets the longest line in bytes, without line end. Longer lines are errors and not kept in memory. The default
    /// and the most is [`Format::MAX_LINE`].
    #[must_use]
    pub fn with_max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes.min(Format::MAX_LINE);
        self
    }

    /// Sets what is around every line and does not belong to it, header lines included.
    #[must_use]
    pub fn with_wrapping(mut self, wrapping: Wrapping) -> Self {
        self.wrapping = wrapping;
        self
    }

    /// Reads the next record; `false` at the end of the source.
    ///
    /// # Errors
    ///
    /// If the next line is no record, or its header line could not be used: `record` is then of no line, and the next
    /// call goes on below. If the source fails or is not text: the next call returns `false`.
    pub fn read_record(&mut self, record: &mut RecordBuf) -> Result<bool, Error> {
        let result = self.advance(record);
        if !matches!(result, Ok(true)) {
            record.clear();
        }
        result
    }

    /// Owned records, one after the other. Errors are items; only after a fatal one ([`Error::is_fatal`]) none comes.
    pub const fn records(&mut self) -> Records<'_, R> {
        Records { reader: self }
    }

    /// Where the line that was read last begins.
    pub const fn position(&self) -> Position {
        self.last
    }

    /// The format set by the last header line, if there was one that could be used.
    pub const fn header(&self) -> Option<&Format> {
        match &self.header {
            Header::Format(format) => Some(format),
            Header::Absent | Header::Unusable => None,
        }
    }

    /// The formats of lines that have no header line above them.
    pub const fn formats(&self) -> &FormatSet {
        &self.formats
    }

    /// The source, from the line after the last one read.
    pub fn into_inner(self) -> R {
        self.source
    }

    fn advance(&mut self, record: &mut RecordBuf) -> Result<bool, Error> {
        while !self.finished {
            if !self.read_line(record.line_mut())? {
                self.finished = true;
                break;
            }
            let line = record.line();
            if is_blank(line) {
                continue;
            }
            if Format::is_header(line) {
                self.follow(line)?;
                continue;
            }
            let mut columns = Columns::new();
            columns.read(line);
            let format = match &self.header {
                Header::Format(format) => format.check_count(line, &columns).map(|()| format),
                Header::Absent => self.formats.choose(line, &columns),
                Header::Unusable => return Err(Error::new(self.last, line, ErrorKind::NoFormat)),
            };
            return match format {
                Ok(format) => {
                    record.fill(format, columns, self.last);
                    Ok(true)
                }
                Err(error) => Err(Error::new(self.last, line, ErrorKind::Line(error))),
            };
        }
        Ok(false)
    }

    /// Reads one line into `line`, without its line end. `false` at the end of the source.
    fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool, Error> {
        line.clear();
        // Room for CR and LF; whoever hits this limit is too long.
        let limit = self.max_line as u64 + 2;
        self.last = self.next;
        let mut read = match self.source.by_ref().take(limit).read_until(b'\n', line) {
            Ok(0) => return Ok(false),
            Ok(read) => read as u64,
            Err(error) => return Err(self.fail(line, ErrorKind::Io(error))),
        };
        let is_cut = read == limit && !line.ends_with(b"\n");
        if is_cut {
            match self.source.skip_until(b'\n') {
                Ok(skipped) => read += skipped as u64,
                Err(error) => return Err(self.fail(line, ErrorKind::Io(error))),
            }
        }
        self.next.line += 1;
        self.next.offset += read;

        if self.last == Position::START
            && let Some(found) = NotText::sniff(line)
        {
            line.truncate(MAGIC_SHOWN);
            return Err(self.fail(line, ErrorKind::NotText(found)));
        }
        // Also in the middle: concatenated files bring theirs along.
        if line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        line.truncate(without_line_end(line).len());
        if is_cut || line.len() > self.max_line {
            line.truncate(self.max_line);
            return Err(Error::new(
                self.last,
                line,
                ErrorKind::Line(LineError::TooLong {
                    limit: self.max_line,
                }),
            ));
        }
        if self.wrapping != Wrapping::Bare {
            let inner = self.wrapping.inner(line);
            line.truncate(inner.end);
            line.drain(..inner.start);
        }
        Ok(true)
    }

    /// Takes the format from a header line.
    fn follow(&mut self, line: &[u8]) -> Result<(), Error> {
        match Format::from_header(line) {
            Ok(format) => {
                // The same format again keeps its allocation, so that records need not change theirs.
                if self.header() != Some(&format) {
                    self.header = Header::Format(format);
                }
                Ok(())
            }
            Err(error) => {
                self.header = Header::Unusable;
                Err(Error::new(self.last, line, ErrorKind::Header(error)))
            }
        }
    }

    fn fail(&mut self, line: &[u8], kind: ErrorKind) -> Error {
        self.finished = true;
        Error::new(self.last, line, kind)
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("position", &self.last)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl<R: BufRead> IntoIterator for Reader<R> {
    type Item = Result<RecordBuf, Error>;
    type IntoIter = IntoRecords<R>;

    fn into_iter(self) -> IntoRecords<R> {
        IntoRecords { reader: self }
    }
}

/// Owned records of a borrowed [`Reader`].
#[derive(Debug)]
pub struct Records<'r, R> {
    reader: &'r mut Reader<R>,
}

impl<R: BufRead> Iterator for Records<'_, R> {
    type Item = Result<RecordBuf, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        next_record(self.reader)
    }
}

/// Owned records of a [`Reader`].
#[derive(Debug)]
pub struct IntoRecords<R> {
    reader: Reader<R>,
}

impl<R> IntoRecords<R> {
    /// The reader, to ask for its position or header.
    pub const fn reader(&self) -> &Reader<R> {
        &self.reader
    }
}

impl<R: BufRead> Iterator for IntoRecords<R> {
    type Item = Result<RecordBuf, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        next_record(&mut self.reader)
    }
}

/// What the header lines so far have set.
#[derive(Clone, Debug)]
enum Header {
    Absent,
    Format(Format),
    Unusable,
}

fn next_record<R: BufRead>(reader: &mut Reader<R>) -> Option<Result<RecordBuf, Error>> {
    let mut record = RecordBuf::new();
    match reader.read_record(&mut record) {
        Ok(true) => Some(Ok(record)),
        Ok(false) => None,
        Err(error) => Some(Err(error)),
    }
}

/// How much of a binary source its error shows.
const MAGIC_SHOWN: usize = 16;
