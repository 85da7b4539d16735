//! The ground the tests stand on: an AWS on a loopback port, a GELF receiver, the process.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_kinesis::primitives::Blob;
use flate2::{Compression, write::GzEncoder};
use forebay_gelf::listener::{Listener, ListenerConfig, Messages};
use forebay_localaws::{Cloud, Fault, FaultRule, Service, Settings};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};

/// An AWS on a loopback port and clients for it.
pub(crate) struct Aws {
    pub(crate) endpoint: String,
    pub(crate) sdk: SdkConfig,
    /// The model behind it.
    pub(crate) cloud: Arc<Mutex<Cloud>>,
}

impl Aws {
    /// An AWS without anything in it.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let cloud = Arc::new(Mutex::new(Cloud::new(Settings::instant(), 1)));
        let started = tokio::time::Instant::now();
        let clock = Arc::new(move || {
            1_795_000_000_000 + u64::try_from(started.elapsed().as_millis()).unwrap_or(0)
        });
        let served = Arc::clone(&cloud);
        tokio::spawn(async move {
            forebay_localaws::serve(listener, served, clock, std::future::pending()).await
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
        Self {
            endpoint,
            sdk,
            cloud,
        }
    }

    /// An AWS with the stream `flow` of two shards.
    pub(crate) async fn with_stream() -> Self {
        let aws = Self::start().await;
        let request = aws
            .kinesis()
            .create_stream()
            .stream_name("flow")
            .shard_count(2);
        request.send().await.expect("the stream is made");
        aws
    }

    /// The IAM actions that were called so far.
    pub(crate) fn called(&self) -> Vec<String> {
        self.cloud.lock().expect("the model").calls().iam_actions()
    }

    /// Denies an operation from now on.
    pub(crate) fn deny(&self, service: Service, operation: &str) {
        let rule = FaultRule::new(Fault::AccessDenied)
            .service(service)
            .operation(operation);
        self.cloud.lock().expect("the model").faults().push(rule);
    }

    pub(crate) fn kinesis(&self) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::new(&self.sdk)
    }

    /// Puts one flow-log line whose byte count is `number`.
    pub(crate) async fn put(&self, number: u64) {
        let line = flow_line(number);
        self.put_record("flow", &number.to_string(), payload(&[&line]))
            .await;
    }

    /// Puts a record and returns its sequence number.
    pub(crate) async fn put_record(&self, stream: &str, key: &str, data: Vec<u8>) -> String {
        let request = self
            .kinesis()
            .put_record()
            .stream_name(stream)
            .partition_key(key)
            .data(Blob::new(data));
        let put = request.send().await.expect("the record is put");
        put.sequence_number
    }

    /// Owner and checkpoint of each lease.
    pub(crate) async fn leases(&self) -> Vec<(Option<String>, String)> {
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

/// A flow-log line whose byte count is `number`.
pub(crate) fn flow_line(number: u64) -> String {
    format!(
        "2 123456789012 eni-1 10.0.0.1 10.0.0.2 1000 443 6 1 {number} 1795000000 1795000010 ACCEPT OK"
    )
}

/// A subscription payload with these messages, compressed.
pub(crate) fn payload(messages: &[&str]) -> Vec<u8> {
    let events: Vec<Value> = messages
        .iter()
        .map(|message| json!({"id": "1", "timestamp": 1_795_000_000_000_i64, "message": message}))
        .collect();
    let payload = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "flow", "logStream": "eni-1",
        "subscriptionFilters": ["f"], "logEvents": events,
    });
    gzip(payload.to_string().as_bytes())
}

/// `data` as one gzip member.
pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(data).expect("memory");
    gzip.finish().expect("memory")
}

