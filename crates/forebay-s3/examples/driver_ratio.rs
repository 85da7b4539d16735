//! What the whole driver costs over inflating alone, on one core: `cargo run --release -p forebay-s3 --example driver_ratio`.
//! With `gunzip`, `read` or `gelf` as argument one stage runs once, for `valgrind --tool=callgrind` to count.
//!
//! Local objects of 500 CloudTrail records (the files of `benches/benches/cloudtrail.rs`) are listed, opened, inflated, split, handed over,
//! made GELF by the binary's own shaping, accepted and recorded as settled. The measure is flate2's streaming reader on the same bytes.
#![allow(clippy::print_stdout, reason = "the figures are the output")]

use std::{
    hint::black_box,
    io::{Read, Write},
    num::NonZeroUsize,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use forebay_benches::{Shaping, trail_files};
use forebay_cloudtrail::FileReader;
use forebay_flowlog::Format;
use forebay_s3::{
    AllowedBucket, Batch, Config, Error, MemorySource, ObjectId, Observer, Poller, Polling,
    Positions, Processor, Rejected,
};
use tokio::{sync::watch, time::Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = trail_files(RECORDS).take(OBJECTS).map(|text| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text.as_bytes()).and_then(|()| gzip.finish())
    });
    let files = files.collect::<Result<Vec<_>, _>>()?;
    println!(
        "{OBJECTS} objects of {RECORDS} records, {} bytes, {} inflated",
        files.iter().map(Vec::len).sum::<usize>(),
        files.iter().map(|file| inflate(file)).sum::<usize>()
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let alone = || {
        let begun = on_core();
        for file in &files {
            black_box(inflate(black_box(file)));
        }
        on_core() - begun
    };
    let drive = |shape| runtime.block_on(drive(&files, shape));
    // One stage once, to count its instructions.
    match std::env::args().nth(1).as_deref() {
        Some("gunzip") => {
            black_box(alone());
            return Ok(());
        }
        Some("read") => return drive(false).map(|_| ()),
        Some("gelf") => return drive(true).map(|_| ()),
        _ => {}
    }
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((alone(), direct(&files)?, drive(false)?, drive(true)?));
    }
    let median = |time: fn(&Round) -> Duration| {
        let mut times: Vec<Duration> = rounds.iter().map(time).collect();
        times.sort_unstable();
        times[ROUNDS / 2].as_secs_f64()
    };
    let alone = median(|round| round.0);
    println!("gunzip alone {:.0} us a file", alone * 1e6 / OBJECTS as f64);
    println!(
        "medians of {ROUNDS} rounds over gunzip alone: records handed over {:.2}, written as GELF {:.2}; the latter without driver {:.2}",
        median(|round| round.2) / alone,
        median(|round| round.3) / alone,
        median(|round| round.1) / alone
    );
    Ok(())
}

/// Gunzip alone; GELF without the driver; the driver without and with GELF.
type Round = (Duration, Duration, Duration, Duration);

/// Makes GELF of the records as they come out of their file.
fn direct(files: &[Vec<u8>]) -> Result<Duration, forebay_cloudtrail::ReadError> {
    let mut shaping = Shaping::new(&Format::v2());
    let begun = on_core();
    for file in files {
        let mut reader = FileReader::new(file.as_slice());
        while let Some(record) = reader.next_record() {
            shaping.trail(&record?.event());
        }
        black_box(shaping.batch.byte_len());
        shaping.batch.clear();
    }
    Ok(on_core() - begun)
}

/// How long this thread was on a core, where the system tells it: on a busy machine the clock shows how busy it is.
fn on_core() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGUN.elapsed(), Duration::from_nanos)
}

fn inflate(file: &[u8]) -> usize {
    let mut reader = MultiGzDecoder::new(file);
    let mut piece = vec![0; 32 << 10];
    let mut total = 0;
    while let Ok(length @ 1..) = reader.read(&mut piece) {
        total += length;
    }
    total
}

/// Reads all objects through a poller; how long that took.
async fn drive(files: &[Vec<u8>], shape: bool) -> Result<Duration, Box<dyn std::error::Error>> {
    let source = MemorySource::new();
    for (number, file) in files.iter().enumerate() {
        source.put("logs", &format!("{number:06}.json.gz"), file.clone());
    }
    let mut config = Config::default();
    config.concurrency = NonZeroUsize::MIN;
    config.allow.buckets = vec![AllowedBucket {
        name: "logs".to_owned(),
        ..AllowedBucket::default()
    }];
    let (settled, mut done) = watch::channel(0);
    let positions = Positions::in_memory()?;
    let processor = Shape {
        shaping: shape.then(|| Mutex::new(Shaping::new(&Format::v2()))),
        bytes: AtomicU64::new(0),
    };
    let poller = Poller::new(positions, source, processor, (config, Polling::default()))?;
    let begun = on_core();
    let finished = async move {
        // The observer lives as long as the poller.
        let _ = done.wait_for(|&objects| objects == OBJECTS).await;
    };
    let observer = Arc::new(Count(settled));
    poller.observer(observer).run(finished).await;
    Ok(on_core() - begun)
}

struct Count(watch::Sender<usize>);

impl Observer for Count {
    fn object_settled(&self, _object: &ObjectId, _records: u64, _took: Duration) {
        self.0.send_modify(|objects| *objects += 1);
    }
}

/// Shapes records as the `forebay` binary does, if it is asked to.
struct Shape {
    shaping: Option<Mutex<Shaping>>,
    bytes: AtomicU64,
}

impl Processor for Shape {
    async fn process(&self, batch: Batch) {
        let bytes = match &self.shaping {
            Some(shaping) => {
                let mut shaping = shaping.lock().unwrap_or_else(PoisonError::into_inner);
                shaping.batch.clear();
                for event in batch.events() {
                    shaping.trail(&event);
                }
                shaping.batch.byte_len()
            }
            None => batch.events().map(|event| event.raw().len()).sum(),
        };
        self.bytes
            .fetch_add(black_box(bytes) as u64, Ordering::Relaxed);
        batch.acknowledger().accept(batch.len());
    }

    async fn reject(&self, rejected: Rejected<'_>) -> Result<(), Error> {
        panic!("the file is good: {rejected:?}")
    }
}

const RECORDS: usize = 500;
/// For systems that do not tell it.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

const OBJECTS: usize = 50;
const ROUNDS: usize = 15;
