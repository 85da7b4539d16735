//! Aggregates of many small user records: splitting, the digest alone, and the hash-range rule.
#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use forebay_kpl::{Aggregate, Aggregator, HashKey, HashRange, Splitter};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("kpl");
    for records in [10, 100, 1000] {
        let blob = aggregate(records);
        group.throughput(Throughput::ElementsAndBytes {
            elements: records as u64,
            bytes: blob.len() as u64,
        });

        // An aggregate whose digest is wrong stops right after the digest: the floor of all the others.
        let mut damaged = blob.clone();
        if let Some(last) = damaged.last_mut() {
            *last ^= 1;
        }
        let mut splitter = Splitter::new();
        group.bench_function(BenchmarkId::new("digest_alone", records), |b| {
            b.iter(|| {
                splitter
                    .split(black_box(&damaged))
                    .expect("within the limits")
                    .is_none()
            });
        });
        group.bench_function(BenchmarkId::new("split", records), |b| {
            b.iter(|| touch(&split(&mut splitter, black_box(&blob))));
        });
        let half = HashRange::new(HashKey::MIN, HashKey::new(u128::MAX - 1))
            .expect("the ends are in order");
        group.bench_function(BenchmarkId::new("split_within_range", records), |b| {
            b.iter(|| {
                let aggregate = split(&mut splitter, black_box(&blob));
                (aggregate.is_within(&half), touch(&aggregate))
            });
        });
    }
    group.finish();
    criterion.final_summary();
}

fn split<'a>(splitter: &'a mut Splitter, blob: &'a [u8]) -> Aggregate<'a> {
    splitter
        .split(blob)
        .expect("within the limits")
        .expect("an aggregate")
}

fn touch(aggregate: &Aggregate<'_>) -> usize {
    aggregate
        .records()
        .flatten()
        .map(|record| record.data.len() + record.partition_key.len())
        .sum()
}

/// 120 bytes per user record, eight partition keys, no explicit hash keys.
fn aggregate(records: usize) -> Vec<u8> {
    let mut aggregator = Aggregator::new(1 << 20);
    for n in 0..records {
        let line = format!("{n:0120}");
        aggregator
            .add(&format!("host-{}", n % 8), None, line.as_bytes())
            .expect("there is room");
    }
    aggregator.finish().expect("records were added")
}
