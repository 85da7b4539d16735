use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::columns::{Columns, MAX_COLUMNS, MAX_LINE};
use crate::error::{FormatError, LineError};
use crate::field::{Field, bare_name, same_name};
use crate::lines::Lines;
use crate::record::Record;

/// Which fields a line has, and in which order.
///
/// A line does not tell its format: the `version` in it names neither the fields nor their order. Text files in S3
/// begin with a header line ([`Format::from_header`]); for records that come through CloudWatch Logs or Firehose the
/// format must be configured ([`Format::from_template`], with the `LogFormat` that EC2 `DescribeFlowLogs` returns),
/// unless they have a default format ([`FormatSet::default`](crate::FormatSet)).
///
/// Cloning is cheap: the names are shared.
#[derive(Clone)]
pub struct Format {
    columns: Arc<[Column]>,
    /// Column of each field, by the field's index; [`MISSING`] where the format has it not.
    positions: [u8; Field::COUNT],
}

impl Format {
    /// The most columns a format may have: all 72 published fields and room for some that are not yet.
    pub const MAX_COLUMNS: usize = MAX_COLUMNS;

    /// The longest line in bytes that is taken for a record: 65,535. Real records stay below 4 KiB.
    pub const MAX_LINE: usize = MAX_LINE;

    /// The default format of VPC flow logs: the 14 fields of version 2.
    pub fn v2() -> Self {
        Self::of_fields(Field::all().filter(|field| field.since() == 2).collect())
    }

    /// The default format of Transit Gateway flow logs: 36 fields.
    pub fn transit_gateway() -> Self {
        Self::of_fields(TRANSIT_GATEWAY.to_vec())
    }

    /// Reads a template as given to AWS, `${version} ${account-id} ...`. Bare names are taken too.
    ///
    /// # Errors
    ///
    /// If there is no name, one stands twice, there are too many, or something is no name at all.
    pub fn from_template(template: &str) -> Result<Self, FormatError> {
        let template = template.trim().trim_matches(['"', '\'']);
        // Tools print templates with and without blanks between the tokens.
        if template.contains("}$") {
            return Self::from_names(template.replace("}$", "} $").split_ascii_whitespace());
        }
        Self::from_names(template.split_ascii_whitespace())
    }

