//! The worker over sockets and on the wall clock: against our model's HTTP front, and against emulators that others
//! wrote, which `tests/emulators.sh` names in `FOREBAY_CONTRACT_KINESIS` and `FOREBAY_CONTRACT_DYNAMODB`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, StreamStatus};
use forebay_kinesis::{
    Config, DynamoLeaseTable, KinesisStream, LeaseTable, MemoryLeaseTable, Retrieval, StreamName,
    Worker, lease_table_suite,
};
use forebay_localaws::{Cloud, Settings};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::bed::{Sink, config};
use crate::reshard::assert_lineage;

async fn sdk(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .endpoint_url(endpoint)
        .load()
        .await
}

/// Our model on a socket.
async fn model() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let cloud = Arc::new(Mutex::new(Cloud::new(Settings::default(), 1)));
    let started = Instant::now();
    let clock = move || 1_795_564_800_000 + started.elapsed().as_millis() as u64;
    tokio::spawn(async move {
        let pending = std::future::pending();
        forebay_localaws::serve(listener, cloud, Arc::new(clock), pending).await
    });
    endpoint
}

fn emulator(service: &str) -> Option<String> {
    let found = std::env::var(format!("FOREBAY_CONTRACT_{service}")).ok();
    if found.is_none() {
        println!("skipped: FOREBAY_CONTRACT_{service} names no emulator");
    }
    found
}

/// A stream that is read.
struct Stream {
    client: aws_sdk_kinesis::Client,
    name: &'static str,
}

impl Stream {
    async fn create(endpoint: &str, name: &'static str) -> Self {
        let client = aws_sdk_kinesis::Client::new(&sdk(endpoint).await);
        let request = client.create_stream().stream_name(name).shard_count(2);
        request.send().await.expect("a new stream");
        let stream = Self { client, name };
        stream.active().await;
        stream
    }

