//! Wiring: sink, inputs, entity table; and the order in which they stop.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use forebay_gelf::{Driver, Sink};
use futures_util::future::join_all;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    aws::Account,
    config::Config,
    dead_letter::{DeadLetters, LetterQueue},
    delivery::{Delivery, Outlet},
    entities,
    intake::Intake,
    kinesis_input::{self, Leasing},
    output,
    reading::{Reading, caught_up},
    stats::{InputStats, OutputStats, Stats},
    throttle::{self, Gate, Pace},
    trail_input,
};

/// The pipeline of one configuration.
#[derive(Debug)]
pub struct Pipeline {
    config: Config,
    accounts: BTreeMap<String, Account>,
    dead_letters: DeadLetters,
    gate: Gate,
    inputs: BTreeMap<String, Arc<InputStats>>,
    outputs: BTreeMap<String, Arc<OutputStats>>,
    stats: Arc<Stats>,
    reading: Reading,
    /// By name, once [`Self::open`] was called.
    sinks: BTreeMap<String, (Sink, Driver)>,
}

/// What a pipeline did, told when it ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Messages that the receiver accepted.
    pub accepted: u64,
    /// Messages that the receiver refused for good; each is a dead letter.
    pub refused: u64,
    /// Messages that were not known to be accepted at the end; their input is read again.
    pub unsettled: u64,
    /// Dead letters of all kinds.
    pub dead_letters: u64,
}

impl Pipeline {
    /// Loads the accounts that `config` uses.
    ///
    /// # Errors
    ///
    /// A secret cannot be read, or an account has no region.
    pub async fn new(config: Config) -> anyhow::Result<Self> {
        let accounts = accounts(&config).await?;
        Ok(Self::with_accounts(config, accounts))
    }

    /// A pipeline over ready-made accounts: for demos and tests on an embedded AWS.
    #[must_use]
    pub fn with_accounts(config: Config, accounts: BTreeMap<String, Account>) -> Self {
        let mut dead_letters = DeadLetters::new(&config.dead_letter);
        let account = accounts.get(&config.dead_letter.aws);
        if let Some(queue) =
            account.and_then(|account| LetterQueue::new(&config.dead_letter, account))
        {
            dead_letters = dead_letters.with_queue(queue);
        }
        let gate = Gate::new(config.throttle.max_messages_per_second);
        let streams = config
            .kinesis
            .keys()
            .map(|name| (name.clone(), InputStats::stream(name)));
        let objects = config.objects().into_iter();
        let queues = objects.map(|(name, _)| (name.clone(), InputStats::queue(name)));
        let inputs: BTreeMap<_, _> = streams.chain(queues).collect();
        let outputs: BTreeMap<_, _> = config
            .output
            .iter()
            .map(|(name, output)| (name.clone(), output::stats(name, output)))
            .collect();
        let stats = Stats::new(
            config.service.worker_id.clone(),
            inputs.values().cloned().collect(),
            outputs.values().cloned().collect(),
            dead_letters.clone(),
            gate.clone(),
        );
        Self {
            config,
            accounts,
            dead_letters,
            gate,
            inputs,
            outputs,
            stats,
            reading: Reading::default(),
            sinks: BTreeMap::new(),
        }
    }

    /// Reads in another way than the service does.
    #[must_use]
    pub fn with_reading(mut self, reading: Reading) -> Self {
        if reading.instead.is_some() {
            self.dead_letters.discard();
        }
        self.reading = reading;
        self
    }

    /// Opens the outputs, if messages go there, without connecting to them. [`Self::run`] does it otherwise; before, it
    /// tells whether the pipeline can take the place of another.
    ///
    /// # Errors
    ///
    /// A secret or a certificate of an output cannot be read, or its settings contradict each other.
    pub fn open(mut self) -> anyhow::Result<Self> {
        if self.reading.instead.is_some() || !self.sinks.is_empty() {
            return Ok(self);
        }
        for (name, settings) in &self.config.output {
            let stats = self.outputs.get(name);
            let stats = stats.context("every output has its counters")?;
            let budget = usize::try_from(settings.queue.0).unwrap_or(usize::MAX);
            let opened = output::open(settings, budget / 2, stats);
            let opened = opened.with_context(|| format!("[output.{name}]"))?;
            self.sinks.insert(name.clone(), opened);
        }
        Ok(self)
    }

