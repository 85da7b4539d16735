//! What the pipeline did and does: counters that the data path bumps, and one snapshot of them that the metrics, the
//! status page, the log's summary and the terminal rows all show.

mod input;
mod rate;
mod snapshot;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use forebay_entity::Table;
use forebay_gelf::{Grade, RefusalReason, Sink, State};
use forebay_kinesis::WorkerId;
use tokio::time::Instant;

use crate::{dead_letter::DeadLetters, names::LookupCounts, repeats::Repeats, throttle::Gate};

pub(crate) use input::InputStats;
use rate::Rate;
pub use snapshot::{
    CallStats, EntityStats, InputSnapshot, OutputSnapshot, QueueStats, Shard, Snapshot,
    StreamStats, ThrottleStats,
};

/// Everything that is counted, shared by the pipeline and whoever shows it.
#[derive(Debug)]
pub struct Stats {
    started: Instant,
    worker_id: WorkerId,
    inputs: Vec<Arc<InputStats>>,
    outputs: Vec<Arc<OutputStats>>,
    dead_letters: DeadLetters,
    entities: Mutex<Option<Entities>>,
    gate: Gate,
    /// When the sampler last ran: the event loop turns.
    turned: Mutex<Instant>,
}

#[derive(Debug)]
struct Entities {
    table: Table,
    refreshed: Arc<Mutex<Option<Instant>>>,
    lookups: Arc<LookupCounts>,
}

impl Stats {
    /// Counters of these inputs and outputs, all at zero.
    pub(crate) fn new(
        worker_id: WorkerId,
        inputs: Vec<Arc<InputStats>>,
        outputs: Vec<Arc<OutputStats>>,
        dead_letters: DeadLetters,
        gate: Gate,
    ) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            started: now,
            worker_id,
            inputs,
            outputs,
            dead_letters,
            entities: Mutex::new(None),
            gate,
            turned: Mutex::new(now),
        })
    }

    /// Shows this entity table too; `refreshed` is when it was last built.
    #[cfg(feature = "entities")]
    pub(crate) fn watch_entities(
        &self,
        table: Table,
        refreshed: Arc<Mutex<Option<Instant>>>,
        lookups: Arc<LookupCounts>,
    ) {
        *lock(&self.entities) = Some(Entities {
            table,
            refreshed,
            lookups,
        });
    }

    /// Takes samples for rates and sparklines, for ever.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a sample is taken between two waits.
    pub(crate) async fn sample(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(STEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            *lock(&self.turned) = now;
            self.inputs.iter().for_each(|input| input.sample(now));
            self.outputs.iter().for_each(|output| output.sample(now));
        }
    }

    /// Whether the event loop turned within the last ten seconds.
    #[must_use]
    pub fn is_live(&self) -> bool {
        lock(&self.turned).elapsed() < LIVE
    }

    /// Everything at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let inputs: Vec<_> = self
            .inputs
            .iter()
            .map(|input| input.snapshot(now))
            .collect();
        let outputs: Vec<_> = self
            .outputs
            .iter()
            .map(|output| output.snapshot())
            .collect();
        let entities = lock(&self.entities).as_ref().map(|entities| {
            let age = lock(&entities.refreshed).map(|at| (now - at).as_secs_f64());
            let table = entities.table.load();
            EntityStats {
                addresses: table.len(),
                conflicts: table.conflicts(),
                lookups: entities.lookups.by_result(),
                age_seconds: age,
            }
        });
        let mut snapshot = Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            worker_id: self.worker_id.to_string(),
            uptime_seconds: (now - self.started).as_secs_f64(),
            ready: false,
            reasons: Vec::new(),
            inputs,
            outputs,
            dead_letters: named(&self.dead_letters.counts()),
            dead_letter_error: self.dead_letters.failure(),
            entities,
            throttle: self.gate.stats(),
        };
        snapshot.judge();
        snapshot
    }
}

/// What one output did.
#[derive(Debug)]
pub(crate) struct OutputStats {
    name: Arc<str>,
    protocol: &'static str,
    addresses: Vec<String>,
    sink: Mutex<Option<Sink>>,
    accepted: AtomicU64,
    refused: AtomicU64,
    written: AtomicU64,
    written_bytes: AtomicU64,
    connects: AtomicU64,
    failures: AtomicU64,
    /// Address and reason of the last connection that ended or could not be made.
    ended: Mutex<(String, String)>,
    /// Sum of the time from `send` to acceptance over all messages, in microseconds.
    latency: AtomicU64,
    rates: Mutex<Rates>,
    repeats: Repeats,
}

