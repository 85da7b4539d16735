//! Flow-log lines: what decoding costs over finding the columns, in the same run.
//!
//! `tokenise` is `Format::parse`, which finds the columns and decodes nothing. It is the baseline of the ratios; the
//! group `split` shows what a split at every blank costs that only counts its columns.
#![expect(clippy::unwrap_used, reason = "inputs of a bench are known to be good")]

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forebay_flowlog::{
    Column, Field, FieldError, Format, Reader, Record, RecordBuf, Value, ValueType,
};

fn default_format(c: &mut Criterion) {
    let format = Format::v2();
    let lines = lines(&format);
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let mut group = c.benchmark_group("flowlog/v2");
    group.throughput(throughput(&lines));
    group.bench_function("split", |b| {
        b.iter(|| lines.iter().map(|line| split(line)).sum::<usize>())
    });
    group.bench_function("tokenise", |b| {
        b.iter(|| {
            each(&format, &lines, |record| {
                Ok(usize::from(record.is_plain_ascii()))
            })
        });
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
    let lines = lines(&format);
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let mut group = c.benchmark_group("flowlog/v11");
    group.throughput(throughput(&lines));
    group.bench_function("split", |b| {
        b.iter(|| lines.iter().map(|line| split(line)).sum::<usize>())
    });
    group.bench_function("tokenise", |b| {
        b.iter(|| {
            each(&format, &lines, |record| {
                Ok(usize::from(record.is_plain_ascii()))
            })
        });
    });
    group.bench_function("typed", |b| b.iter(|| each(&format, &lines, all_values)));
    group.finish();
}

fn whole_text(c: &mut Criterion) {
    let format = Format::v2();
    let lines = lines(&format);
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
    lines
        .iter()
        .map(|line| decode(&format.parse(black_box(line)).unwrap()).unwrap())
        .sum()
}

/// All 14 fields, each in its own type.
fn typed(record: &Record<'_>) -> Result<usize, FieldError> {
    black_box((
        record.version()?,
        record.account_id()?,
        record.interface_id()?,
    ));
    black_box((
        record.src_addr()?,
        record.dst_addr()?,
        record.src_port()?,
        record.dst_port()?,
    ));
    black_box((record.protocol()?, record.packets()?, record.bytes()?));
    black_box((
        record.start()?,
        record.end()?,
        record.action()?,
        record.log_status()?,
    ));
    Ok(1)
}

/// What a JSON encoder needs that copies text: numbers checked, the rest raw.
fn checked_text(record: &Record<'_>) -> Result<usize, FieldError> {
    let mut length = usize::from(record.is_plain_ascii());
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

/// All fields, each decoded by its type.
fn all_values(record: &Record<'_>) -> Result<usize, FieldError> {
    for column in record.format().columns() {
        if let Column::Field(field) = column {
            match record.value(*field)? {
                Some(Value::Tag(tag)) => drop(black_box(tag.text())),
                value => drop(black_box(value)),
            }
        }
    }
    Ok(1)
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

/// As many lines as the payload of the decode-path bench holds, with widths that vary as in real logs.
fn lines(format: &Format) -> Vec<String> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let line = |_| {
        let mut line = String::new();
        for column in format.columns() {
            if !line.is_empty() {
                line.push(' ');
            }
            write_value(&mut line, column.field().unwrap(), &mut random);
        }
        line
    };
    (0..LINES).map(line).collect()
}

fn write_value(line: &mut String, field: Field, random: &mut Random) {
    let bits = random.next();
    let small = bits % 1000;
    let result = match (field, field.value_type()) {
        (Field::Version, _) => write!(line, "2"),
        (Field::AccountId, _) => write!(line, "210987654{small:03}"),
        (Field::Action, _) => write!(line, "{}", if small < 900 { "ACCEPT" } else { "REJECT" }),
        (Field::LogStatus, _) => write!(line, "OK"),
        (Field::Protocol, _) => write!(line, "{}", [6, 6, 6, 17, 1][small as usize % 5]),
        (Field::TcpFlags, _) => write!(line, "{}", [0, 2, 3, 18, 19][small as usize % 5]),
        (Field::SrcPort | Field::DstPort, _) => {
            write!(line, "{}", [443, bits % 65_536][small as usize % 2])
        }
        (Field::Packets, _) => write!(line, "{}", small + 1),
        (Field::Bytes, _) => write!(
            line,
            "{}",
            (bits >> 20) % [1_000, 1_000_000, 10_000_000_000][small as usize % 3]
        ),
        (Field::TrafficPath | Field::EncryptionStatus, _) => write!(line, "{}", small % 3 + 1),
        (_, ValueType::Timestamp) => write!(line, "{}", 1_712_345_600 + small),
        (_, ValueType::Address) if small < 50 => {
            write!(line, "2001:db8:{:x}::{:x}", bits & 0xFFFF, bits >> 48)
        }
        (_, ValueType::Address) => {
            let [a, b, c, d] = (bits as u32).to_be_bytes();
            write!(line, "{a}.{b}.{c}.{d}")
        }
        (_, ValueType::Tag) if small < 500 => write!(line, "web%20tier%20{small}"),
        (_, ValueType::Tag) => write!(line, "-"),
        (_, _) if field.name().ends_with("arn") => {
            write!(
                line,
                "arn:aws:ecs:us-east-1:210987654321:cluster/production-{small}"
            )
        }
        (_, _) if field.name().ends_with("id") => write!(line, "eni-{:017x}", bits),
        (_, _) => write!(line, "value-{small}"),
    };
    result.unwrap();
}

/// xorshift64, so that every run sees the same lines.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const LINES: usize = 300;

criterion_group!(benches, default_format, version_11, whole_text);
criterion_main!(benches);
