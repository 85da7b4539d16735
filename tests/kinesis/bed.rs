//! Workers on the embedded AWS, under paused time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use forebay_kinesis::{
    Acknowledger, Batch, Config, DynamoLeaseTable, Error, InitialPosition, KinesisStream,
    LeaseTable, Outcome, Processor, ShardId, Stopping, StreamName, Summary, Worker, WorkerHandle,
};
use forebay_localaws::{Cloud, LocalAws, Settings};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) const STREAM: &str = "logs";
pub(crate) const TABLE: &str = "leases";
const EPOCH_MS: u64 = 1_795_564_800_000;

/// A cloud with one stream.
pub(crate) struct Bed {
    pub(crate) aws: LocalAws,
}

impl Bed {
    pub(crate) fn new(shards: u32) -> Self {
        Self::with(shards, Settings::instant())
    }

    pub(crate) fn with(shards: u32, settings: Settings) -> Self {
        let aws = LocalAws::new(Cloud::new(settings, 1), EPOCH_MS);
        aws.with(|cloud, now| cloud.kinesis().create_stream(STREAM, shards, now))
            .expect("a new stream");
        Self { aws }
    }

    /// The SDK's settings for a caller of its own, so that faults and the call log can tell workers apart.
    pub(crate) async fn sdk(&self, caller: &str) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(caller, "secret", None, None, "test"))
            .http_client(self.aws.http_client())
            .load()
            .await
    }

    pub(crate) async fn table(&self, caller: &str) -> DynamoLeaseTable {
        DynamoLeaseTable::new(
            aws_sdk_dynamodb::Client::new(&self.sdk(caller).await),
            TABLE,
        )
    }

    pub(crate) fn put(&self, key: &str, data: impl Into<Vec<u8>>) {
        let data: Vec<u8> = data.into();
        self.aws
            .with(|cloud, now| cloud.kinesis().put_record(STREAM, key, data, now))
            .expect("a record");
    }

    /// Puts numbered records, spread over the shards.
    pub(crate) fn put_numbers(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.put(&format!("key-{number}"), number.to_string());
        }
    }

    pub(crate) async fn worker<P: Processor>(
        &self,
        name: &str,
        processor: P,
        config: Config,
    ) -> Worker<DynamoLeaseTable, P> {
        let sdk = self.sdk(name).await;
        let stream = KinesisStream::new(
            aws_sdk_kinesis::Client::new(&sdk),
            StreamName::new(STREAM).expect("a name"),
        );
        let aws = self.aws.clone();
        Worker::new(
            name.parse().expect("an id"),
            stream,
            self.table(name).await,
            processor,
        )
        .with_config(config)
        .with_wall_clock(move || SystemTime::UNIX_EPOCH + Duration::from_millis(aws.now()))
    }

    /// Starts a worker that accepts everything.
    pub(crate) async fn start(&self, name: &str, sink: &Sink) -> Running {
        self.start_with(name, sink, config()).await
    }

    pub(crate) async fn start_with(&self, name: &str, sink: &Sink, config: Config) -> Running {
        Running::spawn(self.worker(name, sink.processor(name), config).await)
    }
}

/// Reads from the beginning, for tests that put records before or while workers start.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.initial_position = InitialPosition::TrimHorizon;
    config
}

/// A worker in a task of its own.
pub(crate) struct Running {
    pub(crate) handle: WorkerHandle,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<Summary, Error>>,
}

impl Running {
    pub(crate) fn spawn<T: LeaseTable, P: Processor>(worker: Worker<T, P>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let handle = worker.handle();
        let task = tokio::spawn(worker.run(async {
            let _ = stopped.await;
        }));
        Self {
            handle,
            stop: Some(stop),
            task,
        }
    }

    pub(crate) async fn stop(mut self) -> Summary {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.task.await.expect("no panic").expect("a clean end")
    }

    pub(crate) async fn ended(self) -> Result<Summary, Error> {
        let _keep = self.stop;
        self.task.await.expect("no panic")
    }

