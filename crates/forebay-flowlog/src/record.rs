use std::fmt;
use std::iter::Enumerate;
use std::net::IpAddr;
use std::ops::Range;
use std::slice;

use crate::address;
use crate::columns::Columns;
use crate::error::{FieldError, FieldErrorKind, LineError};
use crate::field::{Field, ValueType};
use crate::format::{Column, Format, check_length, without_line_end};
use crate::number;
use crate::tag::TagValue;
use crate::timestamp::Timestamp;

mod typed;

/// One flow-log record that borrows from its line.
///
/// Columns are found when the record is made ([`Format::parse`](crate::Format::parse)), values are decoded when asked
/// for. A typed accessor answers `Ok(None)` for the log's `-` and for a field that the format does not have
/// ([`Format::contains`](crate::Format::contains) tells the two apart), and an error for text that is no value of the
/// field; [`Record::raw`] still has that text.
///
/// Two records are equal if they have the same columns in the same order with the same text; how many blanks stand
/// between the columns makes no difference.
#[derive(Clone)]
pub struct Record<'a> {
    line: &'a [u8],
    format: &'a Format,
    columns: Columns,
}

impl<'a> Record<'a> {
    #[inline]
    pub(crate) const fn of(format: &'a Format, line: &'a [u8], columns: Columns) -> Self {
        Self {
            line,
            format,
            columns,
        }
    }

    /// Splits another line of the same format in place of this one. Saves what making and moving a record costs, which is
    /// as much as splitting the line.
    ///
    /// # Errors
    ///
    /// As [`Format::parse`](crate::Format::parse). The record is then of an empty line.
    #[inline]
    pub fn read(&mut self, line: &'a [u8]) -> Result<(), LineError> {
        let format = self.format;
        self.read_as(line, |line, columns| {
            format.check_count(line, columns).map(|()| format)
        })
    }

    /// [`Record::read`] with the format that `choose` finds for the columns.
    #[inline]
    pub(crate) fn read_as(
        &mut self,
        line: &'a [u8],
        choose: impl FnOnce(&[u8], &Columns) -> Result<&'a Format, LineError>,
    ) -> Result<(), LineError> {
        self.line = without_line_end(line);
        let result = check_length(self.line).and_then(|line| {
            self.columns.read(line);
            choose(line, &self.columns)
        });
        match result {
            Ok(format) => {
                self.format = format;
                Ok(())
            }
            Err(error) => {
                (self.line, self.columns) = (&[], Columns::new());
                Err(error)
            }
        }
    }