    /// Reads the header line of a text file in S3: field names with blanks between them.
    ///
    /// A byte order mark and the line end are ignored.
    ///
    /// # Errors
    ///
    /// As [`Format::from_template`]; also if the line is not UTF-8.
    pub fn from_header(line: &[u8]) -> Result<Self, FormatError> {
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|_| FormatError::BadName {
            name: String::from_utf8_lossy(line).into_owned(),
            column: 0,
        })?;
        Self::from_names(text.split_ascii_whitespace())
    }

    /// Takes the columns from a list of names in any spelling that [`Field::from_name`] knows.
    ///
    /// Names that are not published become [`Column::Other`].
    ///
    /// # Errors
    ///
    /// As [`Format::from_template`].
    pub fn from_names<I>(names: I) -> Result<Self, FormatError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut columns = Vec::new();
        for name in names {
            let name = name.as_ref();
            if columns.len() == MAX_COLUMNS {
                return Err(FormatError::TooMany);
            }
            let column = Column::from_name(name).ok_or_else(|| FormatError::BadName {
                name: name.to_owned(),
                column: columns.len(),
            })?;
            if let Some(first) = columns
                .iter()
                .position(|earlier: &Column| same_name(earlier.name(), column.name()))
            {
                return Err(FormatError::Duplicate {
                    name: column.name().to_owned(),
                    first,
                    second: columns.len(),
                });
            }
            columns.push(column);
        }
        if columns.is_empty() {
            return Err(FormatError::Empty);
        }
        Ok(Self::of_columns(columns))
    }

    /// Splits a line into a record, without allocating. The line end (LF, CRLF) may be left on the line; it
    /// and blanks before it do not belong to the record.
    ///
    /// Values are not looked at: each is decoded when asked for, so that one bad value spoils nothing else.
    ///
    /// A record takes some 350 bytes: hand it on by reference.
    ///
    /// # Errors
    ///
    /// If the line has another number of columns or is longer than [`Format::MAX_LINE`].
    #[inline(always)]
    pub fn parse<'a>(&'a self, line: &'a [u8]) -> Result<Record<'a>, LineError> {
        let mut record = self.record();
        record.read(line)?;
        Ok(record)
    }

    /// A record of an empty line, for [`Record::read`]: every column is absent.
    #[inline(always)]
    pub const fn record(&self) -> Record<'_> {
        Record::of(self, &[], Columns::new())
    }

    /// The records of a text, borrowed from it. Blank lines, byte order marks and header lines that name this format are
    /// passed over.
    pub fn records<'a>(&'a self, text: &'a [u8]) -> Lines<'a> {
        Lines::new(self, text)
    }

    /// Whether a line is the header line of a text file: names only, more than half of them published.
    pub fn is_header(line: &[u8]) -> bool {
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        // A record nearly always holds a digit early on; this test is paid for every line of a file.
        let begins_as_name = |line: &[u8]| {
            let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
            first.is_some_and(|byte| {
                byte.is_ascii_alphabetic() || matches!(byte, b'$' | b'"' | b'\'' | b'`')
            })
        };
        if !begins_as_name(line) {
            return false;
        }
        let (mut known, mut all) = (0_usize, 0_usize);
        for name in line
            .split(u8::is_ascii_whitespace)
            .filter(|name| !name.is_empty())
        {
            if !begins_as_name(name) || all == MAX_COLUMNS {
                return false;
            }
            let field = std::str::from_utf8(name).ok().and_then(Field::from_name);
            known += usize::from(field.is_some());
            all += 1;
        }
        known * 2 > all
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// How many columns a line has.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a format has at least one column"
    )]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// The column of a field, from 0. Constant time.
    #[inline]
    pub fn position(&self, field: Field) -> Option<usize> {
        match self.positions.get(field.index()) {
            Some(&position) if position != MISSING => Some(usize::from(position)),
            _ => None,
        }
    }

    /// Whether lines have this field.
    #[inline]
    pub fn contains(&self, field: Field) -> bool {
        self.position(field).is_some()
    }

    /// The column of a name in any spelling, published or not, from 0.
    pub fn position_of(&self, name: &str) -> Option<usize> {
        let name = bare_name(name);
        self.columns
            .iter()
            .position(|column| same_name(column.name(), name))
    }

    /// The names that are not published, for a warning when the format is set up.
    pub fn unknown_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(|column| match column {
            Column::Field(_) => None,
            Column::Other(name) => Some(&**name),
        })
    }

    /// Fails unless the line has as many columns as the format.
    #[inline]
    pub(crate) fn check_count(&self, line: &[u8], columns: &Columns) -> Result<(), LineError> {
        if columns.found() == self.len() {
            Ok(())
        } else {
            Err(self.count_error(line, columns))
        }
    }

    /// Whether both are one allocation: a cheap test that may miss equality.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.columns, &other.columns)
    }

    #[cold]
    fn count_error(&self, line: &[u8], columns: &Columns) -> LineError {
        let (expected, found) = (self.len(), columns.found());
        let offset = if found < expected {
            line.len()
        } else {
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            let (_, end) = columns.bounds(expected - 1);
            let rest = line.get(end..).unwrap_or_default();
            end + rest.iter().take_while(|byte| blank(byte)).count()
        };
        LineError::FieldCount {
            expected,
            found,
            offset,
        }
    }

    fn of_fields(fields: Vec<Field>) -> Self {
        Self::of_columns(fields.into_iter().map(Column::Field).collect())
    }

    /// `columns` are at least one, at most [`MAX_COLUMNS`], and no two the same.
    fn of_columns(columns: Vec<Column>) -> Self {
        let mut positions = [MISSING; Field::COUNT];
        for (position, column) in columns.iter().enumerate() {
            if let Column::Field(field) = column {
                positions[field.index()] = position as u8;
            }
        }
        Self {
            columns: columns.into(),
            positions,
        }
    }
}

