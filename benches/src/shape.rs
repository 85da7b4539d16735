//! The shaping of `examples/ingest/src/shape/flow.rs`, without the SDK that `ingest` brings along.

use forebay_cwlogs::{LogEvent, Payload};
use forebay_flowlog::{Field, FieldError, Format, Record, ValueType};
use forebay_gelf::{Batch, Encoder, FieldName, TextWriter};

/// Writes flow-log records as messages, by a plan that is made once per format.
#[derive(Debug)]
pub struct FlowShaper {
    encoder: Encoder,
    steps: Vec<(usize, FieldName, Write)>,
    protocol: FieldName,
    duration: FieldName,
    everything: bool,
}

#[derive(Clone, Copy, Debug)]
enum Write {
    PluginText,
    PluginNumber(Field),
    Protocol,
    Text,
    Number(Field),
    Time(Field),
}

impl FlowShaper {
    /// The 13 fields of the plugin, log group, stream, owner and source; with `everything` also what the binary adds:
    /// version, start, end, the Kinesis stream and the message id.
    #[must_use]
    pub fn new(format: &Format, everything: bool) -> Self {
        let steps = format.columns().iter().enumerate();
        let steps = steps.filter_map(|(position, column)| {
            let field = column.field()?;
            let (name, write) = match field {
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
                _ if !everything => return None,
                Field::Version => ("flow_version", Write::Number(field)),
                Field::Start => ("flow_start", Write::Time(field)),
                Field::End => ("flow_end", Write::Time(field)),
                _ if field.value_type() == ValueType::Number => {
                    (field.name(), Write::Number(field))
                }
                _ => (field.name(), Write::Text),
            };
            Some((position, FieldName::repaired(name), write))
        });
        Self {
            encoder: Encoder::default(),
            steps: steps.collect(),
            protocol: FieldName::repaired("protocol"),
            duration: FieldName::repaired("capture_window_duration_seconds"),
            everything,
        }
    }

    /// Appends the message of one record to `batch`. A message the receiver would drop is left out.
    ///
    /// # Errors
    ///
    /// A column does not decode.
    #[inline]
    pub fn flow(
        &mut self,
        payload: &Payload<'_>,
        event: &LogEvent<'_>,
        record: &Record<'_>,
        batch: &mut Batch,
    ) -> Result<(), FieldError> {
        let mut message = self.encoder.begin("aws-flowlogs");
        message.short_message_with(|text| summary(text, record));
        message
            .timestamp_millis(event.timestamp())
            .json_text(&AWS_LOG_GROUP, payload.log_group().raw())
            .json_text(&AWS_LOG_STREAM, payload.log_stream().raw())
            .json_text(&AWS_OWNER, event.account().raw());
        if self.everything {
            message
                .text(&AWS_KINESIS_STREAM, "flow-logs")
                .text(&FOREBAY_ID, "d228cb696f1a8caf78912b704e4a8964");
        }
        for (position, name, write) in &self.steps {
            let raw = record.column(*position).unwrap_or_default();
            match *write {
                Write::PluginText => {
                    message.text(name, raw);
                }
                Write::PluginNumber(field) => {
                    message.number_text(name, record.number_text(field)?.unwrap_or(b"0"));
                }
                Write::Protocol => {
                    let number = record.number_text(Field::Protocol)?.unwrap_or(b"0");
                    let protocol = decimal(number).map_or("UNKNOWN", protocol_name);
                    message
                        .number_text(name, number)
                        .text(&self.protocol, protocol);
                }
                _ if raw == ABSENT => {}
                Write::Text => {
                    message.text(name, raw);
                }
                Write::Number(field) => {
                    if let Some(digits) = record.number_text(field)? {
                        message.number_text(name, digits);
                    }
                }
                Write::Time(field) => {
                    if let Some(time) = record.timestamp(field)? {
                        message.unsigned(name, time.unix_seconds());
                    }
                }
            }
        }
        if let (Some(start), Some(end)) = (
            record.timestamp(Field::Start)?,
            record.timestamp(Field::End)?,
        ) {
            let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
            message.integer(
                &self.duration,
                seconds(end.unix_seconds()) - seconds(start.unix_seconds()),
            );
        }
        message.text(&AWS_SOURCE, "true");
        if let Ok(message) = message.finish() {
            batch.push(&message);
        }
        Ok(())
    }
}

#[inline(always)]
fn summary(text: &mut TextWriter<'_>, record: &Record<'_>) {
    let protocol = match record.raw(Field::Protocol) {
        None => ABSENT,
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
        .push(" ")
        .push(part(Field::SrcAddr))
        .push(":")
        .push(port(Field::SrcPort))
        .push(" -> ")
        .push(part(Field::DstAddr))
        .push(":")
        .push(port(Field::DstPort));
}

fn decimal(digits: &[u8]) -> Option<u8> {
    if digits == ABSENT {
        return Some(0);
    }
    digits.iter().try_fold(0u8, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// A look-up in a table, as the binary's, with the names that the input has.
const fn protocol_name(number: u8) -> &'static str {
    NAMES[number as usize]
}

const NAMES: [&str; 256] = {
    let mut names = ["UNKNOWN"; 256];
    names[0] = "IP";
    names[1] = "ICMP";
    names[6] = "TCP";
    names[17] = "UDP";
    names
};

const ABSENT: &[u8] = b"-";

static AWS_KINESIS_STREAM: FieldName = FieldName::literal("aws_kinesis_stream");
static AWS_LOG_GROUP: FieldName = FieldName::literal("aws_log_group");
static AWS_LOG_STREAM: FieldName = FieldName::literal("aws_log_stream");
static AWS_OWNER: FieldName = FieldName::literal("aws_owner");
static AWS_SOURCE: FieldName = FieldName::literal("aws_source");
static FOREBAY_ID: FieldName = FieldName::literal("forebay_id");
