//! `forebay demo`: the whole pipeline on an embedded AWS, with every message accounted for.
//!
//! Nothing of the pipeline is replaced: the unmodified AWS SDK clients talk to a model of AWS that is plugged in at
//! their HTTP layer, and messages travel over a real TCP connection to a GELF listener in the same process.

mod act;
mod feed;
mod ledger;
mod world;

use std::{
    collections::BTreeMap,
    fmt,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use forebay_gelf::listener::{Listener, ListenerConfig};
use forebay_localaws::{Cloud, Fault, FaultRule, LocalAws, Service, Settings};
use serde_json::{Map, Value};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use crate::{
    aws::Account,
    clock, config,
    config::Config,
    exit::Exit,
    live_rows::LiveRows,
    pipeline::{Pipeline, Summary},
    stats::lock,
};

pub use act::Act;
pub use ledger::{Expected, Ledger, Receipt, Tally};

use feed::{BROKEN, CUSTOM_FORMAT, CUSTOM_GROUP, FLOW_GROUP, Feed, identify};
use world::{QUEUE, REGION, STREAM, World};

/// How the demo runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long events are fed.
    pub feed: Duration,
    /// Whether the embedded AWS fails now and then.
    pub faults: bool,
    /// Kinds of trouble to play, spread over the time of the feed.
    pub acts: Vec<Act>,
    /// Where the state of the pipeline is shown while it runs.
    pub rows: LiveRows,
}

/// What a run of the demo showed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The books.
    pub receipt: Receipt,
    /// From the start of the pipeline to the first message at the receiver.
    pub first_message: Option<Duration>,
    /// What the pipeline says.
    pub summary: Summary,
    /// Input that was broken on purpose.
    pub broken: u64,
    /// Dead letters, in the order in which they were kept.
    pub letters: Vec<Value>,
    /// Leases that still have an owner after the stop.
    pub leases_held: usize,
    /// Lease rows with a sequence number as checkpoint.
    pub leases_advanced: usize,
    /// Messages left in the queue.
    pub queue_left: usize,
}

impl Outcome {
    /// Whether nothing was lost or changed, every broken input was kept, and the AWS side is tidy.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.receipt.is_clean()
            && self.summary.unsettled == 0
            && self.letters.len() as u64 == self.broken
            && self.leases_held == 0
            && self.queue_left == 0
    }
}