    #[inline]
    pub(crate) const fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The whole line, without its line end and blanks before that.
    #[inline]
    pub const fn line(&self) -> &'a [u8] {
        self.line
    }

    /// The format of the line.
    #[inline]
    pub const fn format(&self) -> &'a Format {
        self.format
    }

    /// The text of a field as it stands in the line, also where it is `-`; `None` if the format does not have the
    /// field.
    #[inline(always)]
    pub fn raw(&self, field: Field) -> Option<&'a [u8]> {
        self.column(self.format.position(field)?)
    }

    /// The text of the column at a position, counted from 0.
    #[inline(always)]
    pub fn column(&self, position: usize) -> Option<&'a [u8]> {
        if position >= self.format.len() {
            return None;
        }
        self.line.get(self.span(position))
    }

    /// Where the column at a position, counted from 0, stands in [`Record::line`]; an empty range if the format does not
    /// have so many.
    #[inline(always)]
    pub fn span(&self, position: usize) -> Range<usize> {
        let (start, end) = self.columns.bounds(position);
        start..end
    }

    /// The text of a column by its name in any spelling, also of a field that this crate does not know.
    pub fn raw_by_name(&self, name: &str) -> Option<&'a [u8]> {
        self.column(self.format.position_of(name)?)
    }

    /// The texts of all columns, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + '_ {
        (0..self.format.len()).map(|position| self.column(position).unwrap_or_default())
    }

    /// What the record says: traffic, none, or a loss.
    ///
    /// Decided by `log-status`. Where the format lacks it, or where AWS wrote a status this crate does not know, a
    /// record without any value in its address, port, protocol and counter columns is [`RecordKind::Empty`].
    pub fn kind(&self) -> RecordKind {
        match self.raw(Field::LogStatus) {
            Some(b"OK") => RecordKind::Traffic,
            Some(b"NODATA") => RecordKind::NoData,
            Some(b"SKIPDATA") => RecordKind::SkipData,
            _ => {
                let mut texts = FLOW_FIELDS
                    .iter()
                    .filter_map(|field| self.raw(*field))
                    .peekable();
                if texts.peek().is_some() && texts.all(|text| matches!(text, [] | [b'-'])) {
                    RecordKind::Empty
                } else {
                    RecordKind::Traffic
                }
            }
        }
    }

    /// The value of any published field, decoded by the field's type.
    ///
    /// # Errors
    ///
    /// If the text is no value of the field.
    #[inline]
    pub fn value(&self, field: Field) -> Result<Option<Value<'a>>, FieldError> {
        match self.bounds(field) {
            Some(bounds) => self.value_at(field, bounds),
            None => Ok(None),
        }
    }

    #[inline(always)]
    fn value_at(&self, field: Field, bounds: Bounds) -> Result<Option<Value<'a>>, FieldError> {
        Ok(match field.value_type() {
            ValueType::Text => self.text_at(field, bounds)?.map(Value::Text),
            ValueType::Tag => self.tag_at(bounds).map(Value::Tag),
            ValueType::Address => self.address_at(field, bounds)?.map(Value::Address),
            ValueType::Number => self.number_at(field, bounds)?.map(Value::Number),
            ValueType::Timestamp => self
                .number_at(field, bounds)?
                .map(|number| Value::Timestamp(Timestamp::from_logged(number))),
        })
    }

    /// The values of all published fields of the format, in the order of their columns, each as [`Record::value`] gives it.
    /// Cheaper than asking for them one by one: that the text is UTF-8 is found out once for the line.
    pub fn values(
        &self,
    ) -> impl Iterator<Item = (Field, Result<Option<Value<'a>>, FieldError>)> + '_ {
        Values {
            record: self,
            text: std::str::from_utf8(self.line).unwrap_or_default(),
            columns: self.format.columns().iter().enumerate(),
        }
    }

    /// The text of a field, where it is UTF-8. Works for every field, whatever its type.
    ///
    /// # Errors
    ///
    /// If the text is not UTF-8.
    #[inline(always)]
    pub fn text(&self, field: Field) -> Result<Option<&'a str>, FieldError> {
        match self.bounds(field) {
            Some(bounds) => self.text_at(field, bounds),
            None => Ok(None),
        }
    }

    #[inline(always)]
    fn text_at(&self, field: Field, bounds: Bounds) -> Result<Option<&'a str>, FieldError> {
        match self.present(bounds).map(std::str::from_utf8) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(FieldError::new(field, bounds.0, FieldErrorKind::NotUtf8)),
        }
    }

    /// The value of a numeric field or, in the unit as written, of a timestamp.
    ///
    /// # Errors
    ///
    /// If the text is not decimal digits, or beyond [`Field::max_value`](crate::Field::max_value).
    #[inline(always)]
    pub fn number(&self, field: Field) -> Result<Option<u64>, FieldError> {
        match self.bounds(field) {
            Some(bounds) => self.number_at(field, bounds),
            None => Ok(None),
        }
    }

    #[inline(always)]
    fn number_at(&self, field: Field, bounds: Bounds) -> Result<Option<u64>, FieldError> {
        let (start, end) = bounds;
        match number::decode(self.line, start, end, field.limit().number) {
            Some(number) => Ok(Some(number)),
            None => self.no_number(field, bounds),
        }
    }

    /// The digits of a numeric field, checked as [`Record::number`] does but left as text: to be copied where a JSON
    /// number is wanted. Leading zeros, which JSON forbids, are cut off.
    ///
    /// # Errors
    ///
    /// As [`Record::number`].
    #[inline(always)]
    pub fn number_text(&self, field: Field) -> Result<Option<&'a [u8]>, FieldError> {
        let Some(bounds @ (start, end)) = self.bounds(field) else {
            return Ok(None);
        };
        match number::canonical_start(self.line, start, end, field.limit()) {
            Some(start) => Ok(self.line.get(start..end)),
            None => self.no_number(field, bounds),
        }
    }

    /// The value of an address field. A zone index is cut off; [`Record::raw`] has it.
    ///
    /// # Errors
    ///
    /// If the text is no IPv4 or IPv6 address.
    #[inline(always)]
    pub fn address(&self, field: Field) -> Result<Option<IpAddr>, FieldError> {
        match self.bounds(field) {
            Some(bounds) => self.address_at(field, bounds),
            None => Ok(None),
        }
    }

    #[inline(always)]
    fn address_at(&self, field: Field, bounds: Bounds) -> Result<Option<IpAddr>, FieldError> {
        match address::decode(self.line, bounds.0, bounds.1) {
            Some(address) => Ok(Some(address)),
            None => self.no_value(field, bounds, |_| FieldErrorKind::NotAddress),
        }
    }

    /// The value of a timestamp field.
    ///
    /// # Errors
    ///
    /// If the text is not decimal digits, or beyond `u64`.
    #[inline(always)]
    pub fn timestamp(&self, field: Field) -> Result<Option<Timestamp>, FieldError> {
        Ok(self.number(field)?.map(Timestamp::from_logged))
    }

    /// The value of a tag field, to be decoded on demand. Never fails: see [`TagValue`].
    ///
    /// # Errors
    ///
    /// None today; the signature is that of the other accessors.
    #[inline(always)]
    pub fn tag(&self, field: Field) -> Result<Option<TagValue<'a>>, FieldError> {
        Ok(self.bounds(field).and_then(|bounds| self.tag_at(bounds)))
    }

    #[inline(always)]
    fn tag_at(&self, bounds: Bounds) -> Option<TagValue<'a>> {
        self.present(bounds).map(TagValue::new)
    }

    /// Whether every typed column decodes and the words of closed sets are known: the test by which a format is
    /// chosen among several.
    pub(crate) fn is_plausible(&self) -> bool {
        let fields = self
            .format
            .columns()
            .iter()
            .filter_map(|column| column.field());
        let known = |field: Field| match field {
            Field::Version => matches!(self.number(field), Ok(None | Some(1..=999))),
            Field::Action => matches!(self.raw(field), Some(b"ACCEPT" | b"REJECT" | b"-")),
            Field::LogStatus => matches!(
                self.raw(field),
                Some(b"OK" | b"NODATA" | b"SKIPDATA" | b"-")
            ),
            Field::FlowDirection => matches!(self.raw(field), Some(b"ingress" | b"egress" | b"-")),
            Field::Type => matches!(self.raw(field), Some(b"IPv4" | b"IPv6" | b"EFA" | b"-")),
            field => self.value(field).is_ok() && self.has_prefix(field),
        };
        fields.into_iter().all(known)
    }

    /// Identifiers tell their kind by how they begin; other fields may begin in any way.
    fn has_prefix(&self, field: Field) -> bool {
        let prefix: &[u8] = match field {
            Field::InterfaceId
            | Field::NextHopInterfaceId
            | Field::TgwSrcEni
            | Field::TgwDstEni => b"eni-",
            Field::VpcId | Field::NextHopVpcId | Field::TgwSrcVpcId | Field::TgwDstVpcId => b"vpc-",
            Field::SubnetId
            | Field::NextHopSubnetId
            | Field::TgwSrcSubnetId
            | Field::TgwDstSubnetId => b"subnet-",
            Field::InstanceId => b"i-",
            Field::TgwId => b"tgw-",
            Field::TgwAttachmentId | Field::TgwPairAttachmentId => b"tgw-attach-",
            _ => return true,
        };
        self.raw(field)
            .is_none_or(|text| text == b"-" || text.starts_with(prefix))
    }

    #[cold]
    fn no_number<T>(&self, field: Field, bounds: Bounds) -> Result<Option<T>, FieldError> {
        self.no_value(field, bounds, |raw| {
            number::fault(raw, field.limit().number)
        })
    }

    /// What it means that a field does not decode: it is absent, or wrong.
    #[cold]
    fn no_value<T>(
        &self,
        field: Field,
        bounds: Bounds,
        fault: impl FnOnce(&[u8]) -> FieldErrorKind,
    ) -> Result<Option<T>, FieldError> {
        match self.present(bounds) {
            None => Ok(None),
            Some(raw) => Err(FieldError::new(field, bounds.0, fault(raw))),
        }
    }

    /// Where the column of a field stands; `None` for a field the format does not have.
    #[inline(always)]
    fn bounds(&self, field: Field) -> Option<Bounds> {
        Some(self.columns.bounds(self.format.position(field)?))
    }

    /// The text of a column; `None` for `-`.
    #[inline(always)]
    fn present(&self, (start, end): Bounds) -> Option<&'a [u8]> {
        // Empty is the column of a `RecordBuf` that no line was read into.
        self.line
            .get(start..end)
            .filter(|text| !matches!(text, [] | [b'-']))
    }
}