    async fn active(&self) {
        for _ in 0..100 {
            let request = self.client.describe_stream_summary();
            let answer = request
                .stream_name(self.name)
                .send()
                .await
                .expect("it is there");
            let summary = answer.stream_description_summary.expect("a summary");
            if summary.stream_status == StreamStatus::Active {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the stream does not become ACTIVE in ten seconds");
    }

    async fn put(&self, numbers: std::ops::Range<u32>) {
        let entries = numbers.map(|number| {
            PutRecordsRequestEntry::builder()
                .partition_key(format!("key-{number}"))
                .data(Blob::new(number.to_string()))
                .build()
                .expect("complete")
        });
        let request = self.client.put_records().stream_name(self.name);
        let answer = request.set_records(Some(entries.collect())).send().await;
        assert_eq!(answer.expect("written").failed_record_count, Some(0));
    }

    async fn split(&self, shard: &str, at: u128) {
        let request = self.client.split_shard().stream_name(self.name);
        let request = request.shard_to_split(shard);
        let request = request.new_starting_hash_key(at.to_string());
        request.send().await.expect("a split");
        self.active().await;
    }

    async fn merge(&self, shard: &str, adjacent: &str) {
        let request = self.client.merge_shards().stream_name(self.name);
        let request = request.shard_to_merge(shard);
        let request = request.adjacent_shard_to_merge(adjacent);
        request.send().await.expect("a merge");
        self.active().await;
    }

    /// The parents of each shard.
    async fn parents(&self) -> BTreeMap<String, Vec<String>> {
        let request = self.client.list_shards().stream_name(self.name);
        let shards = request.send().await.expect("a listing").shards;
        let shards = shards.unwrap_or_default().into_iter();
        shards
            .map(|shard| {
                let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
                (shard.shard_id, parents.into_iter().flatten().collect())
            })
            .collect()
    }

    /// Reads until `count` different records came in all, stops, and tells how many came more than once.
    async fn read<T: LeaseTable>(
        &self,
        table: T,
        settings: Config,
        sink: &Sink,
        count: usize,
    ) -> usize {
        let stream = KinesisStream::new(
            self.client.clone(),
            StreamName::new(self.name).expect("a name"),
        );
        let id = "one".parse().expect("an id");
        let worker = Worker::new(id, stream, table, sink.processor("one")).with_config(settings);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(worker.run(async {
            let _ = stopped.await;
        }));
        sink.wait_until("every record", |sink| sink.counts().len() >= count)
            .await;
        stop.send(()).expect("it runs");
        let summary = running.await.expect("no panic").expect("a clean end");
        assert_eq!(summary.unaccepted, 0);
        sink.len() - sink.counts().len()
    }
}

/// Reads by polling, through a split, a merge and another split, with restarts.
async fn polls<T: LeaseTable + Clone>(endpoint: &str, table: T) {
    let stream = Stream::create(endpoint, "external-polled").await;
    let sink = Sink::default();
    stream.put(0..50).await;
    let repeated = stream.read(table.clone(), config(), &sink, 50).await;
    assert_eq!(repeated, 0);
    stream.put(50..100).await;
    stream.split(&id(0), u128::MAX / 4).await;
    stream.put(100..150).await;
    let repeated = stream.read(table.clone(), config(), &sink, 150).await;
    assert_eq!(repeated, 0, "a restart goes on at the checkpoint");
    // The worker that reads these begins in the middle of the lineage, and sees the last of it happen.
    stream.merge(&id(3), &id(1)).await;
    stream.put(150..200).await;
    let splitting = async {
        sink.wait_until("the merged shard", |sink| sink.counts().len() >= 200)
            .await;
        stream.split(&id(4), u128::MAX / 4 * 3).await;
        stream.put(200..250).await;
    };
    let (repeated, ()) = tokio::join!(stream.read(table, config(), &sink, 250), splitting);
    assert_eq!(repeated, 0);
    let parents = stream.parents().await;
    assert_eq!(parents.len(), 7, "{parents:?}");
    assert_lineage(&parents, &sink);
    let read: BTreeSet<String> = sink
        .delivered()
        .iter()
        .map(|delivered| delivered.shard.to_string())
        .collect();
    assert!(read.iter().eq(parents.keys()), "{read:?}");
}

fn id(number: u32) -> String {
    format!("shardId-{number:012}")
}

/// Reads by fan-out, with a restart.
async fn subscribes<T: LeaseTable + Clone>(endpoint: &str, table: T) {
    let stream = Stream::create(endpoint, "external-pushed").await;
    let mut settings = config();
    settings.retrieval = Retrieval::FanOut {
        consumer: "external".to_owned(),
    };
    let sink = Sink::default();
    stream.put(0..50).await;
    let repeated = stream
        .read(table.clone(), settings.clone(), &sink, 50)
        .await;
    assert_eq!(repeated, 0);
    stream.put(50..100).await;
    let repeated = stream.read(table, settings, &sink, 100).await;
    assert_eq!(repeated, 0, "a restart goes on at the checkpoint");
}

async fn dynamodb(endpoint: &str, table: &str) -> DynamoLeaseTable {
    DynamoLeaseTable::new(aws_sdk_dynamodb::Client::new(&sdk(endpoint).await), table)
}

#[tokio::test]
async fn the_http_front_of_the_model_is_read_by_polling() {
    let endpoint = model().await;
    polls(&endpoint, dynamodb(&endpoint, "polled").await).await;
}

#[tokio::test]
async fn the_http_front_of_the_model_is_read_by_fan_out() {
    let endpoint = model().await;
    subscribes(&endpoint, dynamodb(&endpoint, "pushed").await).await;
}

#[tokio::test]
async fn an_emulator_is_read_by_polling() {
    if let Some(endpoint) = emulator("KINESIS") {
        polls(&endpoint, MemoryLeaseTable::new()).await;
    }
}

#[tokio::test]
async fn an_emulator_is_read_by_fan_out() {
    if let Some(endpoint) = emulator("KINESIS") {
        subscribes(&endpoint, MemoryLeaseTable::new()).await;
    }
}

#[tokio::test]
async fn a_lease_table_on_an_emulator_keeps_the_contract() {
    if let Some(endpoint) = emulator("DYNAMODB") {
        lease_table_suite(&dynamodb(&endpoint, "conformance").await).await;
    }
}
