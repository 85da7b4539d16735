//! Keeps a table fresh: describe calls in, whole snapshots out.

mod config;
mod failure;
mod fetch;
mod file;
mod observer;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::config::{Config, Target};
pub use self::failure::{Call, Failure, FailureKind};
pub use self::observer::{Observer, Summary};

use self::fetch::{Answer, Balancers};
use crate::{Error, Index, Origin, Part, Table};

/// Asks EC2 and Elastic Load Balancing and puts whole snapshots into a [`Table`].
///
/// Each account, region and call is asked for itself. One that fails keeps what it said before, with
/// its old time, so a missing right or a region that is down takes nothing away from the others. EC2 has no way to ask
/// for changes only, so every refresh reads everything, page by page.
///
/// Works with any of its rights missing. `ec2:DescribeNetworkInterfaces` tells most;
/// `ec2:DescribeInstances` adds the names of instances; `elasticloadbalancing:DescribeLoadBalancers`
/// the DNS names of classic load balancers.
///
/// ```no_run
/// use std::time::SystemTime;
///
/// use forebay_entity::{Config, Origin, Refresher, Table, Target};
///
/// # async fn start(
/// #     ec2: aws_sdk_ec2::Client,
/// #     load_balancing: aws_sdk_elasticloadbalancing::Client,
/// #     shutdown: impl Future<Output = ()> + Send + 'static,
/// # ) -> Result<Table, forebay_entity::Error> {
/// let table = Table::default();
/// let target = Target::new(Origin::new("audit", "eu-west-1"), ec2).with_load_balancers(load_balancing);
/// let refresher = Refresher::new(vec![target], Config::default(), table.clone(), 7)?;
/// tokio::spawn(async move { refresher.run(SystemTime::now, shutdown, &()).await });
/// # Ok(table)
/// # }
/// ```
#[derive(Debug)]
pub struct Refresher {
    targets: Vec<TargetState>,
    fixed: Vec<Arc<Part>>,
    config: Arc<Config>,
    table: Table,
    jitter: u64,
}

#[derive(Debug)]
struct TargetState {
    target: Target,
    instances: Slot,
    interfaces: Slot,
    balancers: Balancers,
    balancers_said: Said,
}

/// The newest answer of one call for one target.
#[derive(Debug, Default)]
struct Slot {
    part: Option<Arc<Part>>,
    said: Said,
}

/// What was logged last, so that a lasting fault is one line and not one per refresh.
#[derive(Debug, Default)]
struct Said(Option<(FailureKind, Instant)>);

impl Refresher {
    /// A refresher for these targets. The seed feeds only the jitter between refreshes: give each
    /// process another one, so that a fleet does not ask at once.
    ///
    /// # Errors
    /// [`Error::Setting`] when a setting is out of its bounds.
    pub fn new(
        targets: Vec<Target>,
        config: Config,
        table: Table,
        seed: u64,
    ) -> Result<Self, Error> {
        config.check()?;
        let targets = targets
            .into_iter()
            .map(|target| TargetState {
                target,
                instances: Slot::default(),
                interfaces: Slot::default(),
                balancers: Balancers::default(),
                balancers_said: Said::default(),
            })
            .collect();
        Ok(Self {
            targets,
            fixed: Vec::new(),
            config: Arc::new(config),
            table,
            jitter: seed,
        })
    }

    /// Adds a part that no call tells and that every snapshot shall hold: published ranges, entries by hand.
    #[must_use]
    pub fn with_part(mut self, part: Part) -> Self {
        self.fixed.push(Arc::new(part));
        self
    }

    /// Loads the snapshot file, if one is set and there is one, and publishes what it knows about the present targets,
    /// with the parts of [`Refresher::with_part`].
    ///
    /// A file that is broken or of another layout is reported to the observer and passed over: the
    /// next refresh writes it anew.
    ///
    /// # Cancel safety
    /// Safe: until the end nothing is published.
    pub async fn restore(&mut self, observer: &impl Observer) {
        let Some(path) = self.config.snapshot_file.clone() else {
            if !self.fixed.is_empty() {
                self.publish(observer).await;
            }
            return;
        };
        match file::load(path).await {
            Ok(parts) => {
                for part in parts {
                    let Some(state) = self
                        .targets
                        .iter_mut()
                        .find(|state| state.target.origin() == part.origin())
                    else {
                        continue;
                    };
                    match part.source() {
                        crate::Source::Instances if self.config.instances => {
                            state.instances.part = Some(Arc::new(part))
                        }
                        crate::Source::Interfaces if self.config.interfaces => {
                            state.interfaces.part = Some(Arc::new(part))
                        }
                        _ => {}
                    }
                }
                self.publish(observer).await;
            }
            Err(error) => observer.snapshot_file_failed(&error),
        }
    }

