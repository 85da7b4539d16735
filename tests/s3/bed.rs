//! A reader on the embedded AWS, under paused time.

use std::{
    io::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use flate2::{Compression, write::GzEncoder};
use forebay_localaws::{Cloud, LocalAws, QueueAttributes, Settings};
use forebay_s3::{
    Acknowledger, AllowList, Batch, Config, Error, Processor, Queue, Reader, Rejected, S3Source,
    Summary,
};
use serde_json::json;
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) const QUEUE: &str = "notices";
pub(crate) const BUCKET: &str = "trail";
pub(crate) const ACCOUNT: &str = "123456789012";

/// A cloud with a queue and a bucket.
pub(crate) struct Bed {
    pub(crate) aws: LocalAws,
    sdk: SdkConfig,
}

/// A running reader.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<Summary>,
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
        Self { aws, sdk }
    }

    /// A key as CloudTrail writes it.
    pub(crate) fn key(name: &str) -> String {
        format!(
            "AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2026/11/25/{ACCOUNT}_CloudTrail_us-east-1_20261125T1200Z_{name:0>16}.json.gz"
        )
    }

    pub(crate) fn object(&self, name: &str, content: impl Into<Vec<u8>>) {
        let content: Vec<u8> = content.into();
        self.aws
            .with(|cloud, now| cloud.s3().put(BUCKET, &Self::key(name), content, now));
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

    /// Messages in the queue, hidden ones included.
    pub(crate) fn left(&self) -> usize {
        self.aws.with(|cloud, _| cloud.sqs().bodies(QUEUE).len())
    }

    pub(crate) async fn run(&self, config: Config, processor: Take) -> Running {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk);
        let s3 = aws_sdk_s3::config::Builder::from(&self.sdk)
            .force_path_style(true)
            .build();
        let queue = Queue::find(sqs, QUEUE).await.expect("the queue exists");
        let source = S3Source::new(aws_sdk_s3::Client::from_conf(s3));
        let reader = Reader::new(queue, source, processor, config).expect("a valid configuration");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(reader.run(async {
            // A sender that is gone stops as well.
            let _ = stopped.await;
        }));
        Running {
            stop: Some(stop),
            task,
        }
    }
}

impl Running {
    pub(crate) async fn stop(mut self) -> Summary {
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

/// Takes records; accepts them at once, or holds them.
#[derive(Clone, Default)]
pub(crate) struct Take {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: Vec<String>,
    rejected: Vec<String>,
    hold: bool,
    held: Vec<(Acknowledger, usize)>,
}

impl Take {
    /// Holds every acknowledgement until [`Take::accept_held`].
    pub(crate) fn holding() -> Self {
        let take = Self::default();
        take.state().hold = true;
        take
    }

    pub(crate) fn accept_held(&self) {
        let mut state = self.state();
        state.hold = false;
        for (acknowledger, count) in state.held.drain(..) {
            acknowledger.accept(count);
        }
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
        for record in batch.records() {
            let record: serde_json::Value =
                serde_json::from_slice(record).expect("a record is JSON");
            state
                .names
                .push(record["eventID"].as_str().unwrap_or_default().to_owned());
        }
        if state.hold {
            state.held.push((batch.acknowledger(), batch.len()));
        } else {
            batch.acknowledger().accept(batch.len());
        }
    }

    async fn reject(&self, rejected: Rejected<'_>) -> Result<(), Error> {
        self.state().rejected.push(rejected.reason.to_owned());
        Ok(())
    }
}

/// A log file with records of these names.
pub(crate) fn file(names: &[&str]) -> Vec<u8> {
    let records: Vec<_> = names
        .iter()
        .map(|name| json!({"eventID": name, "eventVersion": "1.11"}))
        .collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(json!({ "Records": records }).to_string().as_bytes())
        .expect("memory");
    gzip.finish().expect("memory")
}

pub(crate) async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
