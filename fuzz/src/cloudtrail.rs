//! Targets of `forebay-cloudtrail`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_cloudtrail::{
    Event, EventIndex, Field, FileDecoder, FileReader, Flattener, Limits, Name, Notice, Record,
    Value, View,
};
use serde::de::IgnoredAny;

/// Target `cloudtrail_notice`: a notice keeps its own limits, and every key that it gives is one.
pub fn notice(data: &[u8]) {
    if let Ok(notice) = Notice::parse(data) {
        assert!(notice.objects.len() + notice.ignored.total() <= 1000);
        for object in &notice.objects {
            assert!((3..=63).contains(&object.bucket.as_str().len()));
            assert!((1..=1024).contains(&object.key.as_str().len()));
            if let Some(form) = object.key.cloudtrail_form() {
                assert!(object.key.as_str().starts_with(form.prefix));
                assert!(object.key.as_str().ends_with(form.name));
            }
        }
        let _ = notice.disposition();
    }
    let _ = Notice::from_lambda_event(data);
}

/// Target `cloudtrail_file`: how a file is cut into pieces makes no difference, records are what serde_json takes for JSON, and what is
/// flattened is text that may stand in JSON.
pub fn file(data: &[u8]) {
    let mut limits = Limits::default();
    limits.record_bytes = 4096;
    limits.inflated_bytes = 1 << 20;
    limits.records = 1000;
    let whole = decode(data, data.len().max(1), &limits, check_record);
    let size = 1 + data.first().map_or(0, |byte| usize::from(*byte) % 31);
    assert_eq!(decode(data, size, &limits, |_| ()), whole);
    assert_eq!(read(data, limits), whole);
}

/// What a complete file holds: good records with a hash of all of them, and bad records. Where a file breaks off, how much came before
/// depends on the pieces.
#[derive(Debug, Default, Eq, PartialEq)]
struct Outcome {
    good: u64,
    bad: u64,
    hash: u64,
}

/// Feeds a decoder in pieces.
fn decode(data: &[u8], size: usize, limits: &Limits, check: fn(&Record<'_>)) -> Option<Outcome> {
    let mut decoder = FileDecoder::new(limits.clone());
    let mut outcome = Outcome::default();
    let mut hasher = DefaultHasher::new();
    let mut failed = false;
    let mut take = |decoder: &mut FileDecoder| {
        while let Some(item) = decoder.next_record() {
            match item {
                Ok(record) => {
                    outcome.good += 1;
                    record.text().hash(&mut hasher);
                    flatten(&record.event(), &mut hasher);
                    check(&record);
                }
                Err(_) => outcome.bad += 1,
            }
        }
    };
    'pieces: for piece in data.chunks(size) {
        let mut rest = piece;
        while !rest.is_empty() {
            match decoder.feed(rest) {
                Ok(used) => rest = rest.get(used..).unwrap_or_default(),
                Err(_) => {
                    failed = true;
                    take(&mut decoder);
                    break 'pieces;
                }
            }
            take(&mut decoder);
        }
    }
    decoder.end();
    take(&mut decoder);
    outcome.hash = hasher.finish();
    let complete = decoder.finish().is_ok();
    assert!(!(failed && complete));
    complete.then_some(outcome)
}

/// The same through a reader.
fn read(data: &[u8], limits: Limits) -> Option<Outcome> {
    let mut reader = FileReader::with_limits(data, limits);
    let mut outcome = Outcome::default();
    let mut hasher = DefaultHasher::new();
    while let Some(item) = reader.next_record() {
        match item {
            Ok(record) => {
                outcome.good += 1;
                record.text().hash(&mut hasher);
                flatten(&record.event(), &mut hasher);
            }
            Err(error) if error.is_fatal() => return None,
            Err(_) => outcome.bad += 1,
        }
    }
    outcome.hash = hasher.finish();
    reader.summary().map(|_| outcome)
}

