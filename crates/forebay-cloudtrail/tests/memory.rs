//! How much memory reading takes, counted.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_cloudtrail::{
    Event, EventIndex, FileDecoder, FileReader, Flattener, Limits, Name, RecordSplitter, Value,
    View,
};
use forebay_gelf::{Encoder, FieldName};

/// A record of the usual size and shape, without escapes.
fn record(number: usize) -> String {
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLE:session-{number}","arn":"arn:aws:sts::123456789012:assumed-role/Reader/session-{number}","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE{number}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLE","arn":"arn:aws:iam::123456789012:role/Reader","accountId":"123456789012","userName":"Reader"}},"attributes":{{"creationDate":"2024-07-10T16:03:25Z","mfaAuthenticated":"false"}}}}}},"eventTime":"2024-07-10T16:48:26Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.{}","userAgent":"aws-sdk-rust/1.3 os/linux lang/rust/1.95","requestParameters":{{"instancesSet":{{"items":[{{"instanceId":"i-{number:017x}"}}]}},"filterSet":{{}}}},"responseElements":null,"requestID":"00000000-0000-0000-0000-{number:012}","eventID":"11111111-0000-0000-0000-{number:012}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"ec2.eu-west-1.amazonaws.com"}}}}"#,
        number % 250
    )
}

fn gzip(records: usize) -> (Vec<u8>, usize) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut length = 0;
    let mut put = |text: &str| {
        length += text.len();
        encoder.write_all(text.as_bytes()).expect("memory");
    };
    put(r#"{"Records":["#);
    for number in 0..records {
        if number > 0 {
            put(",");
        }
        put(&record(number));
    }
    put("]}");
    (encoder.finish().expect("memory"), length)
}

#[test]
fn a_file_of_50_megabytes_becomes_gelf_in_less_than_64_kib_of_heap() {
    static NAME: FieldName = FieldName::literal("field");
    let (file, length) = gzip(43_000);
    assert!(length > 50_000_000, "{length}");
    let (mut records, mut bytes) = (0, 0);
    let info = allocation_counter::measure(|| {
        let mut reader = FileReader::new(file.as_slice());
        let mut flattener = Flattener::new(View::Complete);
        let mut encoder = Encoder::default();
        while let Some(record) = reader.next_record() {
            let mut message = encoder.begin("aws-cloudtrail");
            flattener.flatten(&record.expect("good").event(), |name, value| {
                match (name, value) {
                    (Name::Message, Value::Text(text)) => {
                        message.short_message_json_text(text.as_json().expect("a string"))
                    }
                    (Name::FullMessage, Value::Text(text)) => {
                        message.full_message_json_text(text.as_json().expect("a string"))
                    }
                    (_, Value::Text(text)) => {
                        message.json_text(&NAME, text.as_json().expect("a string"))
                    }
                    (_, Value::Structure(json)) => message.text(&NAME, json),
                    _ => &mut message,
                };
            });
            bytes += message.finish().expect("a message").as_bytes().len();
            records += 1;
        }
        assert!(reader.summary().is_some());
    });
    assert_eq!(records, 43_000);
    assert!(bytes > 40_000_000, "{bytes}");
    println!(
        "{} MB inflated, peak {} bytes in {} allocations",
        length / 1_000_000,
        info.bytes_max,
        info.count_total
    );
    assert!(info.bytes_max < 64 << 10, "{}", info.bytes_max);
    assert!(info.count_total < 100, "{}", info.count_total);
}

#[test]
fn splitting_and_scanning_allocate_nothing_per_record() {
    let text = format!(
        r#"{{"Records":[{}]}}"#,
        (0..500).map(record).collect::<Vec<_>>().join(",")
    );
    let mut splitter = RecordSplitter::new(Limits::default());
    let mut flattener = Flattener::new(View::Complete);
    let mut fields = 0;
    let mut pieces = text.as_bytes().chunks(5000);
    let mut take = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        for piece in pieces {
            splitter.feed(piece);
            while let Some(record) = splitter.next_record() {
                flattener.flatten(&record.expect("good").event(), |_, _| fields += 1);
            }
        }
    };
    // Warm up: buffers reach their size.
    take(&mut pieces.by_ref().take(10));
    let info = allocation_counter::measure(|| take(&mut pieces));
    assert_eq!(info.count_total, 0);
    assert!(fields > 500 * 20, "{fields}");
}

#[test]
fn a_decoder_that_is_warm_allocates_nothing_per_record() {
    let (file, _) = gzip(2000);
    let (warm, rest) = file.split_at(file.len() / 4);
    let mut decoder = FileDecoder::new(Limits::default());
    let mut records = 0;
    let mut take = |mut bytes: &[u8]| {
        while !bytes.is_empty() {
            let used = decoder.feed(bytes).expect("good");
            bytes = &bytes[used..];
            while let Some(record) = decoder.next_record() {
                assert!(record.is_ok());
                records += 1;
            }
        }
    };
    take(warm);
    let info = allocation_counter::measure(|| take(rest));
    assert_eq!(info.count_total, 0);
    assert_eq!(records, 2000);
}

#[test]
fn parsing_one_event_into_a_used_index_allocates_nothing() {
    let text = record(7);
    let mut index = EventIndex::new();
    Event::parse(&text, &mut index).expect("a record");
    let info = allocation_counter::measure(|| {
        let event = Event::parse(&text, &mut index).expect("a record");
        assert_eq!(
            event.event_name().and_then(|name| name.as_plain()),
            Some("DescribeInstances")
        );
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_bomb_ends_at_the_ratio_without_growing() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(br#"{"Records":[{"eventName":""#)
        .expect("memory");
    std::io::copy(&mut std::io::repeat(b'a').take(300 << 20), &mut encoder).expect("memory");
    let file = encoder.finish().expect("memory");
    let info = allocation_counter::measure(|| {
        let mut reader = FileReader::new(file.as_slice());
        let mut last = String::new();
        while let Some(item) = reader.next_record() {
            last = item
                .err()
                .map(|error| {
                    std::error::Error::source(&error)
                        .map(ToString::to_string)
                        .unwrap_or_default()
                })
                .unwrap_or_default();
        }
        assert!(last.contains("inflate_ratio"), "{last}");
    });
    assert!(info.bytes_max < 4 << 20, "{}", info.bytes_max);
}
