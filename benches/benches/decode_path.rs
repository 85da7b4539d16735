//! From a subscription payload to GELF messages: gunzip, envelope, flow-log line, message; over gunzip alone.
//!
//! The floor is libdeflate into a reused buffer. The path inflates in pure Rust, or with libdeflate under
//! `--features libdeflate`. `cargo bench -p forebay-benches --bench decode_path -- --ratios` prints only the ratios.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the ratios are the result")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::unwrap_used, reason = "inputs of a bench are known to be good")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use forebay_benches::{FlowShaper, Subscription};
use forebay_cwlogs::Decoder;
use forebay_flowlog::Format;
use forebay_gelf::Batch;
use libdeflater::Decompressor;

fn main() {
    let inputs = [1, 10, 100, 300].map(Subscription::flow_logs);
    if !std::env::args().any(|argument| argument == "--ratios") {
        let mut criterion = Criterion::default().configure_from_args();
        benches(&mut criterion, &inputs);
        criterion.final_summary();
    }
    ratios(&inputs);
}

fn benches(criterion: &mut Criterion, inputs: &[Subscription]) {
    let mut group = criterion.benchmark_group("decode_path");
    for input in inputs {
        group.throughput(Throughput::ElementsAndBytes {
            elements: input.events as u64,
            bytes: input.text.len() as u64,
        });
        let mut work = gunzip(input);
        group.bench_function(BenchmarkId::new("gunzip_alone", input.events), |b| {
            b.iter(&mut work)
        });
        let mut work = path(input, false);
        group.bench_function(BenchmarkId::new("path", input.events), |b| {
            b.iter(&mut work)
        });
    }
    group.finish();
}

/// Prints medians of rounds in turns, so that a neighbour on the machine slows all of them alike.
fn ratios(inputs: &[Subscription]) {
    println!("times the floor; `all fields` is `path` with the five fields that the binary adds");
    println!("events   text  gzip  floor_us  envelope  path  all fields");
    for input in inputs {
        let repeats = (REPEATED_EVENTS / input.events).max(1);
        let mut works: [Box<dyn FnMut() -> usize + '_>; 4] = [
            Box::new(gunzip(input)),
            Box::new(envelope(input)),
            Box::new(path(input, false)),
            Box::new(path(input, true)),
        ];
        let mut rounds: [Vec<f64>; 4] = Default::default();
        for _ in 0..ROUNDS {
            for (work, times) in works.iter_mut().zip(&mut rounds) {
                let start = Instant::now();
                for _ in 0..repeats {
                    black_box(work());
                }
                times.push(start.elapsed().as_secs_f64() * 1e6 / repeats as f64);
            }
        }
        let [floor, envelope, path, all] = rounds.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        });
        println!(
            "{:>6} {:>6} {:>5} {floor:>9.2} {:>9.2} {:>5.2} {:>11.2}",
            input.events,
            input.text.len(),
            input.gzip.len(),
            envelope / floor,
            path / floor,
            all / floor,
        );
    }
}

fn gunzip(input: &Subscription) -> impl FnMut() -> usize + '_ {
    let mut decompressor = Decompressor::new();
    let mut buffer = vec![0; input.text.len()];
    move || {
        decompressor
            .gzip_decompress(black_box(&input.gzip), &mut buffer)
            .unwrap()
    }
}

/// Inflating and finding the events.
fn envelope(input: &Subscription) -> impl FnMut() -> usize + '_ {
    let mut decoder = Decoder::new();
    move || {
        let payloads = decoder.decode(black_box(&input.gzip)).unwrap();
        let events = payloads.map(|payload| payload.unwrap().events().len());
        events.sum()
    }
}

fn path(input: &Subscription, everything: bool) -> impl FnMut() -> usize + '_ {
    let format = Format::v2();
    let mut decoder = Decoder::new();
    let mut shaper = FlowShaper::new(&format, everything);
    let mut batch = Batch::new();
    let mut run = move || {
        batch.clear();
        for payload in decoder.decode(black_box(&input.gzip)).unwrap() {
            let payload = payload.unwrap();
            for event in payload.events() {
                let event = event.unwrap();
                let line = event.message().as_plain().unwrap();
                let record = format.parse(line).unwrap();
                shaper.flow(&payload, &event, &record, &mut batch).unwrap();
            }
        }
        black_box(batch.byte_len());
        batch.len()
    };
    assert_eq!(run(), input.events, "every event gives a message");
    run
}

const ROUNDS: usize = 101;
const REPEATED_EVENTS: usize = 3000;
