//! Measures what the TCP sink costs over a plain `write_all` of the same bytes: loopback, one thread.
//!
//! ```text
//! cargo run --release -p forebay-gelf --features tokio --example tcp_throughput
//! ```
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program prints and reads the clock"
)]

use std::error::Error;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_gelf::{Batch, Encoder, FieldName, Sink, SinkConfig, TcpConfig, Ticket};
use tokio::io::AsyncWriteExt as _;
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

const MESSAGES: usize = 2_000_000;
const PER_BATCH: usize = 300;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = drain()?;
    let mut batch = Batch::new();
    fill(&mut Encoder::default(), &mut batch);
    let bytes = batch.byte_len() / PER_BATCH;
    println!("{MESSAGES} messages of {bytes} bytes, {PER_BATCH} per batch");
    for _ in 0..3 {
        report("plain write_all, encoded each time", plain(address).await?);
        report("sink, encoded each time", through_sink(address).await?);
    }
    Ok(())
}

async fn plain(address: SocketAddr) -> Result<Duration, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address).await?;
    let (mut encoder, mut batch) = (Encoder::default(), Batch::new());
    let begun = Instant::now();
    for _ in 0..MESSAGES / PER_BATCH {
        batch.clear();
        fill(&mut encoder, &mut batch);
        // The frames as the sink writes them: with a terminator each.
        let mut frames = Vec::with_capacity(batch.byte_len());
        for message in &batch {
            frames.extend_from_slice(message);
            frames.push(0);
        }
        stream.write_all(&frames).await?;
    }
    stream.shutdown().await?;
    Ok(begun.elapsed())
}

async fn through_sink(address: SocketAddr) -> Result<Duration, Box<dyn Error>> {
    let (sink, driver) = Sink::open(
        TcpConfig::new(address.to_string()),
        SinkConfig::default(),
        Arc::new(()),
    )?;
    let driver = tokio::spawn(driver.run());
    let mut encoder = Encoder::default();
    let mut tickets: std::collections::VecDeque<Ticket> = std::collections::VecDeque::new();
    let mut spare = Vec::new();
    let begun = Instant::now();
    for _ in 0..MESSAGES / PER_BATCH {
        while let Some(acceptance) = tickets
            .front_mut()
            .map(Ticket::poll_now)
            .transpose()?
            .flatten()
        {
            tickets.pop_front();
            spare.push(acceptance.batch);
        }
        let mut batch: Batch = spare.pop().unwrap_or_default();
        batch.clear();
        fill(&mut encoder, &mut batch);
        tickets.push_back(sink.send(batch).await?);
        tokio::task::yield_now().await;
    }
    let sent = begun.elapsed();
    let closed = sink.close(Duration::from_secs(60)).await;
    assert_eq!(
        closed.accepted as usize,
        MESSAGES / PER_BATCH * PER_BATCH,
        "everything is accepted"
    );
    driver.await?;
    println!(
        "  (proof of the rest took {:?} more)",
        begun.elapsed() - sent
    );
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

fn report(name: &str, took: Duration) {
    let rate = MESSAGES as f64 / took.as_secs_f64();
    println!("{name}: {rate:.0} messages/s");
}
