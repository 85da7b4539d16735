//! `forebay run`: the pipeline until a signal, with its admin port.

use std::{
    io::IsTerminal,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use forebay_gelf::{Driver, Sink, SinkConfig, WriterConfig};
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::{
    admin::{self, Admin},
    config::{Config, Sources},
    exit::Exit,
    live_rows::LiveRows,
    pipeline::{Pipeline, Summary},
    reading::Reading,
    stats::Stats,
    summary,
};

/// What `run` is made of.
#[expect(missing_debug_implementations, reason = "holds a function")]
pub struct Options {
    /// The checked configuration.
    pub config: Config,
    /// Where a reload reads it again.
    pub sources: Sources,
    /// Read without leases, checkpoints and deletes, and print the messages.
    pub dry_run: bool,
    /// Stop when everything has been read.
    pub until_caught_up: bool,
    /// Sets the log filter.
    pub set_log: Arc<SetLog>,
    /// Where the state is shown while it runs.
    pub rows: LiveRows,
}

/// Changes the log filter, or says why it cannot.
pub type SetLog = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// Runs the pipeline until SIGTERM or SIGINT, drains it and tells what was done. A second signal ends the process at
/// once. SIGHUP, or `POST /reload`, reads the configuration again: a good one replaces the pipeline after an orderly
/// stop, a bad one is told and changes nothing.
///
/// # Errors
///
/// An input or the output cannot work at all, or the admin port cannot be bound.
pub async fn run(options: Options) -> anyhow::Result<Exit> {
    let Options {
        config,
        sources,
        dry_run,
        until_caught_up,
        set_log,
        rows,
    } = options;
    // Messages that are printed on the same terminal go before rows.
    let rows =
        Some(rows).filter(|rows| rows.are_shown() && !(dry_run && std::io::stdout().is_terminal()));
    let mut signals = Signals::new()?;
    let (reload, mut reloads) = mpsc::channel(1);
    let shown: Arc<RwLock<Option<Arc<Stats>>>> = Arc::default();
    let mut tasks = JoinSet::new();
    if let Some(address) = config.admin.listen {
        let token = config
            .admin
            .token
            .as_ref()
            .map(|token| token.read())
            .transpose();
        let listener = admin::bind(address).await?;
        let address = listener.local_addr().context("the admin port")?;
        tracing::info!(%address, "admin port open");
        let admin = Admin {
            stats: Arc::clone(&shown),
            set_log,
            reload: reload.clone(),
            token: token.context("`token` of [admin]")?.map(Arc::from),
        };
        tasks.spawn(admin::serve(listener, admin));
    }
    tasks.spawn(tell_systemd(Arc::clone(&shown)));
    let ready = async |config| {
        let instead = dry_run.then(to_standard_output).transpose()?;
        let pipeline = Pipeline::new(config).await?.with_reading(Reading {
            instead,
            until_caught_up,
        });
        pipeline.open()
    };
    let next = async || Box::pin(ready(Config::load(&sources)?)).await;
    let mut pipeline = Box::pin(ready(config)).await?;
    let exit = loop {
        *shown.write().unwrap_or_else(PoisonError::into_inner) = Some(pipeline.stats());
        match run_once(pipeline, rows.as_ref(), &mut signals, &mut reloads, &next).await? {
            Ended::Done(summary) => break told(&summary),
            Ended::Forced => break Exit::Forced,
            Ended::Reload(next) => pipeline = *next,
        }
    };
    notify(&[NotifyState::Stopping]);
    Ok(exit)
}

/// A sink that prints messages, one per line.
fn to_standard_output() -> anyhow::Result<(Sink, Driver)> {
    let writer = WriterConfig::new("standard output", tokio::io::stdout());
    let opened = Sink::open(writer, SinkConfig::default(), Arc::new(()));
    opened.map_err(anyhow::Error::from)
}

enum Ended {
    Done(Summary),
    Forced,
    Reload(Box<Pipeline>),
}

/// One pipeline from start to end, with the reason of its end.
async fn run_once(
    pipeline: Pipeline,
    rows: Option<&LiveRows>,
    signals: &mut Signals,
    reloads: &mut mpsc::Receiver<()>,
    ready: impl AsyncFn() -> anyhow::Result<Pipeline>,
) -> anyhow::Result<Ended> {
    let stats = pipeline.stats();
    let showing = async {
        match rows {
            Some(rows) => rows.follow(stats).await,
            None => summary::each_minute(stats).await,
        }
    };
    let mut showing = std::pin::pin!(showing);
    let (stop, stopped) = oneshot::channel();
    let mut stop = Some(stop);
    let mut next = None;
    let pipeline = pipeline.run(async move {
        // A sender that is gone means that the process is ending anyway.
        let _ = stopped.await;
    });
    let mut pipeline = std::pin::pin!(pipeline);
    loop {
        let reload = tokio::select! {
            ended = &mut pipeline => {
                let summary = ended?;
                return Ok(match next {
                    Some(pipeline) if stop.is_none() => {
                        tracing::info!(accepted = summary.accepted, "pipeline stopped for the new configuration");
                        Ended::Reload(pipeline)
                    }
                    _ => Ended::Done(summary),
                });
            }
            name = either(&mut signals.terminate, &mut signals.interrupt) => {
                let reloading = next.take().is_some();
                let first = stop.take().map(|stop| stop.send(())).is_some();
                // A pipeline that stops for a new configuration now stops for good.
                if first || reloading {
                    tracing::info!(signal = name, "stopping: reading has ended, draining");
                    notify(&[NotifyState::Stopping]);
                    continue;
                }
                tracing::warn!(signal = name, "stopped at once: what was not accepted is read again");
                return Ok(Ended::Forced);
            }
            never = &mut showing => match never {},
            _ = signals.hang_up.recv() => "SIGHUP",
            Some(()) = reloads.recv() => "POST /reload",
        };
        if stop.is_none() {
            continue;
        }
        match ready().await {
            Ok(pipeline) => {
                tracing::info!(
                    by = reload,
                    "configuration read again: the pipeline is replaced"
                );
                notify(&[NotifyState::Reloading]);
                next = Some(Box::new(pipeline));
                if let Some(stop) = stop.take() {
                    let _ = stop.send(());
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(by = reload, %error, "the new configuration is refused, the old one stays");
            }
        }
    }
}

fn told(summary: &Summary) -> Exit {
    tracing::info!(
        accepted = summary.accepted,
        refused = summary.refused,
        unsettled = summary.unsettled,
        dead_letters = summary.dead_letters,
        "stopped"
    );
    if summary.unsettled == 0 {
        Exit::Done
    } else {
        Exit::Temporary
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// Tells systemd, if it started the process, that the service is up, how it is, and that it is alive.
async fn tell_systemd(shown: Arc<RwLock<Option<Arc<Stats>>>>) {
    let mut watched = Duration::ZERO;
    let watchdog = sd_notify::watchdog_enabled();
    let mut up = false;
    loop {
        let wait = watchdog.map_or(STATUS, |limit| STATUS.min(limit / 3));
        tokio::time::sleep(wait).await;
        watched += wait;
        let stats = shown.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(stats) = stats else { continue };
        if stats.is_live() {
            notify(&[NotifyState::Watchdog]);
        }
        if !up {
            up = true;
            notify(&[NotifyState::Ready]);
        }
        if watched >= STATUS {
            watched = Duration::ZERO;
            notify(&[NotifyState::Status(&stats.snapshot().in_one_line())]);
        }
    }
}

fn notify(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(state);
}

/// Time between two status lines for systemd.
const STATUS: Duration = Duration::from_secs(5);
