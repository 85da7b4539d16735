//! Flow-log records: the plugin's fields, and every column that it did not know.

use std::fmt;

use forebay_entity::{Index, Scope};
use forebay_flowlog::{Column, Field, FieldError, Format, Record, ValueType};
use forebay_gelf::{EncodeError, Encoded, FieldName, MessageWriter};

use crate::entities::{NamedField, Names, Tally};

use super::{AWS_SOURCE, Event, Shaper, event_fields, protocol::protocol_name};

/// What becomes of each column of one format. Made once per format, so that a record costs no look-ups by name.
#[derive(Debug)]
pub(crate) struct FlowPlan {
    steps: Vec<Step>,
    protocol: FieldName,
    duration: FieldName,
    has_duration: bool,
    /// Columns whose address gets a name.
    lookups: Vec<(Field, NamedField)>,
}

/// What becomes of one column.
#[derive(Debug)]
struct Step {
    position: usize,
    name: FieldName,
    write: Write,
}

#[derive(Clone, Copy, Debug)]
enum Write {
    /// Text that the plugin published: `-` is kept.
    PluginText,
    /// A number that the plugin published: `-` is 0.
    PluginNumber(Field),
    /// The protocol: a number and a name.
    Protocol,
    /// Text; `-` gives no field.
    Text,
    /// A number; `-` gives no field.
    Number(Field),
    /// A time in Unix seconds; `-` gives no field.
    Time(Field),
    /// A percent-encoded tag; `-` gives no field.
    Tag(Field),
}

impl FlowPlan {
    /// The plan of `format`; with `prefix` the plugin's fields are called `flow_log_…`.
    pub(crate) fn new(format: &Format, prefix: bool, names: &Names) -> Self {
        let prefix = if prefix { "flow_log_" } else { "" };
        let plugin = |name: &str| FieldName::repaired(&format!("{prefix}{name}"));
        let step = |(position, column): (usize, &Column)| {
            let (name, write) = match column.field() {
                Some(field) => match published(field) {
                    Some((name, write)) => (plugin(name), write),
                    None => (FieldName::repaired(&added_name(field)), written_as(field)),
                },
                None => (
                    FieldName::repaired(&column.name().replace('-', "_")),
                    Write::Text,
                ),
            };
            Step {
                position,
                name,
                write,
            }
        };
        Self {
            steps: format.columns().iter().enumerate().map(step).collect(),
            protocol: plugin("protocol"),
            duration: plugin("capture_window_duration_seconds"),
            has_duration: format.contains(Field::Start) && format.contains(Field::End),
            lookups: [
                (Field::SrcAddr, "src_addr", prefix),
                (Field::DstAddr, "dst_addr", prefix),
                (Field::PktSrcAddr, "pkt_srcaddr", ""),
                (Field::PktDstAddr, "pkt_dstaddr", ""),
            ]
            .into_iter()
            .filter(|(field, name, _)| format.contains(*field) && names.wants(name))
            .map(|(field, name, prefix)| (field, names.target(&format!("{prefix}{name}"))))
            .collect(),
        }
    }
}

impl Shaper {
    /// A message of a flow-log record.
    ///
    /// # Errors
    ///
    /// A column does not hold what its format says: the whole line is then suspect, most likely of another format.
    pub(crate) fn flow(
        &mut self,
        event: &Event<'_>,
        plan: &FlowPlan,
        record: &Record<'_>,
        names: &Index,
    ) -> Result<Encoded<'_>, FlowError> {
        let host = self.host.as_deref().unwrap_or(HOST);
        let mut message = self.encoder.begin(host);
        message.short_message_with(|text| {
            let protocol = match record.raw(Field::Protocol) {
                None => ABSENT,
                // The plugin reads `-` as 0, and prints `IP`.
                Some(raw) => decimal(raw).map_or("UNKNOWN", protocol_name).as_bytes(),
            };
            let part = |field| record.raw(field).unwrap_or(ABSENT);
            let port = |field| {
                record
                    .raw(field)
                    .map_or(ABSENT, |raw| if raw == ABSENT { b"0" } else { raw })
            };
            text.push(part(Field::InterfaceId))
                .push(" ")
                .push(part(Field::Action))
                .push(" ")
                .push(protocol)
                .push(" ");
            text.push(part(Field::SrcAddr))
                .push(":")
                .push(port(Field::SrcPort))
                .push(" -> ");
            text.push(part(Field::DstAddr))
                .push(":")
                .push(port(Field::DstPort));
        });
        event_fields(&mut message, event);
        for step in &plan.steps {
            let raw = record.column(step.position).unwrap_or_default();
            match step.write {
                Write::PluginText => {
                    message.text(&step.name, raw);
                }
                Write::PluginNumber(field) => {
                    message.number_text(&step.name, record.number_text(field)?.unwrap_or(b"0"));
                }
                Write::Protocol => {
                    let number = record.number_text(Field::Protocol)?.unwrap_or(b"0");
                    let name = decimal(number).map_or("UNKNOWN", protocol_name);
                    message
                        .number_text(&step.name, number)
                        .text(&plan.protocol, name);
                }
                _ if raw == ABSENT => {}
                Write::Text => {
                    message.text(&step.name, raw);
                }
                Write::Number(field) => {
                    if let Some(digits) = record.number_text(field)? {
                        message.number_text(&step.name, digits);
                    }
                }
                Write::Time(field) => {
                    if let Some(time) = record.timestamp(field)? {
                        message.unsigned(&step.name, time.unix_seconds());
                    }
                }
                Write::Tag(field) => {
                    if let Some(tag) = record.tag(field)? {
                        message.text(&step.name, tag.text().as_bytes());
                    }
                }
            }
        }
        if plan.has_duration
            && let (Some(start), Some(end)) = (
                record.timestamp(Field::Start)?,
                record.timestamp(Field::End)?,
            )
        {
            let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
            message.integer(
                &plan.duration,
                seconds(end.unix_seconds()) - seconds(start.unix_seconds()),
            );
        }
        message.text(&AWS_SOURCE, "true");
        if !names.parts().is_empty() {
            let mut lookup = Lookup {
                record,
                names,
                text: &mut self.text,
                tally: &mut self.tally,
            };
            for (field, target) in &plan.lookups {
                lookup.fields(&mut message, *field, target)?;
            }
        }
        message.fields(&self.constant);
        message.finish().map_err(FlowError::Encode)
    }
}

