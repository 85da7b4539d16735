//! A Kinesis stream of subscription payloads, from lease to sink.

use std::{
    future::Future,
    num::{NonZeroU16, NonZeroUsize},
    sync::Arc,
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
    collect::{Bad, Collect, Collector},
    config::{Kinesis, Start},
    dead_letter::Class,
    intake::{Intake, RETRY},
    log_reader::{LogReader, RecordOrigin},
    pipeline::SharedName,
    route::Routes,
    settlement::{Acknowledge, Settlement},
    spare::Spare,
};

/// How the worker of a stream holds its leases.
#[derive(Debug)]
pub(crate) struct Leasing<'a> {
    pub(crate) worker_id: &'a WorkerId,
    /// Leases are given back when the processor is stalled for this long; zero keeps them.
    pub(crate) patience: Duration,
    /// Whether leases and checkpoints are kept in the table; else they are forgotten at the end.
    pub(crate) kept: bool,
}

/// Reads the stream until `shutdown`, then drains, checkpoints and releases the leases.
///
/// # Errors
///
/// The settings cannot work; the future fails when the stream cannot be read at all.
pub(crate) fn run(
    intake: Intake,
    input: &Kinesis,
    account: &Account,
    leasing: &Leasing<'_>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<(WorkerHandle, BoxFuture<'static, anyhow::Result<()>>)> {
    let name = &intake.name;
    let stream = &input.stream;
    let stream_name = if stream.starts_with("arn:") {
        StreamName::from_arn(stream)
    } else {
        StreamName::new(stream)
    };
    let stream_name = stream_name.with_context(|| format!("`stream` of [kinesis.{name}]"))?;
    let routes = Arc::new(
        Routes::new(input, &intake.names)
            .with_context(|| format!("`flow_format` of [kinesis.{name}]"))?,
    );
    let table_name = input.table();
    let worker_id = leasing.worker_id.clone();
    tracing::info!(input = %name, stream = stream_name.as_str(), table = table_name, worker = %worker_id, "input starts");

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
    config.bytes_in_flight = intake.bytes;
    // `throttle::relieve` looks at gate and sink and is first; the worker's own watch is for stalls of other kinds.
    config.release_after = (!leasing.patience.is_zero()).then_some(leasing.patience * 2);
    config.stop_grace = intake.grace.mul_f32(0.8);

    let (name, stats) = (Arc::clone(name), Arc::clone(&intake.stats));
    let processor = Logs {
        intake,
        stream: stream_name.as_str().into(),
        routes,
        full_message: input.store_full_message,
        readers: Spare::default(),
    };
    let stream = KinesisStream::new(account.kinesis(), stream_name);
    Ok(if leasing.kept {
        let table = DynamoLeaseTable::new(account.dynamodb(), table_name);
        let worker = Worker::new(worker_id, stream, table, processor);
        work(
            worker.with_config(config).with_observer(stats),
            name,
            shutdown,
        )
    } else {
        let worker = Worker::new(worker_id, stream, MemoryLeaseTable::new(), processor);
        work(
            worker.with_config(config).with_observer(stats),
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
    intake: Intake,
    stream: SharedName,
    routes: Arc<Routes>,
    full_message: bool,
    readers: Spare<LogReader>,
}

impl Processor for Logs {
    async fn process(&self, batch: Batch) -> Outcome {
        let intake = &self.intake;
        let origin = intake.origin(batch.shard());
        let settlement = Settlement::new(
            batch.records().len(),
            Acknowledge::Kinesis(batch.acknowledger()),
        );
        let mut collector = Collector::new(intake.delivery.outgoing());
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
                None => self.with_reader(|reader| {
                    let names = intake.names.load();
                    reader.read(&record.data, Some(&from), &names, &mut collector);
                }),
                // Part of an aggregate that could not be read: its bytes are kept, its neighbours are delivered.
                Some(damage) => collector.bad(Bad::new(Class::Payload, damage, &record.data)),
            }
            let last = index + 1 == batch.records().len();
            if !last && !collector.outgoing.is_full() && !collector.has_letters() {
                continue;
            }
            if !intake.keep(&mut collector, &origin).await
                || intake
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

    async fn shard_stopping(&self, shard: &forebay_kinesis::ShardId, reason: Stopping) {
        tracing::debug!(input = %self.intake.name, shard_id = %shard, ?reason, "shard stops");
        if reason != Stopping::Lost {
            // Its end, or its hand-over, waits for the last acceptance; children wait for the end.
            self.intake.delivery.flush().await;
        }
    }
}

impl Logs {
    /// A reader for one record, so that there are no more of them than threads.
    fn with_reader(&self, read: impl FnOnce(&mut LogReader)) {
        let mut reader = self.readers.take().unwrap_or_else(|| {
            let shaper = self.intake.shaper().with_full_message(self.full_message);
            LogReader::new(shaper, Arc::clone(&self.routes), Arc::clone(&self.stream))
        });
        read(&mut reader);
        self.readers.give(reader);
    }
}
