//! Logs in S3, from notice or listing to sink.

use std::{borrow::Cow, future::Future, num::NonZeroUsize, sync::Arc};

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
    dead_letter::{Class, DeadLetter},
    intake::{Intake, RETRY},
    object_reader::{Contents, ObjectReader},
    settlement::{Acknowledge, Settlement},
    spare::Spare,
};

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
    intake: Intake,
    input: &S3,
    account: &Account,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
    let (name, observer) = (Arc::clone(&intake.name), Arc::clone(&intake.stats));
    let from = match &input.queue {
        Some(queue) => From::Queue(account.sqs(input.sqs_region.as_deref()), queue.clone()),
        None => From::Listing(
            Positions::open(&input.poll.positions)
                .with_context(|| format!("`poll.positions` of [s3.{name}]"))?,
            polling(input),
        ),
    };
    let source = source(input, account);
    let mut config = config(input, intake.bytes)?;
    config.stop_grace = intake.grace.mul_f32(0.8);
    let processor = Trail {
        contents: Contents::new(input, &intake.names)?,
        intake,
        readers: Spare::default(),
    };
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

/// Reads objects as the input says.
pub(crate) fn source(input: &S3, account: &Account) -> S3Source {
    let clients = account.clone();
    let own = account.s3(input.s3_region.as_deref());
    S3Source::with_regions(own, move |region| clients.s3(Some(region)))
        .requester_pays(input.requester_pays)
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
    intake: Intake,
    contents: Contents,
    readers: Spare<ObjectReader>,
}

impl Processor for Trail {
    async fn process(&self, batch: Batch) {
        let intake = &self.intake;
        let reader = self.readers.take();
        let mut reader =
            reader.unwrap_or_else(|| ObjectReader::new(intake.shaper(), &intake.names));
        let origin = intake.origin(batch.object());
        let settlement = Settlement::new(batch.len(), Acknowledge::S3(batch.acknowledger()));
        let mut collector = Collector::new(intake.delivery.outgoing());
        let names = intake.names.load();
        let read_at = clock::wall_millis();
        reader.read(&batch, &self.contents, &names, read_at, &mut collector);
        self.readers.give(reader);
        // As long as letters cannot be kept, reading of this object waits and its notice is held.
        while !intake.keep(&mut collector, &origin).await {
            tokio::time::sleep(RETRY).await;
        }
        // On an error nothing is closed: the batch counts as given back, and its notice comes again.
        let sent = intake
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
            input: &self.intake.name,
            origin: &origin,
            position: &position,
            class,
            reason: rejected.reason,
            payload: rejected.payload,
        };
        self.intake
            .dead_letters
            .keep(&letter, clock::wall())
            .await
            .map_err(|error| Error::not_kept("the dead-letter file", error))?;
        self.intake.stats.bad(&[letter]);
        Ok(())
    }
}
