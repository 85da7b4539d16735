//! Bench of `forebay-cloudtrail`: what each stage of reading a log file costs over inflating it, up to GELF as `ingest` sends it.
//!
//! The file has 500 records of six kinds, 700 to 2,500 bytes each, made from a fixed seed.
//!
//! The floor of the figure is `gunzip/streaming`: flate2's own reader with the back end that the crate has, into one small buffer, with the
//! checksum. A file that must be read in bounded memory cannot be inflated faster than that with this back end. `gunzip/libdeflate` inflates
//! the whole file at once into memory that is there already; it needs the size beforehand and is shown for comparison.
//! Criterion gives times; the ratios are printed at the end, from medians of runs that take turns.

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use forebay_cloudtrail::{
    Event, Field, FileDecoder, Flattener, Limits, Name, RecordSplitter, Value, View,
};
use forebay_gelf::{Encoder, FieldName};

const RECORDS: usize = 500;

#[expect(clippy::print_stdout, reason = "a bench tells its input")]
fn cloudtrail(criterion: &mut Criterion) {
    let text = file(RECORDS);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory");
    let gzip = encoder.finish().expect("memory");
    println!(
        "{RECORDS} records, {} bytes, {} compressed",
        text.len(),
        gzip.len()
    );

    let mut group = criterion.benchmark_group("cloudtrail");
    group.throughput(Throughput::ElementsAndBytes {
        elements: RECORDS as u64,
        bytes: text.len() as u64,
    });

    let mut inflated = vec![0; text.len()];
    let mut libdeflate = libdeflater::Decompressor::new();
    group.bench_function("gunzip/libdeflate", |bencher| {
        bencher.iter(|| {
            libdeflate
                .gzip_decompress(black_box(&gzip), &mut inflated)
                .expect("gzip")
        });
    });

    let mut piece = vec![0; 12 << 10];
    group.bench_function("gunzip/streaming", |bencher| {
        bencher.iter(|| gunzip(black_box(&gzip), &mut piece));
    });

    group.bench_function("split", |bencher| {
        bencher.iter(|| {
            let mut splitter = RecordSplitter::new(Limits::default());
            let mut records = 0;
            for piece in black_box(text.as_bytes()).chunks(8 << 10) {
                splitter.feed(piece);
                while let Some(record) = splitter.next_record() {
                    records += usize::from(record.is_ok());
                }
            }
            assert_eq!(records, RECORDS);
        });
    });

    group.bench_function("gunzip+split", |bencher| {
        bencher.iter(|| {
            let mut bytes = 0;
            decode(black_box(&gzip), |record| bytes += record.text().len());
            bytes
        });
    });

    for (name, view) in [
        ("gunzip+split+flatten/plugin", View::Plugin),
        ("gunzip+split+flatten/complete", View::Complete),
    ] {
        let mut flattener = Flattener::new(view);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut fields = 0;
                decode(black_box(&gzip), |record| {
                    flattener.flatten(&record.event(), |_, value| {
                        black_box(&value);
                        fields += 1;
                    });
                });
                fields
            });
        });
    }

    for (name, view) in [
        ("to-gelf/plugin", View::Plugin),
        ("to-gelf/complete", View::Complete),
    ] {
        let mut shaper = Shaper::new(view);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut bytes = 0;
                decode(black_box(&gzip), |record| {
                    bytes += shaper.message(&record.event()).len();
                });
                bytes
            });
        });
    }
    group.finish();
    // Once each, to count instructions: see docs/decisions/0021-cloudtrail-speed.md.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    ratios(&gzip, text.len());
}

