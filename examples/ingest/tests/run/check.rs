//! `forebay check`: what is sound, what is missing, who is in the way; and nothing is changed.

use forebay_localaws::Service;
use serde_json::{Value, json};

use crate::{
    bed::{self, Bed, command},
    leases::{OWNER, lease_rows, renewing},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_finds_a_sound_configuration_sound() {
    let bed = Bed::new("").await;
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
        let bed =
            Bed::new("[cloudtrail.trail]\nqueue = \"trail\"\n[entities]\nenabled = true\n").await;
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
        bed.aws.deny(service, operation);
        let ended = command(&bed.config, &["check", "--receive"]).await;
        let line = ended.out.lines().find(|line| {
            line.contains(action) || ended.err.contains(action) && line.contains("addresses")
        });
        let line = line.unwrap_or_else(|| panic!("{action} is not named: {ended:?}"));
        assert_eq!(line.contains("FAIL"), needed, "{line}");
        let failed = ended.out.contains("FAIL");
        assert_eq!(ended.code, Some(if failed { 3 } else { 0 }), "{ended:?}");
        bed.aws.cloud.lock().expect("the model").faults().clear();
        assert_eq!(bed.aws.leases().await, before, "check changes no lease");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_who_uses_the_lease_table() {
    let bed = Bed::new("").await;
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
    let bed = Bed::new("").await;
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
    let bed = Bed::new("").await;
    let ended = command(
        &bed.config,
        &["check", "--offline", "--set", "output.test.ca_file=/none"],
    )
    .await;
    assert_eq!(ended.code, Some(3), "{}", ended.out);
    assert!(ended.out.contains("/none cannot be read"), "{}", ended.out);
    assert_eq!(bed.aws.called(), ["kinesis:CreateStream"], "by the bed");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_tries_the_rights_on_polled_prefixes_and_iam_lists_them() {
    let polled =
        "[s3.app]\nobjects = [{ bucket = \"logs\", prefix = \"app/\", decode = \"lines\" }]\n";
    let bed = Bed::new(polled).await;
    let cloud = || bed.aws.cloud.lock().expect("the model");
    cloud().s3().create_bucket("logs", 0);
    let ended = command(&bed.config, &["check"]).await;
    assert!(
        ended
            .out
            .contains("s3://logs/app/ can be listed and is empty"),
        "{ended:?}"
    );
    cloud().s3().put("logs", "app/1.log", b"line".to_vec(), 0);
    let ended = command(&bed.config, &["check"]).await;
    let found = "s3://logs/app/ can be listed, and s3://logs/app/1.log read";
    assert!(
        ended.code == Some(0) && ended.out.contains(found),
        "{ended:?}"
    );
    let policy = command(&bed.config, &["iam", "--account", "123456789012"]).await;
    let policy: Value = serde_json::from_str(&policy.out).expect("a policy");
    let statements = policy["Statement"].as_array().expect("statements");
    for (operation, action, resource) in [
        ("ListObjectsV2", "s3:ListBucket", "arn:aws:s3:::logs"),
        ("GetObject", "s3:GetObject", "arn:aws:s3:::logs/app/*"),
    ] {
        bed.aws.deny(Service::S3, operation);
        let ended = command(&bed.config, &["check"]).await;
        let told = ended.out.lines().find(|line| line.contains("FAIL"));
        let told = told.unwrap_or_else(|| panic!("{action} is not missed: {ended:?}"));
        assert!(
            told.contains(&format!("needs `{action}` on s3://logs/app/")),
            "{told}"
        );
        assert_eq!(ended.code, Some(3), "{ended:?}");
        cloud().faults().clear();
        let granted = statements.iter().any(|statement| {
            statement["Action"][0] == action && statement["Resource"] == json!([resource])
        });
        assert!(granted, "{action} on {resource}: {policy:#}");
    }
    let list = statements
        .iter()
        .find(|one| one["Sid"] == "Listapp")
        .expect("a statement");
    assert_eq!(
        list["Condition"],
        json!({"StringLike": {"s3:prefix": ["app/*"]}})
    );
}
