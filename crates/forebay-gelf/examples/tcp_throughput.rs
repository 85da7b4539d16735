//! Measures what the TCP sink costs over a plain `write_all` of the same bytes: loopback, one thread, proof included.
//!
//! ```text
//! cargo run --release -p forebay-gelf --features tokio --example tcp_throughput
//! ```
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program prints and reads the clock"
)]

use std::collections::VecDeque;
use std::error::Error;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_gelf::{Batch, Encoder, FieldName, Sink, SinkConfig, TcpConfig, Ticket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

static FIELDS: [FieldName; 8] = [
    FieldName::literal("account_id"),
    FieldName::literal("interface_id"),
    FieldName::literal("src_addr"),
    FieldName::literal("dst_addr"),
    FieldName::literal("action"),
    FieldName::literal("log_status"),
    FieldName::literal("protocol"),
    FieldName::literal("aws_log_group"),
];
static NUMBERS: [FieldName; 6] = [
    FieldName::literal("src_port"),
    FieldName::literal("dst_port"),
    FieldName::literal("protocol_number"),
    FieldName::literal("packets"),
    FieldName::literal("bytes"),
    FieldName::literal("capture_window_duration_seconds"),
];

const MESSAGES: usize = 1_500_000;
const PER_BATCH: usize = 300;
const BATCHES: usize = MESSAGES / PER_BATCH;
const ROUNDS: usize = 5;

/// What goes through the sink.
#[derive(Clone, Copy)]
enum Load {
    /// Batches that are ready, as the plain `write_all` gets them.
    Ready,
    /// Each message encoded on the way.
    Encoded,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = drain()?;
    let mut batch = Batch::new();
    fill(&mut Encoder::default(), &mut batch);
    let bytes = batch.byte_len() / PER_BATCH;
    println!("{MESSAGES} messages of {bytes} bytes, {PER_BATCH} per batch, sender on one thread");
    let (mut plain, mut ready, mut encoded) = (Vec::new(), Vec::new(), Vec::new());
    // In turn, so that a busy machine is unfair to all of them alike.
    for _ in 0..ROUNDS {
        plain.push(write_plain(address, &batch).await?);
        ready.push(through_sink(address, Load::Ready).await?);
        encoded.push(through_sink(address, Load::Encoded).await?);
    }
    let plain = report("plain write_all of ready bytes", plain);
    let ready = report("sink, the same bytes ready", ready);
    let encoded = report("sink, encoded each time", encoded);
    println!(
        "sink over write_all of the same bytes: {:.2} (bar 1.25); encoded: {:.2} times 500,000 messages/s (bar 1)",
        ready.as_secs_f64() / plain.as_secs_f64(),
        MESSAGES as f64 / encoded.as_secs_f64() / 500_000.0
    );
    Ok(())
}

async fn write_plain(address: SocketAddr, batch: &Batch) -> Result<Duration, Box<dyn Error>> {
    // The frames as the sink writes them: with a terminator each.
    let mut frames = Vec::new();
    for message in batch.iter() {
        frames.extend_from_slice(message);
        frames.push(0);
    }
    let mut stream = TcpStream::connect(address).await?;
    let begun = Instant::now();
    for _ in 0..BATCHES {
        stream.write_all(&frames).await?;
    }
    stream.shutdown().await?;
    // The receiver closes when it has read everything: the sink has to wait for the same.
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(begun.elapsed())
}

async fn through_sink(address: SocketAddr, load: Load) -> Result<Duration, Box<dyn Error>> {
    let (sink, driver) = Sink::open(
        TcpConfig::new(address.to_string()),
        SinkConfig::default(),
        Arc::new(()),
    )?;
    let driver = tokio::spawn(driver.run());
    let mut encoder = Encoder::default();
    let mut tickets: VecDeque<Ticket> = VecDeque::new();
    let mut spare: Vec<Batch> = Vec::new();
    if matches!(load, Load::Ready) {
        // As many as the budget holds.
        let mut batch = Batch::new();
        fill(&mut encoder, &mut batch);
        spare.resize(SinkConfig::default().budget / batch.byte_len() + 1, batch);
    }
    let begun = Instant::now();
    for _ in 0..BATCHES {
        while let Some(acceptance) = tickets
            .front_mut()
            .map(Ticket::poll_now)
            .transpose()?
            .flatten()
        {
            tickets.pop_front();
            spare.push(acceptance.batch);
        }
        let mut batch = spare.pop().unwrap_or_default();
        if matches!(load, Load::Encoded) || batch.is_empty() {
            batch.clear();
            fill(&mut encoder, &mut batch);
        }
        tickets.push_back(sink.send(batch).await?);
        tokio::task::yield_now().await;
    }
    let closed = sink.close(Duration::from_secs(60)).await;
    assert_eq!(closed.accepted, MESSAGES as u64, "everything is accepted");
    driver.await?;
    Ok(begun.elapsed())
}

fn fill(encoder: &mut Encoder, batch: &mut Batch) {
    for _ in 0..PER_BATCH {
        let mut message = encoder.begin("aws-flowlogs");
        message
            .short_message("eni-0123456789abcdef0 ACCEPT TCP 10.11.12.13:44321 -> 52.1.2.3:443")
            .timestamp_millis(1_712_345_678_000);
        for name in &FIELDS {
            message.text(name, "eni-0123456789abc");
        }
        for name in &NUMBERS {
            message.number_text(name, b"44321");
        }
        if let Ok(message) = message.finish() {
            batch.push(&message);
        }
    }
}

/// A receiver on a thread of its own that reads and forgets.
fn drain() -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut buffer = vec![0; 1 << 20];
            while matches!(stream.read(&mut buffer), Ok(count) if count > 0) {}
        }
    });
    Ok(address)
}

/// Prints the rate of the median round and returns its time.
fn report(name: &str, mut rounds: Vec<Duration>) -> Duration {
    rounds.sort_unstable();
    let median = rounds[rounds.len() / 2];
    let rate = MESSAGES as f64 / median.as_secs_f64();
    println!("{name:<32} {rate:>10.0} messages/s (median of {ROUNDS})");
    median
}
