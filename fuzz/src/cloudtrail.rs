//! Targets of `forebay-cloudtrail`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_cloudtrail::{FileDecoder, Flattener, Limits, Notice, Value, View};

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

/// Target `cloudtrail_file`: how a file is cut into pieces makes no difference, and what is flattened is valid JSON text.
pub fn file(data: &[u8]) {
    let mut limits = Limits::default();
    limits.record_bytes = 4096;
    limits.inflated_bytes = 1 << 20;
    let whole = decode(data, data.len().max(1), &limits);
    let size = 1 + data.first().map_or(0, |byte| usize::from(*byte) % 31);
    assert_eq!(decode(data, size, &limits), whole);
}

/// Records, bad records, and a checksum of what was flattened.
fn decode(data: &[u8], size: usize, limits: &Limits) -> (u64, u64, bool) {
    let mut decoder = FileDecoder::new(limits.clone());
    let mut flattener = Flattener::new(View::Complete);
    let mut good = 0;
    let mut bad = 0;
    let mut take = |decoder: &mut FileDecoder| {
        while let Some(item) = decoder.next_record() {
            match item {
                Ok(record) => {
                    good += 1;
                    flattener.flatten(&record.event(), |_, value| {
                        if let Value::Text(text) = value {
                            let json = format!(
                                "\"{}\"",
                                text.as_json().expect("content of a JSON string")
                            );
                            serde_json::from_str::<String>(&json).expect("valid content");
                        }
                    });
                }
                Err(_) => bad += 1,
            }
        }
    };
    let mut failed = false;
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
    let complete = decoder.finish().is_ok();
    assert!(!(failed && complete));
    // Where a file breaks off, how much came before depends on the pieces.
    if complete {
        (good, bad, true)
    } else {
        (0, 0, false)
    }
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
