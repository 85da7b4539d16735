//! What a GELF server that we did not write makes of our messages. `tests/gelf_receivers.sh` starts one and runs this.
#![cfg(feature = "tokio")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay_gelf::{
    Batch, Compression, DatagramSize, Encoder, FieldName, Level, Sink, SinkConfig, UdpConfig,
};

static NUMBER: FieldName = FieldName::literal("number");
static TEXT: FieldName = FieldName::literal("text");

const TEXTS: [&str; 3] = ["plain", "say \"hi\" \\ \t", "gr\u{fc}\u{df}e \u{1f600}"];

#[tokio::test]
async fn an_independent_receiver_understands_every_form() {
    let Ok(receiver) = std::env::var("FOREBAY_GELF_RECEIVER") else {
        println!("skipped: FOREBAY_GELF_RECEIVER is not set; run tests/gelf_receivers.sh");
        return;
    };
    let seen =
        std::env::var("FOREBAY_GELF_SEEN").expect("the script names the file of what arrived");
    let address = receiver
        .strip_prefix("udp://")
        .expect("only UDP receivers are known");
    let mut expected = BTreeMap::new();
    let forms = [Compression::None, Compression::Gzip, Compression::Zlib];
    for (form, compression) in forms.into_iter().enumerate() {
        let mut batch = Batch::new();
        let mut encoder = Encoder::default();
        for (index, text) in TEXTS.into_iter().enumerate() {
            for (size, padding) in [0, 20_000].into_iter().enumerate() {
                let number = (form * 100 + index * 10 + size) as i64;
                // Hardly compressible, so that it stays long enough for chunks.
                let noise = (0..padding).map(|at: u64| {
                    let mixed = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
                    char::from(b'A' + mixed as u8 % 26)
                });
                let text: String = text.chars().chain(noise).chain(['.']).collect();
                let mut message = encoder.begin("forebay-test");
                message
                    .short_message("for a real receiver")
                    .timestamp_millis(1_712_345_678_901)
                    .level(Level::Notice)
                    .integer(&NUMBER, number)
                    .text(&TEXT, &text);
                batch.push(&message.finish().expect("a good message"));
                expected.insert(number, text);
            }
        }
        let mut udp = UdpConfig::new(address);
        udp.compression = compression;
        udp.datagram = DatagramSize::WAN;
        let mut config = SinkConfig::default();
        // Ids must differ between senders.
        config.seed = form as u64 + 1;
        let (sink, driver) = Sink::open(udp, config, Arc::new(())).expect("good settings");
        let driver = tokio::spawn(driver.run());
        let sent = batch.len();
        let ticket = sink.send(batch).await.expect("room for a small batch");
        assert_eq!(ticket.await.expect("the driver runs").accepted(), sent);
        sink.close(Duration::from_secs(1)).await;
        driver.await.expect("the driver ends");
    }
    for _ in 0..100 {
        if lines(Path::new(&seen)) == expected.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let arrived = std::fs::read_to_string(&seen).expect("something arrived");
    let mut found = BTreeMap::new();
    for line in arrived.lines() {
        let message: serde_json::Value =
            serde_json::from_str(line).expect("the receiver prints JSON");
        assert_eq!(message["host"], "forebay-test", "{line}");
        assert_eq!(message["timestamp"], 1_712_345_678.901);
        assert_eq!(message["level"], 5);
        let number = message["_number"]
            .as_i64()
            .expect("a number stays a number");
        found.insert(
            number,
            message["_text"]
                .as_str()
                .expect("text stays text")
                .to_owned(),
        );
    }
    assert_eq!(found, expected);
    println!("{} messages understood by {receiver}", found.len());
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}