    /// Ends the worker in the middle of whatever it does.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// What all workers of a test delivered.
#[derive(Clone, Default)]
pub(crate) struct Sink {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    delivered: Vec<Delivered>,
    held: Vec<Acknowledger>,
    mode: Mode,
    started: Vec<(String, ShardId)>,
    stopping: Vec<(String, ShardId, Stopping)>,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Accept at once.
    #[default]
    Accept,
    /// Take over and keep the acknowledgers.
    Hold,
    /// Never come back from `process`.
    Stall,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Delivered {
    pub(crate) worker: String,
    pub(crate) shard: ShardId,
    pub(crate) number: String,
    pub(crate) sub_sequence: u64,
    pub(crate) text: String,
    pub(crate) at: Instant,
}

impl Sink {
    pub(crate) fn processor(&self, worker: &str) -> SinkProcessor {
        SinkProcessor {
            sink: self.clone(),
            worker: worker.to_owned(),
        }
    }

    pub(crate) fn mode(&self, mode: Mode) {
        self.lock().mode = mode;
    }

    /// Accepts everything held so far.
    pub(crate) fn release(&self) {
        for held in std::mem::take(&mut self.lock().held) {
            held.accept(..);
        }
    }

    /// Accepts these records of the first batch held, one by one in this order.
    pub(crate) fn accept_first(&self, indices: &[usize]) {
        let first = self.lock().held.first().cloned().expect("a held batch");
        for index in indices {
            first.accept(*index..=*index);
        }
    }

    pub(crate) fn drop_held(&self) {
        let held = std::mem::take(&mut self.lock().held);
        drop(held);
    }

    pub(crate) fn delivered(&self) -> Vec<Delivered> {
        self.lock().delivered.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().delivered.len()
    }

    pub(crate) fn clear(&self) {
        self.lock().delivered.clear();
    }

    /// How often each text came.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for delivered in &self.lock().delivered {
            *counts.entry(delivered.text.clone()).or_insert(0) += 1;
        }
        counts
    }

    pub(crate) fn started(&self) -> Vec<(String, ShardId)> {
        self.lock().started.clone()
    }

    pub(crate) fn stopping(&self) -> Vec<(String, ShardId, Stopping)> {
        self.lock().stopping.clone()
    }

    /// Waits until this many records came, repeats included.
    pub(crate) async fn wait_for(&self, records: usize) {
        self.wait_until(&format!("{records} records"), |sink| sink.len() >= records)
            .await;
    }

    pub(crate) async fn wait_until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(600);
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "waited ten minutes for {what}; there are {} records",
                self.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct SinkProcessor {
    sink: Sink,
    worker: String,
}

impl Processor for SinkProcessor {
    async fn process(&self, batch: Batch) -> Outcome {
        let mode = {
            let mut shared = self.sink.lock();
            if shared.mode != Mode::Stall {
                for record in batch.records() {
                    shared.delivered.push(Delivered {
                        worker: self.worker.clone(),
                        shard: batch.shard().clone(),
                        number: record.sequence_number.to_string(),
                        sub_sequence: record.sub_sequence,
                        text: String::from_utf8_lossy(&record.data).into_owned(),
                        at: Instant::now(),
                    });
                }
            }
            if shared.mode == Mode::Hold {
                shared.held.push(batch.acknowledger());
            }
            shared.mode
        };
        match mode {
            Mode::Accept => Outcome::Accepted,
            Mode::Hold => Outcome::Pending,
            Mode::Stall => std::future::pending().await,
        }
    }

    async fn shard_started(&self, shard: &ShardId) {
        self.sink
            .lock()
            .started
            .push((self.worker.clone(), shard.clone()));
    }

    async fn shard_stopping(&self, shard: &ShardId, reason: Stopping) {
        self.sink
            .lock()
            .stopping
            .push((self.worker.clone(), shard.clone(), reason));
    }
}
