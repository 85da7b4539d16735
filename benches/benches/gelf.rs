//! Encoder, chunker and compressor of `forebay-gelf` on messages as a flow log makes them.
//!
//! `flow/encode` is the shaping of the binary on lines that are split already. `cargo bench -p forebay-benches --bench gelf -- --ratios`
//! prints only how it compares with copying.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the ratios are the result")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::unwrap_used, reason = "inputs of a bench are known to be good")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use forebay_benches::{Shaping, Subscription};
use forebay_cwlogs::{Decoder, LogEvent};
use forebay_flowlog::{Format, Record};
use forebay_gelf::{Batch, Chunks, Compression, Compressor, DatagramSize, MessageId};

/// A payload of flow logs whose lines were found and split, as they are when a message is made of them.
fn with_events<T>(
    payload: &Subscription,
    format: &Format,
    work: impl FnOnce(&mut Shaping, &[(LogEvent<'_>, Record<'_>)]) -> T,
) -> T {
    let mut decoder = Decoder::new();
    let mut payloads = decoder.decode(payload.text.as_bytes()).unwrap();
    let payload = payloads.next().unwrap().unwrap();
    let events: Vec<_> = payload
        .events()
        .map(|event| {
            let event = event.unwrap();
            let record = format.parse(event.message().as_plain().unwrap()).unwrap();
            (event, record)
        })
        .collect();
    let mut shaping = Shaping::new(format);
    shaping.payload(&payload);
    encode(&mut shaping, &events);
    assert_eq!(
        shaping.batch.len(),
        events.len(),
        "every event gives a message"
    );
    work(&mut shaping, &events)
}

/// As the binary does: search for columns and the rest of decoding are over.
fn encode(shaping: &mut Shaping, events: &[(LogEvent<'_>, Record<'_>)]) -> usize {
    shaping.batch.clear();
    for (index, (event, record)) in black_box(events).iter().enumerate() {
        shaping.flow(event, index as u32, record);
    }
    shaping.batch.byte_len()
}

/// The floor: each line searched for what JSON would have to escape, and the finished message copied in one piece.
fn copy_and_scan(lines: &[&[u8]], batch: &Batch, target: &mut Vec<u8>) -> usize {
    target.clear();
    let mut special = false;
    for (line, message) in black_box(lines).iter().zip(batch.iter()) {
        special |= has_special(line);
        target.extend_from_slice(message);
        target.push(0);
    }
    assert!(!special);
    target.len()
}

/// The same, but the message copied name by name and value by value: whoever puts it together does not have it in one
/// piece.
fn copy_pieces_and_scan(
    lines: &[&[u8]],
    batch: &Batch,
    pieces: &[Vec<usize>],
    target: &mut Vec<u8>,
) -> usize {
    target.clear();
    let mut special = false;
    for ((line, message), ends) in black_box(lines).iter().zip(batch.iter()).zip(pieces) {
        special |= has_special(line);
        let mut start = 0;
        for &end in ends {
            target.extend_from_slice(&message[start..end]);
            start = end;
        }
        target.push(0);
    }
    assert!(!special);
    target.len()
}

/// Ends of names and values of a message.
fn pieces(message: &[u8]) -> Vec<usize> {
    let text = std::str::from_utf8(message).unwrap();
    let names = text.match_indices(",\"").map(|(at, _)| at);
    let values = text
        .match_indices("\":")
        .map(|(at, found)| at + found.len());
    let mut ends: Vec<usize> = names.chain(values).chain([message.len()]).collect();
    ends.sort_unstable();
    ends
}

/// Blocks without early exit, which the compiler compares 16 bytes at a time; the last one overlaps the one before.
fn has_special(text: &[u8]) -> bool {
    let special = |byte: &u8| (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
    let block = |block: &[u8; 32]| {
        block
            .iter()
            .fold(false, |found, byte| found | special(byte))
    };
    match text.last_chunk() {
        Some(tail) => text.chunks_exact(32).fold(block(tail), |found, chunk| {
            found | chunk.first_chunk().is_some_and(block)
        }),
        None => text.iter().any(special),
    }
}

fn flow(criterion: &mut Criterion, payload: &Subscription) {
    let lines: Vec<&[u8]> = payload.lines.iter().map(String::as_bytes).collect();
    with_events(payload, &Format::v2(), |shaping, events| {
        let batch = shaping.batch.clone();
        let pieces: Vec<_> = batch.iter().map(pieces).collect();
        let mut target = Vec::new();
        let mut group = criterion.benchmark_group("flow");
        group.throughput(Throughput::ElementsAndBytes {
            elements: events.len() as u64,
            bytes: batch.byte_len() as u64,
        });
        group.bench_function("encode", |b| b.iter(|| encode(shaping, events)));
        group.bench_function("copy_and_scan", |b| {
            b.iter(|| copy_and_scan(&lines, &batch, &mut target))
        });
        group.bench_function("copy_pieces_and_scan", |b| {
            b.iter(|| copy_pieces_and_scan(&lines, &batch, &pieces, &mut target))
        });
        group.finish();
    });
}

/// Prints ratios of the fastest rounds: neighbours on the machine can only slow a round down.
fn ratios(payload: &Subscription) {
    let lines: Vec<&[u8]> = payload.lines.iter().map(String::as_bytes).collect();
    with_events(payload, &Format::v2(), |shaping, events| {
        let batch = shaping.batch.clone();
        let pieces: Vec<_> = batch.iter().map(pieces).collect();
        let mut target = Vec::new();
        let mut fastest = [f64::INFINITY; 3];
        for _ in 0..2000 {
            let mut time = |index: usize, work: &mut dyn FnMut() -> usize| {
                let start = Instant::now();
                black_box(work());
                fastest[index] = fastest[index].min(start.elapsed().as_secs_f64());
            };
            time(0, &mut || encode(shaping, events));
            time(1, &mut || copy_and_scan(&lines, &batch, &mut target));
            time(2, &mut || {
                copy_pieces_and_scan(&lines, &batch, &pieces, &mut target)
            });
        }
        let [encode, whole, in_pieces] = fastest.map(|time| time * 1e9 / events.len() as f64);
        println!(
            "a flow-log message of {} bytes in {} pieces: encode {encode:.1} ns; over copy and scan ({whole:.1} ns) \
            {:.2}, over copying in pieces and scan ({in_pieces:.1} ns) {:.2}",
            batch.byte_len() / events.len(),
            pieces[0].len(),
            encode / whole,
            encode / in_pieces,
        );
    });
}

fn compressed_and_chunked(criterion: &mut Criterion, payload: &Subscription) {
    let batch = with_events(payload, &Format::v2(), |shaping, _| shaping.batch.clone());
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

fn main() {
    let payload = Subscription::flow_logs(1, 300).remove(0);
    if !std::env::args().any(|argument| argument == "--ratios") {
        let mut criterion = Criterion::default().configure_from_args();
        flow(&mut criterion, &payload);
        compressed_and_chunked(&mut criterion, &payload);
        criterion.final_summary();
    }
    ratios(&payload);
}