    /// What the pipeline does, for whoever shows it.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Where dead letters are kept.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters {
        self.dead_letters.clone()
    }

    /// Runs until `shutdown` completes, then drains: reading stops, what was read is sent, checkpoints are written,
    /// leases are released, the sink closes.
    ///
    /// # Errors
    ///
    /// An input cannot work at all (no such stream, no right to read it). The others are drained all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is like a crash: nothing is lost, what was not checkpointed is read again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<Summary> {
        let Self {
            config,
            accounts,
            dead_letters,
            gate,
            inputs: input_stats,
            outputs: _,
            stats,
            reading,
            sinks: opened,
        } = self.open()?;
        let objects = config.objects();
        let inputs = config.kinesis.len() + objects.len();
        let (delivery, settler) = Delivery::new(gate.clone(), dead_letters.clone());
        let mut background = JoinSet::new();
        // One budget for everything that grows with data: half for what waits in a sink, half for what is read.
        let mut share = usize::MAX;
        let mut outlets = BTreeMap::new();
        let instead = reading.instead.map(|(sink, driver)| {
            background.spawn(drive(driver));
            Outlet {
                sink,
                extra: Arc::default(),
            }
        });
        for (name, (sink, driver)) in opened {
            let settings = config.output.get(&name);
            let settings = settings.context("every sink has its output")?;
            let budget = usize::try_from(settings.queue.0).unwrap_or(usize::MAX);
            share = share.min((budget / 2 / inputs.max(1)).max(MINIMUM_SHARE));
            background.spawn(drive(driver));
            let extra = output::members(&settings.fields)?.into();
            outlets.insert(name, Outlet { sink, extra });
        }
        // With one output its fields are part of every message from the start, and nothing is written twice.
        let none = BTreeMap::new();
        let only = match config.output.values().next() {
            Some(only) if outlets.len() == 1 => {
                outlets
                    .values_mut()
                    .for_each(|outlet| outlet.extra = Arc::default());
                &only.fields
            }
            _ => &none,
        };
        let delivery_to = |listed: &[String]| {
            if let Some(instead) = &instead {
                return delivery.to(vec![instead.clone()]);
            }
            let listed = config.outputs_of(listed);
            delivery.to(listed
                .filter_map(|name| outlets.get(name).cloned())
                .collect())
        };
        let settling = tokio::spawn(settler.run());
        let (stop, stopping) = watch::channel(false);
        background.spawn(Arc::clone(&stats).sample());
        if let Some(poll) = throttle::poll(&config.throttle, gate.clone())? {
            background.spawn(poll);
        }
        let names = entities::start(
            &config,
            &accounts,
            &stats,
            &mut background,
            stopping.clone(),
        )?;
        if config.entities.enabled {
            // So that the first records have names too; a slow or denied refresh does not hold them up for long.
            entities::first_names(&names).await;
        }

        let sinks: Vec<Sink> = outlets
            .values()
            .chain(&instead)
            .map(|outlet| outlet.sink.clone())
            .collect();
        let patience = config.throttle.release_leases_after;
        let intake = |name: &str, outputs: &[String], host: &Option<String>, cap: u32| {
            anyhow::Ok(Intake {
                name: name.into(),
                stats: input_stats
                    .get(name)
                    .map(Arc::clone)
                    .context("every input has its counters")?,
                pace: Pace::new(cap),
                delivery: delivery_to(outputs),
                dead_letters: dead_letters.clone(),
                names: names.clone(),
                fields: only.clone(),
                host: host.clone(),
                bytes: share,
                grace: config.service.shutdown_grace,
            })
        };
        let leasing = Leasing {
            worker_id: &config.service.worker_id,
            patience,
            kept: instead.is_none(),
        };
        let mut workers = Vec::new();
        let mut running: JoinSet<anyhow::Result<()>> = JoinSet::new();
        for (name, input) in &config.kinesis {
            let account = account(&accounts, &input.aws)?;
            let cap = input.max_messages_per_second;
            let intake = intake(name, &input.outputs, &input.source, cap)?;
            let stop = stopped(stopping.clone());
            let (worker, run) = kinesis_input::run(intake, input, account, &leasing, stop)?;
            workers.push(worker);
            running.spawn(run);
        }
        if !patience.is_zero() {
            background.spawn(throttle::relieve(gate, sinks.clone(), workers, patience));
        }
        for (name, input) in objects.iter().filter(|_| instead.is_none()) {
            let account = account(&accounts, &input.aws)?;
            let cap = input.max_messages_per_second;
            let intake = intake(name, &input.outputs, &input.source, cap)?;
            let stop = stopped(stopping.clone());
            running.spawn(trail_input::run(intake, input, account, stop)?);
        }

        let outcome = supervise(
            running,
            &sinks,
            stop,
            async {
                let failovers = config.kinesis.values().map(|input| input.lease.failover);
                let failover = failovers.max().unwrap_or_default();
                tokio::select! {
                    () = shutdown => {}
                    () = caught_up(Arc::clone(&stats), failover), if reading.until_caught_up => {}
                }
            },
            config.service.shutdown_grace,
        )
        .await;
        let reports = join_all(sinks.iter().map(|sink| sink.close(CLOSE_PATIENCE))).await;
        let counters = delivery.counters();
        let summary = Summary {
            accepted: counters.accepted.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            unsettled: reports.iter().map(|report| report.unsettled).sum(),
            dead_letters: dead_letters.count(),
        };
        drop(delivery);
        background.shutdown().await;
        // Every ticket is settled or lost with the driver: the settler ends by itself.
        settling.await.context("the settler ended early")?;
        outcome.map(|()| summary)
    }
}

