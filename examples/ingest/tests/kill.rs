//! Three `forebay run` processes that are killed at random moments under load: nothing is lost.
//!
//! `FOREBAY_TIER=nightly` or `release` kills more often, `FOREBAY_KILLS` sets how often, `FOREBAY_SEED` repeats the choices.

#![allow(clippy::print_stdout, reason = "the figures go to the terminal")]

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use forebay_gelf::listener::{Listener, ListenerConfig, Messages};
use forebay_localaws::{AttributeValue, Cloud, Settings};
use forebay_tests::{Ledger, Process, Random, Signal, scale};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::Instant};

const PROCESSES: usize = 3;
const SHARDS: u32 = 8;
const FAILOVER: Duration = Duration::from_secs(3);
/// Events in a second; one in a hundred is bad.
const RATE: u64 = 400;
const EVENTS_PER_RECORD: u64 = 5;
/// How long a shard's records can be delivered without being checkpointed: the shard lies idle for a failover time, the
/// sink proves delivery over TCP by an orderly close of what is 5 s old, the position is stored with the next renewal.
/// The rest is for two busy cores.
const UNPROVEN: Duration = Duration::from_secs(3 + 5 + 1 + 6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_processes_are_killed_under_load() {
    let kills = match std::env::var("FOREBAY_KILLS") {
        Ok(kills) => kills.parse().expect("FOREBAY_KILLS is a number"),
        Err(_) => scale(10, 300, 3_000),
    };
    let seed = match std::env::var("FOREBAY_SEED") {
        Ok(seed) => seed.parse().expect("FOREBAY_SEED is a number"),
        Err(_) => RandomState::new().build_hasher().finish() >> 32,
    };
    let started = Instant::now();
    let mut random = Random::new(seed);
    let mut scene = Scene::start().await;
    for worker in 0..PROCESSES {
        scene.launch(worker);
    }
    scene.wait_for_leases().await;
    let mut restarts = [None; PROCESSES];
    let mut next_kill = Instant::now() + Duration::from_secs(2);
    let mut killed = 0;
    while killed < kills || restarts.iter().any(Option::is_some) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = Instant::now();
        for (worker, restart) in restarts.iter_mut().enumerate() {
            if restart.is_some_and(|at| at <= now) {
                *restart = None;
                scene.launch(worker);
            }
        }
        if now < next_kill || killed == kills {
            continue;
        }
        let victim = random.below(PROCESSES as u64) as usize;
        if let Some(mut process) = scene.running[victim].take() {
            process.kill().expect("it runs");
            killed += 1;
            restarts[victim] = Some(now + Duration::from_millis(random.between(0..=4_000)));
            next_kill = now + Duration::from_millis(random.between(1_500..=4_500));
            if killed == kills / 2 {
                scene.split_a_shard();
            }
        }
    }
    let moves = scene.finish().await;
    let seconds = started.elapsed().as_secs();
    let mut ledger = scene.ledger.lock().unwrap_or_else(PoisonError::into_inner);
    for path in &scene.dead_letters {
        bury(path, &mut ledger);
    }
    let receipt = ledger.receipt();
    println!("{receipt}, kills {killed}, seconds {seconds}, seed {seed}");
    let bound = moves * RATE * UNPROVEN.as_secs() / u64::from(SHARDS);
    println!(
        "{moves} times a shard changed hands; {} events repeated for each, {} at most",
        receipt.duplicates as u64 / moves.max(1),
        bound / moves.max(1)
    );
    assert_eq!(receipt.unexpected, [""; 0]);
    assert_eq!(receipt.lost, 0, "the first are {:?}", ledger.missing());
    assert!(
        receipt.duplicates > 0,
        "kills that cause no repeat prove nothing"
    );
    assert!(receipt.duplicates as u64 <= bound, "{bound} are allowed");
}

/// An AWS, a receiver and the processes between them.
struct Scene {
    cloud: Arc<Mutex<Cloud>>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ledger: Arc<Mutex<Ledger>>,
    /// Producer, receiver, watcher, servers.
    tasks: JoinSet<()>,
    producing: Arc<Mutex<bool>>,
    moves: Arc<Mutex<u64>>,
    endpoint: String,
    receiver: String,
    folder: tempfile::TempDir,
    running: [Option<Process>; PROCESSES],
    launches: usize,
    dead_letters: Vec<PathBuf>,
}

