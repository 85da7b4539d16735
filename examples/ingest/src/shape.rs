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

use crate::{
    message_id::MessageId,
    names::{NamedField, Names, Tally},
};

pub(crate) use flow::{FlowError, FlowPlan};

/// Makes messages. One per task: it owns the encoder's buffer.
#[derive(Debug)]
pub(crate) struct Shaper {
    encoder: Encoder,
    /// Fields of every message, from the configuration.
    constant: FieldBlock,
    /// GELF host of every message instead of the plugin's.
    host: Option<Box<str>>,
    /// Whether log events also have their text as full message.
    full_message: bool,
    /// Text that is put together before it is written.
    text: String,
    flattener: Flattener,
    /// The table for records that bring no snapshot along, and the fields for `source_address`.
    trail_names: Option<(Names, NamedField)>,
    tally: Tally,
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
            full_message: false,
            text: String::new(),
            flattener: Flattener::default(),
            trail_names: None,
            tally: Tally::default(),
        }
    }

    /// Counts lookups in `names`, and translates `source_address` of CloudTrail records if that is asked for.
    pub(crate) fn with_names(mut self, names: &Names) -> Self {
        self.tally = Tally::new(names.counts().clone());
        self.trail_names = names
            .wants("source_address")
            .then(|| (names.clone(), names.target("source_address")));
        self
    }

    /// Gives log events their text as full message too.
    pub(crate) fn with_full_message(mut self, wanted: bool) -> Self {
        self.full_message = wanted;
        self
    }

    /// Makes the lookups counted so far visible.
    pub(crate) fn flush(&mut self) {
        self.tally.flush();
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use forebay_cloudtrail::{Event as TrailEvent, EventIndex};
    use forebay_entity::{
        EntityDescription, FieldSet, Index, OnConflict, Origin, PartBuilder, Source, Table,
    };

    use super::*;

    #[test]
    fn the_source_address_of_a_trail_record_gets_its_name_when_that_is_asked_for() {
        let mut part = PartBuilder::new(Origin::new("123456789012", "eu-west-1"), Source::Manual);
        part.entity(&EntityDescription {
            kind: forebay_entity::Kind::NatGateway,
            id: "nat-1",
            addresses: &["192.0.2.7".parse().unwrap()],
            ..EntityDescription::default()
        });
        let index = Index::new([part.finish().unwrap()], OnConflict::ByInterface).unwrap();
        for (fields, expected) in [
            (vec!["source_address".to_owned()], true),
            (vec!["src_addr".to_owned()], false),
        ] {
            let names = Names::new(Table::new(index_of(&index)), &fields, FieldSet::Plugin);
            let mut shaper = Shaper::new(&BTreeMap::new(), None).with_names(&names);
            for address in ["192.0.2.7", "192.0.2.8", "ec2.amazonaws.com"] {
                let record = format!(
                    r#"{{"eventTime":"2026-11-26T08:00:00Z","eventSource":"s3","eventName":"Get","sourceIPAddress":"{address}"}}"#
                );
                let mut index = EventIndex::default();
                let event = TrailEvent::parse(&record, &mut index).unwrap();
                let message = shaper.trail(&event, false, 0).unwrap();
                let named = message
                    .as_str()
                    .contains(r#""_source_address_entity":"nat:nat-1""#);
                assert_eq!(
                    named,
                    expected && address == "192.0.2.7",
                    "{}",
                    message.as_str()
                );
            }
            shaper.flush();
            let counts = names.counts();
            let counted = [&counts.hit, &counts.miss].map(|count| count.load(Ordering::Relaxed));
            assert_eq!(
                counted,
                if expected { [1, 1] } else { [0, 0] },
                "a name of a service is no lookup"
            );
        }
    }

    fn index_of(index: &Index) -> Index {
        Index::new(index.parts().iter().cloned(), index.policy()).unwrap()
    }
}
