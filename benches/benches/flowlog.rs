//! Flow-log lines: what decoding costs over finding the columns, in the same run.
//!
//! `tokenise` is `Record::read`, which finds the columns and decodes nothing. It is the baseline of the ratios; the
//! group `split` shows what a split at every blank costs that only counts its columns.
#![expect(clippy::unwrap_used, reason = "inputs of a bench are known to be good")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::{all_values, flow_lines, typed};
use forebay_flowlog::{Field, FieldError, Format, Reader, Record, RecordBuf};

fn default_format(c: &mut Criterion) {
    let format = Format::v2();
    let lines = flow_lines(&format, LINES);
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let mut group = c.benchmark_group("flowlog/v2");
    group.throughput(throughput(&lines));
    group.bench_function("split", |b| {
        b.iter(|| lines.iter().map(|line| split(line)).sum::<usize>())
    });
    group.bench_function("tokenise", |b| {
        b.iter(|| each(&format, &lines, |record| Ok(record.line().len())));
    });
    group.bench_function("typed", |b| b.iter(|| each(&format, &lines, typed)));
    group.bench_function("number_text", |b| {
        b.iter(|| each(&format, &lines, checked_text))
    });
    group.finish();
}

fn version_11(c: &mut Criterion) {
    let format = Format::from_names(
        Field::all()
            .filter(|field| field.since() != 6)
            .map(Field::name),
    )
    .unwrap();
    assert_eq!(format.len(), 54);
    let lines = flow_lines(&format, LINES);
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let mut group = c.benchmark_group("flowlog/v11");
    group.throughput(throughput(&lines));
    group.bench_function("split", |b| {
        b.iter(|| lines.iter().map(|line| split(line)).sum::<usize>())
    });
    group.bench_function("tokenise", |b| {
        b.iter(|| each(&format, &lines, |record| Ok(record.line().len())));
    });
    group.bench_function("typed", |b| b.iter(|| each(&format, &lines, all_values)));
    group.finish();
}

fn whole_text(c: &mut Criterion) {
    let format = Format::v2();
    let lines = flow_lines(&format, LINES);
    let text = lines.join("\n");
    let mut group = c.benchmark_group("flowlog/text");
    group.throughput(Throughput::ElementsAndBytes {
        elements: LINES as u64,
        bytes: text.len() as u64,
    });
    group.bench_function(BenchmarkId::from_parameter("lines"), |b| {
        b.iter(|| {
            format
                .records(text.as_bytes())
                .filter(|record| record.is_ok())
                .count()
        });
    });
    group.bench_function(BenchmarkId::from_parameter("reader"), |b| {
        let mut record = RecordBuf::new();
        b.iter(|| {
            let mut reader = Reader::new(text.as_bytes());
            let mut records = 0;
            while reader.read_record(&mut record).unwrap() {
                records += 1;
            }
            records
        });
    });
    group.finish();
}

fn each(
    format: &Format,
    lines: &[&[u8]],
    mut decode: impl FnMut(&Record<'_>) -> Result<usize, FieldError>,
) -> usize {
    let mut record = format.record();
    let mut sum = 0;
    for line in lines {
        record.read(black_box(line)).unwrap();
        sum += decode(&record).unwrap();
    }
    sum
}

/// What a JSON encoder needs that copies text: numbers checked, the rest raw.
fn checked_text(record: &Record<'_>) -> Result<usize, FieldError> {
    let mut length = record.line().len();
    for field in [
        Field::SrcPort,
        Field::DstPort,
        Field::Protocol,
        Field::Packets,
        Field::Bytes,
    ] {
        length += record.number_text(field)?.map_or(0, <[u8]>::len);
    }
    for field in [
        Field::AccountId,
        Field::InterfaceId,
        Field::SrcAddr,
        Field::DstAddr,
        Field::Action,
        Field::LogStatus,
    ] {
        length += record.raw(field).map_or(0, <[u8]>::len);
    }
    Ok(length
        + record
            .window()?
            .map_or(0, |window| window.signed_seconds() as usize))
}

fn split(line: &[u8]) -> usize {
    black_box(line)
        .split(|byte| *byte == b' ')
        .map(|column| usize::from(!black_box(column).is_empty()))
        .sum()
}

fn throughput(lines: &[&[u8]]) -> Throughput {
    let bytes = lines.iter().map(|line| line.len() as u64).sum();
    Throughput::ElementsAndBytes {
        elements: lines.len() as u64,
        bytes,
    }
}

const LINES: usize = 300;

criterion_group!(benches, default_format, version_11, whole_text);
criterion_main!(benches);
