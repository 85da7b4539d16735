//! From a subscription payload to GELF messages: gunzip, envelope, flow-log line, message; over gunzip alone.
//!
//! The floor is libdeflate into a reused buffer. The path inflates in pure Rust, or with libdeflate under
//! `--features libdeflate`. A round takes up to 3,000 events in up to 300 payloads, all different. `cargo bench -p forebay-benches --bench decode_path -- --ratios` prints only the ratios.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the ratios are the result")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use forebay_benches::Subscription;
use forebay_benches::stages::{columns, envelope, gunzip, path};
use forebay_flowlog::Format;

fn main() {
    let inputs = [1, 10, 100, 300].map(|events| {
        let payloads = (3000 / events).min(300);
        Subscription::flow_logs(payloads, events)
    });
    if !std::env::args().any(|argument| argument == "--ratios") {
        let mut criterion = Criterion::default().configure_from_args();
        benches(&mut criterion, &inputs);
        criterion.final_summary();
    }
    ratios(&inputs);
}

fn benches(criterion: &mut Criterion, inputs: &[Vec<Subscription>]) {
    let format = Format::v2();
    let mut group = criterion.benchmark_group("decode_path");
    for input in inputs {
        group.throughput(Throughput::ElementsAndBytes {
            elements: (input.len() * input[0].events) as u64,
            bytes: input.iter().map(|payload| payload.text.len() as u64).sum(),
        });
        let mut work = gunzip(input);
        group.bench_function(BenchmarkId::new("gunzip_alone", input[0].events), |b| {
            b.iter(&mut work)
        });
        let mut work = path(input, &format);
        group.bench_function(BenchmarkId::new("path", input[0].events), |b| {
            b.iter(&mut work)
        });
    }
    group.finish();
}

/// Prints ratios of the fastest rounds: neighbours on the machine can only slow a round down.
fn ratios(inputs: &[Vec<Subscription>]) {
    let format = Format::v2();
    println!("times the floor, which is gunzip alone with libdeflate");
    println!("events   text  gzip  floor_us  envelope  columns  path");
    for input in inputs {
        let mut works: [Box<dyn FnMut() -> usize + '_>; 4] = [
            Box::new(gunzip(input)),
            Box::new(envelope(input)),
            Box::new(columns(input, &format)),
            Box::new(path(input, &format)),
        ];
        let mut rounds: [Vec<f64>; 4] = Default::default();
        for _ in 0..ROUNDS {
            for (work, times) in works.iter_mut().zip(&mut rounds) {
                let start = Instant::now();
                black_box(work());
                times.push(start.elapsed().as_secs_f64() * 1e6 / input.len() as f64);
            }
        }
        let [floor, envelope, columns, path] =
            rounds.map(|times| times.into_iter().fold(f64::INFINITY, f64::min));
        println!(
            "{:>6} {:>6} {:>5} {floor:>9.2} {:>9.2} {:>8.2} {:>5.2}",
            input[0].events,
            input[0].text.len(),
            input[0].gzip.len(),
            envelope / floor,
            columns / floor,
            path / floor,
        );
    }
}

const ROUNDS: usize = 301;
