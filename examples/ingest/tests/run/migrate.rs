//! docs/migrate-from-graylog-plugin.md, followed step by step on the embedded AWS.

use serde_json::json;

use crate::{
    bed::{self, Aws, Forebay, bytes_of, command},
    leases::{OWNER, lease_rows},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugins_lease_table_is_taken_over_at_its_checkpoint() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");

    // What the plugin read and checkpointed, and what came since.
    for number in 1..=10 {
        aws.put(number).await;
    }
    let positions = positions(&aws).await;
    for number in 11..=20 {
        aws.put(number).await;
    }
    // The plugin stops hard: its leases keep their owner, and nobody renews them.
    lease_rows(&aws, Some(OWNER), [&positions[0], &positions[1]]).await;

    // The configuration comes from the plugin's inputs.
    let inputs = folder.path().join("inputs.json");
    let list = json!({"inputs": [{
        "title": "Flow", "type": "org.graylog.aws.inputs.flowlogs.FlowLogsInput",
        "attributes": {
            "aws_region": "eu-west-1", "aws_access_key": "AKIAEXAMPLE", "aws_secret_key": "", "kinesis_stream_name": "flow",
            "kinesis_record_batch_size": 10000, "throttling_allowed": false,
            "kinesis_endpoint": aws.endpoint, "dynamodb_endpoint": aws.endpoint,
        },
    }]});
    std::fs::write(&inputs, list.to_string()).expect("written");
    let words = [
        "init",
        "--to",
        &address.to_string(),
        "--from-graylog",
        inputs.to_str().expect("text"),
    ];
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(words)
        .output()
        .expect("the binary runs");
    let made = String::from_utf8(made.stdout).expect("text");
    let config = folder.path().join("forebay.toml");
    // The secret is where the file says that it is to be put.
    let made = made.replace(
        "{ file = \"/run/secrets/flow-1\" }",
        "{ env = \"TEST_AWS_SECRET\" }",
    );
    let letters = format!(
        "[dead_letter]\npath = {:?}\n",
        folder.path().join("dead.ndjson").display().to_string()
    );
    std::fs::write(&config, made + &letters).expect("written");

    let check = command(&config, &["check", "--offline"]).await;
    assert_eq!(check.code, Some(0), "{check:?}");
    let started = tokio::time::Instant::now();
    let running = Forebay::start(&config);
    let mut numbers = bytes_of(&mut messages, 10).await;
    assert!(
        started.elapsed() < std::time::Duration::from_secs(25),
        "leases of a dead owner are taken after the failover time"
    );
    let (code, log) = running.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        (11..=20).collect::<Vec<_>>(),
        "reading goes on behind the plugin's checkpoint, nothing twice: {log}"
    );
    for (owner, checkpoint) in aws.leases().await {
        assert_eq!(owner, None, "going back: the leases are free");
        assert!(
            checkpoint.bytes().all(|byte| byte.is_ascii_digit()),
            "{checkpoint}"
        );
    }
    assert!(log.contains("graylog-aws-plugin-flow"), "{log}");
}

/// The sequence number of the last record of each shard.
async fn positions(aws: &Aws) -> [String; 2] {
    use aws_sdk_kinesis::types::ShardIteratorType;
    let mut last = ["TRIM_HORIZON".to_owned(), "TRIM_HORIZON".to_owned()];
    for (number, last) in last.iter_mut().enumerate() {
        let request = aws
            .kinesis()
            .get_shard_iterator()
            .stream_name("flow")
            .shard_id(format!("shardId-00000000000{number}"))
            .shard_iterator_type(ShardIteratorType::TrimHorizon);
        let iterator = request.send().await.expect("an iterator").shard_iterator;
        let records = aws
            .kinesis()
            .get_records()
            .set_shard_iterator(iterator)
            .send()
            .await
            .expect("records")
            .records;
        if let Some(record) = records.last() {
            *last = record.sequence_number.clone();
        }
    }
    last
}
