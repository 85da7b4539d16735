//! A Kinesis stream of subscription payloads, from lease to sink.

use std::{
    collections::BTreeMap,
    future::Future,
    num::{NonZeroU16, NonZeroUsize},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use forebay_kinesis::{
    Batch, Config, DynamoLeaseTable, InitialPosition, KinesisStream, LeaseTable, MemoryLeaseTable,
    Outcome, Processor, Retrieval, Stopping, StreamName, Worker, WorkerHandle, WorkerId,
};

use futures_util::future::BoxFuture;
use tracing::Instrument;

use crate::{
    aws::Account,
    clock,
    collect::{Bad, Collect, Collector},
    config::{Kinesis, Start},
    dead_letter::{Class, DeadLetters},
    delivery::{Delivery, Origin},
    log_reader::{LogReader, RecordOrigin},
    names::Names,
    pipeline::SharedName,
    route::Routes,
    settlement::{Acknowledge, Settlement},
    shape::Shaper,
    stats::InputStats,
    throttle::Pace,
};

/// What an input is made of.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) name: &'a str,
    pub(crate) input: &'a Kinesis,
    pub(crate) account: &'a Account,
    pub(crate) worker_id: &'a WorkerId,
    pub(crate) grace: Duration,
    /// Byte budget of this input.
    pub(crate) bytes: usize,
    pub(crate) fields: &'a BTreeMap<String, String>,
    pub(crate) delivery: Delivery,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) names: Names,
    pub(crate) stats: Arc<InputStats>,
    /// Leases are given back when the processor is stalled for this long; zero keeps them.
    pub(crate) patience: Duration,
    /// Whether leases and checkpoints are kept in the table; else they are forgotten at the end.
    pub(crate) leases: bool,
}

/// Reads the stream until `shutdown`, then drains, checkpoints and releases the leases.
///
/// # Errors
///
/// The settings cannot work; the future fails when the stream cannot be read at all.
pub(crate) fn run(
    parts: Parts<'_>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<(WorkerHandle, BoxFuture<'static, anyhow::Result<()>>)> {
    let Parts {
        name,
        input,
        account,
        ..
    } = parts;
    let stream = &input.stream;
    let stream_name = if stream.starts_with("arn:") {
        StreamName::from_arn(stream)
    } else {
        StreamName::new(stream)
    };
    let stream_name = stream_name.with_context(|| format!("`stream` of [kinesis.{name}]"))?;
    let routes = Arc::new(
        Routes::new(input, &parts.names)
            .with_context(|| format!("`flow_format` of [kinesis.{name}]"))?,
    );
    let table_name = input.table();
    let worker_id = parts.worker_id.clone();
    tracing::info!(input = name, stream = stream_name.as_str(), table = table_name, worker = %worker_id, "input starts");

    let mut config = Config::default();
    config.initial_position = match input.start {
        Start::Latest => InitialPosition::Latest,
        Start::TrimHorizon => InitialPosition::TrimHorizon,
        Start::At(time) => InitialPosition::AtTimestamp(time),
    };
    config.failover_time = input.lease.failover;
    config.watch_interval = input.lease.watch_interval;
    if let Some(consumer) = &input.fan_out {
        config.retrieval = Retrieval::FanOut {
            consumer: consumer.clone(),
        };
    }
    config.max_leases = NonZeroUsize::new(input.lease.max_leases.get() as usize);
    config.max_records = u16::try_from(input.batch_size)
        .ok()
        .and_then(NonZeroU16::new)
        .unwrap_or(config.max_records);
    config.idle = input.read_interval;
    config.bytes_in_flight = parts.bytes;
    // `throttle::relieve` looks at gate and sink and is first; the worker's own watch is for stalls of other kinds.
    config.release_after = (!parts.patience.is_zero()).then_some(parts.patience * 2);
    config.stop_grace = parts.grace.mul_f32(0.8);

    let processor = Logs {
        input: name.into(),
        stream: stream_name.as_str().into(),
        routes,
        fields: parts.fields.clone(),
        host: input.source.clone(),
        full_message: input.store_full_message,
        delivery: parts.delivery,
        dead_letters: parts.dead_letters,
        names: parts.names,
        stats: Arc::clone(&parts.stats),
        pace: Pace::new(input.max_messages_per_second),
        readers: Mutex::default(),
    };
    let stream = KinesisStream::new(account.kinesis(), stream_name);
    let name: SharedName = name.into();
    Ok(if parts.leases {
        let table = DynamoLeaseTable::new(account.dynamodb(), table_name);
        let worker = Worker::new(worker_id, stream, table, processor);
        work(
            worker.with_config(config).with_observer(parts.stats),
            name,
            shutdown,
        )
    } else {
        let worker = Worker::new(worker_id, stream, MemoryLeaseTable::new(), processor);
        work(
            worker.with_config(config).with_observer(parts.stats),
            name,
            shutdown,
        )
    })
}

