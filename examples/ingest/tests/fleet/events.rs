//! What is put on the stream, what the receiver gets and what the dead letters hold, in the books.

use std::{
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use forebay_gelf::listener::Messages;
use forebay_localaws::Cloud;
use forebay_tests::Ledger;
use serde_json::{Value, json};

/// Events in a second.
pub(crate) const RATE: u64 = 400;
const EVENTS_PER_RECORD: u64 = 5;
/// One event in this many is bad.
const BAD_ONE_IN: u64 = 100;

/// Puts events at a steady rate until it is told to stop.
pub(crate) async fn produce(
    cloud: Arc<Mutex<Cloud>>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ledger: Arc<Mutex<Ledger>>,
    producing: Arc<Mutex<bool>>,
) {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let mut produced = 0;
    let begun = Instant::now();
    loop {
        tick.tick().await;
        let due = RATE * u64::try_from(begun.elapsed().as_millis()).unwrap_or(0) / 1_000;
        while produced + EVENTS_PER_RECORD <= due {
            if !*producing.lock().unwrap_or_else(PoisonError::into_inner) {
                return;
            }
            produced += EVENTS_PER_RECORD;
            let mut numbers = Vec::new();
            let mut records = Vec::new();
            let mut books = ledger.lock().unwrap_or_else(PoisonError::into_inner);
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
            let mut cloud = cloud.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, data) in records {
                let put = cloud
                    .kinesis()
                    .put_record("flow", &key.to_string(), data, clock());
                put.expect("within the limits of the stream");
            }
        }
    }
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
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(payload.to_string().as_bytes())
        .expect("memory");
    gzip.finish().expect("memory")
}

/// The address that an event must carry.
fn address(number: u64) -> String {
    let [.., a, b, c] = number.to_be_bytes();
    format!("10.{a}.{b}.{c}")
}

pub(crate) async fn receive(mut messages: Messages, ledger: Arc<Mutex<Ledger>>) {
    while let Some(arrived) = messages.next().await {
        // The last frame of a killed sender may be cut; the receiver takes it for a message that is none.
        let Ok(message) = serde_json::from_slice::<Value>(&arrived.json) else {
            continue;
        };
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        match number(&message) {
            Some(number) => ledger.receive(number),
            None => ledger.unexpected(message.to_string()),
        }
    }
}

/// The number of the event that gave a message: flow log, CloudTrail record, or log text.
fn number(message: &Value) -> Option<u64> {
    if let Some(number) = message["_bytes"].as_u64() {
        return (message["_src_addr"] == address(number)).then_some(number);
    }
    let text = message["_event_id"].as_str();
    let text = text.or_else(|| message["short_message"].as_str()?.strip_prefix("event "));
    text?.parse().ok()
}

/// Books the dead letters of one process.
pub(crate) fn bury(path: &Path, ledger: &mut Ledger) {
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
        let payload = letter["payload"].as_str().unwrap_or_default();
        let payload = BASE64_STANDARD.decode(payload).unwrap_or_default();
        let text = String::from_utf8_lossy(&payload).into_owned();
        match text.strip_prefix("bad ").and_then(|n| n.parse().ok()) {
            Some(number) => ledger.bury(number),
            None => ledger.unexpected(text),
        }
    }
}
