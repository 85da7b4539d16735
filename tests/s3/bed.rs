//! A reader on the embedded AWS, under paused time.

use std::{
    collections::BTreeMap,
    future::Future,
    io::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use flate2::{Compression, write::GzEncoder};
use forebay_localaws::{Cloud, Fault, FaultRule, LocalAws, QueueAttributes, Service, Settings};
use forebay_s3::{
    Acknowledger, AllowList, Batch, Config, Error, ErrorKind, ObjectId, Observer, Polled, Poller,
    Polling, Positions, Processor, Queue, Reader, Rejected, S3Source, Summary,
};
use serde_json::json;
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) const QUEUE: &str = "notices";
pub(crate) const BUCKET: &str = "trail";
pub(crate) const ACCOUNT: &str = "123456789012";

/// A cloud with a queue and a bucket.
pub(crate) struct Bed {
    pub(crate) aws: LocalAws,
    /// Whether requests say that the caller pays.
    pub(crate) requester_pays: bool,
    sdk: SdkConfig,
}

/// A running reader or poller.
pub(crate) struct Running<T = Summary> {
    stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<T>,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        let aws = LocalAws::new(Cloud::new(Settings::instant(), 1), 1_795_564_800_000);
        aws.with(|cloud, now| {
            cloud
                .sqs()
                .create_queue(QUEUE, QueueAttributes::default(), now);
            cloud.s3().create_bucket(BUCKET, now);
        });
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(
                "AKIAEXAMPLE",
                "secret",
                None,
                None,
                "test",
            ))
            .http_client(aws.http_client())
            .load()
            .await;
        Self {
            aws,
            requester_pays: false,
            sdk,
        }
    }

    /// A key as CloudTrail writes it.
    pub(crate) fn key(name: &str) -> String {
        format!(
            "AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2026/11/25/{ACCOUNT}_CloudTrail_us-east-1_20261125T1200Z_{name:0>16}.json.gz"
        )
    }

    pub(crate) fn object(&self, name: &str, content: impl Into<Vec<u8>>) {
        self.put(&Self::key(name), content);
    }

    pub(crate) fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        let content: Vec<u8> = content.into();
        self.aws
            .with(|cloud, now| cloud.s3().put(BUCKET, key, content, now));
    }

    /// Makes calls of `operation` fail.
    pub(crate) fn fault(&self, fault: Fault, service: Service, operation: &str, times: u64) {
        let rule = FaultRule::new(fault)
            .service(service)
            .operation(operation)
            .times(times);
        self.aws.with(|cloud, _| cloud.faults().push(rule));
    }

    pub(crate) fn calls(&self, service: Service, operation: &str) -> u64 {
        self.aws
            .with(|cloud, _| cloud.calls().count(service, operation))
    }

    /// CloudTrail's own notice of these objects, as SNS wraps it.
    pub(crate) fn notice(&self, names: &[&str]) {
        let keys: Vec<String> = names.iter().map(|name| Self::key(name)).collect();
        let message = json!({"s3Bucket": BUCKET, "s3ObjectKey": keys}).to_string();
        self.send(
            &json!({"Type": "Notification", "MessageId": "m", "Message": message}).to_string(),
        );
    }

    pub(crate) fn send(&self, body: &str) {
        self.aws
            .with(|cloud, now| cloud.sqs().send(QUEUE, body, now))
            .expect("the queue exists");
    }

    pub(crate) async fn send_fifo(&self, queue: &str, body: &str, group: &str) {
        let queue = self.aws.with(|cloud, _| cloud.sqs().url(queue));
        let message = self
            .sqs()
            .send_message()
            .queue_url(queue)
            .message_body(body)
            .message_group_id(group);
        message.send().await.expect("the message is sent");
    }

    /// Messages in the queue, hidden ones included.
    pub(crate) fn left(&self) -> usize {
        self.aws.with(|cloud, _| cloud.sqs().bodies(QUEUE).len())
    }

    pub(crate) async fn run(&self, config: Config, processor: Take) -> Running {
        self.observed(QUEUE, config, processor, Counts::default())
            .await
    }

    pub(crate) async fn observed(
        &self,
        queue: &str,
        config: Config,
        processor: Take,
        counts: Counts,
    ) -> Running {
        let queue = Queue::find(self.sqs(), queue)
            .await
            .expect("the queue exists");
        let reader = Reader::new(queue, self.source(), processor, config)
            .expect("a valid configuration")
            .observer(Arc::new(counts));
        let (stop, stopped) = stop();
        let task = tokio::spawn(reader.run(stopped));
        Running {
            stop: Some(stop),
            task,
        }
    }

    pub(crate) fn poll(
        &self,
        (config, polling): (Config, Polling),
        positions: &Positions,
        processor: Take,
    ) -> Running<Polled> {
        let poller = Poller::new(
            positions.clone(),
            self.source(),
            processor,
            (config, polling),
        )
        .expect("a valid configuration");
        let (stop, stopped) = stop();
        let task = tokio::spawn(poller.run(stopped));
        Running {
            stop: Some(stop),
            task,
        }
    }

    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.sdk)
    }

    /// Clients of any region.
    fn source(&self) -> S3Source {
        let sdk = self.sdk.clone();
        let client = move |region: Option<&str>| {
            let mut builder = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true);
            if let Some(region) = region {
                builder = builder.region(Region::new(region.to_owned()));
            }
            aws_sdk_s3::Client::from_conf(builder.build())
        };
        S3Source::with_regions(client(None), move |region| client(Some(region)))
            .requester_pays(self.requester_pays)
    }
}