    /// Asks every target once and publishes the snapshot that results.
    ///
    /// `now` becomes the time of what is told. As long as the table is empty each answer is published
    /// as it comes, so that a slow region does not keep the others' names back.
    ///
    /// # Cancel safety
    /// Safe: answers that came stay for the next refresh, the table keeps its snapshot, running calls are dropped.
    pub async fn refresh_once(&mut self, now: SystemTime, observer: &impl Observer) -> Summary {
        let mut calls = JoinSet::new();
        let mut waiting =
            (0..self.targets.len()).flat_map(|at| [(at, Call::Instances), (at, Call::Interfaces)]);
        let mut summary = Summary::default();
        let first = self.table.load().is_empty();
        loop {
            while calls.len() < self.config.concurrency.get() {
                let Some((at, call)) = waiting.next() else {
                    break;
                };
                let wanted = match call {
                    Call::Instances => self.config.instances,
                    _ => self.config.interfaces,
                };
                let Some(state) = self.targets.get(at).filter(|_| wanted) else {
                    continue;
                };
                let (target, balancers, config) = (
                    state.target.clone(),
                    state.balancers.clone(),
                    self.config.clone(),
                );
                calls.spawn(async move {
                    (
                        at,
                        fetch::fetch(call, &target, balancers, &config, now).await,
                    )
                });
            }
            let Some(done) = calls.join_next().await else {
                break;
            };
            // Not joined means cancelled or panicked: that source keeps what it had, like any failure.
            let Ok((at, answer)) = done else { continue };
            let changed = self.take(at, answer, &mut summary, observer);
            if first && changed {
                self.publish(observer).await;
            }
        }
        if let Some(index) = self.publish(observer).await {
            summary.addresses = index.len();
            summary.conflicts = index.conflicts();
            self.report_stale(&index, now, observer);
            self.save(index, &summary, observer).await;
        }
        observer.refreshed(&summary);
        summary
    }

    /// Restores the snapshot file, then refreshes until `shutdown` is ready. Start it as a task of your own.
    ///
    /// `clock` gives the wall time that goes into snapshots; it decides nothing else.
    ///
    /// # Cancel safety
    /// Safe, like [`Refresher::refresh_once`]. `shutdown` does the same: a running refresh is dropped.
    pub async fn run(
        mut self,
        clock: impl Fn() -> SystemTime,
        shutdown: impl Future<Output = ()>,
        observer: &impl Observer,
    ) {
        let mut shutdown = pin!(shutdown);
        let work = async {
            self.restore(observer).await;
            loop {
                let next = Instant::now() + self.config.interval + self.next_jitter();
                self.refresh_once(clock(), observer).await;
                tokio::time::sleep_until(next).await;
            }
        };
        tokio::select! {
            biased;
            () = &mut shutdown => {}
            () = work => {}
        }
    }

    /// Keeps an answer. Tells whether there is something new to publish.
    fn take(
        &mut self,
        at: usize,
        answer: Answer,
        summary: &mut Summary,
        observer: &impl Observer,
    ) -> bool {
        let Some(state) = self.targets.get_mut(at) else {
            return false;
        };
        let origin = state.target.origin().clone();
        match answer.balancers {
            Some(Ok(balancers)) => {
                state.balancers = balancers;
                state.balancers_said.recovered(&origin, Call::LoadBalancers);
            }
            Some(Err(failure)) => {
                summary.failed += 1;
                state.balancers_said.failed(&failure);
                observer.failed(&failure);
            }
            None => {}
        }
        let slot = match answer.call {
            Call::Instances => &mut state.instances,
            _ => &mut state.interfaces,
        };
        match answer.part {
            Ok(part) => {
                summary.answered += 1;
                slot.said.recovered(&origin, answer.call);
                observer.answered(&origin, answer.call, part.len());
                slot.part = Some(Arc::new(part));
                true
            }
            Err(failure) => {
                summary.failed += 1;
                slot.said.failed(&failure);
                observer.failed(&failure);
                false
            }
        }
    }

