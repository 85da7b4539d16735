//! From decoded records to GELF messages: the plugin's names and values, and what it left out.
//!
//! `docs/decisions/0005-message-fields.md` holds the rules.

mod flow;
mod plain;
mod protocol;
mod trail;

use std::collections::BTreeMap;

use forebay_cloudtrail::Flattener;
use forebay_gelf::{EncodeError, Encoder, FieldBlock, FieldName};

use crate::message_id::MessageId;

pub(crate) use flow::{FlowError, FlowPlan};

/// Makes messages. One per task: it owns the encoder's buffer.
#[derive(Debug)]
pub(crate) struct Shaper {
    encoder: Encoder,
    /// Fields of every message, from the configuration.
    constant: FieldBlock,
    /// GELF host of every message instead of the plugin's.
    host: Option<Box<str>>,
    /// Text that is put together before it is written.
    text: String,
    flattener: Flattener,
    names: trail::NameCache,
}

/// Where CloudWatch log events came from: what all events of a payload share. Texts are contents of JSON strings, as they
/// stand in the payload; empty ones give no field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) log_group: &'a [u8],
    pub(crate) log_stream: &'a [u8],
    /// Account that owns the log group.
    pub(crate) owner: &'a [u8],
    /// Name of the Kinesis stream; empty outside Kinesis.
    pub(crate) stream: &'a str,
}

/// What a CloudWatch log event brings along beside its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    /// The fields of its [`Origin`].
    pub(crate) origin: &'a FieldBlock,
    /// Milliseconds since 1970, as the producer of the event told it.
    pub(crate) timestamp: i64,
    pub(crate) id: Option<MessageId>,
}

impl Shaper {
    /// A shaper with the configured fields and host.
    pub(crate) fn new(fields: &BTreeMap<String, String>, host: Option<&str>) -> Self {
        let mut constant = FieldBlock::default();
        for (name, value) in fields {
            // The configuration was checked: a name that breaks the rules never gets here.
            constant = constant.text(&FieldName::repaired(name), value);
        }
        Self {
            encoder: Encoder::default(),
            constant,
            host: host.filter(|host| !host.trim().is_empty()).map(Box::from),
            text: String::new(),
            flattener: Flattener::default(),
            names: trail::NameCache::default(),
        }
    }

    /// Renders the fields of an origin, once for all its events.
    pub(crate) fn origin(&mut self, origin: &Origin<'_>, block: &mut FieldBlock) {
        self.encoder.render(block, |message| {
            message
                .json_text(&AWS_LOG_GROUP, origin.log_group)
                .json_text(&AWS_LOG_STREAM, origin.log_stream)
                .json_text(&AWS_OWNER, origin.owner)
                .text(&AWS_KINESIS_STREAM, origin.stream);
        });
    }
}

/// A record that gives no message, because the receiver would drop it: the plugin drops blank events as well.
pub(crate) fn is_blank(error: &EncodeError) -> bool {
    matches!(
        error,
        EncodeError::BlankShortMessage | EncodeError::MissingShortMessage
    )
}

/// The members that every CloudWatch event gives.
fn event_fields(message: &mut forebay_gelf::MessageWriter<'_>, event: &Event<'_>) {
    message
        .timestamp_millis(event.timestamp)
        .fields(event.origin);
    if let Some(id) = event.id {
        message.text(&FOREBAY_ID, id.digits());
    }
}

static AWS_KINESIS_STREAM: FieldName = FieldName::literal("aws_kinesis_stream");
static AWS_LOG_GROUP: FieldName = FieldName::literal("aws_log_group");
static AWS_LOG_STREAM: FieldName = FieldName::literal("aws_log_stream");
static AWS_OWNER: FieldName = FieldName::literal("aws_owner");
static AWS_SOURCE: FieldName = FieldName::literal("aws_source");
static FOREBAY_ID: FieldName = FieldName::literal("forebay_id");
