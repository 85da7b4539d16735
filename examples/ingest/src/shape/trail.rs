//! CloudTrail records: the plugin's fields, and every member that it dropped.

use forebay_cloudtrail::{Event as TrailEvent, Name, Value};
use forebay_gelf::{EncodeError, Encoded, FieldName};

use super::Shaper;

impl Shaper {
    /// A message of a CloudTrail record. `read_at` (milliseconds since 1970) stands in for a record without a time.
    ///
    /// # Errors
    ///
    /// The receiver would drop the message.
    pub(crate) fn trail(
        &mut self,
        event: &TrailEvent<'_>,
        full_message: bool,
        read_at: i64,
    ) -> Result<Encoded<'_>, EncodeError> {
        let host = self.host.as_deref().unwrap_or(HOST);
        let mut message = self.encoder.begin(host);
        let (names, mut timed) = (&mut self.names, false);
        self.flattener.flatten(event, |name, value| match (name, value) {
            (Name::Timestamp, Value::Millis(millis)) => {
                timed = true;
                message.timestamp_millis(millis);
            }
            (Name::Message, Value::Text(text)) => {
                message.short_message_json_text(text.as_json().unwrap_or_default());
            }
            (Name::FullMessage, Value::Text(text)) => {
                message.full_message_json_text(text.as_json().unwrap_or_default());
            }
            (Name::Field(name), Value::Text(text)) => {
                message.json_text(names.get(name), text.as_json().unwrap_or_default());
            }
            (Name::Field(name), Value::Bool(value)) => {
                message.boolean(names.get(name), value);
            }
            // The source is the GELF host.
            _ => {}
        });
        if !timed {
            message.timestamp_millis(read_at);
        }
        if full_message {
            message.text(&FULL_MESSAGE_JSON, event.raw());
        }
        message.fields(&self.constant);
        message.finish()
    }
}

/// Rendered field names by text. The names come from a fixed list and from members of the records; the list is bounded
/// because record members are not.
#[derive(Debug, Default)]
pub(super) struct NameCache {
    names: std::collections::HashMap<Box<str>, FieldName>,
    /// The name rendered last that is not kept.
    passing: Option<FieldName>,
}

impl NameCache {
    fn get(&mut self, name: &str) -> &FieldName {
        if self.names.len() >= KEPT_NAMES && !self.names.contains_key(name) {
            return self.passing.insert(FieldName::repaired(name));
        }
        if !self.names.contains_key(name) {
            self.names.insert(name.into(), FieldName::repaired(name));
        }
        match self.names.get(name) {
            Some(name) => name,
            None => self.passing.insert(FieldName::repaired(name)),
        }
    }
}

/// The plugin's source of CloudTrail records.
const HOST: &str = "aws-cloudtrail";

/// CloudTrail's documented members give about 120 names.
const KEPT_NAMES: usize = 512;

static FULL_MESSAGE_JSON: FieldName = FieldName::literal("full_message_json");
