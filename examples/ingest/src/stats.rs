//! What the pipeline did and does: counters that the data path bumps, and one snapshot of them that the metrics, the
//! status page, the log's summary and the terminal rows all show.

mod input;
mod output;
mod rate;
mod snapshot;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use forebay_entity::Table;
use forebay_kinesis::WorkerId;
use tokio::time::Instant;

use crate::{dead_letter::DeadLetters, names::LookupCounts, throttle::Gate};

pub(crate) use input::InputStats;
pub(crate) use output::OutputStats;
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

    /// Counters of these inputs and outputs with nothing else behind them.
    #[cfg(test)]
    pub(crate) fn alone(inputs: Vec<Arc<InputStats>>, outputs: Vec<Arc<OutputStats>>) -> Arc<Self> {
        let letters = DeadLetters::new(&crate::config::DeadLetter::default());
        let worker = "worker".parse().expect("a worker id");
        Self::new(worker, inputs, outputs, letters, Gate::new(0))
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
