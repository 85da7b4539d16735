//! Three `forebay run` processes, the AWS that they read and the receiver that they write to.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use forebay_gelf::listener::{Listener, ListenerConfig};
use forebay_localaws::{AttributeValue, Cloud, Settings};
use forebay_tests::{Ledger, Process, Random, Receipt, Signal};
use tokio::{net::TcpListener, sync::MutexGuard, task::JoinSet};

use crate::events::{bury, produce, receive};

pub(crate) const PROCESSES: usize = 3;
pub(crate) const SHARDS: u32 = 8;
pub(crate) const FAILOVER: Duration = Duration::from_secs(3);

/// An AWS, a receiver and the processes between them.
pub(crate) struct Scene {
    pub(crate) cloud: Arc<Mutex<Cloud>>,
    pub(crate) clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ledger: Arc<Mutex<Ledger>>,
    /// Producer, receiver, watcher, servers.
    tasks: JoinSet<()>,
    producing: Arc<Mutex<bool>>,
    moves: Arc<Mutex<u64>>,
    pub(crate) endpoints: Endpoints,
    /// Credentials of the processes, as lines of their `[aws.default]`.
    pub(crate) credentials: String,
    /// More of their configuration.
    pub(crate) more: &'static str,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) running: [Option<Process>; PROCESSES],
    launches: usize,
    dead_letters: Vec<PathBuf>,
    _alone: MutexGuard<'static, ()>,
}

/// One scene at a time: two on the same cores would measure each other.
pub(crate) static STAGE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where the processes find everything; a proxy may stand before each.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    pub(crate) kinesis: String,
    pub(crate) dynamodb: String,
    pub(crate) receiver: String,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let alone = STAGE.lock().await;
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
        let endpoint = server.local_addr().expect("an address").to_string();
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
            endpoints: Endpoints {
                kinesis: endpoint.clone(),
                dynamodb: endpoint,
                receiver,
            },
            credentials: r#"
access_key = "AKIAWORKER"
secret_key = { env = "TEST_AWS_SECRET" }"#
                .to_owned(),
            more: "",
            folder: tempfile::tempdir().expect("a temporary folder"),
            running: [const { None }; PROCESSES],
            launches: 0,
            dead_letters: Vec::new(),
            _alone: alone,
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

    pub(crate) fn launch(&mut self, worker: usize) {
        self.launches += 1;
        let launch = self.launches;
        let path = |name: &str| self.folder.path().join(format!("{name}-{worker}-{launch}"));
        let dead_letters = path("dead");
        let text = format!(
            r#"
[aws.default]
region = "eu-west-1"
{credentials}
endpoints = {{ kinesis = "http://{kinesis}", dynamodb = "http://{dynamodb}" }}
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
{more}
"#,
            credentials = self.credentials,
            kinesis = self.endpoints.kinesis,
            dynamodb = self.endpoints.dynamodb,
            receiver = self.endpoints.receiver,
            more = self.more,
            failover = FAILOVER.as_secs(),
        );
        let config = path("config");
        std::fs::write(&config, text).expect("the configuration is written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
        command
            .args(["run", "--config"])
            .arg(&config)
            .env("TEST_AWS_SECRET", "secret")
            .env("AWS_CONFIG_FILE", self.folder.path().join("aws"))
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let process = Process::start(&mut command, &path("log")).expect("the binary starts");
        self.running[worker] = Some(process);
        self.dead_letters.push(dead_letters);
    }

    pub(crate) async fn wait_for_leases(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while owners(&self.cloud).len() < SHARDS as usize {
            assert!(Instant::now() < deadline, "the shards are not taken");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Splits an open shard by chance, or merges it with its neighbour; whether AWS took it.
    pub(crate) fn reshard(&self, split: bool, random: &mut Random) -> bool {
        let mut cloud = self.cloud.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.clock)();
        let kinesis = cloud.kinesis();
        let mut open = kinesis.shards("flow", now).expect("the stream");
        open.retain(|shard| shard.closed.is_none());
        open.sort_by_key(|shard| shard.range.0);
        let first = random.below(open.len() as u64 - u64::from(!split)) as usize;
        match open.get(first..) {
            Some([shard, ..]) if split => {
                let middle = shard.range.0 + (shard.range.1 - shard.range.0) / 2;
                kinesis.split_shard("flow", &shard.id, middle, now).is_ok()
            }
            Some([one, other, ..]) => kinesis
                .merge_shards("flow", &one.id, &other.id, now)
                .is_ok(),
            _ => false,
        }
    }

    /// Ends the production, waits for what is under way and stops the processes.
    pub(crate) async fn finish(&mut self) -> Account {
        *self
            .producing
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = false;
        let begun = Instant::now();
        // Shards of many generations are read one after the other: only a standstill is a loss.
        let (mut least, mut deadline) = (usize::MAX, begun + STANDSTILL);
        while Instant::now() < deadline {
            let missing = self.settle().lost;
            if missing == 0 {
                break;
            }
            if missing < least {
                (least, deadline) = (missing, Instant::now() + STANDSTILL);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let drained = begun.elapsed();
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
        let receipt = self.settle();
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        Account {
            receipt,
            missing: ledger.missing().into_iter().collect(),
            moves,
            drained,
        }
    }

    /// Copies what the processes logged, for whoever looks for the reason of something.
    pub(crate) fn copy_logs(&self, to: &Path) {
        std::fs::create_dir_all(to).expect("the folder is made");
        for entry in self.folder.path().read_dir().expect("the folder is there") {
            let entry = entry.expect("the folder can be read");
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }

    /// Books the dead letters that are on disk by now; the account so far.
    fn settle(&self) -> Receipt {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        for path in &self.dead_letters {
            bury(path, &mut ledger);
        }
        ledger.receipt()
    }
}

/// No event for this long, though some are missing, and nothing that goes wrong: they will not come.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(60);

/// How a scene ended.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) receipt: Receipt,
    /// The first events that did not come out.
    pub(crate) missing: Vec<usize>,
    /// How often a shard changed hands.
    pub(crate) moves: u64,
    /// From the last event that was put until everything had come out.
    pub(crate) drained: Duration,
}

impl Account {
    /// Every event came out, and nothing else did.
    pub(crate) fn check(&self) {
        assert_eq!(self.receipt.unexpected, [""; 0]);
        assert_eq!(self.receipt.lost, 0, "the first are {:?}", self.missing);
        assert!(
            self.receipt.duplicates > 0,
            "faults that cause no repeat prove nothing"
        );
    }
}

/// The seed of the choices: `FOREBAY_SEED`, or a new one.
pub(crate) fn seed() -> u64 {
    match std::env::var("FOREBAY_SEED") {
        Ok(seed) => seed.parse().expect("FOREBAY_SEED is a number"),
        Err(_) => RandomState::new().build_hasher().finish() >> 32,
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