/// Start and end of a column.
type Bounds = (usize, usize);

/// See [`Record::values`].
struct Values<'r, 'a> {
    record: &'r Record<'a>,
    /// The line; empty if it is not UTF-8.
    text: &'a str,
    columns: Enumerate<slice::Iter<'a, Column>>,
}

impl<'a> Iterator for Values<'_, 'a> {
    type Item = (Field, Result<Option<Value<'a>>, FieldError>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (position, column) = self.columns.next()?;
            let Some(field) = column.field() else {
                continue;
            };
            let bounds = self.record.columns.bounds(position);
            if field.value_type() == ValueType::Text
                && let Some(text) = self.text.get(bounds.0..bounds.1)
                && !matches!(text, "" | "-")
            {
                return Some((field, Ok(Some(Value::Text(text)))));
            }
            return Some((field, self.record.value_at(field, bounds)));
        }
    }
}

impl fmt::Display for Record<'_> {
    /// Prints [`Record::line`]. Bytes that are not UTF-8 print as U+FFFD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.line.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{FFFD}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (column, text) in self.format.columns().iter().zip(self.iter()) {
            map.entry(
                &format_args!("{}", column.name()),
                &format_args!("{}", text.escape_ascii()),
            );
        }
        map.finish()
    }
}

impl PartialEq<Record<'_>> for Record<'_> {
    fn eq(&self, other: &Record<'_>) -> bool {
        self.format == other.format && self.iter().eq(other.iter())
    }
}

impl Eq for Record<'_> {}

/// What a record says.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RecordKind {
    /// Traffic was logged.
    Traffic,
    /// There was no traffic in the window (`NODATA`).
    NoData,
    /// Records of the window were lost by AWS (`SKIPDATA`): a mark of loss, never a flow.
    SkipData,
    /// No traffic is described, and the record does not say whether there was none or it was lost.
    Empty,
}

/// The decoded value of a field.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Value<'a> {
    /// Text as it stands in the line.
    Text(&'a str),
    /// A tag's value, still percent-encoded.
    Tag(TagValue<'a>),
    /// An address.
    Address(IpAddr),
    /// A number.
    Number(u64),
    /// A time.
    Timestamp(Timestamp),
}

/// The columns that describe traffic. `bytes` is among them although a Block Public Access record lacks it: such a
/// record has addresses.
const FLOW_FIELDS: [Field; 11] = [
    Field::SrcAddr,
    Field::DstAddr,
    Field::PktSrcAddr,
    Field::PktDstAddr,
    Field::SrcPort,
    Field::DstPort,
    Field::Protocol,
    Field::Packets,
    Field::Bytes,
    Field::Action,
    Field::TcpFlags,
];
