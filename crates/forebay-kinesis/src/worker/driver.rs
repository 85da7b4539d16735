use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use forebay_lease::{
    Action, Checkpoint, Config as LeaseConfig, Coordinator, Decision, Event, Grant, Identity,
    LeaseKey, ShardId, StartPosition, StopReason,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::batch::LeaseToken;
use crate::budget::Budget;
use crate::clock::WallClock;
use crate::config::{Config, InitialPosition};
use crate::error::{Error, ErrorKind};
use crate::observer::Gap;
use crate::processor::{Processor, Stopping};
use crate::progress::Progress;
use crate::report::Reporter;
use crate::shard::{Control, End, Parts, ShardEvent, Start};
use crate::stream::Position;
use crate::table::LeaseTable;
use crate::worker::calls::{Called, Calls, timestamp};
use crate::worker::park::Parking;
use crate::worker::shards::Shards;
use crate::worker::{Command, Opened, Summary, Worker};

/// Carries time, requests and records between the lease machine and the world. It decides nothing about leases.
pub(crate) struct Driver<T, P> {
    core: Coordinator,
    calls: Calls<T>,
    shards: Shards<P>,
    config: Config,
    clock: WallClock,
    reporter: Arc<Reporter>,
    progress: Progress,
    handed_over: Arc<AtomicU64>,
    commands: mpsc::UnboundedReceiver<Command>,
    parking: Parking,
    stopping: Option<Instant>,
    /// Whether the stream was seen, so that it can only be gone for a while.
    stream_seen: bool,
    last_tick: (Instant, SystemTime),
    summary: Summary,
}

impl<T: LeaseTable, P: Processor> Driver<T, P> {
    pub(crate) fn new(
        worker: Worker<T, P>,
        Opened {
            retention,
            consumer,
        }: Opened,
    ) -> Result<Self, Error> {
        let now = Instant::now();
        let config = worker.config;
        let reporter = Arc::new(Reporter::new(worker.stream.observer()));
        let seed = config.seed.unwrap_or_else(|| seed_of(worker.id.as_str()));
        let mut lease_config = LeaseConfig {
            failover: config.failover_time,
            watch_interval: config.watch_interval,
            cleanup_ended: config.delete_finished_leases,
            ..LeaseConfig::default()
        };
        lease_config.steal_interval = lease_config.steal_interval.max(config.watch_interval);
        if let Some(most) = config.max_leases {
            lease_config.max_leases = most;
        }
        let start = match config.initial_position {
            InitialPosition::TrimHorizon => StartPosition::TrimHorizon,
            InitialPosition::Latest => StartPosition::Latest,
            InitialPosition::AtTimestamp(time) => StartPosition::AtTimestamp(timestamp(time)),
        };
        let identity = Identity {
            worker: worker.id,
            start,
            seed,
        };
        let core = Coordinator::new(lease_config, identity, now.into_std())
            .map_err(|error| Error::new(ErrorKind::Config, "lease settings", error.to_string()))?;
        let progress = Progress::new(now);
        let handed_over = Arc::new(AtomicU64::new(0));
        let parts = Parts {
            stream: worker.stream.clone(),
            processor: worker.processor,
            budget: Budget::new(config.bytes_in_flight),
            progress: progress.clone(),
            reporter: Arc::clone(&reporter),
            handed_over: Arc::clone(&handed_over),
            retention,
            consumer,
        };
        Ok(Self {
            core,
            calls: Calls::new(
                worker.table,
                worker.stream,
                worker.clock.clone(),
                Arc::clone(&reporter),
            ),
            shards: Shards::new(parts, config.clone(), seed),
            last_tick: (now, worker.clock.now()),
            parking: Parking::new(config.release_after),
            config,
            clock: worker.clock,
            reporter,
            progress,
            handed_over,
            commands: worker.commands.1,
            stopping: None,
            stream_seen: false,
            summary: Summary::default(),
        })
    }

    pub(crate) async fn run(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Summary, Error> {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            self.check_suspension();
            while let Some(action) = self.core.poll_action(Instant::now().into_std()) {
                self.act(action);
            }
            if let Some(last_moment) = self.stopping
                && (self.core.is_drained() || Instant::now() >= last_moment)
            {
                return Ok(self.summary());
            }
            let due = Instant::from_std(self.core.poll_timeout());
            let stall = self.parking.due(&self.progress);
            tokio::select! {
                () = &mut shutdown, if self.stopping.is_none() => self.stop(),
                called = self.calls.next() => self.called(called?)?,
                event = self.shards.next() => self.told(event?),
                Some(command) = self.commands.recv() => self.command(command),
                () = sleep_until(due) => self.core.handle_timeout(Instant::now().into_std()),
                () = until(stall), if self.stopping.is_none() => self.turn(),
                () = until(self.stopping) => {}
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Call { id, request } => self.calls.start(id, request),
            Action::Start(grant) => self.start(grant),
            Action::Stop { key, token, reason } => self.stop_shard(key, LeaseToken(token), reason),
            Action::Report(decision) => self.report(decision),
            other => tracing::warn!(
                ?other,
                "the lease machine asks for something this driver does not know"
            ),
        }
    }

    fn start(&mut self, grant: Grant) {
        let start = match (grant.from, grant.start_at) {
            (
                Checkpoint::Sequence {
                    number,
                    sub_sequence,
                },
                _,
            ) => Start::Resume(number, sub_sequence),
            (Checkpoint::TrimHorizon | Checkpoint::ShardEnd, _) => {
                Start::Fresh(Position::TrimHorizon)
            }
            (_, Some(at)) => Start::Fresh(Position::AtTimestamp(time_of(at))),
            // Without a time in the row this moment is the best there is; it stays fixed for this tenure.
            (_, None) => Start::Fresh(Position::AtTimestamp(self.clock.now())),
        };
        tracing::info!(shard = %grant.shard, from = grant.from.as_str(), "shard is read");
        self.shards.start(&grant, start);
        self.reporter.observer().leases_held(self.shards.count());
    }

    fn stop_shard(&mut self, key: LeaseKey, token: LeaseToken, reason: StopReason) {
        if !self.shards.is_running(token) {
            let token = token.0;
            self.handle(Event::Stopped { key, token });
            return;
        }
        let now = Instant::now();
        self.shards.control(
            token,
            match reason {
                StopReason::Shutdown => Control::Drain(now + self.config.stop_grace),
                StopReason::Parked => Control::Drain(now),
                _ => Control::Drop,
            },
        );
    }

    fn told(&mut self, event: ShardEvent) {
        match event {
            ShardEvent::Acknowledged { token, checkpoint } => {
                if let Some(key) = self.shards.key(token).cloned() {
                    self.parking.progressed();
                    self.handle(Event::Acknowledged {
                        key,
                        token: token.0,
                        upto: checkpoint,
                    });
                }
            }
            ShardEvent::Done {
                token,
                end,
                unaccepted,
            } => {
                let Some(key) = self.shards.ended(token) else {
                    return;
                };
                if self.stopping.is_some() {
                    self.summary.unaccepted += unaccepted as u64;
                }
                self.reporter.observer().leases_held(self.shards.count());
                let token = token.0;
                self.handle(match end {
                    None => Event::Stopped { key, token },
                    Some(End::Read(children)) => Event::ShardEnded {
                        key,
                        token,
                        children,
                    },
                    Some(End::Gone) => Event::ShardGone { key, token },
                });
            }
        }
    }

    fn called(&mut self, called: Called) -> Result<(), Error> {
        match called.stream_gone {
            Some(error) if !self.stream_seen => return Err(error),
            Some(_) => {}
            None => {
                if let Event::Answer {
                    outcome: forebay_lease::Outcome::Shards { .. },
                    ..
                } = &called.event
                {
                    self.stream_seen = true;
                }
            }
        }
        if let Event::Answer {
            outcome: forebay_lease::Outcome::Scanned { leases, .. },
            ..
        } = &called.event
        {
            self.reporter.observer().leases_seen(leases);
        }
        self.handle(called.event);
        Ok(())
    }

    fn command(&mut self, command: Command) {
        let now = Instant::now().into_std();
        match command {
            Command::Park => {
                self.parking.park_by_hand();
                self.core.park(now);
            }
            Command::Unpark => {
                self.parking.unpark();
                self.core.unpark(now);
            }
        }
    }

    /// Parks when the processor is stalled, unparks when it had time to recover.
    fn turn(&mut self) {
        let now = Instant::now();
        if self.parking.is_parked() {
            tracing::info!("leases are taken again after a stall");
            self.parking.unpark();
            self.core.unpark(now.into_std());
        } else if self.progress.stalled_at(Duration::ZERO).is_some() {
            tracing::warn!(
                open = self.progress.open(),
                "the processor accepts nothing; leases are given back"
            );
            self.parking.park_stalled(now);
            self.core.park(now.into_std());
        }
    }

    fn stop(&mut self) {
        let now = Instant::now();
        self.stopping = Some(now + self.config.stop_grace + LAST_WRITES);
        self.core.begin_shutdown(now.into_std());
    }

    fn report(&mut self, decision: Decision) {
        let observer = self.reporter.observer();
        match &decision {
            Decision::Taken { key, from, why, .. } => {
                tracing::info!(%key, ?from, ?why, "lease taken");
                observer.lease_taken(&shard_of(key), from.as_ref());
            }
            Decision::Lost { key, why, .. } => {
                tracing::warn!(%key, ?why, "lease lost");
                observer.lease_stopped(&shard_of(key), Stopping::Lost);
            }
            Decision::Released { key, .. } => {
                tracing::info!(%key, "lease released");
                observer.lease_stopped(&shard_of(key), Stopping::Released);
            }
            Decision::ShardEnded { key, children } => {
                tracing::info!(%key, ?children, "shard ended");
                observer.lease_stopped(&shard_of(key), Stopping::Ended);
            }
            Decision::Checkpointed { key, checkpoint } => {
                tracing::debug!(%key, checkpoint = checkpoint.as_str(), "checkpoint stored");
                self.summary.checkpoints += 1;
                observer.checkpoint_written(&shard_of(key), checkpoint);
            }
            Decision::Parked(parked) => {
                tracing::info!(parked, "worker parked or unparked");
                observer.parked(*parked);
            }
            Decision::Gap { key, from } => {
                tracing::error!(%key, from = from.as_str(), "the shard is gone, and with it what was not read of it");
                observer.gap(&Gap {
                    shard: shard_of(key),
                    stored: *from,
                    found: None,
                    missing: None,
                });
            }
            Decision::Mode(mode) if mode.lets_workers_take() => {
                tracing::info!(?mode, "mode of the fleet");
            }
            Decision::Mode(mode) => tracing::warn!(
                ?mode,
                "mode of the fleet: a KCL 3.x leader assigns leases, or a rule not known here; none is taken, what is held is read on; \
                 see docs/interop.md"
            ),
            other => tracing::debug!(?other, "lease decision"),
        }
    }

    /// A machine that slept holds nothing: its monotonic clock stood still while its peers' went on.
    fn check_suspension(&mut self) {
        let (now, wall) = (Instant::now(), self.clock.now());
        let (last, last_wall) = std::mem::replace(&mut self.last_tick, (now, wall));
        let ran_ahead = wall
            .duration_since(last_wall)
            .unwrap_or_default()
            .saturating_sub(now - last);
        if ran_ahead > self.config.failover_time / 2 {
            tracing::warn!(
                ?ran_ahead,
                "the machine slept, or its time of day was set; all leases are dropped"
            );
            self.handle(Event::Suspended);
        }
    }

    fn handle(&mut self, event: Event) {
        self.core.handle(event, Instant::now().into_std());
    }

    fn summary(&self) -> Summary {
        Summary {
            records: self.handed_over.load(Ordering::Relaxed),
            ..self.summary.clone()
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn shard_of(key: &LeaseKey) -> ShardId {
    // A key of a multi-stream table ends with the shard id; a key is never empty, so neither is its last part a fault
    // that could matter: the whole key stands in for it.
    let last = key.as_str().rsplit(':').next().unwrap_or_default();
    last.parse()
        .or_else(|_| key.as_str().chars().take(128).collect::<String>().parse())
        .expect("a lease key is never empty")
}

fn time_of(at: forebay_lease::Timestamp) -> SystemTime {
    let millis = Duration::from_millis(at.0.unsigned_abs());
    if at.0 >= 0 {
        SystemTime::UNIX_EPOCH.checked_add(millis)
    } else {
        SystemTime::UNIX_EPOCH.checked_sub(millis)
    }
    .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Different for different workers, the same at every start (FNV-1a).
fn seed_of(worker: &str) -> u64 {
    worker.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// Time for the last checkpoint and the release, after the grace period of the readers.
const LAST_WRITES: Duration = Duration::from_secs(5);
