//! Three `forebay run` processes, the AWS that they read and the receiver that they write to.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use forebay_gelf::listener::{Listener, ListenerConfig};
use forebay_localaws::{AttributeValue, Cloud, QueueAttributes, Settings};
use forebay_tests::{Ledger, Process, Random, Receipt, Signal};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    events::{bury, produce, receive},
    trail::{self, BUCKET, QUEUE},
};

pub(crate) const PROCESSES: usize = 3;
pub(crate) const SHARDS: u32 = 8;
pub(crate) const FAILOVER: Duration = Duration::from_secs(3);

/// An AWS, a receiver and the processes between them.
pub(crate) struct Scene {
    pub(crate) cloud: Arc<Mutex<Cloud>>,
    pub(crate) clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    books: Books,
    /// Producers, receiver, watcher, servers.
    tasks: JoinSet<()>,
    producing: Arc<AtomicBool>,
    moves: Arc<Mutex<u64>>,
    pub(crate) endpoints: Endpoints,
    /// Credentials of the processes, as lines of their `[aws.default]`.
    pub(crate) credentials: String,
    /// More of their configuration.
    pub(crate) more: &'static str,
    /// Network namespace of the processes that are launched from now on.
    pub(crate) namespace: Option<String>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) running: [Option<Process>; PROCESSES],
    launches: usize,
    dead_letters: Vec<PathBuf>,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

/// One scene at a time: two on the same cores would measure each other.
pub(crate) static STAGE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where the processes find everything; a proxy may stand before each.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    pub(crate) kinesis: String,
    pub(crate) dynamodb: String,
    pub(crate) sqs: String,
    pub(crate) s3: String,
    pub(crate) receiver: String,
}

impl Endpoints {
    pub(crate) fn all(&mut self) -> [&mut String; 5] {
        [
            &mut self.kinesis,
            &mut self.dynamodb,
            &mut self.sqs,
            &mut self.s3,
            &mut self.receiver,
        ]
    }
}

/// What a producer puts its events into, and the books it keeps.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) cloud: Arc<Mutex<Cloud>>,
    pub(crate) clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    pub(crate) books: Books,
    producing: Arc<AtomicBool>,
}

impl Source {
    /// Calls `put` at every tick with the number of events that are due since the start, until production ends.
    pub(crate) async fn at_rate(self, rate: u64, mut put: impl FnMut(&Self, u64)) {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        let begun = Instant::now();
        while self.producing.load(Ordering::Relaxed) {
            tick.tick().await;
            let elapsed = u64::try_from(begun.elapsed().as_millis()).unwrap_or(0);
            put(&self, rate * elapsed / 1_000);
        }
    }

    pub(crate) fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What went in and came out, for each input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    flow: Arc<Mutex<Ledger>>,
    trail: Arc<Mutex<Ledger>>,
}