#[derive(Debug, Default)]
struct Rates {
    messages: Rate,
    bytes: Rate,
}

impl OutputStats {
    pub(crate) fn new(name: &str, protocol: &'static str, addresses: &[String]) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            protocol,
            addresses: addresses.to_vec(),
            sink: Mutex::new(None),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            written: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            ended: Mutex::default(),
            latency: AtomicU64::new(0),
            rates: Mutex::default(),
            repeats: Repeats::default(),
        })
    }

    /// The sink whose health is shown.
    pub(crate) fn watch(&self, sink: &Sink) {
        *lock(&self.sink) = Some(sink.clone());
    }

    fn sample(&self, now: Instant) {
        let mut rates = lock(&self.rates);
        rates
            .messages
            .sample(now, self.written.load(Ordering::Relaxed));
        rates
            .bytes
            .sample(now, self.written_bytes.load(Ordering::Relaxed));
    }

    fn snapshot(&self) -> OutputSnapshot {
        let health = lock(&self.sink).as_ref().map(Sink::health);
        let (state, reason) = match health.as_ref().map(|health| &health.state) {
            None | Some(State::Starting) => ("starting", None),
            Some(State::Ready) => ("up", None),
            Some(State::Down { reason }) => ("down", Some(reason.to_string())),
            Some(State::Misconfigured { reason }) => ("misconfigured", Some(reason.to_string())),
            Some(_) => ("closed", None),
        };
        let stalled = health
            .as_ref()
            .map_or(Duration::ZERO, |health| health.stalled);
        let rates = lock(&self.rates);
        OutputSnapshot {
            name: self.name.to_string(),
            protocol: self.protocol.to_owned(),
            addresses: self.addresses.clone(),
            state: state.to_owned(),
            reason,
            stalled_seconds: stalled.as_secs_f64(),
            queue_bytes: health.map_or(0, |health| health.in_flight),
            accepted: self.accepted.load(Ordering::Relaxed),
            messages_per_second: rates.messages.per_second(),
            bytes_per_second: rates.bytes.per_second(),
            refused: self.refused.load(Ordering::Relaxed),
            written_bytes: self.written_bytes.load(Ordering::Relaxed),
            connects: self.connects.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            latency_seconds: Duration::from_micros(self.latency.load(Ordering::Relaxed))
                .as_secs_f64(),
        }
    }
}

impl forebay_gelf::Observer for OutputStats {
    fn connected(&self, address: &str) {
        self.connects.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(output = %self.name, address, "output connected");
    }

    fn disconnected(&self, address: &str, reason: &str, unproven: usize) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) =
            (address.to_owned(), reason.to_owned());
        if unproven > 0 {
            self.failures.fetch_add(1, Ordering::Relaxed);
            if let Some(suppressed) = self.repeats.tell(reason) {
                tracing::warn!(output = %self.name, address, reason, unproven, suppressed, "output connection failed, messages are sent again");
            }
        } else {
            tracing::debug!(output = %self.name, address, reason, "output connection ended");
        }
    }

    fn backing_off(&self, wait: Duration) {
        if let Some(suppressed) = self.repeats.tell("backing off") {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            let (address, reason) = &*ended;
            tracing::warn!(output = %self.name, address, reason, ?wait, suppressed, "output not reachable, trying again");
        }
    }

    fn written(&self, messages: usize, bytes: usize) {
        self.written.fetch_add(messages as u64, Ordering::Relaxed);
        self.written_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn accepted(&self, messages: usize, _grade: Grade, latency: Duration) {
        self.accepted.fetch_add(messages as u64, Ordering::Relaxed);
        let total = latency.saturating_mul(u32::try_from(messages).unwrap_or(u32::MAX));
        let micros = u64::try_from(total.as_micros()).unwrap_or(u64::MAX);
        self.latency.fetch_add(micros, Ordering::Relaxed);
    }

    fn refused(&self, reason: RefusalReason) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(output = %self.name, ?reason, "message refused");
    }
}

/// Counts by name.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

fn named(counts: &Counts) -> BTreeMap<String, u64> {
    counts
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time between two samples of a counter for its rate.
const STEP: Duration = Duration::from_secs(1);

/// Time between two samples of lag for its sparkline.
pub(crate) const SAMPLE: Duration = Duration::from_secs(5);

/// A sampler silent for this long means that the event loop stands still.
const LIVE: Duration = Duration::from_secs(10);
