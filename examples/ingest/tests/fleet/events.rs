//! What is put on the stream; what the receiver gets and what the dead letters hold, in the books.

use std::{io::Write, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use forebay_gelf::listener::Messages;
use serde_json::{Value, json};

use crate::scene::{Books, Source};

/// Events in a second.
pub(crate) const RATE: u64 = 400;
const EVENTS_PER_RECORD: u64 = 5;
/// One event in this many is bad.
pub(crate) const BAD_ONE_IN: u64 = 100;

/// Puts events at a steady rate until production ends.
pub(crate) async fn produce(source: Source) {
    let mut produced = 0;
    let put = |source: &Source, due| {
        while produced + EVENTS_PER_RECORD <= due {
            produced += EVENTS_PER_RECORD;
            let mut numbers = Vec::new();
            let mut records = Vec::new();
            let mut books = source.books.flow();
            for event in produced - EVENTS_PER_RECORD..produced {
                let is_bad = event % BAD_ONE_IN == BAD_ONE_IN - 1;
                let number = books.produce(is_bad);
                if is_bad {
                    records.push((number, format!("bad {number}").into_bytes()));
                } else {
                    numbers.push(number);
                }
            }
            drop(books);
            if let Some(first) = numbers.first() {
                records.push((*first, flow_logs(&numbers)));
            }
            let mut cloud = source.cloud();
            for (key, data) in records {
                let now = (source.clock)();
                let put = cloud
                    .kinesis()
                    .put_record("flow", &key.to_string(), data, now);
                put.expect("within the limits of the stream");
            }
        }
    };
    source.at_rate(RATE, put).await;
}

/// A subscription payload with one flow-log line for each number.
pub(crate) fn flow_logs(numbers: &[u64]) -> Vec<u8> {
    payload(numbers, |number| {
        format!(
            "2 123456789012 eni-1 {} 10.0.0.2 1000 443 6 1 {number} 1795000000 1795000010 ACCEPT OK",
            address(number)
        )
    })
}

/// A subscription payload with one line of log text for each number.
pub(crate) fn log_texts(numbers: &[u64]) -> Vec<u8> {
    payload(numbers, |number| format!("event {number}"))
}

fn payload(numbers: &[u64], message: impl Fn(u64) -> String) -> Vec<u8> {
    let event = |number: &u64| json!({"id": number.to_string(), "timestamp": 1_795_000_000_000_i64, "message": message(*number)});
    let payload = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "flow", "logStream": "eni-1",
        "subscriptionFilters": ["f"], "logEvents": numbers.iter().map(event).collect::<Vec<_>>(),
    });
    gzip(&payload)
}

/// A document as one gzip member.
pub(crate) fn gzip(document: &Value) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(document.to_string().as_bytes())
        .expect("memory");
    gzip.finish().expect("memory")
}

/// The address that an event must carry.
pub(crate) fn address(number: u64) -> String {
    let [.., a, b, c] = number.to_be_bytes();
    format!("10.{a}.{b}.{c}")
}

/// Books what the receiver gets: flow logs by their byte count, log texts by their number, CloudTrail records by their id.
pub(crate) async fn receive(mut messages: Messages, books: Books) {
    while let Some(arrived) = messages.next().await {
        // The last frame of a killed sender may be cut; the receiver takes it for a message that is none.
        let Ok(message) = serde_json::from_slice::<Value>(&arrived.json) else {
            continue;
        };
        let flow = flow_number(&message);
        let trail = message["_event_id"].as_str().and_then(|id| id.parse().ok());
        match (flow, trail) {
            (Some(number), None) => books.flow().receive(number),
            (None, Some(number)) if message["_source_address"] == address(number) => {
                books.trail().receive(number);
            }
            _ => books.flow().unexpected(message.to_string()),
        }
    }
}

/// The number of the event that gave a message from a stream: flow log or log text.
fn flow_number(message: &Value) -> Option<u64> {
    if let Some(number) = message["_bytes"].as_u64() {
        return (message["_src_addr"] == address(number)).then_some(number);
    }
    let text = message["short_message"].as_str()?;
    text.strip_prefix("event ")?.parse().ok()
}

/// Books the dead letters of one process.
pub(crate) fn bury(path: &Path, books: &Books) {
    let Ok(text) = std::fs::read_to_string(path) else {
        // Nothing bad came its way.
        return;
    };
    for line in text.split_inclusive('\n') {
        let Ok(letter) = serde_json::from_str::<Value>(line) else {
            // The process was killed while it wrote.
            assert!(!line.ends_with('\n'), "not a dead letter: {line}");
            continue;
        };
        let mut ledger = match letter["input"].as_str() {
            Some("trail") => books.trail(),
            _ => books.flow(),
        };
        let payload = letter["payload"].as_str().unwrap_or_default();
        let payload = BASE64_STANDARD.decode(payload).unwrap_or_default();
        let text = String::from_utf8_lossy(&payload);
        let number = text.trim_matches('"').strip_prefix("bad ");
        match number.and_then(|number| number.parse().ok()) {
            Some(number) => ledger.bury(number),
            None => ledger.unexpected(line.to_owned()),
        }
    }
}
