//! The decode path and its stages as pieces of work to measure: each does one round over its input.

use std::hint::black_box;

use forebay_cwlogs::Decoder;
use forebay_flowlog::Format;
use libdeflater::Decompressor;

use crate::{Shaping, Subscription};

/// Inflating alone, with libdeflate into a reused buffer. Returns the bytes.
///
/// # Panics
///
/// If a payload is damaged.
pub fn gunzip(input: &[Subscription]) -> impl FnMut() -> usize + '_ {
    let mut decompressor = Decompressor::new();
    let longest = input.iter().map(|payload| payload.text.len()).max();
    let mut buffer = vec![0; longest.unwrap_or(0)];
    move || {
        let inflate = |payload: &Subscription| {
            decompressor
                .gzip_decompress(black_box(&payload.gzip), &mut buffer)
                .expect("a good payload")
        };
        input.iter().map(inflate).sum()
    }
}

/// Inflating and finding the events. Returns their number.
///
/// # Panics
///
/// If a payload is damaged.
pub fn envelope(input: &[Subscription]) -> impl FnMut() -> usize + '_ {
    let mut decoder = Decoder::new();
    move || {
        let mut events = 0;
        for payload in input {
            let payloads = decoder
                .decode(black_box(&payload.gzip))
                .expect("a good payload");
            events += payloads
                .map(|payload| payload.expect("a good payload").events().len())
                .sum::<usize>();
        }
        events
    }
}

/// Inflating, finding the events and the columns of their lines. Returns the number of events.
///
/// # Panics
///
/// If a payload is damaged.
pub fn columns<'a>(input: &'a [Subscription], format: &'a Format) -> impl FnMut() -> usize + 'a {
    let mut decoder = Decoder::new();
    move || {
        let read = |payload| each_line(&mut decoder, format, payload, None);
        input.iter().map(read).sum()
    }
}

/// All of it, as `forebay run` does it. Returns the number of messages.
///
/// # Panics
///
/// If a payload is damaged.
pub fn path<'a>(input: &'a [Subscription], format: &'a Format) -> impl FnMut() -> usize + 'a {
    let mut decoder = Decoder::new();
    let mut shaping = Shaping::new(format);
    let mut run = move || {
        let mut messages = 0;
        for payload in input {
            shaping.batch.clear();
            each_line(&mut decoder, format, payload, Some(&mut shaping));
            messages += black_box(&shaping.batch).len();
        }
        messages
    };
    let events = input.iter().map(|payload| payload.events).sum::<usize>();
    assert_eq!(run(), events, "every event gives a message");
    run
}

#[inline(always)]
fn each_line(
    decoder: &mut Decoder,
    format: &Format,
    payload: &Subscription,
    mut shaping: Option<&mut Shaping>,
) -> usize {
    let mut events = 0;
    for payload in decoder
        .decode(black_box(&payload.gzip))
        .expect("a good payload")
    {
        let payload = payload.expect("a good payload");
        if let Some(shaping) = &mut shaping {
            shaping.payload(&payload);
        }
        let mut record = format.record();
        for (index, event) in payload.events().enumerate() {
            let event = event.expect("a good event");
            let line = event.message().as_plain().unwrap_or_default();
            record.read(line).expect("a good line");
            match &mut shaping {
                Some(shaping) => shaping.flow(&event, index as u32, &record),
                None => _ = black_box(&record),
            }
            events += 1;
        }
    }
    events
}
