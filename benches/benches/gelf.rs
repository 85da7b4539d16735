//! Encoder, chunker and compressor of `forebay-gelf` on messages as a flow log makes them.
//!
//! `flow/copy_and_scan` is the floor: each finished message searched once, with a vectorised search for two bytes, and
//! copied once. `flow/encode` builds the same bytes from 14 fields and a summary in 7 pieces.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forebay_gelf::{
    Batch, Chunks, Compression, Compressor, DatagramSize, Encoder, FieldName, MessageId,
};

/// One flow log record as text fields, in the order of the default format.
struct Flow([String; 14]);

static ACCOUNT: FieldName = FieldName::literal("account_id");
static INTERFACE: FieldName = FieldName::literal("interface_id");
static SOURCE: FieldName = FieldName::literal("src_addr");
static DESTINATION: FieldName = FieldName::literal("dst_addr");
static SOURCE_PORT: FieldName = FieldName::literal("src_port");
static DESTINATION_PORT: FieldName = FieldName::literal("dst_port");
static PROTOCOL: FieldName = FieldName::literal("protocol_number");
static PROTOCOL_NAME: FieldName = FieldName::literal("protocol");
static PACKETS: FieldName = FieldName::literal("packets");
static BYTES: FieldName = FieldName::literal("bytes");
static WINDOW: FieldName = FieldName::literal("capture_window_duration_seconds");
static ACTION: FieldName = FieldName::literal("action");
static STATUS: FieldName = FieldName::literal("log_status");
static GROUP: FieldName = FieldName::literal("aws_log_group");

/// Records from a fixed seed.
fn flows(count: usize) -> Vec<Flow> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    (0..count)
        .map(|_| {
            Flow([
                "2".into(),
                "123456789010".into(),
                format!("eni-{:017x}", next(1 << 60)),
                format!("10.{}.{}.{}", next(256), next(256), next(256)),
                format!("{}.{}.{}.{}", next(224), next(256), next(256), next(256)),
                next(65_536).to_string(),
                [443, 80, 22, 8080][next(4) as usize].to_string(),
                [6, 17][next(2) as usize].to_string(),
                (1 + next(2000)).to_string(),
                (40 + next(3_000_000)).to_string(),
                (1_700_000_000 + next(10_000_000)).to_string(),
                "60".into(),
                ["ACCEPT", "REJECT"][next(2) as usize].into(),
                "OK".into(),
            ])
        })
        .collect()
}

fn encode(encoder: &mut Encoder, flow: &Flow, batch: &mut Batch) {
    let [
        _,
        account,
        interface,
        source,
        destination,
        source_port,
        destination_port,
        protocol,
        packets,
        bytes,
        start,
        window,
        action,
        status,
    ] = &flow.0;
    let mut message = encoder.begin("aws-flowlogs");
    message
        .short_message_with(|text| {
            text.push(interface).push(" ").push(action).push(" TCP ");
            text.push(source).push(" -> ").push(destination);
        })
        .timestamp_millis(start.parse::<i64>().unwrap_or(1) * 1000)
        .text(&ACCOUNT, account)
        .text(&INTERFACE, interface)
        .text(&SOURCE, source)
        .text(&DESTINATION, destination)
        .number_text(&SOURCE_PORT, source_port)
        .number_text(&DESTINATION_PORT, destination_port)
        .number_text(&PROTOCOL, protocol)
        .text(&PROTOCOL_NAME, "TCP")
        .number_text(&PACKETS, packets)
        .number_text(&BYTES, bytes)
        .number_text(&WINDOW, window)
        .text(&ACTION, action)
        .text(&STATUS, status)
        .text(&GROUP, "/vpc/flow-logs/production");
    if let Ok(message) = message.finish() {
        batch.push(&message);
    }
}

fn filled(flows: &[Flow]) -> Batch {
    let mut encoder = Encoder::default();
    let mut batch = Batch::new();
    for flow in flows {
        encode(&mut encoder, flow, &mut batch);
    }
    assert_eq!(batch.len(), flows.len(), "every flow gives a message");
    batch
}

fn flow(criterion: &mut Criterion) {
    let flows = flows(300);
    let batch = filled(&flows);
    let mut group = criterion.benchmark_group("flow");
    group.throughput(Throughput::ElementsAndBytes {
        elements: flows.len() as u64,
        bytes: batch.byte_len() as u64,
    });
    group.bench_function("encode", |bencher| {
        let mut encoder = Encoder::default();
        let mut target = batch.clone();
        bencher.iter(|| {
            target.clear();
            for flow in black_box(&flows) {
                encode(&mut encoder, flow, &mut target);
            }
            black_box(target.byte_len())
        });
    });
    group.bench_function("copy_and_scan", |bencher| {
        let mut target = batch.clone();
        bencher.iter(|| {
            target.clear();
            for message in black_box(&batch).iter() {
                // Searches the message once for bytes that must not stand in it, then copies it.
                let _ = target.push_json(message);
            }
            black_box(target.byte_len())
        });
    });
    group.bench_function("serde_json_value", |bencher| {
        let mut target = Vec::with_capacity(batch.byte_len());
        bencher.iter(|| {
            target.clear();
            for flow in black_box(&flows) {
                let value = serde_json::json!({
                    "version": "1.1", "host": "aws-flowlogs", "short_message": flow.0[2], "_account_id": flow.0[1],
                    "_interface_id": flow.0[2], "_src_addr": flow.0[3], "_dst_addr": flow.0[4],
                    "_src_port": flow.0[5].parse::<u64>().unwrap_or(0),
                    "_dst_port": flow.0[6].parse::<u64>().unwrap_or(0),
                    "_protocol_number": flow.0[7].parse::<u64>().unwrap_or(0), "_protocol": "TCP",
                    "_packets": flow.0[8].parse::<u64>().unwrap_or(0), "_bytes": flow.0[9].parse::<u64>().unwrap_or(0),
                    "_action": flow.0[12], "_log_status": flow.0[13],
                });
                let _ = serde_json::to_writer(&mut target, &value);
            }
            black_box(target.len())
        });
    });
    group.finish();
}

fn payload(criterion: &mut Criterion) {
    let batch = filled(&flows(300));
    let bytes = batch.byte_len() as u64;
    let mut group = criterion.benchmark_group("payload");
    group.throughput(Throughput::ElementsAndBytes {
        elements: batch.len() as u64,
        bytes,
    });
    for compression in [Compression::Gzip, Compression::Zlib] {
        let name = BenchmarkId::new("compress", format!("{compression:?}"));
        group.bench_function(name, |bencher| {
            let mut compressor = Compressor::new(compression);
            let mut target = Vec::new();
            bencher.iter(|| {
                for message in black_box(&batch).iter() {
                    compressor.compress_into(message, &mut target);
                }
                black_box(target.len())
            });
        });
    }
    let long = vec![b'x'; DatagramSize::WAN.longest_payload()];
    group.throughput(Throughput::Bytes(long.len() as u64));
    group.bench_function("chunk", |bencher| {
        let mut datagram = Vec::new();
        bencher.iter(|| {
            let Ok(mut chunks) =
                Chunks::new(black_box(&long), DatagramSize::WAN, MessageId::from_u64(1))
            else {
                return;
            };
            while chunks.next_into(&mut datagram) {
                black_box(&datagram);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, flow, payload);
criterion_main!(benches);
