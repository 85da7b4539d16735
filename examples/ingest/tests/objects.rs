//! `forebay run` on objects in S3, as competing processes that are killed now and then.
//!
//! `FOREBAY_TIER=nightly` runs 10,000 notices and 100 kills.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use forebay_localaws::{Cloud, QueueAttributes, Settings};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// An AWS on a loopback port, whose clock runs faster so that the visibility timeout of a killed process ends soon.
struct Aws {
    endpoint: String,
    cloud: Arc<Mutex<Cloud>>,
}

impl Aws {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let cloud = Arc::new(Mutex::new(Cloud::new(Settings::instant(), 1)));
        let started = Instant::now();
        let clock = Arc::new(move || {
            EPOCH + u64::try_from(started.elapsed().as_millis()).unwrap_or(0) * SPEED
        });
        let served = Arc::clone(&cloud);
        tokio::spawn(async move {
            forebay_localaws::serve(listener, served, clock, std::future::pending()).await
        });
        Self { endpoint, cloud }
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> usize {
        self.cloud().sqs().bodies(QUEUE).len()
    }
}

/// A GELF receiver over HTTP that counts how often each event came.
#[derive(Clone, Default)]
struct Receiver {
    events: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Receiver {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}/gelf", listener.local_addr().expect("an address"));
        let receiver = Self::default();
        let all = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let one = all.clone();
                // A process that is killed breaks its connections.
                tokio::spawn(async move { one.connection(socket).await });
            }
        });
        (receiver, address)
    }

    async fn connection(self, socket: TcpStream) -> std::io::Result<()> {
        let mut socket = BufReader::new(socket);
        loop {
            let (mut length, mut line) = (0, String::new());
            loop {
                line.clear();
                if socket.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
                match line.trim().to_ascii_lowercase().split_once(':') {
                    Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
                    Some(_) => {}
                    None if line.trim().is_empty() => break,
                    None => {}
                }
            }
            let mut body = vec![0; length];
            socket.read_exact(&mut body).await?;
            let message: Value = if body.starts_with(&[0x1f, 0x8b]) {
                serde_json::from_reader(GzDecoder::new(body.as_slice()))?
            } else {
                serde_json::from_slice(&body)?
            };
            let event = message["_event_id"]
                .as_str()
                .or(message["short_message"].as_str());
            *self
                .events
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(event.unwrap_or_default().to_owned())
                .or_default() += 1;
            socket
                .write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
                .await?;
        }
    }

    /// Different events, and how many came more than once.
    fn counts(&self) -> (usize, u64) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        (events.len(), events.values().map(|count| count - 1).sum())
    }
}

/// A process; killed when dropped.
struct Forebay(Child);

impl Forebay {
    fn start(config: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_forebay"))
            .args(["run", "--config"])
            .arg(config)
            .env("TEST_AWS_SECRET", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("the binary starts"))
    }
}

