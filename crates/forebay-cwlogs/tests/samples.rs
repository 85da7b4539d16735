//! Public samples, read from beside the repository where they are at hand.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and say that it was skipped"
)]

use std::fs;
use std::path::PathBuf;

use forebay_cwlogs::{Decoder, Error, MessageType};
use serde_json::Value;

fn sample(path: &str) -> Option<Vec<u8>> {
    let folder = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/samples"
    ));
    if !folder.is_dir() {
        println!("skipped: ../shared/samples is not here");
        return None;
    }
    Some(fs::read(folder.join(path)).unwrap())
}

#[test]
fn control_message_holds_no_log_data() {
    let Some(text) = sample("cloudwatch_subscription/otel_control_message.json") else {
        return;
    };
    let mut decoder = Decoder::new();
    let payload = decoder.decode(&text).unwrap().next().unwrap().unwrap();
    assert_eq!(payload.message_type(), MessageType::Control);
    assert_eq!(payload.owner(), "CloudwatchLogs");
    let event = payload.events().next().unwrap().unwrap();
    assert!(event.id().is_empty());
    assert!(event.message().raw().starts_with(b"CWL CONTROL MESSAGE:"));
}

#[test]
fn extracted_account_and_region_win_over_the_owner() {
    let Some(text) = sample("cloudwatch_subscription/otel_extracted_fields_both.json") else {
        return;
    };
    let mut decoder = Decoder::new();
    let payload = decoder.decode(&text).unwrap().next().unwrap().unwrap();
    assert_eq!(payload.message_type(), MessageType::Data);
    assert_eq!(payload.owner(), "123456789012");
    let events: Vec<_> = payload.events().map(Result::unwrap).collect();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].account(), "999888777666");
    assert_eq!(events[0].region().unwrap(), "us-west-2");
    assert_eq!(events[0].timestamp(), 1_725_544_035_523);
    assert_eq!(
        events[0].message(),
        "Hello world, here is our first log message!"
    );
}

#[test]
fn lambda_event_decodes_as_it_is_and_by_its_data() {
    let Some(text) = sample("cloudwatch_subscription/aws_lambda_go_cloudwatch-logs-event.json")
    else {
        return;
    };
    let event: Value = serde_json::from_slice(&text).unwrap();
    let data = event["awslogs"]["data"].as_str().unwrap();
    let mut decoder = Decoder::new();
    let whole: Vec<String> = decoder
        .decode(&text)
        .unwrap()
        .map(|payload| format!("{:?}", payload.unwrap().raw()))
        .collect();
    let inner: Vec<String> = decoder
        .decode_base64(data.as_bytes())
        .unwrap()
        .map(|payload| format!("{:?}", payload.unwrap().raw()))
        .collect();
    assert_eq!(whole, inner);
    let payload = decoder.decode(&text).unwrap().next().unwrap().unwrap();
    assert_eq!(payload.message_type(), MessageType::Data);
    assert_eq!(payload.owner(), "123456789123");
    assert_eq!(payload.log_group(), "testLogGroup");
    assert_eq!(payload.events().filter(|event| event.is_ok()).count(), 2);
}

#[test]
fn kinesis_records_hold_two_envelopes_of_three_events() {
    let Some(text) =
        sample("cloudwatch_subscription/powertools_kinesisStreamCloudWatchLogsEvent.json")
    else {
        return;
    };
    let event: Value = serde_json::from_slice(&text).unwrap();
    let records = event["Records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    let mut decoder = Decoder::new();
    for record in records {
        let data = record["kinesis"]["data"].as_str().unwrap();
        let payloads: Vec<_> = decoder
            .decode_base64(data.as_bytes())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(payloads.len(), 1);
        assert_eq!(payloads[0].owner(), "231436140809");
        assert_eq!(
            payloads[0].events().filter(|event| event.is_ok()).count(),
            3
        );
        // The whole of it, member by member, is what the JSON reader of the tests sees.
        let value: Value = serde_json::from_slice(payloads[0].raw()).unwrap();
        for (event, expected) in payloads[0]
            .events()
            .map(Result::unwrap)
            .zip(value["logEvents"].as_array().unwrap())
        {
            assert_eq!(event.id().to_string(), expected["id"].as_str().unwrap());
            assert_eq!(event.timestamp(), expected["timestamp"].as_i64().unwrap());
            assert_eq!(
                event.message().to_string(),
                expected["message"].as_str().unwrap()
            );
        }
    }
}

#[test]
fn flow_log_lines_of_a_custom_format_come_out() {
    let Some(text) = sample("vpc_flow_logs/otel_cw_custom_format.json") else {
        return;
    };
    let mut decoder = Decoder::new();
    let payload = decoder.decode(&text).unwrap().next().unwrap().unwrap();
    let messages: Vec<String> = payload
        .events()
        .map(|event| event.unwrap().message().to_string())
        .collect();
    assert_eq!(
        messages,
        [
            "2 eni-1235b8ca123456789 172.31.16.139 172.31.16.21",
            "2 eni-1235b8ca123456789 172.31.9.69 172.31.9.12"
        ]
    );
}

#[test]
fn records_that_hold_text_are_no_envelopes() {
    for (path, list, data) in [
        (
            "firehose_kinesis/aws_lambda_go_kinesis-event.json",
            "Records",
            "/kinesis/data",
        ),
        (
            "firehose_kinesis/aws_lambda_go_kinesis-firehose-event.json",
            "records",
            "/data",
        ),
    ] {
        let Some(text) = sample(path) else { return };
        let event: Value = serde_json::from_slice(&text).unwrap();
        for record in event[list].as_array().unwrap() {
            let data = record.pointer(data).unwrap().as_str().unwrap();
            let mut decoder = Decoder::new();
            assert!(matches!(
                decoder.decode_base64(data.as_bytes()),
                Err(Error::NotAnEnvelope { at: 0 })
            ));
        }
    }
}
