//! `forebay decode` on real public payloads: every file of `../shared/samples` gives what its table says.

use std::path::{Path, PathBuf};

use ingest::decode::{Options, files};
use serde_json::Value;

/// What a file gives: messages on standard output, faults and notes on standard error.
struct Decoded {
    messages: Vec<Value>,
    told: String,
}

fn decode(folder: &Path, name: &str, flow_format: &str) -> Decoded {
    let options = Options {
        flow_format: flow_format.to_owned(),
        summary: false,
    };
    let (mut out, mut told) = (Vec::new(), Vec::new());
    files(&[folder.join(name)], &options, &mut out, &mut told)
        .expect("a writer in memory takes everything");
    let lines = String::from_utf8(out).expect("GELF is UTF-8");
    let messages = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    Decoded {
        messages,
        told: String::from_utf8(told).expect("reports are UTF-8"),
    }
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn samples() -> Option<PathBuf> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/samples"));
    if !folder.is_dir() {
        println!("skipped: ../shared/samples is not here");
        return None;
    }
    Some(folder.to_owned())
}

#[test]
fn every_sample_gives_what_its_table_says() {
    let Some(folder) = samples() else { return };
    for &(name, messages, told) in TABLE {
        let decoded = decode(&folder, name, "default");
        assert_eq!(decoded.messages.len(), messages, "{name}: {}", decoded.told);
        let lines: Vec<&str> = decoded.told.lines().collect();
        assert_eq!(lines.len(), told.len(), "{name}: {}", decoded.told);
        for (line, expected) in lines.iter().zip(told) {
            assert!(
                line.contains(name) && line.contains(expected),
                "{name}: {line}"
            );
        }
    }
}

#[test]
fn no_sample_is_left_out() {
    let Some(folder) = samples() else { return };
    for kind in std::fs::read_dir(&folder).expect("a folder") {
        let kind = kind.expect("an entry").path();
        if !kind.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&kind).expect("a folder") {
            let file = file.expect("an entry").path();
            let name = file
                .strip_prefix(&folder)
                .expect("inside")
                .display()
                .to_string();
            assert!(
                name.contains(".expected.") || TABLE.iter().any(|(listed, ..)| *listed == name),
                "{name} is not in the table"
            );
        }
    }
}

#[test]
fn a_custom_format_turns_lines_into_fields() {
    let Some(folder) = samples() else { return };
    let format = "${version} ${interface-id} ${srcaddr} ${dstaddr}";
    let decoded = decode(&folder, "vpc_flow_logs/otel_cw_custom_format.json", format);
    let field = |index: usize, name: &str| {
        decoded.messages[index][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(decoded.messages.len(), 2);
    assert_eq!(field(0, "_src_addr"), "172.31.16.139");
    assert_eq!(field(1, "_dst_addr"), "172.31.9.12");
    assert_eq!(field(1, "host"), "aws-flowlogs");
}

#[test]
fn the_effective_account_wins_over_the_owner() {
    let Some(folder) = samples() else { return };
    let decoded = decode(
        &folder,
        "cloudwatch_subscription/otel_extracted_fields_both.json",
        "default",
    );
    assert_eq!(decoded.messages[0]["_aws_owner"], "999888777666");
}

/// File, messages, and what each line on standard error says.
const TABLE: &[(&str, usize, &[&str])] = &[
    ("vpc_flow_logs/flowlogs_reader_v2_lines.txt", 5, &[]),
    ("vpc_flow_logs/flowlogs_reader_v3_s3_file.txt", 2, &[]),
    (
        "vpc_flow_logs/flowlogs_reader_v5_s3_file.txt",
        2,
        &["line 4 (byte 796): expected 29 columns, found 2"],
    ),
    ("vpc_flow_logs/otel_ecs_s3_file.log", 1, &[]),
    ("vpc_flow_logs/otel_cw_custom_format.json", 2, &[]),
    ("cloudwatch_subscription/otel_control_message.json", 0, &[]),
    (
        "cloudwatch_subscription/otel_extracted_fields_both.json",
        1,
        &[],
    ),
    (
        "cloudwatch_subscription/aws_lambda_go_cloudwatch-logs-event.json",
        2,
        &[],
    ),
    (
        "cloudwatch_subscription/powertools_kinesisStreamCloudWatchLogsEvent.json",
        6,
        &[],
    ),
    ("firehose_kinesis/aws_lambda_go_kinesis-event.json", 2, &[]),
    (
        "firehose_kinesis/aws_lambda_go_kinesis-firehose-event.json",
        2,
        &[],
    ),
    (
        "cloudtrail/awsdocs_cloudtrail-log-file-examples_12.json",
        1,
        &[],
    ),
    (
        "cloudtrail/awsdocs_cloudtrail-log-file-examples_13.json",
        1,
        &[],
    ),
    (
        "cloudtrail/awsdocs_cloudtrail-event-reference-aws-console-sign-in-events_01.json",
        1,
        &[],
    ),
    (
        "cloudtrail/awsdocs_cloudtrail-log-file-validation-digest-file-structure_19.json",
        0,
        &[],
    ),
    (
        "cloudtrail/otel_identity_center_and_service_event.json",
        3,
        &[],
    ),
    (
        "cloudtrail/lambda_rust_eventbridge_cloudtrail-assumed-role.json",
        1,
        &[],
    ),
    ("notifications/aws_lambda_go_s3-event.json", 1, &[]),
    (
        "notifications/aws_lambda_go_s3-event-with-decoded.json",
        1,
        &[],
    ),
    (
        "notifications/aws_lambda_go_sns-event.json",
        0,
        &["notice 0: no form of notice that is known"],
    ),
    (
        "notifications/aws_lambda_go_sqs-event.json",
        0,
        &["notice 0: no form of notice that is known"],
    ),
    (
        "notifications/powertools_snsSqsEvent.json",
        0,
        &["notice 0: no form of notice that is known"],
    ),
    ("notifications/powertools_s3SqsEvent.json", 1, &[]),
    (
        "notifications/powertools_s3EventBridgeNotificationObjectCreatedEvent.json",
        1,
        &[],
    ),
    (
        "notifications/powertools_s3EventBridgeNotificationObjectDeletedEvent.json",
        0,
        &["notice 0: no log files named, nothing to do"],
    ),
];
