use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::field::Field;
use crate::format::Format;
use crate::position::Position;

/// A line that [`Reader`](crate::Reader) could not turn into a record, with where it stood and what it held.
///
/// All kinds but those for which [`Error::is_fatal`] holds concern one line only: read on.
#[derive(Debug)]
pub struct Error {
    position: Position,
    line: Vec<u8>,
    kind: ErrorKind,
}

impl Error {
    pub(crate) fn new(position: Position, line: &[u8], kind: ErrorKind) -> Self {
        Self {
            position,
            line: line.to_vec(),
            kind,
        }
    }

    /// Where the line begins.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The line, without its line end and blanks before that. A line over the limit is cut at the limit.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// What is wrong.
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Whether nothing more can be read: the source failed or it is not text.
    pub const fn is_fatal(&self) -> bool {
        matches!(self.kind, ErrorKind::Io(_) | ErrorKind::NotText(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, offset } = self.position;
        write!(f, "line {line} (byte {offset}): ")?;
        match &self.kind {
            // The reporter prints the source itself.
            ErrorKind::Io(_) => f.write_str("the source of the lines failed"),
            ErrorKind::NotText(found) => found.fmt(f),
            ErrorKind::Line(error) => error.fmt(f),
            ErrorKind::Header(error) => write!(f, "this header line cannot be used: {error}"),
            ErrorKind::NoFormat => f.write_str(
                "skipped, because the header line above it could not be used; correct that header",
            ),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.kind {
            ErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// What is wrong with a line or with the source of lines.
#[non_exhaustive]
#[derive(Debug)]
pub enum ErrorKind {
    /// Reading failed. Fatal.
    Io(io::Error),
    /// The source holds something else than text. Fatal.
    NotText(NotText),
    /// The line does not fit its format, or no format could be chosen for it.
    Line(LineError),
    /// A header line repeats a column or has too many. The lines below it are [`ErrorKind::NoFormat`].
    Header(FormatError),
    /// The line stands under a header line that could not be used.
    NoFormat,
}

/// What a source holds that is not flow-log text, told by its first bytes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum NotText {
    /// An Apache Parquet file (`PAR1`).
    Parquet,
    /// A gzip member.
    Gzip,
    /// A Zstandard frame.
    Zstandard,
    /// Text in UTF-16, told by its byte order mark.
    Utf16,
}

impl NotText {
    /// Tells by its first bytes what is not text.
    pub fn sniff(start: &[u8]) -> Option<Self> {
        match start {
            [b'P', b'A', b'R', b'1', ..] => Some(Self::Parquet),
            [0x1F, 0x8B, ..] => Some(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstandard),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some(Self::Utf16),
            _ => None,
        }
    }
}

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parquet => "this is a Parquet file; publish the flow log as plain text, or convert the file first",
            Self::Gzip => "this is gzip; decompress it before reading",
            Self::Zstandard => "this is Zstandard; decompress it before reading",
            Self::Utf16 => "this is UTF-16; convert it to UTF-8 before reading",
        })
    }
}

/// Why a line is not a record.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LineError {
    /// The line has another number of columns than its format.
    FieldCount {
        /// Columns of the format.
        expected: usize,
        /// Columns of the line.
        found: usize,
        /// Byte offset in the line of the first column too many, or the line's length where columns are missing.
        offset: usize,
    },
    /// The line is longer than [`Format::MAX_LINE`], or than the limit set on the reader.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// No known format has as many columns as the line.
    UnknownCount {
        /// Columns of the line.
        found: usize,
    },
    /// Several formats have as many columns as the line, and its values fit more than one of them.
    Ambiguous {
        /// Columns of the line.
        found: usize,
        /// How many formats fit.
        fitting: usize,
    },
    /// One or more formats have as many columns as the line, but its values fit none of them.
    NoneFits {
        /// Columns of the line.
        found: usize,
        /// How many formats have that many columns.
        tried: usize,
    },
    /// The line is a header line that names other columns than the format in use, or stands below one.
    OtherHeader,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::FieldCount { expected, found, offset } if found < expected => write!(
                f,
                "expected {expected} columns, found {found} when the line ended at byte {offset}; \
                 check the format against the flow log's `LogFormat`"
            ),
            Self::FieldCount { expected, found, offset } => write!(
                f,
                "expected {expected} columns, found {found}, the first too many at byte {offset}; \
                 check the format against the flow log's `LogFormat`"
            ),
            Self::TooLong { limit } => write!(f, "the line is longer than {limit} bytes; it is no flow-log record"),
            Self::UnknownCount { found } => {
                write!(f, "no known format has {found} columns; {CONFIGURE}")
            }
            Self::Ambiguous { found, fitting } => write!(
                f,
                "{fitting} formats with {found} columns fit this line; let each flow log write to a log group of its own"
            ),
            Self::NoneFits { found, tried } => write!(
                f,
                "the values fit no known format with {found} columns ({tried} tried); {CONFIGURE}"
            ),
            Self::OtherHeader => f.write_str(
                "this header line, or the last one above, names other columns than the format in use; read the file with `Reader`, which follows headers",
            ),
        }
    }
}

