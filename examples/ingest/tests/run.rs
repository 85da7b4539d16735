//! `forebay run` as a process: a configuration file, an AWS endpoint, a GELF receiver, SIGTERM.

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_kinesis::primitives::Blob;
use flate2::{Compression, write::GzEncoder};
use forebay_gelf::listener::{Listener, ListenerConfig, Messages};
use forebay_localaws::{Cloud, Settings};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};

/// An AWS on a loopback port and clients for it.
struct Aws {
    endpoint: String,
    sdk: SdkConfig,
}

impl Aws {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let cloud = Arc::new(Mutex::new(Cloud::new(Settings::instant(), 1)));
        let started = tokio::time::Instant::now();
        let clock = Arc::new(move || {
            1_795_000_000_000 + u64::try_from(started.elapsed().as_millis()).unwrap_or(0)
        });
        tokio::spawn(async move {
            forebay_localaws::serve(listener, cloud, clock, std::future::pending()).await
        });
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&endpoint)
            .credentials_provider(Credentials::new(
                "AKIAEXAMPLE",
                "secret",
                None,
                None,
                "test",
            ))
            .region(Region::new("eu-west-1"))
            .load()
            .await;
        Self { endpoint, sdk }
    }

    fn kinesis(&self) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::new(&self.sdk)
    }

    /// Puts one flow-log line whose byte count is `number`.
    async fn put(&self, number: u64) {
        let line = format!(
            "2 123456789012 eni-1 10.0.0.1 10.0.0.2 1000 443 6 1 {number} 1795000000 1795000010 ACCEPT OK"
        );
        let payload = json!({
            "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "flow", "logStream": "eni-1",
            "subscriptionFilters": ["f"], "logEvents": [{"id": "1", "timestamp": 1_795_000_000_000_i64, "message": line}],
        });
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(payload.to_string().as_bytes())
            .expect("memory");
        let data = Blob::new(gzip.finish().expect("memory"));
        let request = self
            .kinesis()
            .put_record()
            .stream_name("flow")
            .partition_key(number.to_string())
            .data(data);
        request.send().await.expect("the record is put");
    }

    /// Owner and checkpoint of each lease.
    async fn leases(&self) -> Vec<(Option<String>, String)> {
        let table = aws_sdk_dynamodb::Client::new(&self.sdk)
            .scan()
            .table_name("graylog-aws-plugin-flow");
        let rows = table
            .send()
            .await
            .expect("the lease table")
            .items
            .unwrap_or_default();
        let text =
            |row: &std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>,
             name: &str| { row.get(name).and_then(|value| value.as_s().ok().cloned()) };
        rows.iter()
            .map(|row| {
                (
                    text(row, "leaseOwner"),
                    text(row, "checkpoint").unwrap_or_default(),
                )
            })
            .collect()
    }
}

/// The process; killed if a test fails, so that nothing is left behind.
struct Forebay(Child);

impl Forebay {
    fn start(config: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_forebay"))
            .args(["run", "--config"])
            .arg(config)
            .env("TEST_AWS_SECRET", "canary-7f3a91")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        Self(child)
    }

    /// Sends SIGTERM and returns exit code and log.
    async fn terminate(mut self) -> (Option<i32>, String) {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill")
                .success()
        );
        let ended = async {
            loop {
                match self.0.try_wait().expect("the process can be waited for") {
                    Some(status) => return status.code(),
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let code = timeout(Duration::from_secs(25), ended)
            .await
            .expect("the process ends within its grace");
        let mut log = String::new();
        if let Some(mut stderr) = self.0.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut log).expect("the log is text");
        }
        (code, log)
    }
}

impl Drop for Forebay {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn bytes_of(messages: &mut Messages, count: usize) -> Vec<u64> {
    let received = async {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let arrived = messages.next().await.expect("the listener runs");
            let message: Value = serde_json::from_slice(&arrived.json).expect("GELF is JSON");
            numbers.push(message["_bytes"].as_u64().expect("a byte count"));
        }
        numbers.sort_unstable();
        numbers
    };
    timeout(Duration::from_secs(30), received)
        .await
        .expect("the messages arrive")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_reads_delivers_stops_cleanly_and_goes_on_where_it_stopped() {
    let aws = Aws::start().await;
    aws.kinesis()
        .create_stream()
        .stream_name("flow")
        .shard_count(2)
        .send()
        .await
        .expect("the stream is made");
    let mut listener_config = ListenerConfig::loopback();
    listener_config.udp = None;
    let (listener, mut messages) = Listener::bind(listener_config).await.expect("a free port");
    let address = listener.tcp_address().expect("an address");
    tokio::spawn(listener.run());

    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("forebay.toml");
    let text = format!(
        r#"
[aws.default]
region = "eu-west-1"
access_key = "AKIAEXAMPLE"
secret_key = {{ env = "TEST_AWS_SECRET" }}
endpoints = {{ kinesis = "{endpoint}", dynamodb = "{endpoint}" }}
[kinesis.flow]
stream = "flow"
decode = "flowlog"
start = "trim-horizon"
read_interval = "200ms"
[output.test]
address = ["{address}"]
[dead_letter]
path = {dead:?}
"#,
        endpoint = aws.endpoint,
        dead = folder.path().join("dead.ndjson").display().to_string(),
    );
    std::fs::write(&config, text).expect("the configuration is written");

    for number in 1..=20 {
        aws.put(number).await;
    }
    let first = Forebay::start(&config);
    assert_eq!(
        bytes_of(&mut messages, 20).await,
        (1..=20).collect::<Vec<_>>()
    );
    let (code, log) = first.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    for (owner, checkpoint) in aws.leases().await {
        assert_eq!(owner, None, "leases are released: {log}");
        assert!(
            checkpoint.bytes().all(|byte| byte.is_ascii_digit()),
            "checkpoint {checkpoint}: {log}"
        );
    }

    aws.put(21).await;
    let second = Forebay::start(&config);
    assert_eq!(
        bytes_of(&mut messages, 1).await,
        [21],
        "a restart after a clean stop repeats nothing"
    );
    let (code, log) = second.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(
        !log.contains("canary-7f3a91"),
        "no secret in the log: {log}"
    );
}

#[test]
fn a_broken_configuration_is_told_with_its_exit_code() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("forebay.toml");
    std::fs::write(&config, "[kinesis.flow]\nstraem = \"x\"\n")
        .expect("the configuration is written");
    let output = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["run", "--config"])
        .arg(&config)
        .output();
    let output = output.expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(
        told.contains("forebay.toml:2:1") && told.contains("`straem`"),
        "{told}"
    );
}
