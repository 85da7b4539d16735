//! CloudWatch Logs: subscription payloads as Kinesis carries them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// Wraps log lines as a subscription filter delivers them: one gzip member per payload.
#[derive(Clone, Debug)]
pub struct LogsProducer {
    owner: String,
    group: String,
    stream: String,
    filter: String,
    next_id: u64,
}

/// One log event.
#[expect(clippy::exhaustive_structs, reason = "feeders write it as a literal")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// When it happened, in Unix milliseconds.
    pub timestamp: u64,
    /// The text.
    pub message: String,
}

impl LogsProducer {
    /// A producer for one log stream of an account.
    pub fn new(owner: &str, group: &str, stream: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            group: group.to_owned(),
            stream: stream.to_owned(),
            filter: "forebay".to_owned(),
            next_id: 0,
        }
    }

    /// Names the subscription filter, `forebay` at first.
    #[must_use]
    pub fn filter(mut self, name: &str) -> Self {
        name.clone_into(&mut self.filter);
        self
    }

    /// The probe that comes first on a new subscription and now and then later.
    pub fn control_message(&self, now: u64) -> Vec<u8> {
        gzip(&json!({
            "messageType": "CONTROL_MESSAGE",
            "owner": "CloudwatchLogs",
            "logGroup": "",
            "logStream": "",
            "subscriptionFilters": [],
            "logEvents": [{
                "id": "",
                "timestamp": now,
                "message": "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream.",
            }],
        }))
    }

    /// One payload with these lines, in gzip.
    pub fn payload(&mut self, lines: &[LogLine]) -> Vec<u8> {
        gzip(&self.envelope(lines))
    }

    /// Payloads of at most `most` compressed bytes each; a single line that is larger still goes alone.
    pub fn payloads(&mut self, lines: &[LogLine], most: usize) -> Vec<Vec<u8>> {
        let first = self.next_id;
        let whole = self.payload(lines);
        if whole.len() <= most || lines.len() < 2 {
            return vec![whole];
        }
        self.next_id = first;
        let (head, tail) = lines.split_at(lines.len() / 2);
        let mut payloads = self.payloads(head, most);
        payloads.extend(self.payloads(tail, most));
        payloads
    }

    fn envelope(&mut self, lines: &[LogLine]) -> Value {
        let events: Vec<Value> = lines
            .iter()
            .map(|line| {
                // 56 digits, as in live data: a constant head, the time, a counter.
                let id = format!("3{:035}{:020}", line.timestamp, self.next_id);
                self.next_id += 1;
                json!({"id": id, "timestamp": line.timestamp, "message": line.message})
            })
            .collect();
        json!({
            "messageType": "DATA_MESSAGE",
            "owner": self.owner,
            "logGroup": self.group,
            "logStream": self.stream,
            "subscriptionFilters": [self.filter],
            "logEvents": events,
        })
    }
}

fn gzip(value: &Value) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    // Writing to memory cannot fail.
    let _ = encoder.write_all(value.to_string().as_bytes());
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn read(payload: &[u8]) -> Value {
        let mut text = String::new();
        flate2::read::GzDecoder::new(payload)
            .read_to_string(&mut text)
            .expect("gzip");
        serde_json::from_str(&text).expect("json")
    }

    fn lines(count: u64) -> Vec<LogLine> {
        (0..count)
            .map(|number| LogLine {
                timestamp: 1_795_564_800_000 + number,
                message: format!("line {number}"),
            })
            .collect()
    }

    #[test]
    fn a_payload_is_gzip_with_ids_of_56_digits() {
        let mut producer = LogsProducer::new("123456789012", "group", "stream");
        let value = read(&producer.payload(&lines(2)));
        assert_eq!(value["messageType"], "DATA_MESSAGE");
        let ids: Vec<&str> = (0..2)
            .filter_map(|at| value["logEvents"][at]["id"].as_str())
            .collect();
        assert!(
            ids.iter().all(|id| id.len() == 56) && ids[0] < ids[1],
            "{ids:?}"
        );
        assert_eq!(
            read(&producer.control_message(7))["messageType"],
            "CONTROL_MESSAGE"
        );
    }

    #[test]
    fn large_batches_are_split_without_losing_lines() {
        let mut producer = LogsProducer::new("123456789012", "group", "stream");
        let payloads = producer.payloads(&lines(100), 400);
        assert!(payloads.len() > 1);
        let ids: std::collections::BTreeSet<String> = payloads
            .iter()
            .flat_map(|payload| {
                read(payload)["logEvents"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
            })
            .map(|event| event["id"].to_string())
            .collect();
        assert_eq!(ids.len(), 100);
    }
}
