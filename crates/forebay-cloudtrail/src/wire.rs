//! The JSON shapes of notices.

use serde_json::{Map, Value};

use crate::error::{NoticeError, NoticeLimit};
use crate::notice::{Candidate, ENVELOPES, Form, MESSAGE_BYTES, Notice, limit, size};

/// Reads a message, unwrapping envelopes until something else is found.
pub(crate) fn read_message(text: &str, notice: &mut Notice) -> Result<(), NoticeError> {
    let mut text = std::borrow::Cow::Borrowed(text);
    loop {
        let trimmed = text.trim_start_matches('\u{feff}').trim();
        let Ok(Value::Object(message)) = serde_json::from_str::<Value>(trimmed) else {
            if trimmed.starts_with(VALIDATION) {
                notice.form = Form::Validation;
            }
            return Ok(());
        };
        match member(&message, "Type").and_then(Value::as_str) {
            Some("SubscriptionConfirmation" | "UnsubscribeConfirmation") => {
                note_envelope(&message, notice)?;
                notice.form = Form::SubscriptionConfirmation;
                return Ok(());
            }
            Some("Notification") if message.contains_key("Message") => {
                note_envelope(&message, notice)?;
                let inner = match message.get("Message") {
                    Some(Value::String(inner)) => inner.clone(),
                    // Seen from senders that imitate SNS: the message as an object.
                    Some(inner @ Value::Object(_)) => inner.to_string(),
                    _ => {
                        return Err(NoticeError::Malformed {
                            form: Form::Unknown,
                            member: "Message",
                        });
                    }
                };
                limit(NoticeLimit::MessageBytes, MESSAGE_BYTES, inner.len())?;
                text = inner.into();
            }
            _ => return read_inner(&message, trimmed, notice),
        }
    }
}

/// The bodies inside a Lambda event; `None` if it is none.
pub(crate) fn lambda_bodies(event: &[u8]) -> Option<Vec<String>> {
    let event: Value = serde_json::from_slice(event).ok()?;
    let records = records(event.as_object()?)?;
    let body = |record: &Value| match (record.get("eventSource"), record.get("EventSource")) {
        (Some(Value::String(source)), _) if source == "aws:sqs" => {
            let body = record.get("body").or_else(|| record.get("Body"))?;
            Some(body.as_str()?.to_owned())
        }
        (_, Some(Value::String(source))) if source == "aws:sns" => {
            let mut envelope = record.get("Sns")?.as_object()?.clone();
            envelope
                .entry("Type")
                .or_insert_with(|| "Notification".into());
            Some(Value::Object(envelope).to_string())
        }
        _ => None,
    };
    let bodies: Option<Vec<_>> = records.iter().map(body).collect();
    bodies.filter(|bodies| !bodies.is_empty())
}

fn note_envelope(envelope: &Map<String, Value>, notice: &mut Notice) -> Result<(), NoticeError> {
    notice.envelopes += 1;
    limit(
        NoticeLimit::Envelopes,
        ENVELOPES,
        usize::from(notice.envelopes),
    )?;
    if notice.topic_arn.is_none() {
        notice.topic_arn = text(envelope, "TopicArn").map(str::to_owned);
    }
    Ok(())
}

fn read_inner(
    message: &Map<String, Value>,
    text_of: &str,
    notice: &mut Notice,
) -> Result<(), NoticeError> {
    if message.contains_key("s3ObjectKey") {
        notice.form = Form::CloudTrail;
        return read_cloudtrail(message, notice);
    }
    if text(message, "Event") == Some("s3:TestEvent") {
        notice.form = Form::TestEvent;
        return Ok(());
    }
    if let Some(records) = records(message) {
        return read_s3(records, notice);
    }
    if text(message, "detail-type").is_some_and(|kind| kind.ends_with("via CloudTrail")) {
        // A record that announces an object, such as PutObject in a data event, is still a record.
        let record =
            member(message, "detail").is_some_and(|detail| detail.get("eventVersion").is_some());
        if !record {
            return Err(NoticeError::Malformed {
                form: Form::CloudTrailEvent,
                member: "detail",
            });
        }
        notice.form = Form::CloudTrailEvent;
        notice.payload = Some(text_of.to_owned());
        return Ok(());
    }
    if let Some(Value::Object(detail)) = message.get("detail") {
        let of_s3 = text(message, "source").is_some_and(|source| source == "aws.s3")
            || member(message, "source").is_none();
        if of_s3 && detail.contains_key("bucket") && detail.contains_key("object") {
            return read_event_bridge(message, detail, notice);
        }
    }
    if [
        "configurationItem",
        "configurationItemSummary",
        "messageType",
    ]
    .iter()
    .any(|name| message.contains_key(*name))
    {
        notice.form = Form::AwsConfig;
    }
    Ok(())
}

