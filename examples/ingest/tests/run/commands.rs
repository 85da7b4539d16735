//! Every command on the embedded AWS.

use std::{collections::HashMap, path::Path};

use aws_sdk_dynamodb::types::AttributeValue;
use forebay_localaws::{Fault, FaultRule, Instance, NetworkInterface, Service};
use serde_json::{Value, json};

use crate::bed::{self, Aws, Forebay, bytes_of, command};

/// A lease table of the stream, with this owner and checkpoint in each row.
pub(crate) async fn lease_rows(aws: &Aws, owner: Option<&str>, checkpoints: [&str; 2]) {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    };
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws.sdk);
    let made = dynamodb
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name("leaseKey")
                .attribute_type(ScalarAttributeType::S)
                .build()
                .expect("complete"),
        )
        .key_schema(
            KeySchemaElement::builder()
                .attribute_name("leaseKey")
                .key_type(KeyType::Hash)
                .build()
                .expect("complete"),
        );
    made.send().await.expect("the table is made");
    for (number, checkpoint) in checkpoints.into_iter().enumerate() {
        // Exactly the attributes that KCL 1.x writes.
        let mut row = HashMap::from([
            (
                "leaseKey".to_owned(),
                AttributeValue::S(format!("shardId-00000000000{number}")),
            ),
            (
                "leaseCounter".to_owned(),
                AttributeValue::N("17".to_owned()),
            ),
            (
                "checkpoint".to_owned(),
                AttributeValue::S(checkpoint.to_owned()),
            ),
            (
                "checkpointSubSequenceNumber".to_owned(),
                AttributeValue::N("0".to_owned()),
            ),
            (
                "ownerSwitchesSinceCheckpoint".to_owned(),
                AttributeValue::N("0".to_owned()),
            ),
        ]);
        if let Some(owner) = owner {
            row.insert("leaseOwner".to_owned(), AttributeValue::S(owner.to_owned()));
        }
        dynamodb
            .put_item()
            .table_name(TABLE)
            .set_item(Some(row))
            .send()
            .await
            .expect("the row is put");
    }
}

/// Moves the counters of all leases, as a live owner does.
async fn renew(aws: &Aws) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws.sdk);
    for number in 0..2 {
        let request = dynamodb
            .update_item()
            .table_name(TABLE)
            .key(
                "leaseKey",
                AttributeValue::S(format!("shardId-00000000000{number}")),
            )
            .update_expression("ADD leaseCounter :one")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        request.send().await.expect("the row is there");
    }
}

