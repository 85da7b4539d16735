//! Logs in S3, from notice or listing to sink.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    future::Future,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use forebay_flowlog::Format;
use forebay_s3::{
    AllowList, AllowedBucket, Batch, Config, Content, Error, ErrorKind, Lines, ObjectId, Observer,
    Poller, Polling, Positions, Processor, Queue, Reader, Rejected, RejectedKind, S3Source,
};

use crate::{
    aws::Account,
    clock,
    collect::Collector,
    config::{ObjectDecode, Objects, OnObjectError, S3, Start},
    dead_letter::{Class, DeadLetter, DeadLetters},
    delivery::{Delivery, Origin},
    names::Names,
    object_reader::{Contents, ObjectReader},
    pipeline::SharedName,
    settlement::{Acknowledge, Settlement},
    shape::Shaper,
    stats::InputStats,
    throttle::Pace,
};

/// What an input is made of.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) name: &'a str,
    pub(crate) input: &'a S3,
    pub(crate) account: &'a Account,
    /// Byte budget of this input.
    pub(crate) bytes: usize,
    pub(crate) fields: &'a BTreeMap<String, String>,
    pub(crate) delivery: Delivery,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) names: Names,
    pub(crate) stats: Arc<InputStats>,
    /// Longest time from the stop signal to the exit.
    pub(crate) grace: Duration,
}

/// What brings the objects.
enum From {
    Queue(aws_sdk_sqs::Client, String),
    Listing(Positions, Polling),
}

/// Reads the queue, or the prefixes, until `shutdown`, then lets running work end.
///
/// # Errors
///
/// The settings cannot work; the future fails when the queue does not exist. An SQS that is not available, or that
/// refuses, is tried again.
pub(crate) fn run(
    parts: Parts<'_>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
    let Parts {
        name,
        input,
        account,
        ..
    } = parts;
    let from = match &input.queue {
        Some(queue) => From::Queue(account.sqs(input.sqs_region.as_deref()), queue.clone()),
        None => From::Listing(
            Positions::open(&input.poll.positions)
                .with_context(|| format!("`poll.positions` of [s3.{name}]"))?,
            polling(input),
        ),
    };
    let clients = account.clone();
    let source = S3Source::with_regions(account.s3(input.s3_region.as_deref()), move |region| {
        clients.s3(Some(region))
    })
    .requester_pays(input.requester_pays);
    let mut config = config(input, parts.bytes)?;
    config.stop_grace = parts.grace.mul_f32(0.8);
    let processor = Trail {
        input: name.into(),
        contents: Contents::new(input, &parts.names)?,
        fields: parts.fields.clone(),
        host: input.source.clone(),
        delivery: parts.delivery,
        dead_letters: parts.dead_letters,
        names: parts.names,
        stats: Arc::clone(&parts.stats),
        pace: Pace::new(input.max_messages_per_second),
        spare: Mutex::default(),
    };
    let observer = parts.stats;
    let name: SharedName = name.into();
    Ok(async move {
        match from {
            From::Queue(sqs, queue) => {
                let mut shutdown = Box::pin(shutdown);
                let queue = loop {
                    match Queue::find(sqs.clone(), &queue).await {
                        // The other inputs go on, and this one begins when it can.
                        Err(error)
                            if matches!(
                                error.kind(),
                                ErrorKind::Unavailable | ErrorKind::Denied
                            ) =>
                        {
                            observer.failed(&error.kind(), &error.to_string());
                            tokio::select! {
                                () = &mut shutdown => return Ok(()),
                                () = tokio::time::sleep(RETRY) => {}
                            }
                        }
                        found => {
                            break found.with_context(|| format!("`queue` of input `{name}`"))?;
                        }
                    }
                };
                config.allow = expected_owner(config.allow, &queue, &name)?;
                tracing::info!(input = %name, queue = queue.name(), "input starts");
                let reader = Reader::new(queue, source, processor, config)?.observer(observer);
                let summary = reader.run(shutdown).await;
                tracing::info!(input = %name, ?summary, "input stopped");
            }
            From::Listing(positions, polling) => {
                tracing::info!(input = %name, "input starts");
                let poller = Poller::new(positions, source, processor, (config, polling))?;
                let summary = poller.observer(observer).run(shutdown).await;
                tracing::info!(input = %name, ?summary, "input stopped");
            }
        }
        Ok(())
    })
}

fn config(input: &S3, bytes: usize) -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.concurrency = NonZeroUsize::try_from(input.concurrency)?;
    config.bytes_in_flight = NonZeroUsize::new(bytes).context("the byte budget is zero")?;
    config.visibility = input.visibility;
    config.object_retry = input.object_retry;
    config.on_object_error = match input.on_object_error {
        OnObjectError::DeadLetter => forebay_s3::OnObjectError::DeadLetter,
        OnObjectError::Leave => forebay_s3::OnObjectError::Leave,
        OnObjectError::Delete => forebay_s3::OnObjectError::Delete,
    };
    config.allow.buckets = input.objects.iter().map(allowed).collect();
    Ok(config)
}