/// Waits for the shutdown or for an input that ends by itself, then for all inputs.
async fn supervise(
    mut running: JoinSet<anyhow::Result<()>>,
    sinks: &[Sink],
    stop: watch::Sender<bool>,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    let mut shutdown = std::pin::pin!(shutdown);
    tokio::select! {
        () = &mut shutdown => {}
        Some(ended) = running.join_next() => outcome = ended.context("an input ended early")?,
    }
    // Inputs that are gone already do not listen.
    let _ = stop.send(true);
    let drained = async {
        while let Some(ended) = running.join_next().await {
            let ended = ended
                .context("an input ended early")
                .and_then(|ended| ended);
            if outcome.is_ok() {
                outcome = ended;
            }
        }
    };
    let flushing = async {
        // Inputs wait for acceptance; a sink that proves it in its own time is asked to do so now.
        loop {
            join_all(sinks.iter().map(|sink| sink.flush(FLUSH))).await;
            tokio::time::sleep(FLUSH_PAUSE).await;
        }
    };
    tokio::select! {
        () = drained => {}
        () = flushing => {}
        () = tokio::time::sleep(grace) => tracing::warn!(?grace, "drain not finished, the rest is read again"),
    }
    outcome
}

async fn drive(driver: Driver) {
    driver.run().await;
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopping.wait_for(|&stopped| stopped).await;
}

/// The accounts that `config` uses, by the names of its credentials sets.
///
/// # Errors
///
/// A secret cannot be read, or an account has no region.
pub(crate) async fn accounts(config: &Config) -> anyhow::Result<BTreeMap<String, Account>> {
    let mut accounts = BTreeMap::new();
    for name in config.used_accounts() {
        let settings = config.aws(&name).unwrap_or_default();
        accounts.insert(name.clone(), Account::load(&name, settings).await?);
    }
    Ok(accounts)
}

fn account<'a>(accounts: &'a BTreeMap<String, Account>, name: &str) -> anyhow::Result<&'a Account> {
    accounts
        .get(name)
        .with_context(|| format!("no credentials set is called `{name}`"))
}

/// Everything that an input hands on: its clones go to the tasks of the input.
pub(crate) type SharedName = Arc<str>;

/// The least an input may hold in memory: one answer of GetRecords or a piece of an object must fit.
const MINIMUM_SHARE: usize = 4 << 20;

/// How long the sink may take for its orderly end once all inputs are drained.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

const FLUSH: Duration = Duration::from_secs(5);
const FLUSH_PAUSE: Duration = Duration::from_millis(20);