/// Looks up addresses of one record and writes what is known.
struct Lookup<'a> {
    record: &'a Record<'a>,
    names: &'a Index,
    text: &'a mut String,
    tally: &'a mut Tally,
}

impl Lookup<'_> {
    fn fields(
        &mut self,
        message: &mut MessageWriter<'_>,
        field: Field,
        target: &NamedField,
    ) -> Result<(), FieldError> {
        let Some(address) = self.record.address(field)? else {
            return Ok(());
        };
        let text = |field| {
            self.record
                .raw(field)
                .and_then(|raw| std::str::from_utf8(raw).ok())
                .filter(|text| *text != "-")
        };
        let scope = Scope {
            vpc: text(Field::VpcId),
            interface: text(Field::InterfaceId),
            account: text(Field::AccountId),
        };
        target.write(message, self.names, address, &scope, self.text, self.tally);
        Ok(())
    }
}

/// Why a record gives no message.
#[derive(Debug)]
pub(crate) enum FlowError {
    /// A column does not decode.
    Field(FieldError),
    /// The receiver would drop the message.
    Encode(EncodeError),
}

impl From<FieldError> for FlowError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(error) => write!(
                formatter,
                "{error}; is `flow_format` the format of this log group?"
            ),
            Self::Encode(error) => error.fmt(formatter),
        }
    }
}

/// Name and treatment of a column that the plugin published.
fn published(field: Field) -> Option<(&'static str, Write)> {
    Some(match field {
        Field::AccountId => ("account_id", Write::PluginText),
        Field::InterfaceId => ("interface_id", Write::PluginText),
        Field::SrcAddr => ("src_addr", Write::PluginText),
        Field::DstAddr => ("dst_addr", Write::PluginText),
        Field::SrcPort => ("src_port", Write::PluginNumber(field)),
        Field::DstPort => ("dst_port", Write::PluginNumber(field)),
        Field::Protocol => ("protocol_number", Write::Protocol),
        Field::Packets => ("packets", Write::PluginNumber(field)),
        Field::Bytes => ("bytes", Write::PluginNumber(field)),
        Field::Action => ("action", Write::PluginText),
        Field::LogStatus => ("log_status", Write::PluginText),
        _ => return None,
    })
}

/// The name of a column that the plugin did not publish: AWS's own, with `_` for `-`. Names that are too general to
/// stand alone in an index get `flow_` in front.
fn added_name(field: Field) -> String {
    let name = field.name().replace('-', "_");
    match field {
        Field::Version | Field::Start | Field::End | Field::Type | Field::Region => {
            format!("flow_{name}")
        }
        _ => name,
    }
}

fn written_as(field: Field) -> Write {
    match field.value_type() {
        ValueType::Number => Write::Number(field),
        ValueType::Timestamp => Write::Time(field),
        ValueType::Tag => Write::Tag(field),
        _ => Write::Text,
    }
}

/// A protocol number of up to three digits; `-` is 0, as the plugin reads it.
fn decimal(digits: &[u8]) -> Option<u8> {
    if digits == ABSENT {
        return Some(0);
    }
    digits.iter().try_fold(0u8, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

const ABSENT: &[u8] = b"-";

/// The plugin's source of flow logs.
const HOST: &str = "aws-flowlogs";
