//! What receivers that we did not write make of our messages. `tests/gelf_receivers.sh` starts them and runs this.
#![cfg(feature = "http")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay_gelf::{
    Batch, Compression, DatagramSize, Encoder, FieldName, HttpConfig, Level, Roots, Sink,
    SinkConfig, TcpConfig, TlsConfig, Transport, UdpConfig,
};

static NUMBER: FieldName = FieldName::literal("number");
static TEXT: FieldName = FieldName::literal("text");

const TEXTS: [&str; 3] = ["plain", "say \"hi\" \\ \t", "gr\u{fc}\u{df}e \u{1f600}"];

#[tokio::test]
async fn independent_receivers_understand_every_form() {
    let Ok(receivers) = std::env::var("FOREBAY_GELF_RECEIVERS") else {
        println!("skipped: FOREBAY_GELF_RECEIVERS is not set; run tests/gelf_receivers.sh");
        return;
    };
    for receiver in receivers.lines() {
        let words: Vec<_> = receiver.split(' ').collect();
        let [name, scheme, address, seen] = words[..] else {
            panic!("name, scheme, address and file, but not {receiver}")
        };
        let mut expected = BTreeMap::new();
        for (form, transport) in forms(scheme, address).into_iter().enumerate() {
            // kinesyslog cuts messages at 6 KiB; datagrams need more to be chunked.
            let long = if scheme == "udp" { 20_000 } else { 5000 };
            let batch = batch(form, long, &mut expected);
            let mut config = SinkConfig::default();
            // Ids must differ between senders.
            config.seed = form as u64 + 1;
            let (sink, driver) =
                Sink::open(transport, config, Arc::new(())).expect("good settings");
            let driver = tokio::spawn(driver.run());
            let sent = batch.len();
            let ticket = sink.send(batch).await.expect("room for a small batch");
            let report = sink.close(Duration::from_secs(20)).await;
            assert_eq!(report.accepted, sent as u64, "{name} {scheme}: {report:?}");
            assert_eq!(ticket.await.expect("it was settled").accepted(), sent);
            driver.await.expect("the driver ends");
        }
        let found = understood(Path::new(seen), expected.len()).await;
        assert_eq!(found, expected, "{name} {scheme}");
        println!("{name} {scheme}: {} messages understood", found.len());
    }
}

/// All ways to send over one scheme.
fn forms(scheme: &str, address: &str) -> Vec<Transport> {
    let mut tls = TlsConfig::default();
    tls.roots = Roots::Pem(include_bytes!("testdata/tls/ca.pem").to_vec());
    match scheme {
        "udp" => [Compression::None, Compression::Gzip, Compression::Zlib]
            .map(|compression| {
                let mut udp = UdpConfig::new(address);
                udp.compression = compression;
                udp.datagram = DatagramSize::WAN;
                udp.into()
            })
            .into(),
        "tcp" | "tls" => {
            let mut tcp = TcpConfig::new(address);
            tcp.tls = (scheme == "tls").then_some(tls);
            vec![tcp.into()]
        }
        "http" | "https" => [true, false]
            .map(|gzip| {
                let mut http = HttpConfig::new(format!("{scheme}://{address}/gelf"));
                http.tls = tls.clone();
                http.gzip = gzip;
                http.into()
            })
            .into(),
        other => panic!("no transport is called {other}"),
    }
}

/// Short and long messages with every kind of text; notes what must arrive.
fn batch(form: usize, long: u64, expected: &mut BTreeMap<i64, String>) -> Batch {
    let mut batch = Batch::new();
    let mut encoder = Encoder::default();
    for (index, text) in TEXTS.into_iter().enumerate() {
        for (size, padding) in [0, long].into_iter().enumerate() {
            let number = (form * 100 + index * 10 + size) as i64;
            // Hardly compressible, so that it stays long enough for chunks.
            let noise = (0..padding).map(|at| {
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
    batch
}

/// Waits for so many lines and reads them.
async fn understood(seen: &Path, count: usize) -> BTreeMap<i64, String> {
    let read = || std::fs::read_to_string(seen).unwrap_or_default();
    for _ in 0..100 {
        if read().lines().count() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut found = BTreeMap::new();
    for line in read().lines() {
        let message: serde_json::Value =
            serde_json::from_str(line).expect("the receiver prints JSON");
        assert_eq!(message["host"], "forebay-test", "{line}");
        assert_eq!(message["timestamp"], 1_712_345_678.901);
        assert_eq!(message["level"], 5);
        let number = message["_number"]
            .as_f64()
            .expect("a number stays a number");
        let text = message["_text"].as_str().expect("text stays text");
        found.insert(number as i64, text.to_owned());
    }
    found
}
