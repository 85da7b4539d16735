//! A queue of CloudTrail notices, from message to sink.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    future::Future,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use forebay_cloudtrail::{Event as TrailEvent, EventIndex};
use forebay_s3::{
    AllowList, AllowedBucket, Batch, Config, Error, ObjectId, Processor, Queue, Reader, Rejected,
    RejectedKind, S3Source,
};

use crate::{
    aws::Account,
    clock,
    collect::{Bad, Collect, Collector},
    config::CloudTrail,
    dead_letter::{Class, DeadLetter, DeadLetters},
    delivery::{Delivery, Origin},
    entities::Names,
    pipeline::SharedName,
    settlement::{Acknowledge, Settlement},
    shape::{Shaper, is_blank},
    stats::InputStats,
    throttle::Pace,
};

/// What an input is made of.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) name: &'a str,
    pub(crate) input: &'a CloudTrail,
    pub(crate) account: &'a Account,
    /// Byte budget of this input.
    pub(crate) bytes: usize,
    pub(crate) fields: &'a BTreeMap<String, String>,
    pub(crate) delivery: Delivery,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) names: Names,
    pub(crate) stats: Arc<InputStats>,
}

/// Reads the queue until `shutdown`, then lets running work end.
///
/// # Errors
///
/// The settings cannot work; the future fails when the queue does not exist.
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
    let sqs = account.sqs(input.sqs_region.as_deref());
    let source = S3Source::new(account.s3(input.s3_region.as_deref()));
    let mut config = Config::default();
    config.concurrency = NonZeroUsize::try_from(input.concurrency)?;
    config.bytes_in_flight = NonZeroUsize::new(parts.bytes).context("the byte budget is zero")?;
    config.visibility = input.visibility;
    config.object_retry = input.object_retry;
    config.allow.buckets = input.buckets.iter().map(allowed).collect();
    let processor = Trail {
        input: name.into(),
        full_message: input.full_message,
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
    let (name, queue): (SharedName, String) = (name.into(), input.queue.clone());
    Ok(async move {
        let queue = Queue::find(sqs, &queue)
            .await
            .with_context(|| format!("`queue` of [cloudtrail.{name}]"))?;
        config.allow = expected_owner(config.allow, &queue, &name)?;
        tracing::info!(input = %name, queue = queue.name(), "input starts");
        let summary = Reader::new(queue, source, processor, config)?
            .observer(observer)
            .run(shutdown)
            .await;
        tracing::info!(input = %name, ?summary, "input stopped");
        Ok(())
    })
}

fn allowed(bucket: &crate::config::Bucket) -> AllowedBucket {
    AllowedBucket {
        name: bucket.name.clone(),
        prefix: bucket.prefix.clone(),
        owner: bucket.owner.clone(),
        ..AllowedBucket::default()
    }
}

/// Without a list of buckets, only buckets of the account that owns the queue are read.
fn expected_owner(mut allow: AllowList, queue: &Queue, name: &str) -> anyhow::Result<AllowList> {
    allow.owner = queue
        .account()
        .map(|account| Cow::Owned(account.to_owned()));
    anyhow::ensure!(
        allow.owner.is_some() || !allow.buckets.is_empty(),
        "the account behind the queue of [cloudtrail.{name}] is not known, so nothing says whose buckets may be read: \
         give the queue as URL or ARN, or list the `buckets`"
    );
    Ok(allow)
}

/// Turns batches of records into messages.
#[derive(Debug)]
struct Trail {
    input: SharedName,
    full_message: bool,
    fields: BTreeMap<String, String>,
    host: Option<String>,
    delivery: Delivery,
    dead_letters: DeadLetters,
    names: Names,
    stats: Arc<InputStats>,
    pace: Pace,
    /// Shapers with their buffers, as many as objects were ever read at once.
    spare: Mutex<Vec<(Shaper, EventIndex)>>,
}

impl Processor for Trail {
    async fn process(&self, batch: Batch) {
        let spare = self
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let (mut shaper, mut index) = spare.unwrap_or_else(|| {
            (
                Shaper::new(&self.fields, self.host.as_deref()).with_names(&self.names),
                EventIndex::default(),
            )
        });
        let origin = Origin {
            input: Arc::clone(&self.input),
            stats: Arc::clone(&self.stats),
            pace: self.pace.clone(),
            place: batch.object().to_string().into(),
        };
        let settlement = Settlement::new(batch.len(), Acknowledge::S3(batch.acknowledger()));
        let mut collector = Collector::new(self.delivery.outgoing());
        let read_at = clock::wall_millis();
        for (offset, record) in batch.records().enumerate() {
            collector.begin(
                offset,
                format_args!("record {}", batch.first_index() + offset as u64),
            );
            self.record(&mut shaper, &mut index, record, read_at, &mut collector);
        }
        shaper.flush();
        // On an error nothing is closed: the batch counts as given back, and its notice comes again.
        if self.keep(&mut collector, &origin)
            && self
                .delivery
                .send(&mut collector.outgoing, &settlement, &origin)
                .await
                .is_ok()
        {
            for record in 0..batch.len() {
                settlement.closed(u32::try_from(record).unwrap_or(u32::MAX));
            }
        }
        self.spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((shaper, index));
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
        tracing::warn!(input = %self.input, origin, position, reason = rejected.reason, "input not readable, kept as dead letter");
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
            .map_err(|error| Error::not_kept("the dead-letter file", error))?;
        self.stats.bad(1);
        Ok(())
    }
}

impl Trail {
    fn record(
        &self,
        shaper: &mut Shaper,
        index: &mut EventIndex,
        record: &[u8],
        read_at: i64,
        collector: &mut Collector,
    ) {
        let text = String::from_utf8_lossy(record);
        let event = match TrailEvent::parse(&text, index) {
            Ok(event) => event,
            Err(error) => {
                return collector.bad(Bad {
                    class: Class::Record,
                    position: &"",
                    reason: &error,
                    payload: record,
                });
            }
        };
        match shaper.trail(&event, self.full_message, read_at) {
            Ok(message) => collector.message(&message),
            Err(error) if is_blank(&error) => {}
            Err(error) => collector.bad(Bad {
                class: Class::Record,
                position: &"",
                reason: &error,
                payload: record,
            }),
        }
    }

    fn keep(&self, collector: &mut Collector, origin: &Origin) -> bool {
        let letters = collector.letters(origin);
        match self.dead_letters.keep_all(&letters, clock::wall()) {
            Ok(()) => {
                self.stats.bad(letters.len());
                true
            }
            Err(error) => {
                tracing::error!(input = %self.input, %error, "dead letters not kept: the notice comes again");
                false
            }
        }
    }
}