fn work(
    worker: Worker<impl LeaseTable, Logs>,
    name: SharedName,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> (WorkerHandle, BoxFuture<'static, anyhow::Result<()>>) {
    let handle = worker.handle();
    // The worker tells of leases and shards by itself.
    let span = tracing::info_span!("input", %name);
    let run = async move {
        let summary = worker
            .run(shutdown)
            .await
            .with_context(|| format!("input [kinesis.{name}]"))?;
        tracing::info!(input = %name, ?summary, "input stopped");
        Ok(())
    };
    (handle, Box::pin(run.instrument(span)))
}

/// Turns batches of records into messages.
#[derive(Debug)]
struct Logs {
    input: SharedName,
    stream: SharedName,
    routes: Arc<Routes>,
    fields: BTreeMap<String, String>,
    host: Option<String>,
    full_message: bool,
    delivery: Delivery,
    dead_letters: DeadLetters,
    names: Names,
    stats: Arc<InputStats>,
    pace: Pace,
    /// Readers with their buffers, as many as shards were ever read at once.
    readers: Mutex<Vec<LogReader>>,
}

impl Processor for Logs {
    async fn process(&self, batch: Batch) -> Outcome {
        let mut reader = self.reader();
        let outcome = self.read(&batch, &mut reader).await;
        self.readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reader);
        outcome
    }

    async fn shard_stopping(&self, shard: &forebay_kinesis::ShardId, reason: Stopping) {
        tracing::debug!(input = %self.input, shard_id = %shard, ?reason, "shard stops");
        if reason != Stopping::Lost {
            // Its end, or its hand-over, waits for the last acceptance; children wait for the end.
            self.delivery.flush().await;
        }
    }
}

impl Logs {
    async fn read(&self, batch: &Batch, reader: &mut LogReader) -> Outcome {
        let origin = Origin {
            input: Arc::clone(&self.input),
            stats: Arc::clone(&self.stats),
            pace: self.pace.clone(),
            place: batch.shard().to_string().into(),
        };
        let settlement = Settlement::new(
            batch.records().len(),
            Acknowledge::Kinesis(batch.acknowledger()),
        );
        let mut collector = Collector::new(self.delivery.outgoing());
        let mut unsent = 0;
        for (index, record) in batch.records().iter().enumerate() {
            collector.begin(
                index,
                format_args!("{}/{}", record.sequence_number, record.sub_sequence),
            );
            let from = RecordOrigin {
                shard: &origin.place,
                sequence_number: record.sequence_number.as_str(),
                sub_sequence: record.sub_sequence,
                arrival: record.approximate_arrival.unwrap_or(0),
            };
            match &record.damage {
                None => reader.read(
                    &record.data,
                    Some(&from),
                    &self.names.load(),
                    &mut collector,
                ),
                // Part of an aggregate that could not be read: its bytes are kept, its neighbours are delivered.
                Some(damage) => collector.bad(Bad {
                    class: Class::Payload,
                    position: &"",
                    reason: damage,
                    payload: &record.data,
                }),
            }
            let last = index + 1 == batch.records().len();
            if !last && !collector.outgoing.is_full() && !collector.has_letters() {
                continue;
            }
            if !self.keep(&mut collector, &origin).await
                || self
                    .delivery
                    .send(&mut collector.outgoing, &settlement, &origin)
                    .await
                    .is_err()
            {
                // What was read since the last send does not count as settled: the batch comes again.
                return Outcome::Retry { after: RETRY };
            }
            // Now that the messages are on their way, the reading of their records is over.
            for read in unsent..=index {
                settlement.closed(u32::try_from(read).unwrap_or(u32::MAX));
            }
            unsent = index + 1;
        }
        Outcome::Pending
    }

    /// Keeps the dead letters collected so far; whether they are safe.
    async fn keep(&self, collector: &mut Collector, origin: &Origin) -> bool {
        if !collector.has_letters() {
            return true;
        }
        let letters = collector.letters(origin);
        match self.dead_letters.keep_all(&letters, clock::wall()).await {
            Ok(()) => {
                self.stats.bad(&letters);
                collector.clear_letters();
                true
            }
            Err(error) => {
                tracing::error!(input = %self.input, %error, "dead letters not kept: reading waits");
                false
            }
        }
    }

    fn reader(&self) -> LogReader {
        let spare = self
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        spare.unwrap_or_else(|| {
            let shaper = Shaper::new(&self.fields, self.host.as_deref())
                .with_names(&self.names)
                .with_full_message(self.full_message);
            LogReader::new(shaper, Arc::clone(&self.routes), Arc::clone(&self.stream))
        })
    }
}

/// Pause before a batch is tried again that could not be kept or sent.
const RETRY: Duration = Duration::from_secs(5);
