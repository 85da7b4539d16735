//! What the whole driver costs over inflating alone, on one core: `cargo run --release -p forebay-s3 --example driver_ratio`.
//!
//! Local objects of 500 CloudTrail records are listed, opened, inflated, split, handed over, flattened, written as GELF, accepted and
//! recorded as settled. The measure is flate2's streaming reader on the same bytes.
#![allow(clippy::print_stdout, reason = "the figures are the output")]

use std::{
    collections::HashMap,
    hint::black_box,
    io::{Read, Write},
    num::NonZeroUsize,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use forebay_cloudtrail::{Event, Flattener, Name, Value};
use forebay_gelf::{Encoder, FieldName};
use forebay_s3::{
    AllowedBucket, Batch, Config, Error, MemorySource, ObjectId, Observer, Poller, Polling,
    Positions, Processor, Rejected,
};
use tokio::{sync::watch, time::Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = file()?;
    println!(
        "{OBJECTS} objects of {RECORDS} records, {} bytes each, {} inflated",
        file.len(),
        inflate(&file)
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..OBJECTS {
            black_box(inflate(black_box(&file)));
        }
        let alone = begun.elapsed();
        let reading = runtime.block_on(drive(&file, false))?;
        let shaping = runtime.block_on(drive(&file, true))?;
        rounds.push((alone, reading, shaping));
    }
    let median = |time: fn(&(Duration, Duration, Duration)) -> Duration| {
        let mut times: Vec<Duration> = rounds.iter().map(time).collect();
        times.sort_unstable();
        times[ROUNDS / 2].as_secs_f64()
    };
    let alone = median(|round| round.0);
    println!(
        "medians of {ROUNDS} rounds over gunzip alone: records handed over {:.2}, written as GELF {:.2}",
        median(|round| round.1) / alone,
        median(|round| round.2) / alone
    );
    Ok(())
}

fn inflate(file: &[u8]) -> usize {
    let mut reader = MultiGzDecoder::new(file);
    let mut piece = vec![0; 32 << 10];
    let mut total = 0;
    while let Ok(length @ 1..) = reader.read(&mut piece) {
        total += length;
    }
    total
}

/// Reads all objects through a poller; how long that took.
async fn drive(file: &[u8], shape: bool) -> Result<Duration, Box<dyn std::error::Error>> {
    let source = MemorySource::new();
    for number in 0..OBJECTS {
        source.put("logs", &format!("{number:06}.json.gz"), file.to_vec());
    }
    let mut config = Config::default();
    config.concurrency = NonZeroUsize::MIN;
    config.allow.buckets = vec![AllowedBucket {
        name: "logs".to_owned(),
        ..AllowedBucket::default()
    }];
    let (settled, mut done) = watch::channel(0);
    let positions = Positions::in_memory()?;
    let processor = Shape {
        shape,
        bytes: AtomicU64::new(0),
        state: Mutex::default(),
    };
    let poller = Poller::new(positions, source, processor, (config, Polling::default()))?;
    let begun = Instant::now();
    let finished = async move {
        // The observer lives as long as the poller.
        let _ = done.wait_for(|&objects| objects == OBJECTS).await;
    };
    poller.observer(Count(settled)).run(finished).await;
    Ok(begun.elapsed())
}

struct Count(watch::Sender<usize>);

impl Observer for Count {
    fn object_settled(&self, _object: &ObjectId, _records: u64, _took: Duration) {
        self.0.send_modify(|objects| *objects += 1);
    }
}

/// Shapes records as the `forebay` binary does.
struct Shape {
    shape: bool,
    bytes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    encoder: Encoder,
    flattener: Flattener,
    names: HashMap<String, FieldName>,
}

impl Processor for Shape {
    async fn process(&self, batch: Batch) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = 0;
        for event in batch.events() {
            bytes += if self.shape {
                state.shape(&event)
            } else {
                event.raw().len()
            };
        }
        self.bytes
            .fetch_add(black_box(bytes) as u64, Ordering::Relaxed);
        batch.acknowledger().accept(batch.len());
    }

    async fn reject(&self, rejected: Rejected<'_>) -> Result<(), Error> {
        panic!("the file is good: {rejected:?}")
    }
}

impl State {
    fn shape(&mut self, event: &Event<'_>) -> usize {
        let mut message = self.encoder.begin("aws-cloudtrail");
        let names = &mut self.names;
        self.flattener
            .flatten(event, |name, value| match (name, value) {
                (Name::Timestamp, Value::Millis(millis)) => {
                    message.timestamp_millis(millis);
                }
                (Name::Message, Value::Text(text)) => {
                    message.short_message_json_text(text.as_json().unwrap_or_default());
                }
                (Name::Field(name), Value::Text(text)) => {
                    let name = name.as_str();
                    if !names.contains_key(name) {
                        names.insert(name.to_owned(), FieldName::repaired(name));
                    }
                    if let Some(name) = names.get(name) {
                        message.json_text(name, text.as_json().unwrap_or_default());
                    }
                }
                _ => {}
            });
        message
            .finish()
            .map_or(0, |message| message.as_bytes().len())
    }
}

/// A log file, the same for ever: records of the usual size, with ids that do not compress.
fn file() -> std::io::Result<Vec<u8>> {
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    for number in 0..RECORDS {
        let (begin, end) = match number {
            0 => (r#"{"Records":["#, ""),
            _ if number == RECORDS - 1 => (",", "]}"),
            _ => (",", ""),
        };
        let (a, b, c) = (random(), random(), random());
        let action = [
            "DescribeInstances",
            "AssumeRole",
            "GetObject",
            "PutMetricData",
            "Decrypt",
        ];
        let action = action[usize::try_from(c % 5).unwrap_or(0)];
        write!(
            gzip,
            r#"{begin}{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROA{a:016X}:session-{number}","arn":"arn:aws:sts::123456789012:assumed-role/Reader/session-{number}","accountId":"123456789012","accessKeyId":"ASIA{b:016X}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{a:016X}","arn":"arn:aws:iam::123456789012:role/Reader","accountId":"123456789012","userName":"Reader"}},"attributes":{{"creationDate":"2026-07-10T16:03:25Z","mfaAuthenticated":"false"}}}}}},"eventTime":"2026-07-10T16:48:26Z","eventSource":"ec2.amazonaws.com","eventName":"{action}","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.{}","userAgent":"aws-sdk-rust/1.3 os/linux lang/rust/1.95","requestParameters":{{"instancesSet":{{"items":[{{"instanceId":"i-{c:017x}"}}]}},"filterSet":{{}}}},"responseElements":null,"requestID":"{a:016x}{c:016x}","eventID":"{b:016x}{c:016x}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"ec2.eu-west-1.amazonaws.com"}}}}{end}"#,
            a % 250
        )?;
    }
    gzip.finish()
}

const RECORDS: usize = 500;
const OBJECTS: usize = 50;
const ROUNDS: usize = 11;
