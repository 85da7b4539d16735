//! How much memory reading takes, counted on one thread. `FOREBAY_TIER=nightly` reads a gibibyte and ten thousand notices.
#![expect(clippy::print_stdout, reason = "the peaks are figures")]

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use forebay_s3::{
    AllowedBucket, Batch, Content, Error, Lines, Listed, ObjectBody, ObjectId, ObjectSource,
    Poller, Polling, Positions, Processor, Queue, Reader, Rejected,
};
use tokio::sync::mpsc;

use crate::bed::{Bed, QUEUE, config, gzip};

/// Objects that are made as they are read: a gzip member again and again.
#[derive(Clone)]
struct Made {
    first: Bytes,
    middle: Bytes,
    last: Bytes,
    repeats: usize,
}

struct MadeBody {
    pieces: Vec<Bytes>,
}

impl Made {
    /// An object with `repeats` times 2 MiB of records.
    fn new(repeats: usize) -> Self {
        let mut text = Vec::new();
        let mut number = 0_u64;
        while text.len() < BLOCK {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let record = format!(
                r#"{{"eventVersion":"1.11","eventID":"{number:016x}","eventName":"DescribeInstances","requestParameters":{{"id":"{:016x}"}}}},"#,
                number.rotate_left(29)
            );
            text.extend_from_slice(record.as_bytes());
        }
        Self {
            first: gzip(br#"{"Records":["#).into(),
            middle: gzip(&text).into(),
            last: gzip(br#"{"eventVersion":"1.11","eventID":"last"}]}"#).into(),
            repeats,
        }
    }
}

impl ObjectSource for Made {
    type Body = MadeBody;

    async fn open(&self, _object: &ObjectId, _owner: Option<&str>) -> Result<MadeBody, Error> {
        let mut pieces = vec![self.last.clone()];
        pieces.extend(std::iter::repeat_n(self.middle.clone(), self.repeats));
        pieces.push(self.first.clone());
        Ok(MadeBody { pieces })
    }

    async fn list(
        &self,
        _bucket: &str,
        _prefix: &str,
        _after: Option<&str>,
        _owner: Option<&str>,
    ) -> Result<Vec<Listed>, Error> {
        Ok(Vec::new())
    }
}

impl ObjectBody for MadeBody {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.pieces.pop())
    }
}

/// Passes batches on; nothing is accepted before all work has come to a stop for want of budget.
struct Late {
    batches: mpsc::UnboundedSender<Batch>,
}

impl Processor for Late {
    async fn process(&self, batch: Batch) {
        // The receiver lives as long as the reader.
        let _ = self.batches.send(batch);
    }

    async fn reject(&self, rejected: Rejected<'_>) -> Result<(), Error> {
        panic!("nothing is bad here: {rejected:?}")
    }
}

/// Reads `notices` objects of `repeats` blocks; returns records, their bytes, and what was allocated.
fn read(notices: usize, repeats: usize) -> (u64, u64, AllocationInfo) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (bed, source) = runtime.block_on(async { (Bed::new().await, Made::new(repeats)) });
    for number in 0..notices {
        bed.notice(&[&number.to_string()]);
    }
    let (mut records, mut bytes) = (0, 0);
    let info = allocation_counter::measure(|| {
        runtime.block_on(async {
            let (batches, mut incoming) = mpsc::unbounded_channel();
            let mut config = config();
            config.bytes_in_flight = BUDGET.try_into().expect("not zero");
            let queue = Queue::find(bed.sqs(), QUEUE).await;
            let queue = queue.expect("the queue exists");
            let reader = Reader::new(queue, source, Late { batches }, config).expect("valid");
            let reader = tokio::spawn(reader.run(std::future::pending()));
            let mut held: VecDeque<Batch> = VecDeque::new();
            while bed.left() > 0 {
                // Paused time goes on only when everything waits.
                tokio::time::sleep(Duration::from_millis(1)).await;
                while let Ok(batch) = incoming.try_recv() {
                    held.push_back(batch);
                }
                let half = held.len().div_ceil(2);
                for batch in held.drain(..half) {
                    records += batch.len() as u64;
                    bytes += batch
                        .records()
                        .map(|record| record.len() as u64)
                        .sum::<u64>();
                    batch.acknowledger().accept(batch.len());
                }
            }
            reader.abort();
        });
    });
    (records, bytes, info)
}