/// The dead letters in `folder`, once there are at least `count`.
pub(crate) async fn letters(folder: &Path, count: usize) -> Vec<Value> {
    let read = async {
        loop {
            let text = std::fs::read_to_string(folder.join("dead.ndjson")).unwrap_or_default();
            if text.lines().count() >= count && text.ends_with('\n') {
                return text;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let Ok(text) = timeout(PATIENCE, read).await else {
        let text = std::fs::read_to_string(folder.join("dead.ndjson")).unwrap_or_default();
        panic!("{count} letters are expected: {text}");
    };
    let letter = |line| serde_json::from_str(line).expect("a letter is JSON");
    text.lines().map(letter).collect()
}

/// The process; killed if a test fails, so that nothing is left behind.
pub(crate) struct Forebay {
    child: Child,
    log: PathBuf,
}

impl Forebay {
    /// Starts `forebay run`; its log goes beside the configuration.
    pub(crate) fn start(config: &Path) -> Self {
        Self::start_with(config, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn start_with(config: &Path, environment: &[(&str, &Path)]) -> Self {
        let log = config.with_extension("log");
        let stderr = std::fs::File::create(&log).expect("the log is made");
        let mut command = Self::command(&["run", "--config"]);
        command.arg(config).envs(environment.iter().copied());
        command.stderr(stderr);
        let child = command.spawn().expect("the binary starts");
        Self { child, log }
    }

    /// The binary with these words, not started yet; its standard output is dropped.
    pub(crate) fn command(words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
        command
            .args(words)
            .env("TEST_AWS_SECRET", "canary-7f3a91")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// A process that logs elsewhere.
    pub(crate) fn of(child: Child) -> Self {
        Self {
            child,
            log: PathBuf::new(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log is text")
    }

    /// Waits for a line with `text` and returns it.
    pub(crate) async fn logged(&self, text: &str) -> String {
        let found = async {
            loop {
                if let Some(line) = self.log().lines().find(|line| line.contains(text)) {
                    return line.to_owned();
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        match timeout(PATIENCE, found).await {
            Ok(line) => line,
            Err(_) => panic!("`{text}` is not logged: {}", self.log()),
        }
    }

    /// The TCP addresses on which it listens, as the kernel writes them; `None` if we may not know: only root looks into
    /// a process that is not dumpable.
    pub(crate) fn listens(&self) -> Option<Vec<String>> {
        let folder = format!("/proc/{}/fd", self.child.id());
        let mine: Vec<String> = std::fs::read_dir(folder)
            .ok()?
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| {
                let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                Some(inode.to_owned())
            })
            .collect();
        let listening = |table: &str| {
            let table = std::fs::read_to_string(table).unwrap_or_default();
            let rows = table.lines().filter_map(|line| {
                let columns: Vec<&str> = line.split_whitespace().collect();
                let [_, local, _, state, ..] = columns.as_slice() else {
                    return None;
                };
                let inode = columns.get(9)?;
                let is_mine = *state == "0A" && mine.iter().any(|known| known == inode);
                is_mine.then(|| (*local).to_owned())
            });
            rows.collect::<Vec<_>>()
        };
        Some([listening("/proc/net/tcp"), listening("/proc/net/tcp6")].concat())
    }

    /// Resident memory at most so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next());
        kibibytes.expect("a size").parse::<u64>().expect("a number") * 1_024
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// Sends SIGTERM and returns exit code and log.
    pub(crate) async fn terminate(mut self) -> (Option<i32>, String) {
        self.signal("-TERM");
        let code = self.ended().await.code();
        (code, self.log())
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = async {
            loop {
                match self
                    .child
                    .try_wait()
                    .expect("the process can be waited for")
                {
                    Some(status) => return status,
                    None => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        timeout(PATIENCE, ended)
            .await
            .expect("the process ends within its grace")
    }
}

impl Drop for Forebay {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `forebay` with a configuration to its end. The command's own words come before `--config`.
pub(crate) async fn command(config: &Path, words: &[&str]) -> Ended {
    let config = config.to_str().expect("text");
    forebay(&[words, &["--config", config]].concat()).await
}

/// Runs `forebay` to its end.
pub(crate) async fn forebay(words: &[&str]) -> Ended {
    let mut command = Forebay::command(words);
    let run = tokio::task::spawn_blocking(move || {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.output().expect("the binary runs")
    });
    let output = timeout(PATIENCE * 2, run)
        .await
        .expect("the command ends")
        .expect("the command is waited for");
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) async fn bytes_of(messages: &mut Messages, count: usize) -> Vec<u64> {
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

/// A GELF receiver on a loopback port.
pub(crate) async fn receiver() -> (std::net::SocketAddr, Messages) {
    let mut config = ListenerConfig::loopback();
    config.udp = None;
    let (listener, messages) = Listener::bind(config).await.expect("a free port");
    let address = listener.tcp_address().expect("an address");
    tokio::spawn(listener.run());
    (address, messages)
}

/// An AWS with the stream `flow`, a receiver, and a configuration that reads the one into the other.
pub(crate) struct Bed {
    pub(crate) aws: Aws,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) messages: Messages,
    pub(crate) config: PathBuf,
}

impl Bed {
    /// With `more` at the end of the configuration.
    pub(crate) async fn new(more: &str) -> Self {
        let aws = Aws::with_stream().await;
        let (address, messages) = receiver().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = config(folder.path(), &aws, address, more);
        Self {
            aws,
            folder,
            messages,
            config,
        }
    }
}

/// A configuration that reads the stream `flow` of `aws` into `output`, with `more` at its end.
pub(crate) fn config(
    folder: &Path,
    aws: &Aws,
    output: std::net::SocketAddr,
    more: &str,
) -> PathBuf {
    let path = folder.join("forebay.toml");
    let text = format!(
        r#"
[aws.default]
region = "eu-west-1"
access_key = "AKIAEXAMPLE"
secret_key = {{ env = "TEST_AWS_SECRET" }}
endpoints = {{ kinesis = "{endpoint}", dynamodb = "{endpoint}", sts = "{endpoint}", sqs = "{endpoint}", s3 = "{endpoint}", ec2 = "{endpoint}", elasticloadbalancing = "{endpoint}" }}
[kinesis.flow]
stream = "flow"
decode = "flowlog"
start = "trim-horizon"
read_interval = "200ms"
[output.test]
address = ["{output}"]
[dead_letter]
path = {dead:?}
{more}
"#,
        endpoint = aws.endpoint,
        dead = folder.join("dead.ndjson").display().to_string(),
    );
    std::fs::write(&path, text).expect("the configuration is written");
    path
}

pub(crate) const PAUSE: Duration = Duration::from_millis(20);
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