/// A record is JSON, also to somebody else; what its index learned from the records before changes nothing; and fields are what an
/// encoder may rely on.
fn check_record(record: &Record<'_>) {
    serde_json::from_str::<IgnoredAny>(record.text()).expect("JSON");
    let mut index = EventIndex::new();
    let alone = Event::parse(record.text(), &mut index).expect("the same record");
    let (mut first, mut second) = (DefaultHasher::new(), DefaultHasher::new());
    flatten(&alone, &mut first);
    flatten(&record.event(), &mut second);
    assert_eq!(first.finish(), second.finish());
    Flattener::new(View::Complete).flatten(&alone, |name, value| {
        if let Name::Field(field) = name {
            let name = field.as_str();
            assert!((1..=128).contains(&name.len()), "{name}");
            if let Some(position) = field.known() {
                assert_eq!(Field::KNOWN.get(position), Some(&name));
            }
        }
        match value {
            Value::Text(text) => {
                let content = text.as_json().expect("content of a JSON string");
                serde_json::from_str::<String>(&format!("\"{content}\"")).expect("valid content");
            }
            Value::Structure(json) => {
                serde_json::from_str::<IgnoredAny>(json).expect("JSON");
            }
            _ => {}
        }
    });
}

fn flatten(event: &Event<'_>, hasher: &mut DefaultHasher) {
    Flattener::new(View::Complete).flatten(event, |name, value| {
        name.as_str().hash(hasher);
        match value {
            Value::Text(text) => text.as_json().hash(hasher),
            Value::Structure(json) => json.hash(hasher),
            Value::Bool(flag) => flag.hash(hasher),
            Value::Millis(millis) => millis.hash(hasher),
            _ => {}
        }
    });
}

/// Inputs to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let record = r#"{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","userName":"a","sessionContext":{"sessionIssuer":{"userName":"r"},"attributes":{"mfaAuthenticated":"true"}}},"eventTime":"2024-07-10T16:48:26Z","eventSource":"s","eventName":"n","requestParameters":{"a":[1,{"b":null}],"t":"\ud83d\ude00\n"},"responseElements":{"status":true,"x":{}},"readOnly":false,"new":{"x":1.5e3}}"#;
    let list = format!(r#"{{"Records":[{record},{record}]}}"#);
    let key = "AWSLogs/123456789012/CloudTrail/eu-west-1/2024/07/10/123456789012_CloudTrail_eu-west-1_20240710T1645Z_Ab12Cd34Ef56Gh78.json.gz";
    let raw = format!(r#"{{"s3Bucket":"trail-logs","s3ObjectKey":["{key}"]}}"#);
    let sns =
        serde_json::json!({"Type": "Notification", "TopicArn": "t", "Message": raw}).to_string();
    let s3 = format!(
        r#"{{"Records":[{{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","awsRegion":"eu-west-1","s3":{{"bucket":{{"name":"trail-logs"}},"object":{{"key":"a+b%20{key}","size":1}}}}}}]}}"#
    );
    let bridge = format!(
        r#"{{"detail-type":"Object Created","source":"aws.s3","detail":{{"bucket":{{"name":"trail-logs"}},"object":{{"key":"{key}"}}}}}}"#
    );
    let zip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let _ = encoder.write_all(text.as_bytes());
        encoder.finish().unwrap_or_default()
    };
    let texts = [
        list.clone(),
        format!("[{record}]"),
        format!("{record}\n{record}\n"),
        format!(r#"{{"detail-type":"AWS API Call via CloudTrail","detail":{record}}}"#),
        r#"{"digestStartTime":"x","logFiles":[]}"#.to_owned(),
        raw,
        sns,
        s3,
        bridge,
        "CloudTrail validation message.".to_owned(),
    ];
    let mut seeds: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    seeds.push(zip(&list));
    seeds.push([zip(&list), zip(record)].concat());
    seeds
}
