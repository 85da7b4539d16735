//! Targets of `forebay-cwlogs`.

use std::cell::RefCell;
use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use forebay_cwlogs::{Decoder, Limits, Payloads};
use serde_json::Value;

/// Target `cwlogs_gzip`: any record, in any of the forms that are told by the first bytes.
pub fn gzip(data: &[u8]) {
    with_decoder(|decoder| {
        let first = decoder.decode(data).map(exhaust);
        // A decoder keeps buffers, but nothing of the input before.
        let second = Decoder::with_limits(LIMITS()).decode(data).map(exhaust);
        assert_eq!(first, second);
        if let Ok(payloads) = decoder.decode_base64(data) {
            exhaust(payloads);
        }
    });
}

/// Target `cwlogs_json`: text, compared with `serde_json` where that reads it.
pub fn json(data: &[u8]) {
    with_decoder(|decoder| {
        if let Ok(payloads) = decoder.decode(data) {
            exhaust(payloads);
        }
        compare(decoder, data);
    });
}

/// Checks that an envelope with events of the documented types gives exactly these events.
fn compare(decoder: &mut Decoder, data: &[u8]) {
    let Ok(Value::Object(envelope)) = serde_json::from_slice(data) else {
        return;
    };
    let (Some(Value::String(_)), Some(Value::Array(events))) =
        (envelope.get("messageType"), envelope.get("logEvents"))
    else {
        return;
    };
    let Some(expected) = events.iter().map(typed).collect::<Option<Vec<_>>>() else {
        return;
    };
    // Depth and the types of other members are ours to refuse.
    let Ok(payloads) = decoder.decode(data) else {
        return;
    };
    let items: Vec<_> = payloads.collect();
    let [Ok(payload)] = items.as_slice() else {
        return;
    };
    let found: Vec<_> = payload
        .events()
        .map(|event| {
            let event = event.unwrap_or_else(|error| {
                let oversized = payload.oversized(&error);
                let event = oversized.unwrap_or_else(|| panic!("documented types: {error:?}"));
                assert!(event.message().value_len() > EVENT_BYTES);
                event
            });
            (
                event.id().to_string(),
                event.sent_timestamp(),
                event.message().to_string(),
            )
        })
        .collect();
    assert_eq!(found, expected);
}

fn typed(event: &Value) -> Option<(String, i64, String)> {
    if !matches!(
        event.get("extractedFields"),
        None | Some(Value::Null | Value::Object(_))
    ) {
        return None;
    }
    Some((
        event.get("id")?.as_str()?.to_owned(),
        event.get("timestamp")?.as_i64()?,
        event.get("message")?.as_str()?.to_owned(),
    ))
}

/// Asks everything that can be asked, and returns a summary to compare.
fn exhaust(payloads: Payloads<'_>) -> (usize, usize, usize) {
    let (mut sound, mut bad, mut touched) = (0, 0, 0);
    let mut buffer = Vec::new();
    let text = payloads.text();
    for payload in payloads {
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                assert!(error.offset().is_none_or(|at| at <= text.len()));
                bad += 1;
                continue;
            }
        };
        touched += payload.subscription_filters().count() + payload.raw().len();
        touched += format!("{:?} {:?}", payload.message_type(), payload.policy_level()).len();
        touched += payload.owner().raw().len()
            + payload.log_group().raw().len()
            + payload.log_stream().raw().len();
        for event in payload.events() {
            match event {
                Ok(event) => {
                    sound += 1;
                    buffer.clear();
                    event.message().unescape_into(&mut buffer);
                    assert_eq!(buffer.len(), event.message().value_len());
                    assert_raw_is_json(event.message().raw());
                    touched += event.account().raw().len() + event.id().to_str_lossy().len();
                    touched += event
                        .extracted_fields()
                        .map(|(name, value)| {
                            name.value_len() + usize::from(value.as_text().is_some())
                        })
                        .sum::<usize>();
                }
                Err(error) => {
                    bad += 1;
                    assert!(error.range.contains(&error.offset));
                    touched += payload.raw_event(&error).len()
                        + usize::from(payload.oversized(&error).is_some());
                }
            }
        }
    }
    (sound, bad, touched)
}

/// The promise that encoders rely on: between quotes, the raw content is a JSON string.
fn assert_raw_is_json(raw: &[u8]) {
    let Ok(text) = std::str::from_utf8(raw) else {
        return;
    };
    // Lone surrogates are JSON by its grammar; serde_json reads text only.
    if text.contains("\\ud") || text.contains("\\uD") {
        return;
    }
    assert!(
        serde_json::from_str::<String>(&format!("\"{text}\"")).is_ok(),
        "{text:?}"
    );
}

fn with_decoder(run: impl FnOnce(&mut Decoder)) {
    thread_local! {
        static DECODER: RefCell<Decoder> = RefCell::new(Decoder::with_limits(LIMITS()));
    }
    DECODER.with_borrow_mut(run);
}

const EVENT_BYTES: usize = 256;

/// Small enough to be met.
const LIMITS: fn() -> Limits = || {
    Limits::default()
        .with_inflated_bytes(1 << 18)
        .with_ratio_free_bytes(1 << 16)
        .with_layers(2)
        .with_members(4)
        .with_envelopes(16)
        .with_events(64)
        .with_event_bytes(EVENT_BYTES)
};

/// Inputs to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let usual = r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"flow","logStream":"eni-1-all","subscriptionFilters":["f"],"logEvents":[{"id":"38650000000000000000000000000000000000000000000000000001","timestamp":1763029869851,"message":"2 123456789012 eni-1 10.0.0.1 10.0.0.2 443 49152 6 1 40 1763029800 1763029860 ACCEPT OK"},{"id":"38650000000000000000000000000000000000000000000000000002","timestamp":1763029869852,"message":"{\"level\":\"info\",\"path\":\"C:\\\\x\",\"t\":\"\u00e9\ud83d\ude00\n\"}","extractedFields":{"@aws.account":"1","@aws.region":"eu-west-1"}}]}"#;
    let control = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1763029869,"message":"CWL CONTROL MESSAGE: Checking health"}]}"#;
    let odd = r#" { "logEvents" : [ { "timestamp":"1.5e12", "message":"m","id":7, "x":[1,-2.5e3,true,false,null,{}]}, 5, {}, {"timestamp":1,"message":null} ], "policyLevel":"ACCOUNT_LEVEL_POLICY" , "messageType":"NEW" } "#;
    let lambda =
        r#"{"awslogs":{"data":"eyJtZXNzYWdlVHlwZSI6IkRBVEFfTUVTU0FHRSIsImxvZ0V2ZW50cyI6W119"}}"#;
    let joined = format!("[{usual},{odd}]\n{control}{control}");
    let long = usual.replace("ACCEPT", &"ACCEPT ".repeat(EVENT_BYTES / 7));
    let texts = [usual, control, odd, lambda, &joined, &long];
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    for level in [0, 1, 9] {
        seeds.push(packed(usual.as_bytes(), level));
    }
    seeds.push(
        [
            packed(control.as_bytes(), 6),
            packed(odd.as_bytes(), 0),
            vec![0; 8],
        ]
        .concat(),
    );
    seeds.push(packed(&packed(control.as_bytes(), 6), 6));
    seeds.push(packed(&[b' '; 1 << 17], 9));
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::new(6));
    zlib.write_all(usual.as_bytes())
        .expect("a vector takes everything");
    seeds.push(zlib.finish().expect("a vector takes everything"));
    seeds
}

fn packed(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(text).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}
