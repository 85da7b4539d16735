//! Bench of `forebay-cloudtrail`: what each stage of reading a log file costs over inflating it, up to GELF as `ingest` sends it.
//!
//! The files are `trail_files`: 500 records of six kinds, 700 to 2,500 bytes each. Criterion reads the first one again and again; the
//! ratios are of many files in turn, as a reader meets them.
//!
//! The floor of the figure is `gunzip/streaming`: flate2's own reader with the back end that the crate has, into one small buffer, with the
//! checksum. A file that must be read in bounded memory cannot be inflated faster than that with this back end. `gunzip/libdeflate` inflates
//! the whole file at once into memory that is there already; it needs the size beforehand and is shown for comparison.
//! Criterion gives times; the ratios are printed at the end, from medians of runs that take turns.

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use forebay_benches::{Shaping, trail_files};
use forebay_cloudtrail::{FileDecoder, Flattener, Limits, RecordSplitter, View};
use forebay_flowlog::Format;

const RECORDS: usize = 500;
const FILES: usize = 50;
const ROUNDS: usize = 400;

#[expect(clippy::print_stdout, reason = "a bench tells its input")]
fn cloudtrail(criterion: &mut Criterion) {
    // Once each, to count instructions: see docs/decisions/0021-cloudtrail-speed.md.
    let is_count = std::env::args().any(|argument| argument == "--test");
    let wanted = if is_count { 1 } else { FILES };
    let files: Vec<String> = trail_files(RECORDS).take(wanted).collect();
    let gzips: Vec<Vec<u8>> = files.iter().map(|text| compress(text)).collect();
    let (text, gzip) = (&files[0], &gzips[0]);
    println!(
        "{RECORDS} records, {} bytes, {} compressed",
        text.len(),
        gzip.len()
    );

    let mut group = criterion.benchmark_group("cloudtrail");
    group.throughput(Throughput::ElementsAndBytes {
        elements: RECORDS as u64,
        bytes: text.len() as u64,
    });

    let mut inflated = vec![0; text.len()];
    let mut libdeflate = libdeflater::Decompressor::new();
    group.bench_function("gunzip/libdeflate", |bencher| {
        bencher.iter(|| {
            libdeflate
                .gzip_decompress(black_box(gzip), &mut inflated)
                .expect("gzip")
        });
    });

    let mut piece = vec![0; 12 << 10];
    group.bench_function("gunzip/streaming", |bencher| {
        bencher.iter(|| gunzip(black_box(gzip), &mut piece));
    });

    group.bench_function("split", |bencher| {
        bencher.iter(|| {
            let mut splitter = RecordSplitter::new(Limits::default());
            let mut records = 0;
            for piece in black_box(text.as_bytes()).chunks(8 << 10) {
                splitter.feed(piece);
                while let Some(record) = splitter.next_record() {
                    records += usize::from(record.is_ok());
                }
            }
            assert_eq!(records, RECORDS);
        });
    });

    group.bench_function("gunzip+split", |bencher| {
        bencher.iter(|| {
            let mut bytes = 0;
            decode(black_box(gzip), |record| bytes += record.text().len());
            bytes
        });
    });

    for (name, view) in [
        ("gunzip+split+flatten/plugin", View::Plugin),
        ("gunzip+split+flatten/complete", View::Complete),
    ] {
        let mut flattener = Flattener::new(view);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut fields = 0;
                decode(black_box(gzip), |record| {
                    flattener.flatten(&record.event(), |_, value| {
                        black_box(&value);
                        fields += 1;
                    });
                });
                fields
            });
        });
    }

    let mut shaping = Shaping::new(&Format::v2());
    group.bench_function("to-gelf", |bencher| {
        bencher.iter(|| {
            let mut bytes = 0;
            decode(black_box(gzip), |record| {
                bytes += shaping.trail_len(&record.event());
            });
            bytes
        });
    });
    group.finish();
    if is_count {
        return;
    }
    let longest = files.iter().map(String::len).max();
    ratios(&gzips, longest.unwrap_or_default());
}

fn compress(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

/// The figure itself: all stages take turns, so that what disturbs one disturbs the others too.
#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures and tells"
)]
fn ratios(gzips: &[Vec<u8>], length: usize) {
    let mut inflated = vec![0; length];
    let mut piece = vec![0; 12 << 10];
    let mut libdeflate = libdeflater::Decompressor::new();
    let mut shaping = Shaping::new(&Format::v2());
    let mut times = [const { Vec::new() }; 3];
    for gzip in gzips.iter().cycle().take(ROUNDS) {
        let mut stages: [&mut dyn FnMut() -> usize; 3] = [
            &mut || {
                libdeflate
                    .gzip_decompress(gzip, &mut inflated)
                    .expect("gzip")
            },
            &mut || gunzip(gzip, &mut piece),
            &mut || {
                let mut bytes = 0;
                decode(gzip, |record| {
                    bytes += shaping.trail_len(&record.event());
                });
                bytes
            },
        ];
        for (stage, times) in stages.iter_mut().zip(&mut times) {
            let start = Instant::now();
            black_box(stage());
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    let [libdeflate, streaming, gelf] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("file to GELF, all fields: {gelf:.0} us");
    println!(
        "over gunzip, streaming (the floor): {:.2} ({streaming:.0} us)",
        gelf / streaming
    );
    println!(
        "over gunzip, libdeflate at once: {:.2} ({libdeflate:.0} us)",
        gelf / libdeflate
    );
}

/// Inflates piece by piece.
fn gunzip(gzip: &[u8], piece: &mut [u8]) -> usize {
    let mut decoder = MultiGzDecoder::new(gzip);
    let mut total = 0;
    loop {
        match decoder.read(piece).expect("gzip") {
            0 => break total,
            length => total += length,
        }
    }
}

/// Reads a file as the S3 driver does: in pieces of 16 KiB.
fn decode(gzip: &[u8], mut each: impl FnMut(forebay_cloudtrail::Record<'_>)) {
    let mut decoder = FileDecoder::new(Limits::default());
    let mut records = 0;
    for piece in gzip.chunks(16 << 10) {
        let mut rest = piece;
        while !rest.is_empty() {
            let used = decoder.feed(rest).expect("a good file");
            rest = rest.get(used..).unwrap_or_default();
            while let Some(record) = decoder.next_record() {
                each(record.expect("a good record"));
                records += 1;
            }
        }
    }
    decoder.end();
    while let Some(record) = decoder.next_record() {
        each(record.expect("a good record"));
        records += 1;
    }
    decoder.finish().expect("complete");
    assert_eq!(records, RECORDS);
}

criterion_group!(benches, cloudtrail);
criterion_main!(benches);
