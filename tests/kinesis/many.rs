//! Many shards at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use forebay_kinesis::{
    Error, KinesisStream, Lease, LeaseKey, LeaseTable, MemoryLeaseTable, Scan, StreamName, Worker,
    Written,
};
use forebay_lease::{LeaseCounter, Update};

use crate::bed::{Bed, Running, STREAM, Sink, config};

/// Answers after 50 ms, and counts how many wait for an answer.
#[derive(Clone, Default)]
struct Slow {
    table: Arc<MemoryLeaseTable>,
    waiting: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Slow {
    async fn answer<T>(&self, answer: impl Future<Output = T>) -> T {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(waiting, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let answer = answer.await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        answer
    }
}

impl LeaseTable for Slow {
    async fn open(&self) -> Result<Vec<Error>, Error> {
        self.table.open().await
    }

    async fn scan(&self) -> Result<Scan, Error> {
        self.answer(self.table.scan()).await
    }

    async fn read(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.answer(self.table.read(key)).await
    }

    async fn create(&self, lease: &Lease) -> Result<Written, Error> {
        self.answer(self.table.create(lease)).await
    }

    async fn update(&self, update: &Update) -> Result<Written, Error> {
        self.answer(self.table.update(update)).await
    }

    async fn delete(&self, key: &LeaseKey, counter: LeaseCounter) -> Result<Written, Error> {
        self.answer(self.table.delete(key, counter)).await
    }
}

/// Each call under way has a connection of its own, which stays open for a while.
#[tokio::test(start_paused = true)]
async fn many_leases_are_renewed_in_time_by_few_calls_at_once() {
    let bed = Bed::new(400);
    let stream = KinesisStream::new(
        aws_sdk_kinesis::Client::new(&bed.sdk("w").await),
        StreamName::new(STREAM).expect("a name"),
    );
    let (table, sink, aws) = (Slow::default(), Sink::default(), bed.aws.clone());
    let worker = Worker::new(
        "w".parse().expect("an id"),
        stream,
        table.clone(),
        sink.processor("w"),
    )
    .with_config(config())
    .with_wall_clock(move || SystemTime::UNIX_EPOCH + Duration::from_millis(aws.now()));
    let running = Running::spawn(worker);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let most = table.most.load(Ordering::Relaxed);
    assert!((20..=32).contains(&most), "{most} calls at once");
    let before = table.table.scan().await.expect("memory").leases;
    assert_eq!(before.len(), 400);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = table.table.scan().await.expect("memory").leases;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.owner_switches, before.owner_switches, "{}", after.key);
        let renewals = after.counter.0 - before.counter.0;
        assert!(
            (17..=19).contains(&renewals),
            "{} times {renewals}",
            after.key
        );
    }
    running.stop().await;
}