impl Books {
    pub(crate) fn flow(&self) -> MutexGuard<'_, Ledger> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trail(&self) -> MutexGuard<'_, Ledger> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves `cloud` over HTTP; the address.
pub(crate) async fn serve(
    tasks: &mut JoinSet<()>,
    cloud: Arc<Mutex<Cloud>>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
) -> String {
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = server.local_addr().expect("an address").to_string();
    tasks.spawn(async move {
        let served = forebay_localaws::serve(server, cloud, clock, std::future::pending()).await;
        served.expect("the server accepts");
    });
    address
}

/// Books what a GELF receiver over TCP gets; its address.
pub(crate) async fn listen(tasks: &mut JoinSet<()>, books: Books) -> String {
    let mut config = ListenerConfig::loopback();
    config.udp = None;
    let (listener, messages) = Listener::bind(config).await.expect("a free port");
    let address = listener.tcp_address().expect("an address").to_string();
    tasks.spawn(async move {
        let _ = listener.run().await;
    });
    tasks.spawn(receive(messages, books));
    address
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let alone = STAGE.lock().await;
        let started = Instant::now();
        let clock: Arc<dyn Fn() -> u64 + Send + Sync> = Arc::new(move || {
            1_795_000_000_000 + u64::try_from(started.elapsed().as_millis()).unwrap_or(0)
        });
        let mut settings = Settings::instant();
        // Standard queues deliver some messages twice.
        settings.sqs.duplicate_per_million = 20_000;
        let mut cloud = Cloud::new(settings, 1);
        cloud
            .kinesis()
            .create_stream("flow", SHARDS, clock())
            .expect("a new stream");
        cloud
            .sqs()
            .create_queue(QUEUE, QueueAttributes::default(), clock());
        cloud.s3().create_bucket(BUCKET, clock());
        let cloud = Arc::new(Mutex::new(cloud));
        let (books, mut tasks) = (Books::default(), JoinSet::new());
        let endpoint = serve(&mut tasks, Arc::clone(&cloud), Arc::clone(&clock)).await;
        let receiver = listen(&mut tasks, books.clone()).await;
        let mut scene = Self {
            cloud: Arc::clone(&cloud),
            clock: Arc::clone(&clock),
            books,
            tasks,
            producing: Arc::new(AtomicBool::new(true)),
            moves: Arc::default(),
            endpoints: Endpoints {
                kinesis: endpoint.clone(),
                dynamodb: endpoint.clone(),
                sqs: endpoint.clone(),
                s3: endpoint,
                receiver,
            },
            credentials: r#"
access_key = "AKIAWORKER"
secret_key = { env = "TEST_AWS_SECRET" }"#
                .to_owned(),
            more: "",
            namespace: None,
            folder: tempfile::tempdir().expect("a temporary folder"),
            running: [const { None }; PROCESSES],
            launches: 0,
            dead_letters: Vec::new(),
            _alone: alone,
        };
        let tasks = &mut scene.tasks;
        tasks.spawn(watch(Arc::clone(&scene.cloud), Arc::clone(&scene.moves)));
        let source = Source {
            cloud: Arc::clone(&scene.cloud),
            clock: Arc::clone(&scene.clock),
            books: scene.books.clone(),
            producing: Arc::clone(&scene.producing),
        };
        tasks.spawn(produce(source.clone()));
        tasks.spawn(trail::produce(source));
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
endpoints = {{ kinesis = "http://{kinesis}", dynamodb = "http://{dynamodb}", sqs = "http://{sqs}", s3 = "http://{s3}" }}
s3_path_style = true
[kinesis.flow]
stream = "flow"
decode = "flowlog"
start = "trim-horizon"
read_interval = "200ms"
lease = {{ failover = "{failover}s" }}
[cloudtrail.trail]
queue = "{QUEUE}"
visibility = "30s"
object_retry = "1s"
[output.test]
address = ["{receiver}"]
[dead_letter]
path = {dead_letters:?}
{more}
"#,
            credentials = self.credentials,
            kinesis = self.endpoints.kinesis,
            dynamodb = self.endpoints.dynamodb,
            sqs = self.endpoints.sqs,
            s3 = self.endpoints.s3,
            receiver = self.endpoints.receiver,
            more = self.more,
            failover = FAILOVER.as_secs(),
        );
        let config = path("config");
        std::fs::write(&config, text).expect("the configuration is written");
        // Another one for long runs, which builds must not disturb.
        let binary = std::env::var_os("FOREBAY_BINARY")
            .unwrap_or_else(|| env!("CARGO_BIN_EXE_forebay").into());
        let mut command = match &self.namespace {
            None => Command::new(binary),
            // It becomes the binary: signals reach the process itself.
            Some(name) => {
                let mut enter = Command::new("nsenter");
                enter.arg(format!("--net=/run/netns/{name}")).arg(binary);
                enter
            }
        };
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

    /// No process has ended by itself.
    pub(crate) async fn check_running(&mut self) {
        for process in self.running.iter_mut().flatten() {
            let ended = process.ended(Duration::ZERO).await;
            let status = ended.expect("it can be waited for");
            assert!(status.is_none(), "{}", process.log().unwrap_or_default());
        }
    }