impl StdError for LineError {}

/// Why a list of names is not a format.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FormatError {
    /// There is no name at all.
    Empty,
    /// A name stands twice.
    Duplicate {
        /// The name.
        name: String,
        /// Column of the first, from 0.
        first: usize,
        /// Column of the second, from 0.
        second: usize,
    },
    /// There are more names than [`Format::MAX_COLUMNS`].
    TooMany,
    /// Something in the list is not a field name.
    BadName {
        /// What stands there.
        name: String,
        /// Its column, from 0.
        column: usize,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "a format needs at least one field; write it as in `${version} ${srcaddr}`",
            ),
            Self::Duplicate {
                name,
                first,
                second,
            } => {
                write!(
                    f,
                    "column {second} repeats `{name}` of column {first} (counted from 0); name each field once"
                )
            }
            Self::TooMany => write!(f, "a format has at most {} columns", Format::MAX_COLUMNS),
            Self::BadName { name, column } => write!(
                f,
                "column {column} (counted from 0) is `{}`, which is no field name; write fields as `${{name}}` with single spaces between them",
                name.escape_debug()
            ),
        }
    }
}

impl StdError for FormatError {}

/// A column whose text is not a value of its field. [`Record::raw`](crate::Record::raw) still has the text.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FieldError {
    field: Field,
    offset: usize,
    kind: FieldErrorKind,
}

impl FieldError {
    #[cold]
    pub(crate) const fn new(field: Field, offset: usize, kind: FieldErrorKind) -> Self {
        Self {
            field,
            offset,
            kind,
        }
    }

    /// The field.
    pub const fn field(&self) -> Field {
        self.field
    }

    /// Byte offset of its value in the line.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong with the value.
    pub const fn kind(&self) -> FieldErrorKind {
        self.kind
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "field `{}` at byte {}: expected ",
            self.field, self.offset
        )?;
        match self.kind {
            FieldErrorKind::NotNumber => f.write_str("decimal digits"),
            FieldErrorKind::TooLarge { max } => write!(f, "a number up to {max}"),
            FieldErrorKind::NotAddress => f.write_str("an IPv4 or IPv6 address"),
            FieldErrorKind::NotUtf8 => f.write_str("UTF-8"),
        }
    }
}

impl StdError for FieldError {}

/// What is wrong with a value.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FieldErrorKind {
    /// Not decimal digits: a sign, an exponent, a letter.
    NotNumber,
    /// A number beyond the field's range.
    TooLarge {
        /// The largest value allowed.
        max: u64,
    },
    /// Neither an IPv4 nor an IPv6 address.
    NotAddress,
    /// Text that is not UTF-8.
    NotUtf8,
}

/// No published field has this name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldNameError {
    name: String,
}

impl FieldNameError {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for FieldNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no published flow-log field is named `{}`",
            self.name.escape_debug()
        )
    }
}

impl StdError for FieldNameError {}

const CONFIGURE: &str = "set the format to the `LogFormat` that EC2 `DescribeFlowLogs` shows for this flow log, such as `${version} ${srcaddr}`";