    /// Builds the next snapshot away from the runtime's threads and swaps it in.
    async fn publish(&self, observer: &impl Observer) -> Option<Arc<Index>> {
        // Instances first: in a tie without any other sign they are the plugin's first table too.
        let instances = self
            .targets
            .iter()
            .filter_map(|state| state.instances.part.clone());
        let interfaces = self
            .targets
            .iter()
            .filter_map(|state| state.interfaces.part.clone());
        let parts: Vec<Arc<Part>> = instances
            .chain(interfaces)
            .chain(self.fixed.iter().cloned())
            .collect();
        let policy = self.config.on_conflict;
        match tokio::task::spawn_blocking(move || Index::new(parts, policy)).await {
            Ok(Ok(index)) => {
                let index = Arc::new(index);
                self.table.store(index.clone());
                Some(index)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "entity snapshot not built");
                observer.not_built(&error);
                None
            }
            // The runtime is shutting down.
            Err(_) => None,
        }
    }

    fn report_stale(&self, index: &Index, now: SystemTime, observer: &impl Observer) {
        let mut oldest: HashMap<&Origin, Duration> = HashMap::new();
        for part in index.parts() {
            let Some(age) = part
                .taken()
                .map(|taken| now.duration_since(taken).unwrap_or_default())
            else {
                continue;
            };
            let known = oldest.entry(part.origin()).or_default();
            *known = age.max(*known);
        }
        for (origin, age) in oldest {
            if age > self.config.stale_after {
                observer.stale(origin, age);
            }
        }
    }

    async fn save(&self, index: Arc<Index>, summary: &Summary, observer: &impl Observer) {
        let Some(path) = self
            .config
            .snapshot_file
            .clone()
            .filter(|_| summary.answered > 0)
        else {
            return;
        };
        if let Err(error) = file::save(path, index).await {
            tracing::warn!(%error, "entity snapshot file not written");
            observer.snapshot_file_failed(&error);
        }
    }

    fn next_jitter(&mut self) -> Duration {
        // splitmix64: enough to keep processes apart, and a test can foresee it.
        self.jitter = self.jitter.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.jitter;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let share = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        self.config.jitter.mul_f64(share)
    }
}

impl Said {
    /// Logs a failure when it is new, of another kind, or was not logged for a quarter of an hour.
    fn failed(&mut self, failure: &Failure) {
        if !self.is_due(failure.kind(), Instant::now()) {
            return;
        }
        let (account, region) = (failure.origin().account(), failure.origin().region());
        tracing::warn!(account, region, error = %failure, cause = failure.cause(), "entity source keeps its old snapshot");
    }

    fn is_due(&mut self, kind: FailureKind, now: Instant) -> bool {
        let lately = self
            .0
            .is_some_and(|(known, when)| known == kind && now < when + SAY_AGAIN);
        if !lately {
            self.0 = Some((kind, now));
        }
        !lately
    }

    fn recovered(&mut self, origin: &Origin, call: Call) {
        if self.0.take().is_some() {
            tracing::info!(
                account = origin.account(),
                region = origin.region(),
                action = call.action(),
                "entity source is back"
            );
        }
    }
}

const SAY_AGAIN: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lasting_fault_is_one_line_each_quarter_of_an_hour() {
        let start = Instant::now();
        let mut said = Said::default();
        let minutes = |count: u64| start + Duration::from_secs(60 * count);
        let due: Vec<u64> = (0..40)
            .filter(|&minute| said.is_due(FailureKind::Denied, minutes(minute)))
            .collect();
        assert_eq!(due, [0, 15, 30]);
        assert!(
            said.is_due(FailureKind::Throttled, minutes(40)),
            "another kind is news"
        );
        assert!(!said.is_due(FailureKind::Throttled, minutes(41)));
        said.recovered(&Origin::new("a", "b"), Call::Instances);
        assert!(
            said.is_due(FailureKind::Throttled, minutes(42)),
            "so is a fault that had gone"
        );
    }
}