#[test]
fn an_object_of_any_size_is_read_within_the_byte_budget() {
    let blocks = tier(32, 512);
    let (records, bytes, info) = read(1, blocks);
    println!(
        "{} MiB inflated, {records} records: peak {} KiB of heap with a budget of {} KiB",
        blocks * BLOCK >> 20,
        info.bytes_max >> 10,
        BUDGET >> 10
    );
    assert!(bytes > (blocks * BLOCK) as u64 * 9 / 10, "{bytes}");
    assert!(
        info.bytes_max < (BUDGET + (3 << 20)) as u64,
        "{}",
        info.bytes_max
    );
}

#[test]
fn notices_leave_nothing_behind() {
    let notices = tier(500, 10_000);
    let (records, _, info) = read(notices, 0);
    println!(
        "{notices} notices: peak {} KiB of heap, {} bytes left at the end",
        info.bytes_max >> 10,
        info.bytes_current
    );
    assert_eq!(records, notices as u64);
    // What the model of AWS writes into its log of calls is part of it.
    assert!(
        info.bytes_max < (4 << 20) + 1_024 * notices as u64,
        "{}",
        info.bytes_max
    );
}

/// All of one object in one piece, as a download that never has to wait.
struct Whole(Option<Bytes>);

impl ObjectBody for Whole {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.0.take())
    }
}

struct WholeSource(Bytes);

impl ObjectSource for WholeSource {
    type Body = Whole;

    async fn open(&self, _object: &ObjectId, _owner: Option<&str>) -> Result<Whole, Error> {
        Ok(Whole(Some(self.0.clone())))
    }

    async fn list(
        &self,
        _bucket: &str,
        _prefix: &str,
        after: Option<&str>,
        _owner: Option<&str>,
    ) -> Result<Vec<Listed>, Error> {
        let once = after.is_none().then(|| Listed::new("x.log", 1, 0));
        Ok(once.into_iter().collect())
    }
}

/// Remembers how often another task had its turn when each batch came.
#[derive(Clone, Default)]
struct Turns {
    turns: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<usize>>>,
}

impl Processor for Turns {
    async fn process(&self, batch: Batch) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(turns);
        batch.acknowledger().accept(batch.len());
    }

    async fn reject(&self, rejected: Rejected<'_>) -> Result<(), Error> {
        panic!("nothing is bad here: {rejected:?}")
    }
}

#[tokio::test]
async fn inflating_and_splitting_let_other_tasks_have_their_turn() {
    let mut text = Vec::new();
    for number in 0..400_000 {
        text.extend_from_slice(format!("line {number}\n").as_bytes());
    }
    let processor = Turns::default();
    let turns = Arc::clone(&processor.turns);
    tokio::spawn(async move {
        loop {
            turns.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let mut config = config();
    config.allow.buckets = vec![AllowedBucket {
        content: Content::Lines(Lines::default()),
        ..AllowedBucket::default()
    }];
    let positions = Positions::in_memory().expect("memory");
    let source = WholeSource(gzip(&text).into());
    let settings = (config, Polling::default());
    let poller = Poller::new(positions, source, processor.clone(), settings).expect("valid");
    let all = async {
        while processor
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
            < 20
        {
            tokio::task::yield_now().await;
        }
    };
    poller.run(all).await;
    let seen = processor
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    // Tasks that yield may come in either order, so that a turn belongs to two batches.
    assert!(
        seen.windows(3).all(|batches| batches[0] < batches[2]),
        "three batches without a turn of the other task: {seen:?}"
    );
}

fn tier(ci: usize, nightly: usize) -> usize {
    match std::env::var("FOREBAY_TIER").as_deref() {
        Ok("nightly" | "release") => nightly,
        _ => ci,
    }
}

const BLOCK: usize = 2 << 20;
const BUDGET: usize = 8 << 20;