    pub(crate) async fn wait_for_leases(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.owners().len() < SHARDS as usize {
            assert!(Instant::now() < deadline, "the shards are not taken");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The owner of each lease that has one.
    pub(crate) fn owners(&self) -> BTreeMap<String, String> {
        owners(&self.cloud)
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
        self.producing.store(false, Ordering::Relaxed);
        let begun = Instant::now();
        // Shards of many generations are read one after the other: only a standstill is a loss.
        let (mut least, mut deadline) = (usize::MAX, begun + STANDSTILL);
        while Instant::now() < deadline {
            let [flow, trail] = self.settle();
            let missing = flow.lost + trail.lost + self.notices();
            if missing == 0 {
                break;
            }
            if missing < least {
                (least, deadline) = (missing, Instant::now() + STANDSTILL);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
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
        let [flow, trail] = self.settle();
        Account {
            flow,
            trail,
            missing: [self.books.flow().missing(), self.books.trail().missing()]
                .map(Vec::from_iter),
            notices: self.notices(),
            moves,
            drained,
        }
    }

    /// Notices that nobody has deleted.
    fn notices(&self) -> usize {
        let mut cloud = self.cloud.lock().unwrap_or_else(PoisonError::into_inner);
        cloud.sqs().bodies(QUEUE).len()
    }

    /// Copies what the processes logged, for whoever looks for the reason of something.
    pub(crate) fn copy_logs(&self, to: &Path) {
        std::fs::create_dir_all(to).expect("the folder is made");
        for entry in self.folder.path().read_dir().expect("the folder is there") {
            let entry = entry.expect("the folder can be read");
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }

    /// Books the dead letters that are on disk by now; the accounts so far.
    fn settle(&self) -> [Receipt; 2] {
        for path in &self.dead_letters {
            bury(path, &self.books);
        }
        [self.books.flow().receipt(), self.books.trail().receipt()]
    }
}

/// No event for this long, though some are missing, and nothing that goes wrong: they will not come.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(60);

/// How a scene ended.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) flow: Receipt,
    pub(crate) trail: Receipt,
    /// The first events of either that did not come out.
    missing: [Vec<usize>; 2],
    /// Notices left in the queue.
    notices: usize,
    /// How often a shard changed hands.
    pub(crate) moves: u64,
    /// From the last event that was put until everything had come out.
    drained: Duration,
}

impl Account {
    /// Every event came out and nothing else did, and every notice was deleted.
    pub(crate) fn check(&self) {
        assert_eq!(self.flow.unexpected, [""; 0]);
        assert_eq!(self.trail.unexpected, [""; 0]);
        let lost = [self.flow.lost, self.trail.lost];
        assert_eq!(lost, [0; 2], "the first are {:?}", self.missing);
        assert_eq!(self.notices, 0, "notices are left in the queue");
        assert!(
            self.flow.duplicates + self.trail.duplicates > 0,
            "faults that cause no repeat prove nothing"
        );
    }
}

/// A table, as it is kept in the documents.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| input | produced | received | dead letters | lost | repeated | left in the queue |\n\
             |---|---:|---:|---:|---:|---:|---:|"
        )?;
        for (input, receipt, left) in [
            ("Kinesis", &self.flow, "-".to_owned()),
            ("CloudTrail", &self.trail, self.notices.to_string()),
        ] {
            writeln!(
                f,
                "| {input} | {} | {} | {} | {} | {} | {left} |",
                receipt.produced,
                receipt.received,
                receipt.dead_lettered,
                receipt.lost,
                receipt.duplicates
            )?;
        }
        write!(
            f,
            "\nShards changed hands {} times; everything was out {:.1} s after the last event.",
            self.moves,
            self.drained.as_secs_f64()
        )
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
        tokio::time::sleep(Duration::from_millis(50)).await;
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
