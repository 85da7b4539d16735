//! One process with every kind of input under steady load and nothing that goes wrong: it loses nothing, repeats nothing
//! and does not grow.
//!
//! `FOREBAY_SOAK_SECONDS` sets how long (20; 600 with `FOREBAY_TIER=nightly`).

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use forebay_localaws::{Cloud, Instance, NetworkInterface, QueueAttributes, Settings};
use forebay_tests::{Process, Signal, scale};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

use crate::{
    events::{bury, flow_logs, log_texts},
    health::Health,
    scene::{Books, STAGE, STANDSTILL, listen, serve},
    trail::{BUCKET, QUEUE, log_file},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_under_steady_load_loses_nothing_and_does_not_grow() {
    let length = match std::env::var("FOREBAY_SOAK_SECONDS") {
        Ok(seconds) => seconds.parse().expect("FOREBAY_SOAK_SECONDS is a number"),
        Err(_) => scale(20, 600, 3_600),
    };
    let _alone = STAGE.lock().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = World::start().await;
    let mut process = world.launch(folder.path());
    let admin = admin_port(&process).await;
    let end = Instant::now() + Duration::from_secs(length);
    let mut health = Health::default();
    let mut tick = tokio::time::interval(Duration::from_millis(TICK));
    let mut ticks = 0_u64;
    while Instant::now() < end {
        tick.tick().await;
        world.produce(ticks);
        ticks += 1;
        if ticks.is_multiple_of(1_000 / TICK) {
            health.look(&process);
            for path in ["/metrics", "/status.json", "/readyz"] {
                let answer = get(&admin, path).await;
                assert!(answer.starts_with("HTTP/1.0 200"), "{path}: {answer}");
            }
        }
    }
    let letters = folder.path().join("dead.ndjson");
    world.drain(&letters).await;
    process.signal(Signal::Terminate).expect("it runs");
    let ended = process.ended(Duration::from_secs(30)).await;
    let status = ended.expect("it can be waited for");
    let log = process.log().unwrap_or_default();
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{log}");
    for (input, ledger) in [
        ("streams", world.books.flow()),
        ("trail", world.books.trail()),
    ] {
        let receipt = ledger.receipt();
        println!("{input}: {receipt}, seconds {length}");
        assert_eq!(receipt.unexpected, [""; 0]);
        assert_eq!(receipt.lost, 0, "{input}: {:?} {log}", ledger.missing());
        assert_eq!(receipt.duplicates, 0, "nothing went wrong: {log}");
    }
    println!("{health}");
    assert_eq!(world.cloud().sqs().bodies(QUEUE), [""; 0]);
    health.check(MEMORY_SLACK, DESCRIPTOR_SLACK);
    health.check_peaks(DESCRIPTOR_SLACK);
}

/// An AWS, a receiver, and the books.
pub(crate) struct World {
    cloud: Arc<Mutex<Cloud>>,
    pub(crate) books: Books,
    started: Instant,
    endpoint: String,
    pub(crate) receiver: String,
    _tasks: JoinSet<()>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let started = Instant::now();
        let mut cloud = Cloud::new(Settings::instant(), 1);
        for stream in ["flow", "logs"] {
            let made = cloud.kinesis().create_stream(stream, 2, EPOCH);
            made.expect("a new stream");
        }
        cloud
            .sqs()
            .create_queue(QUEUE, QueueAttributes::default(), EPOCH);
        let ec2 = cloud.ec2_in("123456789012", "eu-west-1");
        ec2.add_instance(Instance {
            id: "i-1".into(),
            private_address: Some("10.0.0.2".into()),
            ..Instance::default()
        });
        ec2.add_interface(NetworkInterface {
            id: "eni-1".into(),
            instance: Some("i-1".into()),
            private_addresses: vec!["10.0.0.2".into()],
            ..NetworkInterface::default()
        });
        let cloud = Arc::new(Mutex::new(cloud));
        let (books, mut tasks) = (Books::default(), JoinSet::new());
        let clock = Arc::new(move || now(started));
        let endpoint = serve(&mut tasks, Arc::clone(&cloud), clock).await;
        let receiver = listen(&mut tasks, books.clone()).await;
        Self {
            cloud,
            books,
            started,
            endpoint,
            receiver,
            _tasks: tasks,
        }
    }

    pub(crate) fn launch(&self, folder: &Path) -> Process {
        let endpoints = ["kinesis", "dynamodb", "sqs", "s3", "ec2"]
            .map(|service| format!("{service} = \"http://{}\"", self.endpoint));
        let text = format!(
            r#"
[aws.default]
region = "eu-west-1"
access_key = "AKIAWORKER"
secret_key = {{ env = "TEST_AWS_SECRET" }}
endpoints = {{ {endpoints} }}
s3_path_style = true
[kinesis.flow]
stream = "flow"
decode = "flowlog"
start = "trim-horizon"
read_interval = "200ms"
[kinesis.logs]
stream = "logs"
decode = "cloudwatch"
start = "trim-horizon"
read_interval = "200ms"
[cloudtrail.trail]
queue = "{QUEUE}"
[entities]
enabled = true
load_balancers = false
[output.test]
address = ["{receiver}"]
[dead_letter]
path = {letters:?}
[admin]
listen = "127.0.0.1:0"
"#,
            endpoints = endpoints.join(", "),
            receiver = self.receiver,
            letters = folder.join("dead.ndjson"),
        );
        let config = folder.join("forebay.toml");
        std::fs::write(&config, text).expect("the configuration is written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
        command
            .args(["run", "--config"])
            .arg(&config)
            .env("TEST_AWS_SECRET", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        Process::start(&mut command, &folder.join("log")).expect("the binary starts")
    }

    /// The events of one tick: flow logs and log text, 400 in a second, and twice a second a CloudTrail file.
    fn produce(&self, tick: u64) {
        let mut books = self.books.flow();
        let mut numbers = |count| (0..count).map(|_| books.produce(false)).collect::<Vec<_>>();
        let (flow, logs) = (numbers(12), numbers(8));
        let bad = tick.is_multiple_of(1_000 / TICK);
        let bad = bad.then(|| format!("bad {}", books.produce(true)));
        drop(books);
        let key = tick.to_string();
        self.put("flow", &key, flow_logs(&flow));
        self.put("logs", &key, log_texts(&logs));
        if let Some(bad) = bad {
            self.put("logs", &key, bad.into_bytes());
        }
        if tick.is_multiple_of(500 / TICK) {
            let (key, file) = log_file(&mut self.books.trail(), tick);
            let (mut cloud, now) = (self.cloud(), now(self.started));
            let notice = json!({"s3Bucket": BUCKET, "s3ObjectKey": [key]}).to_string();
            cloud.s3().put(BUCKET, &key, file, now);
            let sent = cloud.sqs().send(QUEUE, &notice, now);
            sent.expect("the queue exists");
        }
    }

    pub(crate) fn put(&self, stream: &str, key: &str, data: Vec<u8>) {
        let now = now(self.started);
        let put = self.cloud().kinesis().put_record(stream, key, data, now);
        put.expect("within the limits of the stream");
    }

    /// Waits until everything that was put has come out and the queue is empty; only a standstill ends it early.
    async fn drain(&self, letters: &Path) {
        let (mut least, mut deadline) = (usize::MAX, Instant::now() + STANDSTILL);
        while Instant::now() < deadline {
            bury(letters, &self.books);
            let notices = self.cloud().sqs().bodies(QUEUE).len();
            let lost = self.books.flow().receipt().lost + self.books.trail().receipt().lost;
            let missing = notices + lost;
            if missing == 0 {
                return;
            }
            if missing < least {
                (least, deadline) = (missing, Instant::now() + STANDSTILL);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address of the admin port, from the log.
async fn admin_port(process: &Process) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = process.log().expect("a log");
        let line = log.lines().find(|line| line.contains("admin port open"));
        if let Some((_, address)) = line.and_then(|line| line.split_once("address=")) {
            return address.to_owned();
        }
        assert!(Instant::now() < deadline, "no admin port: {log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asks the admin port, on a connection of its own.
async fn get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).await.expect("the port is open");
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    let sent = socket.write_all(request.as_bytes()).await;
    sent.expect("it takes a request");
    let mut answer = String::new();
    let read = socket.read_to_string(&mut answer).await;
    read.expect("it answers");
    answer
}

/// Milliseconds since 1970 of the model.
fn now(started: Instant) -> u64 {
    EPOCH + u64::try_from(started.elapsed().as_millis()).unwrap_or(0)
}

const EPOCH: u64 = 1_795_000_000_000;

/// Milliseconds between two portions of events.
const TICK: u64 = 50;

/// How much more the last third of the time may take than the one before.
const MEMORY_SLACK: u64 = 4 << 20;
const DESCRIPTOR_SLACK: u64 = 4;
