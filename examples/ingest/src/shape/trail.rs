//! CloudTrail records: the plugin's fields, and every member that it dropped.

use std::fmt;

use forebay_cloudtrail::{Event as TrailEvent, Field, Form, Name, ObjectRef, Value};
use forebay_entity::Scope;
use forebay_gelf::{EncodeError, Encoded, FieldName, MessageWriter};

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
        let mut timed = false;
        let mut source_address = None;
        let is_named = self.trail_names.is_some();
        self.flattener
            .flatten(event, |name, value| match (name, value) {
                // Nearly all come this way: short, to be inlined in the flattener.
                (Name::Field(field), Value::Text(text)) => {
                    let text = text.as_json().unwrap_or_default();
                    if is_named && field.as_str() == "source_address" {
                        source_address = text.parse().ok();
                    }
                    with_name(field, |name| {
                        message.json_text(name, text);
                    });
                }
                (name, value) => {
                    timed |= name == Name::Timestamp;
                    write_other(&mut message, name, value);
                }
            });
        if !timed {
            message.timestamp_millis(read_at);
        }
        if let (Some(address), Some((names, target))) = (source_address, &self.trail_names) {
            let (text, tally) = (&mut self.text, &mut self.tally);
            let snapshot = names.load();
            let found = snapshot.lookup(address, &Scope::default());
            target.write(&mut message, &found, text, tally);
        }
        if full_message {
            message.text(&FULL_MESSAGE_JSON, event.raw());
        }
        message.fields(&self.constant);
        message.finish()
    }
}

impl Shaper {
    /// A message that tells of an object that a notice announces.
    ///
    /// # Errors
    ///
    /// The receiver would drop the message.
    pub(crate) fn announced(
        &mut self,
        form: Form,
        object: &ObjectRef,
    ) -> Result<Encoded<'_>, EncodeError> {
        let host = self.host.as_deref().unwrap_or(HOST);
        let (bucket, key) = (object.bucket.as_str(), object.key.as_str());
        let mut message = self.encoder.begin(host);
        message.short_message_with(|text| {
            text.push("s3://").push(bucket).push("/").push(key);
        });
        if let Some(millis) = object.event_millis {
            message.timestamp_millis(millis);
        }
        self.text.clear();
        // Writing to a String cannot fail.
        let _ = fmt::Write::write_fmt(&mut self.text, format_args!("{form}"));
        message
            .text(&NOTICE_FORM, self.text.as_bytes())
            .text(&S3_BUCKET, bucket)
            .text(&S3_KEY, key);
        if let Some(size) = object.size {
            message.unsigned(&S3_SIZE, size);
        }
        message.finish()
    }
}

#[inline(never)]
fn write_other(message: &mut MessageWriter<'_>, name: Name<'_>, value: Value<'_>) {
    match (name, value) {
        (Name::Timestamp, Value::Millis(millis)) => {
            message.timestamp_millis(millis);
        }
        (Name::Message, Value::Text(text)) => {
            message.short_message_json_text(text.as_json().unwrap_or_default());
        }
        (Name::FullMessage, Value::Text(text)) => {
            message.full_message_json_text(text.as_json().unwrap_or_default());
        }
        (Name::Field(field), Value::Structure(json)) => with_name(field, |name| {
            message.text(name, json);
        }),
        (Name::Field(field), Value::Bool(flag)) => with_name(field, |name| {
            message.boolean(name, flag);
        }),
        // The source is the GELF host.
        _ => {}
    }
}

/// Finds the rendered name of a field, or renders it: only members that AWS does not document need that.
fn with_name(field: Field<'_>, write: impl FnOnce(&FieldName)) {
    match field.known().and_then(|known| FIELDS.get(known)) {
        Some(name) => write(name),
        None => write(&FieldName::repaired(field.as_str())),
    }
}

/// The plugin's source of CloudTrail records.
const HOST: &str = "aws-cloudtrail";

static FIELDS: [FieldName; Field::KNOWN.len()] = {
    let mut names = [NOTICE_FORM; Field::KNOWN.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = FieldName::literal(Field::KNOWN[at]);
        at += 1;
    }
    names
};
static NOTICE_FORM: FieldName = FieldName::literal("notice_form");
static S3_BUCKET: FieldName = FieldName::literal("s3_bucket");
static S3_KEY: FieldName = FieldName::literal("s3_key");
static S3_SIZE: FieldName = FieldName::literal("s3_size");
static FULL_MESSAGE_JSON: FieldName = FieldName::literal("full_message_json");
