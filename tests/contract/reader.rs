use std::collections::BTreeSet;
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use flate2::{Compression, write::GzEncoder};
use forebay_s3::{
    AllowedBucket, Batch, Config, Error, Poller, Polling, Positions, Processor, Queue, Reader,
    Rejected, S3Source,
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::endpoint::{CaseResult, Check, Endpoint, case, ensure};

/// `forebay-s3` itself: SQS and S3 are what it believes them to be.
pub async fn reader_suite(endpoint: &Endpoint) -> Vec<CaseResult> {
    vec![
        case(
            "reader/every-form-of-notice-is-read-and-deleted",
            every_form(endpoint),
        )
        .await,
        case(
            "reader/a-missing-object-is-rejected-and-the-rest-is-read",
            missing(endpoint),
        )
        .await,
        case(
            "reader/a-prefix-is-polled-and-a-restart-repeats-nothing",
            polled(endpoint),
        )
        .await,
    ]
}

async fn every_form(endpoint: &Endpoint) -> Check {
    let bed = Bed::new(endpoint, "reader-forms").await?;
    for name in ["a b+c", "2", "3", "4"] {
        bed.put(name).await?;
    }
    let trail = json!({"s3Bucket": BUCKET, "s3ObjectKey": [bed.key("a b+c")]}).to_string();
    let encoded = bed.key("2").replace('=', "%3D");
    let event = json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventVersion": "2.1",
        "s3": {"bucket": {"name": BUCKET}, "object": {"key": encoded, "size": 9}}}]});
    let bridge = json!({"source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": BUCKET}, "object": {"key": bed.key("4"), "size": 9}}});
    let raw = json!({"s3Bucket": BUCKET, "s3ObjectKey": [bed.key("3")]}).to_string();
    let wrapped = json!({"Type": "Notification", "Message": trail}).to_string();
    for body in [
        wrapped.clone(),
        raw,
        event.to_string(),
        bridge.to_string(),
        wrapped,
    ] {
        bed.send(&body).await?;
    }
    let (names, rejected) = bed.read().await?;
    ensure(names == ["2", "3", "4", "a b+c"], || format!("{names:?}"))?;
    ensure(rejected.is_empty(), || format!("{rejected:?}"))
}

async fn missing(endpoint: &Endpoint) -> Check {
    let bed = Bed::new(endpoint, "reader-missing").await?;
    bed.put("there").await?;
    let keys = [bed.key("gone"), bed.key("there")];
    bed.send(&json!({"s3Bucket": BUCKET, "s3ObjectKey": keys}).to_string())
        .await?;
    let (names, rejected) = bed.read().await?;
    ensure(names == ["there"], || format!("{names:?}"))?;
    ensure(
        rejected.len() == 1 && rejected[0].contains("does not exist"),
        || format!("{rejected:?}"),
    )
}

async fn polled(endpoint: &Endpoint) -> Check {
    let bed = Bed::new(endpoint, "reader-polled").await?;
    for name in ["1", "2"] {
        bed.put(name).await?;
    }
    let positions = Positions::in_memory()?;
    let first = bed.poll(&positions).await?;
    ensure(first == ["1", "2"], || format!("{first:?}"))?;
    bed.put("3").await?;
    let second = bed.poll(&positions).await?;
    ensure(second == ["3"], || format!("{second:?}"))
}

/// A queue and a prefix of their own.
struct Bed {
    sqs: aws_sdk_sqs::Client,
    s3: aws_sdk_s3::Client,
    queue: String,
    name: &'static str,
}

impl Bed {
    async fn new(
        endpoint: &Endpoint,
        name: &'static str,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let config = aws_sdk_s3::config::Builder::from(endpoint.config())
            .force_path_style(true)
            .build();
        let s3 = aws_sdk_s3::Client::from_conf(config);
        let sqs = aws_sdk_sqs::Client::new(endpoint.config());
        // The cases share the bucket: only the first makes it.
        let _ = s3.create_bucket().bucket(BUCKET).send().await;
        let queue = sqs.create_queue().queue_name(name).send().await?;
        let queue = queue.queue_url().ok_or("no URL")?.to_owned();
        Ok(Self {
            sqs,
            s3,
            queue,
            name,
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}=.json.gz", self.name)
    }

    async fn put(&self, name: &str) -> Check {
        let text = json!({"Records": [{"eventVersion": "1.11", "eventID": name}]}).to_string();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text.as_bytes())?;
        let request = self.s3.put_object().bucket(BUCKET).key(self.key(name));
        request.body(gzip.finish()?.into()).send().await?;
        Ok(())
    }

    async fn send(&self, body: &str) -> Check {
        let request = self.sqs.send_message().queue_url(&self.queue);
        request.message_body(body).send().await?;
        Ok(())
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.wait = Duration::from_secs(1);
        config.concurrency = NonZeroUsize::MIN;
        // An emulator may not count receives as AWS does.
        config.missing_receives = 1;
        config.allow.buckets = vec![AllowedBucket {
            name: BUCKET.to_owned(),
            prefix: self.name.to_owned(),
            ..AllowedBucket::default()
        }];
        config
    }

    /// Reads until the queue is empty; names of the records, sorted, and what was rejected.
    async fn read(&self) -> Result<(Vec<String>, Vec<String>), Box<dyn std::error::Error>> {
        let taken = Taken::default();
        let queue = Queue::find(self.sqs.clone(), self.name).await?;
        let source = S3Source::new(self.s3.clone());
        let reader = Reader::new(queue, source, taken.clone(), self.config())?;
        let emptied = async {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(60) {
                sleep(Duration::from_millis(200)).await;
                if self.left().await == Some(0) {
                    break;
                }
            }
        };
        reader.run(emptied).await;
        ensure(self.left().await == Some(0), || {
            "messages are left".to_owned()
        })?;
        Ok(taken.all())
    }

    async fn left(&self) -> Option<u64> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.sqs.get_queue_attributes().queue_url(&self.queue);
        let answer = request
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .ok()?;
        let attributes = answer.attributes?;
        names
            .iter()
            .map(|name| attributes.get(name)?.parse::<u64>().ok())
            .sum()
    }

    async fn poll(&self, positions: &Positions) -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let taken = Taken::default();
        let source = S3Source::new(self.s3.clone());
        let settings = (self.config(), Polling::default());
        let poller = Poller::new(positions.clone(), source, taken.clone(), settings)?;
        poller.run(sleep(Duration::from_secs(3))).await;
        Ok(taken.all().0)
    }
}

#[derive(Clone, Default)]
struct Taken {
    names: Arc<Mutex<BTreeSet<String>>>,
    rejected: Arc<Mutex<Vec<String>>>,
}

impl Taken {
    fn all(&self) -> (Vec<String>, Vec<String>) {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        (names.iter().cloned().collect(), rejected.clone())
    }
}

impl Processor for Taken {
    async fn process(&self, batch: Batch) {
        for record in batch.records() {
            let record: serde_json::Value = serde_json::from_slice(record).unwrap_or_default();
            let name = record["eventID"].as_str().unwrap_or("?").to_owned();
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            // A repeat would be told by its mark.
            if !names.insert(name.clone()) {
                names.insert(format!("{name} again"));
            }
        }
        batch.acknowledger().accept(batch.len());
    }

    async fn reject(&self, rejected: Rejected<'_>) -> Result<(), Error> {
        let mut all = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(rejected.reason.to_owned());
        Ok(())
    }
}

const BUCKET: &str = "reader-bucket";