fn polling(input: &S3) -> Polling {
    let mut polling = Polling::default();
    polling.interval = input.poll.interval;
    polling.look_back = input.poll.look_back;
    polling.since = match input.poll.start {
        Start::Latest => clock::wall_millis(),
        Start::TrimHorizon => polling.since,
        Start::At(time) => clock::millis(time),
    };
    polling
}

fn allowed(objects: &Objects) -> AllowedBucket {
    let is_header = match objects.decode {
        ObjectDecode::Flowlog => Some(Format::is_header as fn(&[u8]) -> bool),
        _ => None,
    };
    let content = match objects.decode {
        ObjectDecode::Cloudtrail => Content::CloudTrail,
        ObjectDecode::Flowlog | ObjectDecode::Lines => Content::Lines(Lines { is_header }),
    };
    AllowedBucket {
        name: objects.bucket.clone(),
        prefix: objects.prefix.clone(),
        owner: objects.owner.clone(),
        content,
    }
}

/// Without a list of buckets, only buckets of the account that owns the queue are read.
fn expected_owner(mut allow: AllowList, queue: &Queue, name: &str) -> anyhow::Result<AllowList> {
    allow.owner = queue
        .account()
        .map(|account| Cow::Owned(account.to_owned()));
    anyhow::ensure!(
        allow.owner.is_some() || !allow.buckets.is_empty(),
        "the account behind the queue of input `{name}` is not known, so nothing says whose buckets may be read: \
         give the queue as URL or ARN, or list the buckets"
    );
    Ok(allow)
}

/// Turns batches of records into messages.
#[derive(Debug)]
struct Trail {
    input: SharedName,
    contents: Contents,
    fields: BTreeMap<String, String>,
    host: Option<String>,
    delivery: Delivery,
    dead_letters: DeadLetters,
    names: Names,
    stats: Arc<InputStats>,
    pace: Pace,
    /// Readers with their buffers, as many as objects were ever read at once.
    spare: Mutex<Vec<ObjectReader>>,
}

impl Processor for Trail {
    async fn process(&self, batch: Batch) {
        let mut reader = self.reader();
        let origin = Origin {
            input: Arc::clone(&self.input),
            stats: Arc::clone(&self.stats),
            pace: self.pace.clone(),
            place: batch.object().to_string().into(),
        };
        let settlement = Settlement::new(batch.len(), Acknowledge::S3(batch.acknowledger()));
        let mut collector = Collector::new(self.delivery.outgoing());
        let names = self.names.load();
        let read_at = clock::wall_millis();
        reader.read(&batch, &self.contents, &names, read_at, &mut collector);
        self.give_back(reader);
        // As long as letters cannot be kept, reading of this object waits and its notice is held.
        while !self.keep(&mut collector, &origin).await {
            tokio::time::sleep(RETRY).await;
        }
        // On an error nothing is closed: the batch counts as given back, and its notice comes again.
        let sent = self
            .delivery
            .send(&mut collector.outgoing, &settlement, &origin)
            .await;
        if sent.is_ok() {
            for record in 0..batch.len() {
                settlement.closed(u32::try_from(record).unwrap_or(u32::MAX));
            }
        }
    }

    async fn reject(&self, rejected: Rejected<'_>) -> Result<(), Error> {
        let class = match rejected.what {
            RejectedKind::Notice => Class::Notice,
            RejectedKind::Record => Class::Record,
            _ => Class::Object,
        };
        let origin = rejected
            .object
            .map_or_else(String::new, ObjectId::to_string);
        let position = rejected
            .position
            .map_or_else(String::new, |(record, byte)| {
                format!("record {record}, byte {byte}")
            });
        let letter = DeadLetter {
            input: &self.input,
            origin: &origin,
            position: &position,
            class,
            reason: rejected.reason,
            payload: rejected.payload,
        };
        self.dead_letters
            .keep(&letter, clock::wall())
            .await
            .map_err(|error| Error::not_kept("the dead-letter file", error))?;
        self.stats.bad(&[letter]);
        Ok(())
    }
}

impl Trail {
    fn reader(&self) -> ObjectReader {
        let spare = self.spare().pop();
        spare.unwrap_or_else(|| {
            let shaper = Shaper::new(&self.fields, self.host.as_deref()).with_names(&self.names);
            ObjectReader::new(shaper, &self.names)
        })
    }

    fn give_back(&self, reader: ObjectReader) {
        self.spare().push(reader);
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<ObjectReader>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(&self, collector: &mut Collector, origin: &Origin) -> bool {
        let letters = collector.letters(origin);
        match self.dead_letters.keep_all(&letters, clock::wall()).await {
            Ok(()) => {
                self.stats.bad(&letters);
                true
            }
            Err(error) => {
                tracing::error!(input = %self.input, %error, "dead letters not kept: reading waits");
                false
            }
        }
    }
}

/// Pause before the queue is looked for again, and before dead letters are tried again that could not be kept.
const RETRY: Duration = Duration::from_secs(5);
