use std::fmt;

use crate::error::LineError;
use crate::format::{BYTE_ORDER_MARK, Format, without_line_end};
use crate::position::Position;
use crate::record::Record;

/// The records of a text in memory, borrowed from it: see [`Format::records`](crate::Format::records).
///
/// A bad line is an item; the lines after it still come. Below a header line that names other columns all lines are
/// bad, up to a header line that names those of the format: [`Reader`](crate::Reader) can read both.
#[derive(Clone)]
pub struct Lines<'a> {
    format: &'a Format,
    /// Whether the last header line names other columns.
    is_foreign: bool,
    rest: &'a [u8],
    next: Position,
    last: Position,
}

impl<'a> Lines<'a> {
    pub(crate) const fn new(format: &'a Format, text: &'a [u8]) -> Self {
        Self {
            format,
            is_foreign: false,
            rest: text,
            next: Position::START,
            last: Position::START,
        }
    }

    /// Where the line of the last item begins in the text.
    pub const fn position(&self) -> Position {
        self.last
    }

    /// The next line with its line end.
    fn next_line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_at(line_length(self.rest));
        self.rest = rest;
        self.last = self.next;
        self.next.line += 1;
        self.next.offset += line.len() as u64;
        Some(line)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Record<'a>, BadLine<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.next_line()?;
            // Also in the middle: concatenated files bring theirs along.
            let line = without_line_end(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line));
            if is_blank(line) {
                continue;
            }
            if Format::is_header(line) {
                let header = Format::from_header(line);
                self.is_foreign = !header.is_ok_and(|header| header == *self.format);
                if !self.is_foreign {
                    continue;
                }
            }
            let error = if self.is_foreign {
                LineError::OtherHeader
            } else {
                match self.format.parse(line) {
                    Ok(record) => return Some(Ok(record)),
                    Err(error) => error,
                }
            };
            return Some(Err(BadLine {
                line,
                position: self.last,
                error,
            }));
        }
    }
}

impl std::iter::FusedIterator for Lines<'_> {}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("next", &self.next)
            .field("bytes_left", &self.rest.len())
            .finish_non_exhaustive()
    }
}

/// A line of a text in memory that is no record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadLine<'a> {
    line: &'a [u8],
    position: Position,
    error: LineError,
}

impl<'a> BadLine<'a> {
    /// The line without its line end.
    pub const fn line(&self) -> &'a [u8] {
        self.line
    }

    /// Where the line begins in the text.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// What is wrong.
    pub const fn error(&self) -> LineError {
        self.error
    }
}

impl fmt::Display for BadLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, offset } = self.position;
        write!(f, "line {line} (byte {offset}): {}", self.error)
    }
}

impl std::error::Error for BadLine<'_> {}

#[inline]
pub(crate) fn is_blank(line: &[u8]) -> bool {
    // The first byte tells, nearly always.
    line.iter().all(u8::is_ascii_whitespace)
}

/// Bytes up to and with the next line feed, or all.
fn line_length(text: &[u8]) -> usize {
    let mut before = 0;
    // Whole blocks without early exit, which the compiler compares 16 bytes at a time.
    for block in text.chunks_exact(32) {
        if block
            .iter()
            .fold(false, |found, &byte| found | (byte == b'\n'))
        {
            break;
        }
        before += block.len();
    }
    let rest = text.get(before..).unwrap_or_default();
    before
        + rest
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(rest.len(), |index| index + 1)
}