impl Scene {
    async fn start() -> Self {
        let started = Instant::now();
        let clock: Arc<dyn Fn() -> u64 + Send + Sync> = Arc::new(move || {
            1_795_000_000_000 + u64::try_from(started.elapsed().as_millis()).unwrap_or(0)
        });
        let mut cloud = Cloud::new(Settings::instant(), 1);
        cloud
            .kinesis()
            .create_stream("flow", SHARDS, clock())
            .expect("a new stream");
        let cloud = Arc::new(Mutex::new(cloud));
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", server.local_addr().expect("an address"));
        let mut listener_config = ListenerConfig::loopback();
        listener_config.udp = None;
        let (listener, messages) = Listener::bind(listener_config).await.expect("a free port");
        let receiver = listener.tcp_address().expect("an address").to_string();
        let mut scene = Self {
            cloud: Arc::clone(&cloud),
            clock: Arc::clone(&clock),
            ledger: Arc::default(),
            tasks: JoinSet::new(),
            producing: Arc::new(Mutex::new(true)),
            moves: Arc::default(),
            endpoint,
            receiver,
            folder: tempfile::tempdir().expect("a temporary folder"),
            running: [const { None }; PROCESSES],
            launches: 0,
            dead_letters: Vec::new(),
        };
        let tasks = &mut scene.tasks;
        tasks.spawn(async move {
            let served =
                forebay_localaws::serve(server, cloud, clock, std::future::pending()).await;
            served.expect("the server accepts");
        });
        tasks.spawn(async move {
            let _ = listener.run().await;
        });
        tasks.spawn(receive(messages, Arc::clone(&scene.ledger)));
        tasks.spawn(watch(Arc::clone(&scene.cloud), Arc::clone(&scene.moves)));
        tasks.spawn(produce(
            Arc::clone(&scene.cloud),
            Arc::clone(&scene.clock),
            Arc::clone(&scene.ledger),
            Arc::clone(&scene.producing),
        ));
        scene
    }

    fn launch(&mut self, worker: usize) {
        self.launches += 1;
        let launch = self.launches;
        let path = |name: &str| self.folder.path().join(format!("{name}-{worker}-{launch}"));
        let dead_letters = path("dead");
        let text = format!(
            r#"
[aws.default]
region = "eu-west-1"
access_key = "AKIAWORKER{worker}"
secret_key = {{ env = "TEST_AWS_SECRET" }}
endpoints = {{ kinesis = "{endpoint}", dynamodb = "{endpoint}" }}
[kinesis.flow]
stream = "flow"
decode = "flowlog"
start = "trim-horizon"
read_interval = "200ms"
lease = {{ failover = "{failover}s" }}
[output.test]
address = ["{receiver}"]
[dead_letter]
path = {dead_letters:?}
"#,
            endpoint = self.endpoint,
            receiver = self.receiver,
            failover = FAILOVER.as_secs(),
        );
        let config = path("config");
        std::fs::write(&config, text).expect("the configuration is written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
        command
            .args(["run", "--config"])
            .arg(&config)
            .env("TEST_AWS_SECRET", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let process = Process::start(&mut command, &path("log")).expect("the binary starts");
        self.running[worker] = Some(process);
        self.dead_letters.push(dead_letters);
    }

    async fn wait_for_leases(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while owners(&self.cloud).len() < SHARDS as usize {
            assert!(Instant::now() < deadline, "the shards are not taken");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn split_a_shard(&self) {
        let mut cloud = self.cloud.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.clock)();
        let kinesis = cloud.kinesis();
        let shard = kinesis.shards("flow", now).expect("the stream")[0].clone();
        let middle = shard.range.0 + (shard.range.1 - shard.range.0) / 2;
        kinesis
            .split_shard("flow", &shard.id, middle, now)
            .expect("an open shard");
    }

    /// Ends the production, waits for what is under way and stops the processes; how often shards changed hands.
    async fn finish(&mut self) -> u64 {
        *self
            .producing
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = false;
        let deadline = Instant::now() + Duration::from_secs(90);
        let open = || {
            let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            let receipt = ledger.receipt();
            receipt.lost
        };
        // Dead letters are on disk, so they are open here.
        let bad = |lost: usize| lost as u64 <= self.bad_events();
        while !bad(open()) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let moves = *self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        for process in self.running.iter_mut().flatten() {
            process.signal(Signal::Terminate).expect("it runs");
        }
        for process in self.running.iter_mut().flatten() {
            let ended = process.ended(Duration::from_secs(30)).await;
            let status = ended.expect("it can be waited for");
            let log = process.log().unwrap_or_default();
            assert_eq!(status.and_then(|status| status.code()), Some(0), "{log}");
        }
        self.tasks.shutdown().await;
        moves
    }

    fn bad_events(&self) -> u64 {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.receipt().produced as u64 / BAD_ONE_IN
    }
}

/// One event in this many is bad.
const BAD_ONE_IN: u64 = 100;

/// Puts events at a steady rate until it is told to stop.
async fn produce(
    cloud: Arc<Mutex<Cloud>>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ledger: Arc<Mutex<Ledger>>,
    producing: Arc<Mutex<bool>>,
) {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let mut produced = 0;
    let begun = Instant::now();
    loop {
        tick.tick().await;
        let due = RATE * u64::try_from(begun.elapsed().as_millis()).unwrap_or(0) / 1_000;
        while produced + EVENTS_PER_RECORD <= due {
            if !*producing.lock().unwrap_or_else(PoisonError::into_inner) {
                return;
            }
            produced += EVENTS_PER_RECORD;
            let mut numbers = Vec::new();
            let mut records = Vec::new();
            let mut books = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            for event in produced - EVENTS_PER_RECORD..produced {
                let is_bad = event % BAD_ONE_IN == BAD_ONE_IN - 1;
                let number = books.produce(is_bad);
                if is_bad {
                    records.push((number, format!("bad {number}").into_bytes()));
                } else {
                    numbers.push(number);
                }
            }
            drop(books);
            if let Some(first) = numbers.first() {
                records.push((*first, payload(&numbers)));
            }
            let mut cloud = cloud.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, data) in records {
                let put = cloud
                    .kinesis()
                    .put_record("flow", &key.to_string(), data, clock());
                put.expect("within the limits of the stream");
            }
        }
    }
}

/// A subscription payload with one flow-log line for each number.
fn payload(numbers: &[u64]) -> Vec<u8> {
    let events: Vec<Value> = numbers
        .iter()
        .map(|number| {
            let line = format!(
                "2 123456789012 eni-1 {} 10.0.0.2 1000 443 6 1 {number} 1795000000 1795000010 ACCEPT OK",
                address(*number)
            );
            json!({"id": number.to_string(), "timestamp": 1_795_000_000_000_i64, "message": line})
        })
        .collect();
    let payload = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "flow", "logStream": "eni-1",
        "subscriptionFilters": ["f"], "logEvents": events,
    });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(payload.to_string().as_bytes())
        .expect("memory");
    gzip.finish().expect("memory")
}

