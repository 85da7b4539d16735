//! Whether a worker keeps up with the full read rate of 64 shards on two cores, and what a megabyte costs it:
//! `cargo run --release -p forebay-kinesis --example full_rate`.
//!
//! A service inside the process answers from templates, so that next to no time is its own; its share is printed. Every
//! shard is for ever behind, so the worker reads as fast as the service's limits let it: 2 MB a second and shard.
#![allow(clippy::print_stdout, reason = "the figures are the output")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::http::{HttpRequest, HttpResponse};
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{
    BehaviorVersion, Credentials, IdentityCache, Region, RuntimeComponents,
    StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use forebay_kinesis::{
    Batch, Config, InitialPosition, KinesisStream, MemoryLeaseTable, Outcome, Processor,
    StreamName, Worker,
};
use tokio::time::Instant;

const SHARDS: usize = 64;
const BUDGET: usize = 64 << 20;
const ANSWER: usize = 10_000_000;
const WARM_UP: Duration = Duration::from_secs(6);
const MEASURED: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    println!("answers of 10 MB at most; processor time of this process in ms for each MB of data");
    for size in [1_000_000, 10_000, 1_000] {
        let service = Service::new(ANSWER / size, size);
        let template = cost(16, || {
            std::hint::black_box(service.records("0:1", usize::MAX));
            Ok(())
        })?;
        let client = client(service);
        let sdk = cost(16, || runtime.block_on(read(&client)))?;
        println!("records of {size} bytes: the service {template:.2}, with the SDK {sdk:.2}");
        runtime.block_on(consume(client))?;
    }
    Ok(())
}

/// Reads one answer without a consumer.
async fn read(client: &Client) -> Result<(), Box<dyn Error>> {
    let answer = client.get_records().shard_iterator("0:1").send().await?;
    std::hint::black_box(answer.records.len());
    Ok(())
}

/// Runs a worker and tells what it read, in what time, at what cost.
async fn consume(client: Client) -> Result<(), Box<dyn Error>> {
    let stream = KinesisStream::new(client, StreamName::new("full")?);
    let read = Arc::new(AtomicU64::new(0));
    let mut config = Config::default();
    config.initial_position = InitialPosition::TrimHorizon;
    config.bytes_in_flight = BUDGET;
    config.batches_ahead = NonZeroUsize::MIN;
    let processor = Count(Arc::clone(&read));
    let worker = Worker::new("full".parse()?, stream, MemoryLeaseTable::new(), processor);
    let worker = worker.with_config(config);
    // The peak counts from here.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let watching = async {
        tokio::time::sleep(WARM_UP).await;
        let (begun, bytes, cpu) = (
            Instant::now(),
            read.load(Ordering::Relaxed),
            processor_time()?,
        );
        tokio::time::sleep(MEASURED).await;
        let seconds = begun.elapsed().as_secs_f64();
        let megabytes = (read.load(Ordering::Relaxed) - bytes) as f64 / 1e6;
        let cpu = (processor_time()? - cpu).as_secs_f64();
        println!(
            "  a worker with {SHARDS} shards: {:.0} of {} MB/s, {:.2} ms for each MB, {:.0} % of two cores, {} MiB at most, {} allowed",
            megabytes / seconds,
            SHARDS * 2,
            cpu * 1e3 / megabytes,
            cpu / seconds / 2.0 * 100.0,
            peak()? >> 20,
            (BUDGET >> 20) + 64,
        );
        Ok::<(), Box<dyn Error>>(())
    };
    tokio::select! {
        ended = worker.run(std::future::pending()) => Err(format!("the worker ended: {ended:?}").into()),
        watched = watching => watched,
    }
}

struct Count(Arc<AtomicU64>);

impl Processor for Count {
    async fn process(&self, batch: Batch) -> Outcome {
        let bytes: usize = batch.records().iter().map(|record| record.data.len()).sum();
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
        Outcome::Accepted
    }
}

/// Milliseconds of processor time for each MB, over some answers.
fn cost(
    answers: u32,
    mut answer: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let begun = processor_time()?;
    for _ in 0..answers {
        answer()?;
    }
    let took = processor_time()? - begun;
    Ok(took.as_secs_f64() * 1e3 / f64::from(answers) / (ANSWER as f64 / 1e6))
}