fn read_cloudtrail(message: &Map<String, Value>, notice: &mut Notice) -> Result<(), NoticeError> {
    let malformed = |member| NoticeError::Malformed {
        form: Form::CloudTrail,
        member,
    };
    let bucket = text(message, "s3Bucket").ok_or_else(|| malformed("s3Bucket"))?;
    let keys = match message.get("s3ObjectKey") {
        Some(Value::Array(keys)) => keys.as_slice(),
        Some(key @ Value::String(_)) => std::slice::from_ref(key),
        _ => return Err(malformed("s3ObjectKey")),
    };
    for key in keys {
        let key = key.as_str().ok_or_else(|| malformed("s3ObjectKey[]"))?;
        notice.push(Candidate {
            bucket,
            key,
            ..Candidate::default()
        })?;
    }
    Ok(())
}

fn read_s3(records: &[Value], notice: &mut Notice) -> Result<(), NoticeError> {
    let of_s3 =
        |record: &Value| record.get("eventSource").and_then(Value::as_str) == Some("aws:s3");
    if !records.iter().any(of_s3) {
        return Ok(());
    }
    notice.form = Form::S3;
    let malformed = |member| NoticeError::Malformed {
        form: Form::S3,
        member,
    };
    for record in records {
        if !of_s3(record) {
            return Err(malformed("Records[].eventSource"));
        }
        let name = record
            .get("eventName")
            .and_then(Value::as_str)
            .ok_or_else(|| malformed("Records[].eventName"))?;
        if !name.trim_start_matches("s3:").starts_with("ObjectCreated:") {
            notice.ignore_other()?;
            continue;
        }
        let at = |path: &str| record.pointer(path);
        let string = |path: &str| at(path).and_then(Value::as_str);
        notice.push(Candidate {
            bucket: string("/s3/bucket/name")
                .ok_or_else(|| malformed("Records[].s3.bucket.name"))?,
            key: string("/s3/object/key").ok_or_else(|| malformed("Records[].s3.object.key"))?,
            encoded: true,
            size: at("/s3/object/size").and_then(size),
            etag: string("/s3/object/eTag"),
            version_id: string("/s3/object/versionId"),
            sequencer: string("/s3/object/sequencer"),
            region: string("/awsRegion"),
            time: string("/eventTime"),
        })?;
    }
    Ok(())
}

fn read_event_bridge(
    message: &Map<String, Value>,
    detail: &Map<String, Value>,
    notice: &mut Notice,
) -> Result<(), NoticeError> {
    let kind = text(message, "detail-type");
    notice.form = if kind.is_some() {
        Form::EventBridge
    } else {
        Form::SecurityLake
    };
    let form = notice.form;
    if kind.is_some_and(|kind| kind != "Object Created") {
        return notice.ignore_other();
    }
    let malformed = |member| NoticeError::Malformed { form, member };
    let object = member(detail, "object");
    let of_object = |name: &str| object.and_then(|object| object.get(name));
    let string = |name: &str| of_object(name).and_then(Value::as_str);
    let bucket = member(detail, "bucket")
        .and_then(|bucket| bucket.get("name"))
        .and_then(Value::as_str);
    notice.push(Candidate {
        bucket: bucket.ok_or_else(|| malformed("detail.bucket.name"))?,
        key: string("key").ok_or_else(|| malformed("detail.object.key"))?,
        encoded: false,
        size: of_object("size").and_then(size),
        etag: string("etag"),
        version_id: string("version-id"),
        sequencer: string("sequencer"),
        region: text(message, "region"),
        time: text(message, "time"),
    })
}

/// `Records` as a list; one example of AWS has a single object there.
fn records(message: &Map<String, Value>) -> Option<&[Value]> {
    match message.get("Records")? {
        Value::Array(records) => Some(records),
        record @ Value::Object(_) => Some(std::slice::from_ref(record)),
        _ => None,
    }
}

/// A member that is not null.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

const VALIDATION: &str = "CloudTrail validation message.";
