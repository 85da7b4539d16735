//! Memory with many shards far behind, measured from outside.

use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use bytes::Bytes;
use forebay_kinesis::{
    Batch, Config, InitialPosition, KinesisStream, MemoryLeaseTable, Outcome, Processor,
    StreamName, Worker,
};
use forebay_localaws::{Cloud, Service, Settings};
use forebay_tests::{Process, scale};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::bed::STREAM;

const SHARDS: u32 = 64;
const BUDGET: usize = 64 << 20;
const ENDPOINT: &str = "FOREBAY_TEST_ENDPOINT";

/// Reads until it is killed, with the endpoint in its environment; as a test of its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_reads_64_shards() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else {
        return;
    };
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .endpoint_url(endpoint)
        .load()
        .await;
    let stream = KinesisStream::new(
        aws_sdk_kinesis::Client::new(&sdk),
        StreamName::new(STREAM).expect("a name"),
    );
    let mut config = Config::default();
    config.initial_position = InitialPosition::TrimHorizon;
    config.bytes_in_flight = BUDGET;
    config.batches_ahead = NonZeroUsize::new(2).expect("not zero");
    let id = "memory".parse().expect("an id");
    let worker = Worker::new(id, stream, MemoryLeaseTable::new(), Slow).with_config(config);
    let ended = worker.run(std::future::pending()).await;
    panic!("the worker ended: {ended:?}");
}

/// A sink that takes its time, so that the budget is full.
struct Slow;

impl Processor for Slow {
    async fn process(&self, _: Batch) -> Outcome {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Outcome::Accepted
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_shards_far_behind_stay_within_the_budget_and_64_mib() {
    let mut settings = Settings::instant();
    settings.kinesis.enforce_rates = false;
    let started = Instant::now();
    let clock = move || 1_795_564_800_000 + started.elapsed().as_millis() as u64;
    let mut cloud = Cloud::new(settings, 1);
    let kinesis = cloud.kinesis();
    kinesis
        .create_stream(STREAM, SHARDS, clock())
        .expect("a new stream");
    // One payload in memory, however many records it is. Ten of them are the largest answer there is.
    let payload = Bytes::from(vec![b'x'; 1_000_000]);
    for number in 0..SHARDS * 300 {
        let key = number.to_string();
        kinesis
            .put_record(STREAM, &key, payload.clone(), clock())
            .expect("a record");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let cloud = Arc::new(Mutex::new(cloud));
    let served = Arc::clone(&cloud);
    let server = tokio::spawn(async move {
        let pending = std::future::pending();
        forebay_localaws::serve(listener, served, Arc::new(clock), pending).await
    });

    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(std::env::current_exe().expect("this test's binary"));
    command
        .args([
            "--exact",
            "memory::child_that_reads_64_shards",
            "--nocapture",
        ])
        .env(ENDPOINT, &endpoint)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let mut child = Process::start(&mut command, &folder.path().join("log")).expect("a child");
    // Debug builds decode a few megabytes a second: the sum of what is read makes the test, not the time.
    // The first read of each shard brings 6 MB, further ones 4 MB.
    let wanted = scale(12, 2_400, 50_000);
    let begun = Instant::now();
    let mut reads = 0;
    while reads < wanted && begun.elapsed() < Duration::from_secs(wanted * 10) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let log = child.log().unwrap_or_default();
        assert!(child.memory().is_some(), "the child ended: {log}");
        let cloud = cloud.lock().expect("not poisoned");
        reads = cloud.calls().count(Service::Kinesis, "GetRecords");
    }
    let memory = child.memory().expect("it runs");
    child.kill().expect("it runs");
    server.abort();
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "64 shards behind: {reads} reads of 6 MB, then 4 MB each, in {} s, {} MiB resident now, {} MiB at most, {} MiB allowed",
        begun.elapsed().as_secs(),
        mib(memory.resident),
        mib(memory.most),
        mib(BUDGET as u64) + 64
    );
    assert!(reads >= wanted, "too few reads to show anything: {reads}");
    let most = memory.most;
    assert!(most <= BUDGET as u64 + (64 << 20), "{} MiB", mib(most));
}