/// Time that all threads of this process have spent on a processor.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold anything; user and system time are the 12th and 13th value behind it.
    let (_, values) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let ticks = values.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The most memory this process had since the peak was reset, in bytes.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.ok_or("no VmHWM")?.trim().trim_end_matches(" kB");
    Ok(kib.parse::<u64>()? << 10)
}

fn client(service: Service) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "example"))
        .identity_cache(IdentityCache::no_cache())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(service);
    Client::from_conf(config.build())
}

/// Answers every call at once. An iterator is a shard and the number of its next record.
#[derive(Clone, Debug)]
struct Service {
    template: Arc<[u8]>,
    /// Where the digits of each record's sequence number begin, and where the record ends.
    records: Arc<[(usize, usize)]>,
}

impl Service {
    fn new(records: usize, size: usize) -> Self {
        let data = "eHh4".repeat(size / 3 + 1);
        let data = &data[..size.div_ceil(3) * 4];
        let mut template = br#"{"MillisBehindLatest":600000,"Records":["#.to_vec();
        let mut places = Vec::new();
        for record in 0..records {
            if record > 0 {
                template.push(b',');
            }
            template.extend(br#"{"SequenceNumber":"4"#);
            let number = template.len();
            template.extend([b'0'; DIGITS]);
            let rest = format!(
                r#"","PartitionKey":"key-{record}","ApproximateArrivalTimestamp":1.7955648E9,"Data":"{data}"}}"#
            );
            template.extend(rest.into_bytes());
            places.push((number, template.len()));
        }
        Self {
            template: template.into(),
            records: places.into(),
        }
    }

    /// The answer of GetRecords.
    fn records(&self, iterator: &str, limit: usize) -> Option<Vec<u8>> {
        let (shard, next) = iterator.split_once(':')?;
        let mut next: u64 = next.parse().ok()?;
        let records = self.records.get(..limit).unwrap_or(&self.records);
        let end = records.last()?.1;
        let mut answer = Vec::with_capacity(end + 100);
        answer.extend_from_slice(self.template.get(..end)?);
        for (start, _) in records {
            let digits = format!("{next:0DIGITS$}");
            answer
                .get_mut(*start..*start + DIGITS)?
                .copy_from_slice(digits.as_bytes());
            next += 1;
        }
        let end = format!(r#"],"NextShardIterator":"{shard}:{next}"}}"#);
        answer.extend(end.into_bytes());
        Some(answer)
    }

    fn answer(&self, operation: &str, input: &str) -> Option<Vec<u8>> {
        match operation {
            "GetRecords" => self.records(text(input, "ShardIterator")?, number(input, "Limit")),
            "GetShardIterator" => {
                let shard = text(input, "ShardId")?;
                Some(format!(r#"{{"ShardIterator":"{shard}:1"}}"#).into_bytes())
            }
            "ListShards" => {
                let width = u128::MAX / SHARDS as u128;
                let shards: Vec<String> = (0..SHARDS as u128)
                    .map(|shard| {
                        let start = shard * width;
                        let end = if shard + 1 == SHARDS as u128 { u128::MAX } else { start + width - 1 };
                        format!(
                            r#"{{"ShardId":"shardId-{shard:012}","HashKeyRange":{{"StartingHashKey":"{start}","EndingHashKey":"{end}"}},"SequenceNumberRange":{{"StartingSequenceNumber":"40"}}}}"#
                        )
                    })
                    .collect();
                Some(format!(r#"{{"Shards":[{}]}}"#, shards.join(",")).into_bytes())
            }
            _ => Some(b"{}".to_vec()),
        }
    }
}

fn text<'a>(input: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = input.split_once(&format!(r#""{name}":""#))?;
    rest.split('"').next()
}

/// A number of the input; the largest there is if it has none.
fn number(input: &str, name: &str) -> usize {
    let rest = input.split_once(&format!(r#""{name}":"#));
    let digits = rest.and_then(|(_, rest)| rest.split([',', '}']).next());
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(usize::MAX)
}

impl HttpClient for Service {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let input = String::from_utf8_lossy(request.body().bytes().unwrap_or_default());
        let answer = self.answer(operation, &input);
        HttpConnectorFuture::new(async move {
            let answer =
                answer.ok_or_else(|| ConnectorError::other("a bad request".into(), None))?;
            let status = 200
                .try_into()
                .map_err(|error| ConnectorError::other(Box::new(error), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(answer)))
        })
    }
}

/// Digits of a sequence number behind the first one.
const DIGITS: usize = 55;
