//! Public samples beside the repository decode as their expected files say.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use forebay_flowlog::{
    Column, Error, ErrorKind, Field, Format, LineError, Reader, Record, RecordBuf, RecordKind,
    Value,
};
use serde_json::{Map, Value as Json};

#[test]
fn default_format_lines_decode_as_expected() {
    let Some(text) = sample("flowlogs_reader_v2_lines.txt") else {
        return;
    };
    let records: Vec<RecordBuf> = Reader::new(&text[..])
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(records.len(), 5);
    for (line, file) in [
        (0, "flowlogs_reader_v2_line1"),
        (2, "flowlogs_reader_v2_line3"),
    ] {
        let expected = expected(file);
        assert_eq!(
            Json::Object(to_json(&records[line].as_record())),
            expected,
            "{file}"
        );
    }
    let kinds: Vec<RecordKind> = records
        .iter()
        .map(|record| record.as_record().kind())
        .collect();
    use RecordKind::{NoData, SkipData, Traffic};
    assert_eq!(kinds, [Traffic, Traffic, Traffic, NoData, SkipData]);
    for record in &records[3..] {
        let record = record.as_record();
        assert_eq!(
            (record.src_addr(), record.dst_port(), record.bytes()),
            (Ok(None), Ok(None), Ok(None))
        );
        assert_eq!(record.action(), Ok(None));
        assert_eq!(
            record.start().unwrap().unwrap().unix_seconds(),
            1_431_280_876
        );
    }
}

#[test]
fn files_with_a_header_decode_as_expected() {
    for (file, bad_lines) in [
        ("flowlogs_reader_v3_s3_file", 0),
        ("flowlogs_reader_v5_s3_file", 1),
    ] {
        let Some(text) = sample(&format!("{file}.txt")) else {
            return;
        };
        let (records, errors) = read(&text);
        let Json::Array(expected) = expected(file) else {
            panic!("{file}: the expected value is a list")
        };
        assert_eq!(records.len(), expected.len(), "{file}");
        for (record, expected) in records.iter().zip(expected) {
            assert_eq!(
                Json::Object(to_json(&record.as_record())),
                expected,
                "{file}"
            );
        }
        assert_eq!(errors.len(), bad_lines, "{file}");
        for error in errors {
            assert_eq!(
                (error.position().line, error.line()),
                (4, &b"bogus line"[..])
            );
            let ErrorKind::Line(LineError::FieldCount {
                expected: 29,
                found: 2,
                offset: 10,
            }) = error.kind()
            else {
                panic!("{error}")
            };
            let at = usize::try_from(error.position().offset).unwrap();
            assert!(text[at..].starts_with(b"bogus line"));
        }
    }
}

/// That no sample is left out is for the end-to-end test to say; this is about the values beside them.
#[test]
fn no_expected_file_is_left_out() {
    let Some(folder) = folder() else { return };
    let mut found: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".expected.json")?.to_owned()))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "flowlogs_reader_v2_line1",
            "flowlogs_reader_v2_line3",
            "flowlogs_reader_v3_s3_file",
            "flowlogs_reader_v5_s3_file"
        ]
    );
}

#[test]
fn ecs_fields_are_found_by_name() {
    let Some(text) = sample("otel_ecs_s3_file.log") else {
        return;
    };
    let (records, errors) = read(&text);
    assert_eq!((records.len(), errors.len()), (1, 0));
    let record = records[0].as_record();
    let cases = [
        (
            Field::EcsClusterArn,
            "arn:aws:ecs:us-east-1:123456789012:cluster/my-cluster",
        ),
        (Field::EcsClusterName, "my-cluster"),
        (
            Field::EcsContainerInstanceArn,
            "arn:aws:ecs:us-east-1:123456789012:container-instance/my-cluster/abcdef",
        ),
        (Field::EcsContainerInstanceId, "abcdef1234567890"),
        (Field::EcsContainerId, "container-1"),
        (Field::EcsSecondContainerId, "container-2"),
        (Field::EcsServiceName, "my-service"),
        (
            Field::EcsTaskDefinitionArn,
            "arn:aws:ecs:us-east-1:123456789012:task-definition/my-task:1",
        ),
        (
            Field::EcsTaskArn,
            "arn:aws:ecs:us-east-1:123456789012:task/my-cluster/abcdef",
        ),
        (Field::EcsTaskId, "abcdef1234567890"),
    ];
    for (field, expected) in cases {
        assert_eq!(record.text(field), Ok(Some(expected)), "{field}");
        assert_eq!(
            record.raw_by_name(field.column_name()),
            Some(expected.as_bytes())
        );
    }
    assert_eq!(record.version(), Ok(Some(5)));
}

#[test]
fn a_custom_format_in_a_subscription_payload_decodes() {
    let Some(payload) = sample("otel_cw_custom_format.json") else {
        return;
    };
    let payload: Json = serde_json::from_slice(&payload).unwrap();
    let format = Format::from_template("${version} ${interface-id} ${srcaddr} ${dstaddr}").unwrap();
    let events = payload["logEvents"].as_array().unwrap();
    let addresses: Vec<String> = events
        .iter()
        .map(|event| {
            let record = format
                .parse(event["message"].as_str().unwrap().as_bytes())
                .unwrap();
            assert_eq!(record.interface_id(), Ok(Some("eni-1235b8ca123456789")));
            format!(
                "{} {}",
                record.src_addr().unwrap().unwrap(),
                record.dst_addr().unwrap().unwrap()
            )
        })
        .collect();
    assert_eq!(
        addresses,
        ["172.31.16.139 172.31.16.21", "172.31.9.69 172.31.9.12"]
    );
}

fn read(text: &[u8]) -> (Vec<RecordBuf>, Vec<Error>) {
    let (mut records, mut errors) = (Vec::new(), Vec::new());
    for item in Reader::new(text) {
        match item {
            Ok(record) => records.push(record),
            Err(error) => errors.push(error),
        }
    }
    (records, errors)
}

/// The convention of the expected files: names with underscores, `-` left out, times in Unix seconds.
fn to_json(record: &Record<'_>) -> Map<String, Json> {
    let mut map = Map::new();
    for field in record.format().columns().iter().filter_map(Column::field) {
        let value = match record.value(field).unwrap() {
            None => continue,
            Some(Value::Number(number)) => number.into(),
            Some(Value::Timestamp(time)) => time.unix_seconds().into(),
            Some(Value::Address(address)) => address.to_string().into(),
            Some(Value::Text(text)) => text.into(),
            Some(other) => panic!("no such value in the samples: {other:?}"),
        };
        map.insert(field.column_name().to_owned(), value);
    }
    map
}

fn expected(file: &str) -> Json {
    let text = sample(&format!("{file}.expected.json")).expect("stands beside its sample");
    let mut json: Json = serde_json::from_slice(&text).unwrap();
    json["expected"].take()
}

fn sample(file: &str) -> Option<Vec<u8>> {
    Some(fs::read(folder()?.join(file)).unwrap())
}

fn folder() -> Option<PathBuf> {
    let samples = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/samples"
    ));
    if !samples.is_dir() {
        println!("skipped: ../shared/samples is not here");
        return None;
    }
    Some(samples.join("vpc_flow_logs"))
}
