//! Wiring: sink, inputs, entity table; and the order in which they stop.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use forebay_gelf::{Report, Sink};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    aws::Account, config::Config, dead_letter::DeadLetters, delivery::Delivery, entities,
    kinesis_input, output, trail_input,
};

/// The pipeline of one configuration.
#[derive(Debug)]
pub struct Pipeline {
    config: Config,
    accounts: BTreeMap<String, Account>,
    dead_letters: DeadLetters,
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
        let mut accounts = BTreeMap::new();
        for name in used_accounts(&config) {
            let settings = config.aws(&name).unwrap_or_default();
            accounts.insert(name.clone(), Account::load(&name, settings).await?);
        }
        Ok(Self::with_accounts(config, accounts))
    }

    /// A pipeline over ready-made accounts: for demos and tests on an embedded AWS.
    #[must_use]
    pub fn with_accounts(config: Config, accounts: BTreeMap<String, Account>) -> Self {
        let dead_letters =
            DeadLetters::new(&config.dead_letter.path, config.dead_letter.max_size.0);
        Self {
            config,
            accounts,
            dead_letters,
        }
    }

    /// The dead-letter file.
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
        } = self;
        let (name, settings) = config.output().context("the configuration has no output")?;
        let inputs = config.kinesis.len() + config.objects().len();
        // One budget for everything that grows with data: half for what waits in the sink, half for what is read.
        let budget = usize::try_from(settings.queue.0).unwrap_or(usize::MAX);
        let share = (budget / 2 / inputs.max(1)).max(MINIMUM_SHARE);
        let (sink, driver) =
            output::open(settings, budget / 2).with_context(|| format!("[output.{name}]"))?;
        let (delivery, settler) = Delivery::new(sink.clone(), dead_letters.clone());

        let mut background = JoinSet::new();
        background.spawn(async {
            driver.run().await;
        });
        let settling = tokio::spawn(settler.run());
        let (stop, stopping) = watch::channel(false);
        let table = entities::start(&config, &accounts, &mut background, stopping.clone())?;
        if config.entities.enabled {
            // So that the first records have names too; a slow or denied refresh does not hold them up for long.
            entities::first_names(&table).await;
        }

        let mut running: JoinSet<anyhow::Result<()>> = JoinSet::new();
        for (name, input) in &config.kinesis {
            let account = account(&accounts, &input.aws)?;
            let parts = kinesis_input::Parts {
                name,
                input,
                account,
                worker_id: &config.service.worker_id,
                grace: config.service.shutdown_grace,
                bytes: share,
                fields: &settings.fields,
                delivery: delivery.clone(),
                dead_letters: dead_letters.clone(),
                entities: table.clone(),
            };
            running.spawn(kinesis_input::run(parts, stopped(stopping.clone()))?);
        }
        for (name, input) in &config.objects() {
            let account = account(&accounts, &input.aws)?;
            let parts = trail_input::Parts {
                name,
                input,
                grace: config.service.shutdown_grace,
                entities: table.clone(),
                account,
                bytes: share,
                fields: &settings.fields,
                delivery: delivery.clone(),
                dead_letters: dead_letters.clone(),
            };
            running.spawn(trail_input::run(parts, stopped(stopping.clone()))?);
        }

        let outcome = supervise(
            running,
            &sink,
            stop,
            shutdown,
            config.service.shutdown_grace,
        )
        .await;
        let report = sink.close(CLOSE_PATIENCE).await;
        let counters = delivery.counters();
        let summary = Summary {
            accepted: counters.accepted.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            ..summary(&report, &dead_letters)
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
    sink: &Sink,
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
            let _ = sink.flush(FLUSH).await;
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

fn summary(report: &Report, dead_letters: &DeadLetters) -> Summary {
    Summary {
        unsettled: report.unsettled,
        dead_letters: dead_letters.count(),
        ..Summary::default()
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopping.wait_for(|&stopped| stopped).await;
}

fn used_accounts(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = config
        .kinesis
        .values()
        .map(|input| input.aws.clone())
        .collect();
    names.extend(config.objects().into_iter().map(|(_, input)| input.aws));
    if config.entities.enabled {
        names.extend(config.entities.accounts.iter().cloned());
    }
    names.sort();
    names.dedup();
    names
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