fn stop() -> (oneshot::Sender<()>, impl Future<Output = ()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        // A sender that is gone stops as well.
        let _ = stopped.await;
    };
    (stop, stopped)
}

impl<T> Running<T> {
    pub(crate) async fn stop(mut self) -> T {
        drop(self.stop.take());
        self.task.await.expect("the reader ends")
    }
}

/// Settings that wait for nothing needlessly.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.allow = AllowList {
        owner: Some(ACCOUNT.into()),
        buckets: Vec::new(),
    };
    config
}

/// Takes records; accepts them at once or after a while, or holds them.
#[derive(Clone, Default)]
pub(crate) struct Take {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: Vec<String>,
    rejected: Vec<String>,
    hold: bool,
    late: Duration,
    full: bool,
    held: Vec<(Acknowledger, usize)>,
}

impl Take {
    /// Holds every acknowledgement until [`Take::accept_held`].
    pub(crate) fn holding() -> Self {
        let take = Self::default();
        take.state().hold = true;
        take
    }

    /// Accepts every batch so much later, as a receiver does whose proof takes time.
    pub(crate) fn late(late: Duration) -> Self {
        let take = Self::default();
        take.state().late = late;
        take
    }

    pub(crate) fn accept_held(&self) {
        let mut state = self.state();
        state.hold = false;
        for (acknowledger, count) in state.held.drain(..) {
            acknowledger.accept(count);
        }
    }

    /// Whether rejected input can be kept.
    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Names of the records in the order in which they came.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state().names.clone()
    }

    pub(crate) fn rejected(&self) -> Vec<String> {
        self.state().rejected.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Processor for Take {
    async fn process(&self, batch: Batch) {
        let mut state = self.state();
        let header = batch
            .header()
            .map(|header| format!("{}|", String::from_utf8_lossy(header)));
        for record in batch.records() {
            let name = match serde_json::from_slice::<serde_json::Value>(record) {
                Ok(record) if record.is_object() => {
                    record["eventID"].as_str().unwrap_or_default().to_owned()
                }
                _ => format!(
                    "{}{}",
                    header.as_deref().unwrap_or_default(),
                    String::from_utf8_lossy(record)
                ),
            };
            state.names.push(name);
        }
        if state.hold {
            state.held.push((batch.acknowledger(), batch.len()));
        } else if !state.late.is_zero() {
            let (late, acknowledger, count) = (state.late, batch.acknowledger(), batch.len());
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                acknowledger.accept(count);
            });
        } else {
            batch.acknowledger().accept(batch.len());
        }
    }

    async fn reject(&self, rejected: Rejected<'_>) -> Result<(), Error> {
        let mut state = self.state();
        if state.full {
            return Err(Error::not_kept("the dead-letter file", "no space left"));
        }
        let place = rejected
            .position
            .map(|(record, byte)| format!("; record {record}, byte {byte}"));
        state
            .rejected
            .push(format!("{}{}", rejected.reason, place.unwrap_or_default()));
        Ok(())
    }
}

/// Counts what the observer is told.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    counts: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    failure: Arc<Mutex<String>>,
}

impl Counts {
    pub(crate) fn get(&self, name: &str) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(name).copied().unwrap_or(0)
    }

    pub(crate) fn last_failure(&self) -> String {
        self.failure().clone()
    }

    fn failure(&self) -> MutexGuard<'_, String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, name: &'static str, count: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(name).or_default() += count;
    }
}

impl Observer for Counts {
    fn received(&self, messages: usize) {
        self.add("received", messages as u64);
    }
    fn in_flight(&self, messages: usize) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.insert("in_flight", messages as u64);
        let most = counts.entry("most_in_flight").or_default();
        *most = (*most).max(messages as u64);
    }
    fn deleted(&self, messages: usize) {
        self.add("deleted", messages as u64);
    }
    fn returned(&self, _why: &ErrorKind) {
        self.add("returned", 1);
    }
    fn skipped(&self, _why: &str) {
        self.add("skipped", 1);
    }
    fn visibility_extended(&self) {
        self.add("extended", 1);
    }
    fn records(&self, _object: &ObjectId, count: usize, bytes: usize) {
        self.add("records", count as u64);
        self.add("record_bytes", bytes as u64);
    }
    fn downloaded(&self, _object: &ObjectId, bytes: u64) {
        self.add("downloaded", bytes);
    }
    fn object_settled(&self, _object: &ObjectId, records: u64, took: Duration) {
        self.add("objects", 1);
        self.add("settled_records", records);
        self.add("object_seconds", took.as_secs());
    }
    fn rejected(&self, _reason: &str) {
        self.add("rejected", 1);
    }
    fn dropped(&self, _object: &ObjectId, _reason: &str) {
        self.add("dropped", 1);
    }
    fn failed(&self, _kind: &ErrorKind, detail: &str) {
        self.add("failed", 1);
        detail.clone_into(&mut self.failure());
    }
}

/// A log file with records of these names.
pub(crate) fn file<T: AsRef<str>>(names: &[T]) -> Vec<u8> {
    let records: Vec<_> = names
        .iter()
        .map(|name| json!({"eventID": name.as_ref(), "eventVersion": "1.11"}))
        .collect();
    gzip(json!({ "Records": records }).to_string().as_bytes())
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text).expect("memory");
    gzip.finish().expect("memory")
}

pub(crate) async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