/// Runs the demo and shows it on standard output.
///
/// # Errors
///
/// The listener cannot bind, or the pipeline cannot run at all.
pub async fn demo(options: &Options) -> anyhow::Result<Exit> {
    let folder = std::env::temp_dir().join(format!("forebay-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "forebay demo: Kinesis, DynamoDB, SQS, S3, EC2 and ELB are embedded; GELF goes over TCP on loopback\n"
    )?;
    let shown = Mutex::new(Shown::default());
    let rows = options.rows.clone();
    let played = play(options, &folder, move |kind, message| {
        if let Some(line) = lock(&shown).line(kind, message) {
            // The receipt tells what matters; a closed pipe is no reason to stop accounting.
            let _ = rows.above(|| writeln!(std::io::stdout(), "{line}"));
        }
    });
    // The whole pipeline is inside: too large to be moved about.
    let outcome = Box::pin(played).await;
    options.rows.clear();
    let removed = std::fs::remove_dir_all(&folder);
    let outcome = outcome?;
    removed.with_context(|| format!("{} cannot be removed", folder.display()))?;
    write!(out, "\n{outcome}")?;
    out.flush()?;
    Ok(if outcome.is_clean() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// Runs the demo; `show` sees every message that arrives, with its kind.
///
/// # Errors
///
/// As [`demo`].
pub async fn play(
    options: &Options,
    folder: &Path,
    show: impl Fn(&str, &Map<String, Value>) + Send + Sync + 'static,
) -> anyhow::Result<Outcome> {
    let epoch = clock::wall_millis();
    let aws = LocalAws::new(
        Cloud::new(Settings::instant(), SEED),
        u64::try_from(epoch).unwrap_or_default(),
    );
    let account = Account::from_sdk(
        sdk(&aws).await,
        config::Aws {
            s3_path_style: true,
            ..config::Aws::default()
        },
    );
    let world = World::build(&account, &aws).await?;
    if options.faults {
        fail_now_and_then(&aws);
    }

    let ledger = Arc::new(Ledger::default());
    let mut tasks = JoinSet::new();
    let show = Arc::new(show);
    let address = listen(&mut tasks, Arc::clone(&ledger), Arc::clone(&show)).await?;
    let letters = folder.join("dead-letters.ndjson");
    let started = Instant::now();
    let mut worker = Worker {
        address,
        letters: letters.clone(),
        rows: options.rows.clone(),
        running: None,
    };
    worker.start(&account)?;

    let feeding = Feed::new(world, Arc::clone(&ledger), epoch).run(options.feed);
    let acting = async {
        let mut broken = BROKEN;
        let tell = |text: &str| {
            let text = Value::String(text.to_owned());
            show(ACT, &Map::from_iter([("short_message".to_owned(), text)]));
        };
        let pause = options.feed / u32::try_from(options.acts.len() + 1)?;
        for act in &options.acts {
            tokio::time::sleep(pause).await;
            broken += act.play(&aws, &account, &mut worker, &tell).await?;
        }
        anyhow::Ok(broken)
    };
    let ((), broken) = tokio::try_join!(feeding, acting)?;
    let complete = ledger.complete(PATIENCE).await;
    tracing::info!(complete, "everything was fed");
    // Dead letters have no receiver to wait for.
    wait_for_letters(&letters, broken).await;
    // What a killed process had accepted and not deleted comes once more.
    let emptied = async {
        while queue_left(&account).await.unwrap_or(1) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // Messages that stay show in the outcome.
    let _ = tokio::time::timeout(PATIENCE, emptied).await;
    let summary = worker.stop().await?;
    tasks.shutdown().await;

    aws.with(|cloud, _| cloud.faults().clear());
    let (leases_held, leases_advanced) = leases(&account).await?;
    let receipt = ledger.receipt();
    Ok(Outcome {
        first_message: receipt
            .first_received
            .map(|at| at.saturating_duration_since(started.into_std())),
        receipt,
        summary,
        broken,
        letters: read_letters(&letters)?,
        leases_held,
        leases_advanced,
        queue_left: queue_left(&account).await?,
    })
}

/// The process of the demo that reads: a pipeline that can be killed.
struct Worker {
    address: SocketAddr,
    letters: PathBuf,
    rows: LiveRows,
    running: Option<(oneshot::Sender<()>, JoinHandle<anyhow::Result<Summary>>)>,
}

impl Worker {
    fn start(&mut self, account: &Account) -> anyhow::Result<()> {
        let config = configuration(self.address, &self.letters)?;
        let accounts = BTreeMap::from([("default".to_owned(), account.clone())]);
        let (stop, stopped) = oneshot::channel::<()>();
        let pipeline = Pipeline::with_accounts(config, accounts);
        let (rows, stats) = (self.rows.clone(), pipeline.stats());
        let run = Box::pin(pipeline.run(async move {
            // A sender that is gone means that the demo failed.
            let _ = stopped.await;
        }));
        let running = tokio::spawn(async move {
            tokio::select! {
                ended = run => ended,
                never = rows.follow(stats), if rows.are_shown() => match never {},
            }
        });
        self.running = Some((stop, running));
        Ok(())
    }

    /// Ends the pipeline as a crash would.
    async fn kill(&mut self) {
        if let Some((_stop, running)) = self.running.take() {
            running.abort();
            // It was aborted: there is nothing to learn.
            let _ = running.await;
        }
    }

    async fn stop(&mut self) -> anyhow::Result<Summary> {
        let (stop, running) = self.running.take().context("the demo's pipeline is gone")?;
        drop(stop);
        running.await.context("the pipeline ended early")?
    }
}

async fn sdk(aws: &LocalAws) -> aws_config::SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws.http_client())
        .credentials_provider(Credentials::new(
            "AKIAEXAMPLE",
            "secret",
            None,
            None,
            "demo",
        ))
        .region(Region::new(REGION))
        .load()
        .await
}

/// The configuration of the demo, as a person would write it.
fn configuration(address: SocketAddr, letters: &Path) -> anyhow::Result<Config> {
    let text = format!(
        r#"
version = 1
[kinesis.demo]
stream = "{STREAM}"
start = "trim-horizon"
read_interval = "200ms"
decode = "auto"
[kinesis.demo.lease]
failover = "3s"
[[kinesis.demo.route]]
log_group = "{CUSTOM_GROUP}"
decode = "flowlog"
flow_format = "{CUSTOM_FORMAT}"
[[kinesis.demo.route]]
log_group = "{FLOW_GROUP}"
decode = "flowlog"
[cloudtrail.demo-trail]
queue = "{QUEUE}"
object_retry = "100ms"
visibility = "30s"
[entities]
enabled = true
[output.demo]
address = ["{address}"]
[dead_letter]
path = {letters:?}
"#,
        letters = letters.display().to_string(),
    );
    Config::parse(Path::new("the demo's configuration"), &text).map_err(anyhow::Error::from)
}

/// Every kind of trouble that a retry must get over, at rates far above the real ones.
fn fail_now_and_then(aws: &LocalAws) {
    aws.with(|cloud, _| {
        let faults = cloud.faults();
        for service in [
            Service::Kinesis,
            Service::DynamoDb,
            Service::Sqs,
            Service::S3,
        ] {
            faults.push(
                FaultRule::new(Fault::Throttle)
                    .service(service)
                    .per_million(40_000),
            );
            faults.push(
                FaultRule::new(Fault::ServerError)
                    .service(service)
                    .per_million(20_000),
            );
        }
        // The write took effect, the answer is lost: what looks like a lost race is our own write.
        faults.push(
            FaultRule::new(Fault::LoseAnswer)
                .service(Service::DynamoDb)
                .operation("UpdateItem")
                .per_million(80_000),
        );
        faults.push(
            FaultRule::new(Fault::LoseAnswer)
                .service(Service::Sqs)
                .operation("DeleteMessageBatch")
                .per_million(80_000),
        );
    });
}

/// A GELF receiver on loopback that books what arrives.
async fn listen(
    tasks: &mut JoinSet<()>,
    ledger: Arc<Ledger>,
    show: Arc<impl Fn(&str, &Map<String, Value>) + Send + Sync + 'static>,
) -> anyhow::Result<SocketAddr> {
    let mut config = ListenerConfig::loopback();
    config.udp = None;
    let (listener, mut messages) = Listener::bind(config)
        .await
        .context("the demo's GELF listener")?;
    let address = listener
        .tcp_address()
        .context("the demo's GELF listener has no address")?;
    tasks.spawn(listener.run());
    tasks.spawn(async move {
        while let Some(arrived) = messages.next().await {
            let Ok(Value::Object(message)) = serde_json::from_slice(&arrived.json) else {
                ledger.receive(None, &Map::new(), Instant::now().into_std());
                continue;
            };
            let id = identify(&message);
            show(id.as_ref().map_or("?", |(kind, _)| kind), &message);
            ledger.receive(id, &message, Instant::now().into_std());
        }
    });
    Ok(address)
}

async fn wait_for_letters(path: &Path, broken: u64) {
    let wait = async {
        while read_letters(path).is_ok_and(|letters| (letters.len() as u64) < broken) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // Too few letters show in the receipt.
    let _ = tokio::time::timeout(PATIENCE, wait).await;
}

fn read_letters(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("the demo's dead letters"),
    };
    let mut letters: Vec<Value> = Vec::new();
    for line in text.lines() {
        let letter: Value = serde_json::from_str(line).context("the demo's dead letters")?;
        // What is read again after a crash gives its letter again.
        let place = |letter: &Value| (letter["origin"].clone(), letter["position"].clone());
        if !letters.iter().any(|known| place(known) == place(&letter)) {
            letters.push(letter);
        }
    }
    Ok(letters)
}

/// Leases with an owner, and leases with a sequence number.
async fn leases(account: &Account) -> anyhow::Result<(usize, usize)> {
    let table = format!("graylog-aws-plugin-{STREAM}");
    let rows = account
        .dynamodb()
        .scan()
        .table_name(table)
        .send()
        .await
        .context("the demo's lease table")?;
    let has_owner = |row: &&std::collections::HashMap<String, _>| row.contains_key("leaseOwner");
    let numbered = rows.items().iter().filter(|row| {
        let checkpoint = row.get("checkpoint").and_then(|value| value.as_s().ok());
        checkpoint.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
    });
    Ok((
        rows.items().iter().filter(has_owner).count(),
        numbered.count(),
    ))
}

async fn queue_left(account: &Account) -> anyhow::Result<usize> {
    use aws_sdk_sqs::types::QueueAttributeName as Name;
    let sqs = account.sqs(None);
    let queue = sqs
        .get_queue_url()
        .queue_name(QUEUE)
        .send()
        .await
        .context("the demo's queue")?;
    let names = [
        Name::ApproximateNumberOfMessages,
        Name::ApproximateNumberOfMessagesNotVisible,
    ];
    let request = sqs
        .get_queue_attributes()
        .set_queue_url(queue.queue_url)
        .set_attribute_names(Some(names.to_vec()));
    let attributes = request
        .send()
        .await
        .context("the demo's queue")?
        .attributes
        .unwrap_or_default();
    Ok(names
        .iter()
        .filter_map(|name| attributes.get(name)?.parse::<usize>().ok())
        .sum())
}

/// Which messages were shown: a few of each kind are enough.
#[derive(Debug, Default)]
struct Shown {
    kinds: BTreeMap<String, u32>,
}

impl Shown {
    /// What to print of a message, if it is to be seen.
    fn line(&mut self, kind: &str, message: &Map<String, Value>) -> Option<String> {
        let count = self.kinds.entry(kind.to_owned()).or_default();
        *count += 1;
        if *count > SHOWN && kind != ACT {
            return None;
        }
        let text = |name: &str| message.get(name).and_then(Value::as_str);
        let mut line = text("short_message")
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        for (label, field) in [("from", "_src_addr"), ("to", "_dst_addr")] {
            let name = text(&format!("{field}_entity_description"))
                .or_else(|| text(&format!("{field}_entity")));
            if let Some(name) = name {
                line.push_str(&format!("  {label} {name}"));
            }
        }
        Some(format!("{kind:<16} {line}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.receipt)?;
        writeln!(
            formatter,
            "\nbroken on purpose: {}, kept as dead letters: {}",
            self.broken,
            self.letters.len()
        )?;
        for letter in &self.letters {
            let text = |name: &str| letter.get(name).and_then(Value::as_str).unwrap_or_default();
            // The reason of an object names it once more, and its full path would fill the screen.
            let origin = text("origin");
            let reason = text("reason").replace(&format!(" ({origin})"), "");
            let origin = origin.rsplit('/').next().unwrap_or(origin);
            writeln!(
                formatter,
                "  {:<9} {origin} {}: {reason}",
                text("class"),
                text("position")
            )?;
        }
        writeln!(
            formatter,
            "leases: {} checkpointed, {} still held; queue: {} messages left",
            self.leases_advanced, self.leases_held, self.queue_left
        )?;
        if let Some(first) = self.first_message {
            writeln!(
                formatter,
                "first message after {:.2} s",
                first.as_secs_f64()
            )?;
        }
        let total = self.receipt.total();
        if self.is_clean() {
            writeln!(
                formatter,
                "nothing lost: {} produced, {} received",
                total.produced, total.received
            )
        } else {
            writeln!(
                formatter,
                "NOT CLEAN: {} lost, {} altered, {} not expected, {} unsettled",
                total.lost(),
                total.altered,
                self.receipt.unexpected,
                self.summary.unsettled
            )
        }
    }
}

/// The kind under which acts are told.
const ACT: &str = "act";

/// The demo is the same each time.
const SEED: u64 = 7;

/// Messages shown of each kind.
const SHOWN: u32 = 2;

/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(45);