/// The figure itself: all stages take turns, so that what disturbs one disturbs the others too.
#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures and tells"
)]
fn ratios(gzip: &[u8], length: usize) {
    let mut inflated = vec![0; length];
    let mut piece = vec![0; 12 << 10];
    let mut libdeflate = libdeflater::Decompressor::new();
    let mut shaper = Shaper::new(View::Complete);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..400 {
        let mut stages: [&mut dyn FnMut() -> usize; 3] = [
            &mut || {
                libdeflate
                    .gzip_decompress(gzip, &mut inflated)
                    .expect("gzip")
            },
            &mut || gunzip(gzip, &mut piece),
            &mut || {
                let mut bytes = 0;
                decode(gzip, |record| {
                    bytes += shaper.message(&record.event()).len();
                });
                bytes
            },
        ];
        for (stage, times) in stages.iter_mut().zip(&mut times) {
            let start = Instant::now();
            black_box(stage());
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    let [libdeflate, streaming, gelf] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("file to GELF, all fields: {gelf:.0} us");
    println!(
        "over gunzip, streaming (the floor): {:.2} ({streaming:.0} us)",
        gelf / streaming
    );
    println!(
        "over gunzip, libdeflate at once: {:.2} ({libdeflate:.0} us)",
        gelf / libdeflate
    );
}

/// Inflates piece by piece.
fn gunzip(gzip: &[u8], piece: &mut [u8]) -> usize {
    let mut decoder = MultiGzDecoder::new(gzip);
    let mut total = 0;
    loop {
        match decoder.read(piece).expect("gzip") {
            0 => break total,
            length => total += length,
        }
    }
}

/// Makes messages of records as `ingest` does (`examples/ingest/src/shape/trail.rs`).
struct Shaper {
    encoder: Encoder,
    flattener: Flattener,
}

impl Shaper {
    fn new(view: View) -> Self {
        Self {
            encoder: Encoder::default(),
            flattener: Flattener::new(view),
        }
    }

    fn message(&mut self, event: &Event<'_>) -> &[u8] {
        let mut message = self.encoder.begin("aws-cloudtrail");
        self.flattener
            .flatten(event, |name, value| match (name, value) {
                (Name::Timestamp, Value::Millis(millis)) => {
                    message.timestamp_millis(millis);
                }
                (Name::Message, Value::Text(text)) => {
                    message.short_message_json_text(text.as_json().unwrap_or_default());
                }
                (Name::FullMessage, Value::Text(text)) => {
                    message.full_message_json_text(text.as_json().unwrap_or_default());
                }
                (Name::Field(field), value) => {
                    let name = &FIELDS[field.known().expect("a documented member")];
                    match value {
                        Value::Text(text) => {
                            message.json_text(name, text.as_json().unwrap_or_default())
                        }
                        Value::Structure(json) => message.text(name, json),
                        Value::Bool(value) => message.boolean(name, value),
                        _ => &mut message,
                    };
                }
                _ => {}
            });
        message.finish().expect("a message").as_bytes()
    }
}

static FIELDS: [FieldName; Field::KNOWN.len()] = {
    let mut names = [FieldName::literal("x"); Field::KNOWN.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = FieldName::literal(Field::KNOWN[at]);
        at += 1;
    }
    names
};

/// Reads a file as the S3 driver does: in pieces of 16 KiB.
fn decode(gzip: &[u8], mut each: impl FnMut(forebay_cloudtrail::Record<'_>)) {
    let mut decoder = FileDecoder::new(Limits::default());
    let mut records = 0;
    for piece in gzip.chunks(16 << 10) {
        let mut rest = piece;
        while !rest.is_empty() {
            let used = decoder.feed(rest).expect("a good file");
            rest = rest.get(used..).unwrap_or_default();
            while let Some(record) = decoder.next_record() {
                each(record.expect("a good record"));
                records += 1;
            }
        }
    }
    decoder.end();
    while let Some(record) = decoder.next_record() {
        each(record.expect("a good record"));
        records += 1;
    }
    decoder.finish().expect("complete");
    assert_eq!(records, RECORDS);
}

/// A log file, the same for ever.
fn file(records: usize) -> String {
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut text = String::from(r#"{"Records":["#);
    for number in 0..records {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&record(&mut random));
    }
    text.push_str("]}");
    text
}

fn record(random: &mut impl FnMut() -> u64) -> String {
    let id = |random: &mut dyn FnMut() -> u64| {
        let (a, b) = (random(), random());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a as u32,
            (a >> 32) as u16,
            (a >> 48) & 0xfff,
            b & 0xfff,
            b >> 16
        )
    };
    let (session, access_key, request, event) =
        (random() % 40, random() % 40, id(random), id(random));
    let role = [
        "Reader",
        "Deployer",
        "AWSReservedSSO_Admin_0123456789abcdef",
        "ecsTaskExecutionRole",
    ][(random() % 4) as usize];
    let user = if random().is_multiple_of(4) {
        format!(
            r#"{{"type":"IAMUser","principalId":"AIDAEXAMPLE{session:08}","arn":"arn:aws:iam::123456789012:user/user-{session}","accountId":"123456789012","accessKeyId":"AKIAEXAMPLE{access_key:08}","userName":"user-{session}"}}"#
        )
    } else {
        format!(
            r#"{{"type":"AssumedRole","principalId":"AROAEXAMPLE{session:08}:session-{session}","arn":"arn:aws:sts::123456789012:assumed-role/{role}/session-{session}","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE{access_key:08}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLE{session:08}","arn":"arn:aws:iam::123456789012:role/{role}","accountId":"123456789012","userName":"{role}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"2024-07-10T16:03:25Z","mfaAuthenticated":"false"}}}}}}"#
        )
    };
    let kind = random() % 6;
    let (source, name, request_parameters, response, extra) = match kind {
        0 => ("ec2", "DescribeInstances", format!(r#"{{"instancesSet":{{"items":[{{"instanceId":"i-{:016x}"}}]}},"filterSet":{{}}}}"#, random()), "null".to_owned(), ""),
        1 => ("s3", "GetObject", format!(r#"{{"bucketName":"data-lake","Host":"data-lake.s3.eu-west-1.amazonaws.com","key":"year=2024/month=07/part-{:016x}.parquet"}}"#, random()), "null".to_owned(), r#","additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","bytesTransferredOut":17893},"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::data-lake/year=2024"},{"accountId":"123456789012","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::data-lake"}]"#),
        2 => ("sts", "AssumeRole", format!(r#"{{"roleArn":"arn:aws:iam::123456789012:role/{role}","roleSessionName":"session-{session}","durationSeconds":3600}}"#), format!(r#"{{"credentials":{{"accessKeyId":"ASIA{:016X}","sessionToken":"{:016x}{:016x}{:016x}","expiration":"Jul 10, 2024, 5:48:26 PM"}},"assumedRoleUser":{{"assumedRoleId":"AROAEXAMPLE:{session}","arn":"arn:aws:sts::123456789012:assumed-role/{role}/session-{session}"}}}}"#, random(), random(), random(), random()), ""),
        3 => ("kms", "Decrypt", format!(r#"{{"encryptionContext":{{"aws:s3:arn":"arn:aws:s3:::data-lake/part-{:016x}"}},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}}"#, random()), "null".to_owned(), r#","resources":[{"accountId":"123456789012","type":"AWS::KMS::Key","ARN":"arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"}]"#),
        4 => ("iam", "CreatePolicyVersion", r#"{"policyArn":"arn:aws:iam::123456789012:policy/app","policyDocument":"{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\"Effect\": \"Allow\", \"Action\": [\"s3:GetObject\"], \"Resource\": \"*\"}\n  ]\n}","setAsDefault":true}"#.to_owned(), r#"{"policyVersion":{"versionId":"v7","isDefaultVersion":true,"createDate":"Jul 10, 2024, 4:48:26 PM"}}"#.to_owned(), ""),
        _ => ("logs", "PutRetentionPolicy", "null".to_owned(), "null".to_owned(), r#","errorCode":"AccessDenied","errorMessage":"User: arn:aws:iam::123456789012:user/x is not authorized to perform: logs:PutRetentionPolicy on resource: arn:aws:logs:eu-west-1:123456789012:log-group:app because no identity-based policy allows it""#),
    };
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{user},"eventTime":"2024-07-10T16:{:02}:{:02}Z","eventSource":"{source}.amazonaws.com","eventName":"{name}","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.{}","userAgent":"aws-sdk-rust/1.3.10 ua/2.1 api/{source}#1.50 os/linux lang/rust#1.95 md/http#hyper-1.x","requestParameters":{request_parameters},"responseElements":{response}{extra},"requestID":"{request}","eventID":"{event}","readOnly":{},"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{source}.eu-west-1.amazonaws.com"}}}}"#,
        random() % 60,
        random() % 60,
        random() % 250,
        kind != 4
    )
}

criterion_group!(benches, cloudtrail);
criterion_main!(benches);
