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
    let options = Options { flow_format: flow_format.to_owned(), summary: false };
    let (mut out, mut told) = (Vec::new(), Vec::new());
    files(&[folder.join(name)], &options, &mut out, &mut told).expect("a writer in memory takes everything");
    let lines = String::from_utf8(out).expect("GELF is UTF-8");
    let messages = lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    Decoded { messages, told: String::from_utf8(told).expect("reports are UTF-8") }
}

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
    let mut all = String::new();
    for (name, messages, told) in TABLE {
        let decoded = decode(&folder, name, "default");
        all.push_str(&format!("{name}: {} messages; {}\n", decoded.messages.len(), decoded.told));
        for m in &decoded.messages { all.push_str(&format!("     {m}\n")); }
        let _ = (messages, told);
    }
    panic!("{all}");
}

const TABLE: &[(&str, usize, &[&str])] = &[
    ("vpc_flow_logs/flowlogs_reader_v2_lines.txt", 0, &[]),
    ("vpc_flow_logs/flowlogs_reader_v3_s3_file.txt", 0, &[]),
    ("vpc_flow_logs/flowlogs_reader_v5_s3_file.txt", 0, &[]),
    ("vpc_flow_logs/otel_ecs_s3_file.log", 0, &[]),
    ("vpc_flow_logs/otel_cw_custom_format.json", 0, &[]),
    ("cloudwatch_subscription/otel_control_message.json", 0, &[]),
    ("cloudwatch_subscription/otel_extracted_fields_both.json", 0, &[]),
    ("cloudwatch_subscription/aws_lambda_go_cloudwatch-logs-event.json", 0, &[]),
    ("cloudwatch_subscription/powertools_kinesisStreamCloudWatchLogsEvent.json", 0, &[]),
    ("firehose_kinesis/aws_lambda_go_kinesis-event.json", 0, &[]),
    ("firehose_kinesis/aws_lambda_go_kinesis-firehose-event.json", 0, &[]),
    ("cloudtrail/awsdocs_cloudtrail-log-file-examples_12.json", 0, &[]),
    ("cloudtrail/awsdocs_cloudtrail-log-file-examples_13.json", 0, &[]),
    ("cloudtrail/awsdocs_cloudtrail-event-reference-aws-console-sign-in-events_01.json", 0, &[]),
    ("cloudtrail/awsdocs_cloudtrail-log-file-validation-digest-file-structure_19.json", 0, &[]),
    ("cloudtrail/otel_identity_center_and_service_event.json", 0, &[]),
    ("cloudtrail/lambda_rust_eventbridge_cloudtrail-assumed-role.json", 0, &[]),
    ("notifications/aws_lambda_go_s3-event.json", 0, &[]),
    ("notifications/aws_lambda_go_s3-event-with-decoded.json", 0, &[]),
    ("notifications/aws_lambda_go_sns-event.json", 0, &[]),
    ("notifications/aws_lambda_go_sqs-event.json", 0, &[]),
    ("notifications/powertools_snsSqsEvent.json", 0, &[]),
    ("notifications/powertools_s3SqsEvent.json", 0, &[]),
    ("notifications/powertools_s3EventBridgeNotificationObjectCreatedEvent.json", 0, &[]),
    ("notifications/powertools_s3EventBridgeNotificationObjectDeletedEvent.json", 0, &[]),
];