impl Drop for Forebay {
    fn drop(&mut self) {
        // SIGKILL: no chance to say goodbye.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Configurations of this many processes over one queue, or over one prefix.
fn configurations(
    folder: &Path,
    aws: &Aws,
    receiver: &str,
    input: &str,
    count: usize,
) -> Vec<std::path::PathBuf> {
    let write = |number| {
        let path = folder.join(format!("forebay-{number}.toml"));
        let text = format!(
            r#"
[aws.default]
region = "us-east-1"
access_key = "AKIAEXAMPLE"
secret_key = {{ env = "TEST_AWS_SECRET" }}
endpoints = {{ sqs = "{endpoint}", s3 = "{endpoint}" }}
s3_path_style = true
{input}
[output.test]
protocol = "http"
address = ["{receiver}"]
[dead_letter]
path = {dead:?}
"#,
            endpoint = aws.endpoint,
            dead = folder
                .join(format!("dead-{number}.ndjson"))
                .display()
                .to_string(),
        );
        std::fs::write(&path, text).expect("the configuration is written");
        path
    };
    (0..count).map(write).collect()
}

fn key(number: usize) -> String {
    format!(
        "AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/25/123456789012_CloudTrail_us-east-1_20261125T1200Z_{number:016}.json.gz"
    )
}

fn record(number: usize) -> String {
    json!({"Records": [{"eventVersion": "1.11", "eventID": format!("event-{number}"), "eventName": "Test",
        "eventSource": "test.amazonaws.com", "eventTime": "2026-11-25T12:00:00Z"}]})
    .to_string()
}

async fn wait_for(mut done: impl FnMut() -> bool, most: Duration) -> bool {
    let begun = Instant::now();
    while !done() {
        if begun.elapsed() > most {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}

/// Waits until this many events have come. A minute without a new one is too long.
async fn progress(receiver: &Receiver, goal: usize) {
    loop {
        let before = receiver.counts().0;
        if before >= goal || wait_for(|| receiver.counts().0 >= goal, Duration::from_secs(10)).await
        {
            return;
        }
        let more = wait_for(|| receiver.counts().0 > before, Duration::from_secs(60)).await;
        assert!(more, "no progress behind {before} of {goal}");
    }
}

#[expect(clippy::print_stdout, reason = "the run's line of figures")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_that_are_killed_lose_nothing() {
    let nightly = matches!(
        std::env::var("FOREBAY_TIER").as_deref(),
        Ok("nightly" | "release")
    );
    let (notices, kills) = if nightly { (10_000, 100) } else { (300, 4) };
    let aws = Aws::start().await;
    {
        let mut cloud = aws.cloud();
        cloud
            .sqs()
            .create_queue(QUEUE, QueueAttributes::default(), EPOCH);
        for number in 0..notices {
            cloud.s3().put(BUCKET, &key(number), record(number), EPOCH);
        }
    }
    let (receiver, address) = Receiver::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = format!("[cloudtrail.trail]\nqueue = \"{QUEUE}\"\nvisibility = \"30s\"\n");
    let configs = configurations(folder.path(), &aws, &address, &input, PROCESSES);
    let begun = Instant::now();
    let mut running: Vec<Option<Forebay>> = configs
        .iter()
        .map(|config| Some(Forebay::start(config)))
        .collect();
    // Notices come in portions, so that every kill meets work.
    let mut sent = 0;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |most: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % most
    };
    for kill in 0..kills {
        let until = notices * (kill + 1) / kills;
        for number in sent..until {
            let body = json!({"s3Bucket": BUCKET, "s3ObjectKey": [key(number)]}).to_string();
            aws.cloud()
                .sqs()
                .send(QUEUE, &body, EPOCH)
                .expect("the queue exists");
        }
        sent = until;
        let reached = receiver.counts().0;
        // In the middle of the work: after some of the portion has arrived.
        let goal = reached + usize::try_from(next(20)).unwrap_or(0) + 1;
        assert!(
            wait_for(
                || receiver.counts().0 >= goal.min(sent),
                Duration::from_secs(120)
            )
            .await,
            "{:?} of {sent} after {kill} kills",
            receiver.counts()
        );
        let victim = usize::try_from(next(PROCESSES as u64)).unwrap_or(0);
        running[victim] = None;
        tokio::time::sleep(Duration::from_millis(next(500))).await;
        running[victim] = Some(Forebay::start(&configs[victim]));
    }
    progress(&receiver, notices).await;
    let done = wait_for(|| aws.left() == 0, Duration::from_secs(60)).await;
    let (received, duplicates) = receiver.counts();
    println!(
        "produced {notices}, received {received}, lost {}, duplicates {duplicates}, kills {kills}, {} s",
        notices - received,
        begun.elapsed().as_secs()
    );
    assert!(done, "{} notices are left", aws.left());
    assert_eq!(received, notices);
    drop(running);
    let letters = (0..PROCESSES)
        .filter(|number| folder.path().join(format!("dead-{number}.ndjson")).exists());
    assert_eq!(letters.count(), 0, "nothing was bad");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flow_logs_and_lines_are_polled_and_a_restart_repeats_nothing() {
    let aws = Aws::start().await;
    let flow = "version srcaddr dstaddr bytes start\n5 10.0.0.1 10.0.0.2 7 1795000000\n5 10.0.0.1 10.0.0.2 - 1795000000\nnot a flow log\n";
    {
        let mut cloud = aws.cloud();
        cloud.s3().put(BUCKET, "flow/a.log", flow, EPOCH);
        cloud
            .s3()
            .put(BUCKET, "app/a.log", "first line\nsecond \"line\"\n", EPOCH);
    }
    let (receiver, address) = Receiver::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let positions = folder.path().join("positions.redb").display().to_string();
    let input = format!(
        r#"
[s3.logs]
poll = {{ positions = {positions:?}, interval = "1s", start = "trim-horizon" }}
objects = [
  {{ bucket = "{BUCKET}", prefix = "flow/", decode = "flowlog" }},
  {{ bucket = "{BUCKET}", prefix = "app/", decode = "lines" }},
]
"#
    );
    let configs = configurations(folder.path(), &aws, &address, &input, 1);
    let first = Forebay::start(&configs[0]);
    let arrived = wait_for(|| receiver.counts().0 >= 3, Duration::from_secs(60)).await;
    assert!(arrived, "{:?}", receiver.counts());
    // Two flow logs with the same short message, and two lines.
    assert!(wait_for(|| receiver.counts() == (3, 1), Duration::from_secs(10)).await);
    let texts: Vec<String> = {
        let events = receiver
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        events.keys().cloned().collect()
    };
    assert!(texts.contains(&"second \"line\"".to_owned()), "{texts:?}");
    let letters = std::fs::read_to_string(folder.path().join("dead-0.ndjson")).expect("one letter");
    assert_eq!(letters.lines().count(), 1, "{letters}");
    assert!(
        letters.contains("flow/a.log") && letters.contains("flow-log"),
        "{letters}"
    );
    // The position is on disk before the next listing.
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(first);
    aws.cloud().s3().put(BUCKET, "app/b.log", "third", EPOCH);
    let _second = Forebay::start(&configs[0]);
    assert!(wait_for(|| receiver.counts().0 == 4, Duration::from_secs(60)).await);
    assert_eq!(receiver.counts(), (4, 1), "nothing came again");
}

const QUEUE: &str = "notices";
const BUCKET: &str = "logs";
const PROCESSES: usize = 3;
const EPOCH: u64 = 1_795_000_000_000;
/// The model's seconds per second: a visibility of 30 s ends after 3.
const SPEED: u64 = 10;