impl Default for Format {
    /// The default format of VPC flow logs, [`Format::v2`].
    fn default() -> Self {
        Self::v2()
    }
}

impl fmt::Display for Format {
    /// Prints the template: `${version} ${account-id} ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, column) in self.columns.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}${{{}}}", column.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Format(\"{self}\")")
    }
}

impl FromStr for Format {
    type Err = FormatError;

    /// Same as [`Format::from_template`].
    fn from_str(template: &str) -> Result<Self, FormatError> {
        Self::from_template(template)
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.columns == other.columns
    }
}

impl Eq for Format {}

/// One column of a format.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Column {
    /// A published field.
    Field(Field),
    /// A field this crate does not know, under the name it was given.
    Other(Box<str>),
}

impl Column {
    /// The field's name with hyphens, or the unknown name as it was given.
    pub fn name(&self) -> &str {
        match self {
            Self::Field(field) => field.name(),
            Self::Other(name) => name,
        }
    }

    /// The field, if it is a published one.
    pub const fn field(&self) -> Option<Field> {
        match self {
            Self::Field(field) => Some(*field),
            Self::Other(_) => None,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        if let Some(field) = Field::from_name(name) {
            return Some(Self::Field(field));
        }
        let bare = bare_name(name);
        // Anything but what separates, ends or quotes a name somewhere.
        let fits = |c: char| {
            !c.is_whitespace()
                && !c.is_control()
                && !matches!(c, '$' | '{' | '}' | ',' | '"' | '\'' | '`')
        };
        let is_name =
            !bare.is_empty() && bare.len() <= MAX_NAME && bare != "-" && bare.chars().all(fits);
        is_name.then(|| Self::Other(bare.into()))
    }
}

/// The line without what ends it: line feed, carriage returns, blanks.
#[inline]
pub(crate) fn without_line_end(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\n' | b'\r' | b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

#[inline]
pub(crate) fn check_length(line: &[u8]) -> Result<&[u8], LineError> {
    if line.len() > MAX_LINE {
        Err(LineError::TooLong { limit: MAX_LINE })
    } else {
        Ok(line)
    }
}

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

const MISSING: u8 = u8::MAX;
const MAX_NAME: usize = 128;

/// As listed on the page "AWS Transit Gateway Flow Logs" for the default format.
const TRANSIT_GATEWAY: &[Field] = &[
    Field::Version,
    Field::ResourceType,
    Field::AccountId,
    Field::TgwId,
    Field::TgwAttachmentId,
    Field::TgwSrcVpcAccountId,
    Field::TgwDstVpcAccountId,
    Field::TgwSrcVpcId,
    Field::TgwDstVpcId,
    Field::TgwSrcSubnetId,
    Field::TgwDstSubnetId,
    Field::TgwSrcEni,
    Field::TgwDstEni,
    Field::TgwSrcAzId,
    Field::TgwDstAzId,
    Field::TgwPairAttachmentId,
    Field::SrcAddr,
    Field::DstAddr,
    Field::SrcPort,
    Field::DstPort,
    Field::Protocol,
    Field::Packets,
    Field::Bytes,
    Field::Start,
    Field::End,
    Field::LogStatus,
    Field::Type,
    Field::PacketsLostNoRoute,
    Field::PacketsLostBlackhole,
    Field::PacketsLostMtuExceeded,
    Field::PacketsLostTtlExpired,
    Field::TcpFlags,
    Field::Region,
    Field::FlowDirection,
    Field::PktSrcAwsService,
    Field::PktDstAwsService,
];
