//! Sends log lines to a GELF receiver and says which of them it has.
//!
//! ```text
//! cargo run -p forebay-examples --example send_gelf -- graylog.example:12201 "first line" "second line"
//! ```
#![expect(clippy::print_stdout, reason = "this is what the program is for")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forebay_gelf::{Batch, Encoder, FieldName, Level, Sink, SinkConfig, TcpConfig};

static LINE: FieldName = FieldName::literal("line_number");

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(address) = arguments.next() else {
        return Err("usage: send_gelf HOST:PORT LINE...".into());
    };

    // One encoder, one batch: both keep their memory from message to message.
    let mut encoder = Encoder::default();
    let mut batch = Batch::new();
    for (number, line) in (1..).zip(arguments) {
        let mut message = encoder.begin("send_gelf");
        message
            .short_message(&line)
            .timestamp_millis(now_millis())
            .level(Level::Informational)
            .integer(&LINE, number);
        match message.finish() {
            Ok(message) => batch.push(&message),
            Err(error) => println!("line {number} cannot be sent: {error}"),
        }
    }

    // Opening connects nothing; the driver does, once it runs.
    let (sink, driver) = Sink::open(TcpConfig::new(address), SinkConfig::default(), Arc::new(()))?;
    let driver = tokio::spawn(driver.run());
    let ticket = sink.send(batch).await?;

    // Closing drains: it half-closes the connection and waits for the receiver's own close, which proves that the
    // receiver has read everything.
    let report = sink.close(Duration::from_secs(10)).await;
    driver.await?;
    match ticket.await {
        Ok(acceptance) => println!(
            "accepted {} messages, grade {:?}",
            acceptance.accepted(),
            acceptance.grade
        ),
        Err(error) => println!("{} messages were not accepted: {error}", report.unsettled),
    }
    Ok(if report.unsettled == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(75)
    })
}

/// Milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a program reads the clock; libraries are handed the time"
)]
fn now_millis() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
