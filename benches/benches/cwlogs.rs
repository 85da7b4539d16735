//! Subscription payloads of 1, 10, 100 and 300 flow-log events: inflating alone, and decoding down to each message.
//!
//! `cargo bench -p forebay-benches --bench cwlogs` uses the pure-Rust inflater, `--features libdeflate` the other one.
//! The table at the end gives the ratios over gunzip with libdeflate, all measured in turns in the same run.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the ratios are the result")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Duration;

use criterion::measurement::{Measurement, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput};
use flate2::write::GzEncoder;
use flate2::{Compression, Decompress, FlushDecompress};
use forebay_cwlogs::Decoder;
use libdeflater::Decompressor;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let inputs: Vec<Input> = [1, 10, 100, 300].map(Input::new).into();
    benches(&mut criterion, &inputs);
    criterion.final_summary();
    ratios(&inputs);
}

fn benches(criterion: &mut Criterion, inputs: &[Input]) {
    let mut group = criterion.benchmark_group("cwlogs");
    for input in inputs {
        let throughput = Throughput::ElementsAndBytes {
            elements: input.events as u64,
            bytes: input.text.len() as u64,
        };
        group.throughput(throughput);
        let mut gunzip = libdeflate_gunzip(input);
        group.bench_function(BenchmarkId::new("gunzip_libdeflate", input.events), |b| {
            b.iter(&mut gunzip)
        });
        let mut gunzip = flate2_gunzip(input);
        group.bench_function(BenchmarkId::new("gunzip_flate2", input.events), |b| {
            b.iter(&mut gunzip)
        });
        let mut decode = decode(&input.gzip);
        group.bench_function(BenchmarkId::new("decode", input.events), |b| {
            b.iter(&mut decode)
        });
        let mut decode = crate::decode(&input.text);
        group.bench_function(BenchmarkId::new("envelope_alone", input.events), |b| {
            b.iter(&mut decode)
        });
    }
    group.finish();
}

/// Prints the least time of many rounds in turns, since a neighbour on the machine only ever adds time.
fn ratios(inputs: &[Input]) {
    println!("events   text  gzip  floor_us  flate2/floor  decode/floor  envelope/floor");
    for input in inputs {
        let mut floor = libdeflate_gunzip(input);
        let mut flate2 = flate2_gunzip(input);
        let mut whole = decode(&input.gzip);
        let mut envelope = decode(&input.text);
        let mut least = [Duration::MAX; 4];
        for _ in 0..ROUNDS {
            least = [
                least[0].min(time(&mut floor)),
                least[1].min(time(&mut flate2)),
                least[2].min(time(&mut whole)),
                least[3].min(time(&mut envelope)),
            ];
        }
        let [floor, flate2, whole, envelope] =
            least.map(|time| time.as_secs_f64() * 1e6 / REPEATS as f64);
        println!(
            "{:>6} {:>6} {:>5} {floor:>9.2} {:>13.2} {:>13.2} {:>15.2}",
            input.events,
            input.text.len(),
            input.gzip.len(),
            flate2 / floor,
            whole / floor,
            envelope / floor,
        );
    }
}

fn time(work: &mut impl FnMut() -> usize) -> Duration {
    let start = WallTime.start();
    for _ in 0..REPEATS {
        black_box(work());
    }
    WallTime.end(start)
}

fn libdeflate_gunzip(input: &Input) -> impl FnMut() -> usize {
    let mut decompressor = Decompressor::new();
    let mut out = vec![0; input.text.len()];
    move || {
        decompressor
            .gzip_decompress(black_box(&input.gzip), &mut out)
            .expect("the input is sound")
    }
}

fn flate2_gunzip(input: &Input) -> impl FnMut() -> usize {
    let mut stream = Decompress::new(false);
    let mut out = vec![0; input.text.len()];
    move || {
        stream.reset(false);
        // The header of our own encoder has ten bytes.
        let body = &black_box(&input.gzip)[10..];
        stream
            .decompress(body, &mut out, FlushDecompress::Finish)
            .expect("the input is sound");
        let mut crc = flate2::Crc::new();
        crc.update(&out);
        crc.sum() as usize
    }
}

fn decode(record: &[u8]) -> impl FnMut() -> usize {
    let mut decoder = Decoder::new();
    move || {
        let mut touched = 0;
        for payload in decoder
            .decode(black_box(record))
            .expect("the input is sound")
        {
            let payload = payload.expect("the input is sound");
            touched += black_box(payload.log_group().raw()).len();
            for event in payload.events() {
                let event = event.expect("the input is sound");
                let message = event
                    .message()
                    .as_plain()
                    .expect("flow logs hold no escapes");
                touched += usize::from(message[0]) + message.len() + event.timestamp() as usize % 2;
            }
        }
        touched
    }
}

struct Input {
    events: usize,
    text: Vec<u8>,
    gzip: Vec<u8>,
}

impl Input {
    fn new(events: usize) -> Self {
        let text = payload(events).into_bytes();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(&text).expect("a vector takes everything");
        let gzip = encoder.finish().expect("a vector takes everything");
        Self { events, text, gzip }
    }
}

/// One stream is one interface, so that account and interface repeat and one of the addresses mostly does.
fn payload(events: usize) -> String {
    let mut random = Random(0x5eed_f0e8_a11a_0001);
    let mut text = String::from(
        r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/vpc/flowlogs","logStream":"eni-0a1b2c3d4e5f60718-all","subscriptionFilters":["forebay"],"logEvents":["#,
    );
    for event in 0..events {
        let comma = if event == 0 { "" } else { "," };
        let peer = format!(
            "10.{}.{}.{}",
            random.below(4),
            random.below(16),
            random.below(250)
        );
        let (from, to) = if random.below(2) == 0 {
            ("10.0.3.17", peer.as_str())
        } else {
            (peer.as_str(), "10.0.3.17")
        };
        let start = 1_763_029_800 + random.below(60);
        write!(
            text,
            r#"{comma}{{"id":"3865{:026}{:026}","timestamp":{start}000,"message":"2 123456789012 eni-0a1b2c3d4e5f60718 {from} {to} {} {} {} {} {} {start} {} {} OK"}}"#,
            random.below(1 << 60),
            random.below(1 << 60),
            [443, 53, 5432, 1024 + random.below(60_000)][random.below(4) as usize],
            1024 + random.below(60_000),
            [6, 6, 6, 17][random.below(4) as usize],
            1 + random.below(400),
            40 + random.below(900_000),
            start + 60,
            ["ACCEPT", "ACCEPT", "ACCEPT", "REJECT"][random.below(4) as usize],
        )
        .expect("a string takes everything");
    }
    text.push_str("]}");
    text
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

const ROUNDS: usize = 60;
const REPEATS: usize = 50;