async fn renewing(aws: &Aws) {
    loop {
        renew(aws).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
}

const TABLE: &str = "graylog-aws-plugin-flow";
const OWNER: &str = "graylog-node-5f";

fn deny(aws: &Aws, service: Service, operation: &str) {
    let rule = FaultRule::new(Fault::AccessDenied)
        .service(service)
        .operation(operation);
    aws.cloud.lock().expect("the model").faults().push(rule);
}

struct Bed {
    aws: Aws,
    folder: tempfile::TempDir,
    messages: forebay_gelf::listener::Messages,
    config: std::path::PathBuf,
}

async fn bed(more: &str) -> Bed {
    let aws = Aws::with_stream().await;
    let (address, messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = bed::config(folder.path(), &aws, address, more);
    Bed {
        aws,
        folder,
        messages,
        config,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_finds_a_sound_configuration_sound() {
    let bed = bed("").await;
    for number in 1..=3 {
        bed.aws.put(number).await;
    }
    let ended = command(&bed.config, &["check"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for text in [
        "stream flow: 2 open shards",
        "3 records tried: 3 messages, all readable",
        "lease table graylog-aws-plugin-flow does not exist",
        "accepts connections",
        "0 warnings, 0 failures",
    ] {
        assert!(ended.out.contains(text), "{text}: {}", ended.out);
    }
    assert!(!ended.out.contains("canary"), "{}", ended.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_every_missing_right_and_writes_nothing() {
    for (service, operation, action, needed) in [
        (Service::Kinesis, "ListShards", "kinesis:ListShards", true),
        (
            Service::Kinesis,
            "GetShardIterator",
            "kinesis:GetShardIterator",
            true,
        ),
        (Service::Kinesis, "GetRecords", "kinesis:GetRecords", true),
        (
            Service::Kinesis,
            "DescribeStreamSummary",
            "kinesis:DescribeStreamSummary",
            false,
        ),
        (Service::DynamoDb, "Scan", "dynamodb:Scan", true),
        (Service::DynamoDb, "GetItem", "dynamodb:GetItem", true),
        (Service::DynamoDb, "UpdateItem", "dynamodb:UpdateItem", true),
        (Service::DynamoDb, "PutItem", "dynamodb:PutItem", true),
        (
            Service::DynamoDb,
            "DeleteItem",
            "dynamodb:DeleteItem",
            false,
        ),
        (
            Service::DynamoDb,
            "DescribeTable",
            "dynamodb:DescribeTable",
            false,
        ),
        (Service::Sqs, "DeleteMessage", "sqs:DeleteMessage", true),
        (Service::Sqs, "ReceiveMessage", "sqs:ReceiveMessage", true),
        (
            Service::Sqs,
            "ChangeMessageVisibility",
            "sqs:ChangeMessageVisibility",
            false,
        ),
        (Service::Sqs, "GetQueueUrl", "sqs:GetQueueUrl", false),
        (Service::S3, "GetObject", "s3:GetObject", true),
        (
            Service::Ec2,
            "DescribeInstances",
            "ec2:DescribeInstances",
            false,
        ),
    ] {
        let bed = bed("[cloudtrail.trail]\nqueue = \"trail\"\n[entities]\nenabled = true\n").await;
        let sqs = aws_sdk_sqs::Client::new(&bed.aws.sdk);
        let url = sqs
            .create_queue()
            .queue_name("trail")
            .send()
            .await
            .expect("the queue")
            .queue_url
            .expect("its URL");
        let notice = json!({"s3Bucket": "trail", "s3ObjectKey": ["AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/26/x.json.gz"]});
        sqs.send_message()
            .queue_url(url)
            .message_body(notice.to_string())
            .send()
            .await
            .expect("the notice is sent");
        lease_rows(&bed.aws, None, ["TRIM_HORIZON", "LATEST"]).await;
        let before = bed.aws.leases().await;
        deny(&bed.aws, service, operation);
        let ended = command(&bed.config, &["check", "--receive"]).await;
        let line = ended.out.lines().find(|line| {
            line.contains(action) || ended.err.contains(action) && line.contains("addresses")
        });
        let line = line.unwrap_or_else(|| panic!("{action} is not named: {ended:?}"));
        assert_eq!(line.contains("FAIL"), needed, "{line}");
        assert_eq!(
            ended.code,
            Some(if needed {
                3
            } else if action == "sqs:GetQueueUrl" {
                ended.code.unwrap_or(3)
            } else {
                i32::from(ended.out.contains("FAIL")) * 3
            }),
            "{ended:?}"
        );
        bed.aws.cloud.lock().expect("the model").faults().clear();
        assert_eq!(bed.aws.leases().await, before, "check changes no lease");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_who_uses_the_lease_table() {
    let bed = bed("").await;
    lease_rows(&bed.aws, Some(OWNER), ["TRIM_HORIZON", "LATEST"]).await;
    let ended = tokio::select! {
        ended = command(&bed.config, &["check"]) => ended,
        () = renewing(&bed.aws) => unreachable!("renews for ever"),
    };
    assert!(
        ended.out.contains("is in use by graylog-node-5f"),
        "{}",
        ended.out
    );
    assert_eq!(
        ended.code,
        Some(0),
        "a warning is no failure: {}",
        ended.out
    );
    let strict = tokio::select! {
        ended = command(&bed.config, &["check", "--deny-warnings", "--json"]) => ended,
        () = renewing(&bed.aws) => unreachable!("renews for ever"),
    };
    assert_eq!(strict.code, Some(3), "{}", strict.out);
    for line in strict.out.lines() {
        serde_json::from_str::<Value>(line).expect("each line is an object");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_that_decode_does_not_fit() {
    let bed = bed("").await;
    bed.aws.put(1).await;
    let ended = command(
        &bed.config,
        &[
            "check",
            "--set",
            "kinesis.flow.flow_format=${srcaddr} ${dstaddr}",
        ],
    )
    .await;
    assert_eq!(ended.code, Some(3), "{}", ended.out);
    assert!(
        ended.out.contains("not readable") && ended.out.contains("flow_format"),
        "{}",
        ended.out
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_offline_touches_no_network() {
    let bed = bed("").await;
    let ended = command(
        &bed.config,
        &["check", "--offline", "--set", "output.test.ca_file=/none"],
    )
    .await;
    assert_eq!(ended.code, Some(3), "{}", ended.out);
    assert!(ended.out.contains("/none cannot be read"), "{}", ended.out);
    assert!(
        bed.aws
            .cloud
            .lock()
            .expect("the model")
            .calls()
            .iam_actions()
            .is_empty()
            || !ended.out.contains("stream flow")
    );
}

/// What a run calls is what `forebay iam` grants: nothing more is needed, and what is required is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_grants_what_a_run_calls() {
    let mut bed = bed("[entities]\nenabled = true\n").await;
    let setup = bed
        .aws
        .cloud
        .lock()
        .expect("the model")
        .calls()
        .iam_actions();
    assert_eq!(setup, ["kinesis:CreateStream"]);
    bed.aws.put(1).await;
    let running = Forebay::start(&bed.config);
    bytes_of(&mut bed.messages, 1).await;
    running.terminate().await;
    let ended = command(&bed.config, &["iam", "--account", "123456789012"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let policy: Value = serde_json::from_str(&ended.out).expect("a policy");
    let granted: Vec<&str> = policy["Statement"]
        .as_array()
        .expect("statements")
        .iter()
        .flat_map(|statement| statement["Action"].as_array().expect("actions"))
        .filter_map(Value::as_str)
        .collect();
    let called = bed
        .aws
        .cloud
        .lock()
        .expect("the model")
        .calls()
        .iam_actions();
    for action in called
        .iter()
        .filter(|action| !["kinesis:CreateStream", "kinesis:PutRecord"].contains(&action.as_str()))
    {
        assert!(
            granted.contains(&action.as_str()),
            "{action} is called and not granted: {granted:?}"
        );
    }
    for action in [
        "kinesis:ListShards",
        "kinesis:GetRecords",
        "dynamodb:Scan",
        "dynamodb:UpdateItem",
        "dynamodb:PutItem",
        "ec2:DescribeNetworkInterfaces",
    ] {
        assert!(
            called.iter().any(|called| called == action),
            "{action} is required and never called: {called:?}"
        );
    }
    let strict = command(
        &bed.config,
        &["iam", "--account", "123456789012", "--strict"],
    )
    .await;
    assert!(
        !strict.out.contains("dynamodb:DeleteItem")
            && strict.err.contains("left out: dynamodb:DeleteItem"),
        "{strict:?}"
    );
    let setup = command(&bed.config, &["iam", "--setup"]).await;
    assert!(
        setup.out.contains("--stream-name flow ")
            && setup.out.contains(":123456789012:stream/flow"),
        "the account comes from STS: {setup:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_seen_and_mended_but_not_under_a_live_owner() {
    let bed = bed("[kinesis.flow.lease]\nfailover = \"3s\"\n").await;
    lease_rows(
        &bed.aws,
        Some(OWNER),
        [
            "49590338271490256608559692538361571095921575989136588898",
            "LATEST",
        ],
    )
    .await;
    let ls = command(&bed.config, &["leases", "ls"]).await;
    assert!(
        ls.out.contains("shardId-000000000000   graylog-node-5f"),
        "{ls:?}"
    );
    let show = command(&bed.config, &["leases", "show", "shardId-000000000001"]).await;
    assert!(show.out.contains("LATEST"), "{show:?}");

    let alive = tokio::select! {
        ended = command(&bed.config, &["leases", "release", "shardId-000000000000", "--yes"]) => ended,
        () = renewing(&bed.aws) => unreachable!("renews for ever"),
    };
    assert_eq!(alive.code, Some(1), "{alive:?}");
    assert!(alive.err.contains("is alive"), "{alive:?}");

    let told = command(
        &bed.config,
        &["leases", "seek", "shardId-000000000000", "TRIM_HORIZON"],
    )
    .await;
    assert!(told.out.contains("add --yes"), "{told:?}");
    assert!(
        bed.aws
            .leases()
            .await
            .iter()
            .all(|(owner, _)| owner.as_deref() == Some(OWNER)),
        "nothing was done"
    );

    let seek = command(
        &bed.config,
        &[
            "leases",
            "seek",
            "shardId-000000000000",
            "TRIM_HORIZON",
            "--yes",
        ],
    )
    .await;
    assert_eq!(seek.code, Some(0), "{seek:?}");
    let release = command(
        &bed.config,
        &["leases", "release", "shardId-000000000001", "--yes"],
    )
    .await;
    assert_eq!(release.code, Some(0), "{release:?}");
    let mut leases = bed.aws.leases().await;
    leases.sort();
    assert_eq!(
        leases,
        [
            (None, "LATEST".to_owned()),
            (None, "TRIM_HORIZON".to_owned())
        ]
    );

    let copy = command(&bed.config, &["leases", "copy", "elsewhere", "--yes"]).await;
    assert!(copy.out.contains("2 leases copied"), "{copy:?}");
    let again = command(
        &bed.config,
        &[
            "leases",
            "ls",
            "--set",
            "kinesis.flow.lease.table=elsewhere",
        ],
    )
    .await;
    assert!(
        again.out.contains("TRIM_HORIZON") && again.out.contains("LATEST"),
        "{again:?}"
    );
    let wrong = command(
        &bed.config,
        &["leases", "seek", "shardId-000000000000", "yesterday"],
    )
    .await;
    assert!(wrong.err.contains("`yesterday` is none of"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entities_are_listed_and_looked_up() {
    let bed = bed("[entities]\nenabled = true\n").await;
    {
        let mut cloud = bed.aws.cloud.lock().expect("the model");
        let ec2 = cloud.ec2_in("123456789012", "eu-west-1");
        for (number, vpc) in [(1, "vpc-1"), (2, "vpc-2")] {
            ec2.add_instance(Instance {
                id: format!("i-{number}"),
                private_address: Some("10.0.0.7".into()),
                vpc: Some(vpc.into()),
                tags: vec![("Name".into(), format!("web-{number}"))],
                ..Instance::default()
            });
            ec2.add_interface(NetworkInterface {
                id: format!("eni-{number}"),
                instance: Some(format!("i-{number}")),
                private_addresses: vec!["10.0.0.7".into()],
                vpc: Some(vpc.into()),
                ..NetworkInterface::default()
            });
        }
    }
    let ls = command(&bed.config, &["entities", "ls"]).await;
    assert_eq!(ls.code, Some(0), "{ls:?}");
    assert!(
        ls.out.contains("ec2:i-1  \"web-1\"") && ls.err.contains("1 of them with several owners"),
        "{ls:?}"
    );
    let ambiguous = command(&bed.config, &["entities", "lookup", "10.0.0.7"]).await;
    assert!(
        ambiguous.out.contains("nothing of the record decides"),
        "{ambiguous:?}"
    );
    let chosen = command(
        &bed.config,
        &["entities", "lookup", "10.0.0.7", "--vpc", "vpc-2"],
    )
    .await;
    assert!(
        chosen.out.contains("chosen by vpc")
            && chosen.out.contains("src_addr_entity_description = web-2"),
        "{chosen:?}"
    );
    deny(&bed.aws, Service::Ec2, "DescribeInstances");
    let denied = command(&bed.config, &["entities", "ls"]).await;
    assert_eq!(denied.code, Some(3), "{denied:?}");
    assert!(
        denied.err.contains("needs `ec2:DescribeInstances`"),
        "{denied:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_prints_and_changes_nothing_and_tail_shows() {
    let bed = bed("[output.other]\naddress = [\"127.0.0.1:9\"]\n").await;
    for number in 1..=5 {
        bed.aws.put(number).await;
    }
    bed.aws
        .kinesis()
        .put_record()
        .stream_name("flow")
        .partition_key("x")
        .data(aws_sdk_kinesis::primitives::Blob::new("no payload"))
        .send()
        .await
        .expect("the record is put");
    let dry = command(&bed.config, &["run", "--dry-run", "--until-caught-up"]).await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    let mut bytes: Vec<u64> = dry
        .out
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("GELF")["_bytes"]
                .as_u64()
                .expect("bytes")
        })
        .collect();
    bytes.sort_unstable();
    assert_eq!(
        bytes,
        [1, 2, 3, 4, 5],
        "each message once, though there are two outputs"
    );
    assert!(
        !bed.folder.path().join("dead.ndjson").exists(),
        "a dry run keeps no letters"
    );
    let actions = bed
        .aws
        .cloud
        .lock()
        .expect("the model")
        .calls()
        .iam_actions();
    assert!(
        !actions.iter().any(|action| action.starts_with("dynamodb:")),
        "{actions:?}"
    );

    let tail = command(&bed.config, &["tail", "--since", "87600h", "-n", "3"]).await;
    assert_eq!(tail.code, Some(0), "{tail:?}");
    assert_eq!(tail.out.lines().count(), 3, "{tail:?}");
    assert!(
        tail.out
            .contains("eni-1 ACCEPT TCP 10.0.0.1:1000 -> 10.0.0.2:443"),
        "{tail:?}"
    );
    let end = command(
        &bed.config,
        &[
            "tail",
            "--since",
            "87600h",
            "--exit-at-end",
            "--raw",
            "--grep",
            "\"_bytes\":4",
        ],
    )
    .await;
    assert_eq!(end.out.lines().count(), 1, "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_caught_up_ends_by_itself_with_everything_settled() {
    let mut bed = bed("").await;
    for number in 1..=20 {
        bed.aws.put(number).await;
    }
    let ended = command(&bed.config, &["run", "--until-caught-up"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        bytes_of(&mut bed.messages, 20).await,
        (1..=20).collect::<Vec<_>>()
    );
    for (owner, checkpoint) in bed.aws.leases().await {
        assert_eq!(owner, None);
        assert!(
            checkpoint.bytes().all(|byte| byte.is_ascii_digit()),
            "{checkpoint}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_replayed_when_their_cause_is_gone() {
    let mut bed = bed("").await;
    for number in 1..=3 {
        bed.aws.put(number).await;
    }
    // The wrong format: every line is a dead letter.
    let ended = command(
        &bed.config,
        &[
            "run",
            "--until-caught-up",
            "--set",
            "kinesis.flow.flow_format=${srcaddr} ${dstaddr}",
        ],
    )
    .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let letters = bed.folder.path().join("dead.ndjson");
    let letters = letters.to_str().expect("text");
    assert_eq!(
        std::fs::read_to_string(letters)
            .expect("letters")
            .lines()
            .count(),
        3
    );

    let printed = command(&bed.config, &["replay", letters, "--dry-run"]).await;
    assert_eq!(printed.out.lines().count(), 3, "{printed:?}");
    let replayed = command(
        &bed.config,
        &["replay", letters, "--to", "test", "--rate", "100"],
    )
    .await;
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    assert_eq!(
        replayed.out,
        "3 messages sent and accepted, 0 refused, 0 inputs not readable\n"
    );
    assert_eq!(bytes_of(&mut bed.messages, 3).await, [1, 2, 3]);

    // A torn last line of a crash is told, and the others are sent all the same.
    let mut text = std::fs::read_to_string(letters).expect("letters");
    text.truncate(text.len() - 20);
    std::fs::write(letters, text).expect("written");
    let torn = command(&bed.config, &["replay", letters]).await;
    assert_eq!(torn.code, Some(3), "{torn:?}");
    assert!(
        torn.err.contains("dead.ndjson:3: no dead letter")
            && torn.out.starts_with("2 messages sent"),
        "{torn:?}"
    );
    let nowhere = command(&bed.config, &["replay", letters, "--to", "none"]).await;
    assert!(
        nowhere.err.contains("there is no [output.none]"),
        "{nowhere:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_goes_to_each_output_with_its_own_fields() {
    let aws = Aws::with_stream().await;
    let (first, mut first_messages) = bed::receiver().await;
    let (second, mut second_messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let more = format!(
        "[output.second]\naddress = [\"{second}\"]\nfields = {{ zone = \"b\" }}\n[output.test.fields]\nzone = \"a\"\n"
    );
    let config = bed::config(folder.path(), &aws, first, &more);
    for number in 1..=10 {
        aws.put(number).await;
    }
    let ended = command(&config, &["run", "--until-caught-up"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (messages, zone) in [(&mut first_messages, "a"), (&mut second_messages, "b")] {
        for _ in 0..10 {
            let arrived = messages.next().await.expect("a message");
            let message: Value = serde_json::from_slice(&arrived.json).expect("GELF");
            assert_eq!(message["_zone"], zone);
        }
    }
    for (_, checkpoint) in aws.leases().await {
        assert!(
            checkpoint.bytes().all(|byte| byte.is_ascii_digit()),
            "{checkpoint}"
        );
    }
    // An input that names its outputs feeds no other.
    aws.put(11).await;
    let ended = command(
        &config,
        &[
            "run",
            "--until-caught-up",
            "--set",
            "kinesis.flow.outputs=[\"second\"]",
        ],
    )
    .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(bytes_of(&mut second_messages, 1).await, [11]);
    let none =
        tokio::time::timeout(std::time::Duration::from_millis(200), first_messages.next()).await;
    assert!(none.is_err(), "the first output gets nothing");
}

#[tokio::test]
async fn each_exit_code_means_what_the_page_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("forebay.toml");
    std::fs::write(
        &config,
        "[kinesis.a]\nstream = \"a\"\n[output.b]\naddress = [\"127.0.0.1:1\"]\n",
    )
    .expect("written");
    let missing = Path::new("/none/forebay.toml");
    for (config, words, code) in [
        (config.as_path(), &["check", "--offline"][..], 0),
        (config.as_path(), &["config", "show"], 0),
        (
            config.as_path(),
            &[
                "iam",
                "--account",
                "123456789012",
                "--set",
                "aws.default.region=eu-west-1",
            ],
            0,
        ),
        (config.as_path(), &["nonsense"], 2),
        (config.as_path(), &["run", "--novel"], 2),
        (
            config.as_path(),
            &["check", "--offline", "--set", "output.b.ca_file=/none"],
            3,
        ),
        (config.as_path(), &["replay", "/none/letters.ndjson"], 74),
        (
            config.as_path(),
            &["check", "--set", "kinesis.a.straem=x"],
            78,
        ),
        (missing, &["run"], 78),
    ] {
        let ended = command(config, words).await;
        assert_eq!(ended.code, Some(code), "{words:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_settings_of_the_names_work_and_a_restart_knows_them_at_once() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ranges = json!({"prefixes": [{"ip_prefix": "10.0.0.2/32", "service": "S3", "region": "eu-west-1"}], "ipv6_prefixes": []});
    std::fs::write(path("ranges.json"), ranges.to_string()).expect("written");
    let more = format!(
        "[entities]\nenabled = true\nfields = [\"src_addr\", \"dst_addr\"]\nextended = true\ntags = [\"role\", \"Name\"]\nload_balancers = false\nsnapshot_file = {:?}\nranges_file = {:?}\n",
        path("names.json"),
        path("ranges.json"),
    );
    let config = bed::config(folder.path(), &aws, address, &more);
    aws.cloud
        .lock()
        .expect("the model")
        .ec2_in("123456789012", "eu-west-1")
        .add_instance(Instance {
            id: "i-1".into(),
            private_address: Some("10.0.0.1".into()),
            vpc: Some("vpc-1".into()),
            tags: vec![
                ("Name".into(), "web".into()),
                ("role".into(), "front".into()),
            ],
            ..Instance::default()
        });
    for round in 1..=2 {
        aws.put(round).await;
        let ended = command(&config, &["run", "--until-caught-up"]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let arrived = messages.next().await.expect("a message");
        let message: Value = serde_json::from_slice(&arrived.json).expect("GELF");
        let known = [
            ("_src_addr_entity", "ec2:i-1"),
            ("_src_addr_entity_description", "front"),
            ("_src_addr_entity_aws_type", "EC2"),
            ("_src_addr_entity_kind", "instance"),
            ("_src_addr_entity_vpc", "vpc-1"),
            ("_dst_addr_entity", "aws:S3"),
            ("_dst_addr_entity_region", "eu-west-1"),
        ];
        for (field, value) in known {
            assert_eq!(message[field], value, "{message}");
        }
        assert!(Path::new(&path("names.json")).exists());
        // From now on only the snapshot file can know.
        for operation in ["DescribeInstances", "DescribeNetworkInterfaces"] {
            deny(&aws, Service::Ec2, operation);
        }
    }
    let called = aws.cloud.lock().expect("the model").calls().iam_actions();
    assert!(
        !called
            .iter()
            .any(|action| action.starts_with("elasticloadbalancing")),
        "{called:?}"
    );
}

/// The plugin's `proxy_enabled`: the proxy of the environment is used, also for STS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_of_the_environment_is_used() {
    use tokio::io::AsyncReadExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("forebay.toml");
    let text = "[aws.default]\nregion = \"eu-west-1\"\n[kinesis.a]\nstream = \"a\"\n[output.b]\naddress = [\"127.0.0.1:1\"]\n";
    std::fs::write(&config, text).expect("written");
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = proxy.local_addr().expect("an address");
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["check", "--config"])
        .arg(&config)
        .env("HTTPS_PROXY", format!("http://{address}"))
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let asked = async {
        let (mut connection, _) = proxy.accept().await.expect("a connection");
        let mut request = [0; 64];
        let length = connection.read(&mut request).await.expect("a request");
        String::from_utf8_lossy(&request[..length]).into_owned()
    };
    let asked = tokio::time::timeout(bed::PATIENCE, asked)
        .await
        .expect("the proxy is asked");
    assert!(
        asked.starts_with("CONNECT sts.eu-west-1.amazonaws.com:443"),
        "{asked}"
    );
    child.kill().await.expect("the process can be killed");
}
