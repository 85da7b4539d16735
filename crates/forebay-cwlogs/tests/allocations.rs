//! Allocations are counted, so that a regression fails instead of drifting.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use forebay_cwlogs::Decoder;

fn payload(events: usize) -> Vec<u8> {
    let mut text = String::from(
        r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"flow","logStream":"eni","subscriptionFilters":["f"],"logEvents":["#,
    );
    for n in 0..events {
        let comma = if n == 0 { "" } else { "," };
        let fields = if n % 3 == 0 {
            r#","extractedFields":{"@aws.account":"1","@aws.region":"r"}"#
        } else {
            ""
        };
        write!(
            text,
            r#"{comma}{{"id":"{n:056}","timestamp":1763029869851,"message":"2 123456789012 eni-1 10.0.0.{n} - OK"{fields}}}"#
        )
        .unwrap();
    }
    text.push_str("]}");
    text.into_bytes()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Reads all that a pipeline reads, without copying.
fn read(decoder: &mut Decoder, input: &[u8]) -> usize {
    let mut touched = 0;
    for payload in decoder.decode(input).unwrap() {
        let payload = payload.unwrap();
        touched +=
            payload.log_group().as_plain().unwrap().len() + payload.subscription_filters().count();
        for event in payload.events() {
            let event = event.unwrap();
            touched += event.message().as_plain().unwrap().len();
            touched += event.id().raw().len()
                + event.account().raw().len()
                + event.extracted_fields().count();
            touched += usize::from(event.region().is_some()) + event.timestamp() as usize % 2;
        }
    }
    touched
}

#[test]
fn nothing_is_allocated_once_warm() {
    let large = payload(300);
    let forms: [(&str, Vec<u8>); 5] = [
        ("plain", large.clone()),
        ("gzip", gzip(&large)),
        (
            "members",
            gzip(&large[..5000])
                .into_iter()
                .chain(gzip(&large[5000..]))
                .collect(),
        ),
        ("zlib", zlib(&large)),
        (
            "envelopes",
            [&payload(10)[..], b"\n", &payload(20)].concat(),
        ),
    ];
    let mut decoder = Decoder::new();
    for (_, form) in &forms {
        read(&mut decoder, form);
    }
    let small = gzip(&payload(1));
    for (name, form) in forms
        .iter()
        .map(|(name, form)| (*name, form))
        .chain([("small", &small)])
    {
        let info = allocation_counter::measure(|| {
            for _ in 0..10 {
                assert!(read(&mut decoder, form) > 0);
            }
        });
        assert_eq!(info.count_total, 0, "{name}: {info:?}");
    }
}

#[test]
fn base64_needs_no_further_memory() {
    let text = b"eyJtZXNzYWdlVHlwZSI6IkRBVEFfTUVTU0FHRSIsImxvZ0V2ZW50cyI6W119";
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode_base64(text).unwrap().len(), 1);
    let info =
        allocation_counter::measure(|| assert_eq!(decoder.decode_base64(text).unwrap().len(), 1));
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn a_failed_input_allocates_nothing_either() {
    let good = gzip(&payload(100));
    let mut decoder = Decoder::new();
    read(&mut decoder, &good);
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 0x55;
    let mut fail = || {
        assert!(decoder.decode(&bad).is_err());
        assert!(decoder.decode(&good[..middle]).is_err());
        assert!(decoder.decode(b"no envelope").is_err());
    };
    // The last bytes of a cut input are taken for a length, so that the buffer may grow once.
    fail();
    let info = allocation_counter::measure(fail);
    assert_eq!(info.count_total, 0, "{info:?}");
}
