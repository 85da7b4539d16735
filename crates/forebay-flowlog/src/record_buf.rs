use std::fmt;

use crate::columns::Columns;
use crate::error::LineError;
use crate::format::{Format, check_length, without_line_end};
use crate::position::Position;
use crate::record::Record;

/// A flow-log record that owns its line. [`RecordBuf::as_record`] gives the accessors.
///
/// Made from a [`Record`] or filled by [`Reader::read_record`](crate::Reader::read_record), which reuses its memory.
/// Equality is that of [`Record`]: the position makes no difference.
#[derive(Clone)]
pub struct RecordBuf {
    line: Vec<u8>,
    format: Format,
    columns: Columns,
    position: Option<Position>,
}

impl RecordBuf {
    /// A record of no line, to be filled by a reader: every column of the default format, all absent.
    pub fn new() -> Self {
        Self {
            line: Vec::new(),
            format: Format::v2(),
            columns: Columns::new(),
            position: None,
        }
    }

    /// Splits a line that it takes over.
    ///
    /// # Errors
    ///
    /// As [`Format::parse`](crate::Format::parse).
    pub fn parse(format: &Format, mut line: Vec<u8>) -> Result<Self, LineError> {
        line.truncate(without_line_end(&line).len());
        let mut columns = Columns::new();
        columns.read(check_length(&line)?);
        format.check_count(&line, &columns)?;
        Ok(Self {
            line,
            format: format.clone(),
            columns,
            position: None,
        })
    }

    /// The record, borrowed.
    #[inline]
    pub fn as_record(&self) -> Record<'_> {
        Record::of(&self.format, &self.line, self.columns)
    }

    /// The whole line, without its line end and blanks before that.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The format of the line.
    pub const fn format(&self) -> &Format {
        &self.format
    }

    /// Where the line stands, if it came from a reader.
    pub const fn position(&self) -> Option<Position> {
        self.position
    }

    /// The line's memory, to read the next line into. Until [`RecordBuf::fill`] the columns are those of the old line.
    pub(crate) const fn line_mut(&mut self) -> &mut Vec<u8> {
        &mut self.line
    }

    /// Takes what belongs to the line that was read into [`RecordBuf::line_mut`].
    pub(crate) fn fill(&mut self, format: &Format, columns: Columns, position: Position) {
        // Most lines have the format of the line before: no reference counting then.
        if !self.format.is_same(format) {
            self.format = format.clone();
        }
        self.columns = columns;
        self.position = Some(position);
    }

    /// Back to a record of no line, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.line.clear();
        self.columns = Columns::new();
        self.position = None;
    }
}

impl Default for RecordBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&Record<'_>> for RecordBuf {
    fn from(record: &Record<'_>) -> Self {
        Self {
            line: record.line().to_vec(),
            format: record.format().clone(),
            columns: *record.columns(),
            position: None,
        }
    }
}

impl From<Record<'_>> for RecordBuf {
    fn from(record: Record<'_>) -> Self {
        Self::from(&record)
    }
}

impl<'a> From<&'a RecordBuf> for Record<'a> {
    fn from(record: &'a RecordBuf) -> Self {
        record.as_record()
    }
}

impl fmt::Display for RecordBuf {
    /// Prints the line as it was read, as [`Record`] does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_record().fmt(f)
    }
}

impl fmt::Debug for RecordBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_record().fmt(f)
    }
}

impl PartialEq for RecordBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_record() == other.as_record()
    }
}

impl Eq for RecordBuf {}

impl PartialEq<Record<'_>> for RecordBuf {
    fn eq(&self, other: &Record<'_>) -> bool {
        self.as_record() == *other
    }
}

impl PartialEq<RecordBuf> for Record<'_> {
    fn eq(&self, other: &RecordBuf) -> bool {
        *self == other.as_record()
    }
}