/// The address that an event must carry.
fn address(number: u64) -> String {
    let [.., a, b, c] = number.to_be_bytes();
    format!("10.{a}.{b}.{c}")
}

async fn receive(mut messages: Messages, ledger: Arc<Mutex<Ledger>>) {
    while let Some(arrived) = messages.next().await {
        // The last frame of a killed sender may be cut; the receiver takes it for a message that is none.
        let Ok(message) = serde_json::from_slice::<Value>(&arrived.json) else {
            continue;
        };
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        match message["_bytes"].as_u64() {
            Some(number) if message["_src_addr"] == address(number) => ledger.receive(number),
            _ => ledger.unexpected(message.to_string()),
        }
    }
}

/// Counts how often a shard gets another owner.
async fn watch(cloud: Arc<Mutex<Cloud>>, moves: Arc<Mutex<u64>>) {
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        for (shard, owner) in owners(&cloud) {
            let before = last.insert(shard, owner.clone());
            if before.is_some_and(|before| before != owner) {
                *moves.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            }
        }
    }
}

/// The owner of each shard that has one.
fn owners(cloud: &Mutex<Cloud>) -> BTreeMap<String, String> {
    let mut cloud = cloud.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = cloud.dynamodb().items("graylog-aws-plugin-flow");
    let text = |value: Option<&AttributeValue>| match value {
        Some(AttributeValue::S(text)) => Some(text.clone()),
        _ => None,
    };
    rows.iter()
        .filter_map(|row| Some((text(row.get("leaseKey"))?, text(row.get("leaseOwner"))?)))
        .collect()
}

/// Books the dead letters of one process.
fn bury(path: &Path, ledger: &mut Ledger) {
    let Ok(text) = std::fs::read_to_string(path) else {
        // Nothing bad came its way.
        return;
    };
    for line in text.split_inclusive('\n') {
        let Ok(letter) = serde_json::from_str::<Value>(line) else {
            // The process was killed while it wrote.
            assert!(!line.ends_with('\n'), "not a dead letter: {line}");
            continue;
        };
        let payload = letter["payload"].as_str().unwrap_or_default();
        let payload = BASE64_STANDARD.decode(payload).unwrap_or_default();
        let text = String::from_utf8_lossy(&payload).into_owned();
        match text.strip_prefix("bad ").and_then(|n| n.parse().ok()) {
            Some(number) => ledger.bury(number),
            None => ledger.unexpected(text),
        }
    }
}
