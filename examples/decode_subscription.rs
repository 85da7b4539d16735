//! Decodes CloudWatch Logs subscription payloads: `cargo run --example decode_subscription [FILE...]`.
//!
//! Each file is the data of one Kinesis or Firehose record (gzip or JSON), or the event of a Lambda function. Without
//! arguments a small payload is made and decoded.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the output of the example"
)]

use std::error::Error;
use std::io::Write;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_cwlogs::{Decoder, MessageType};

fn main() -> Result<(), Box<dyn Error>> {
    // One decoder for all inputs: its buffers are reused.
    let mut decoder = Decoder::new();
    let files: Vec<_> = env::args_os().skip(1).collect();
    if files.is_empty() {
        return show(&mut decoder, &sample()?);
    }
    for file in files {
        show(&mut decoder, &fs::read(file)?)?;
    }
    Ok(())
}

fn show(decoder: &mut Decoder, record: &[u8]) -> Result<(), Box<dyn Error>> {
    for payload in decoder.decode(record)? {
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                eprintln!("skipped: {error}");
                continue;
            }
        };
        match payload.message_type() {
            MessageType::Data => println!(
                "{} {} ({} events)",
                payload.log_group(),
                payload.log_stream(),
                payload.len()
            ),
            other => {
                println!("no log data: {other:?}");
                continue;
            }
        }
        for event in payload.events() {
            match event {
                Ok(event) => println!(
                    "  {} {} {}",
                    event.timestamp(),
                    event.account(),
                    event.message()
                ),
                Err(error) => eprintln!("  skipped: {error}"),
            }
        }
    }
    Ok(())
}

fn sample() -> Result<Vec<u8>, Box<dyn Error>> {
    let text = br#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/app/web","logStream":"i-0a1b2c3d",
        "subscriptionFilters":["all"],"logEvents":[
        {"id":"1","timestamp":1763029869851,"message":"GET /index.html 200"},
        {"id":"2","timestamp":1763029869902,"message":"{\"level\":\"warn\",\"text\":\"slow \u23f1\"}"},
        {"id":"3","timestamp":"soon","message":"this event is skipped"}]}"#;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text)?;
    Ok(encoder.finish()?)
}
