//! Holding reading back: because the Graylog node falls behind, or because the operator caps the rate.
//!
//! A closed gate keeps every input from handing messages on, so nothing more is read; nothing is dropped. When
//! pressure lasts, [`relieve`] gives the leases back, as the plugin stops its consumer, and takes them again when the
//! pressure ends.

mod journal;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use forebay_gelf::{Health, Sink, State};
use forebay_kinesis::WorkerHandle;
use tokio::{sync::watch, time::Instant};

use crate::stats::{ThrottleStats, lock};

pub(crate) use journal::{ask, poll};

/// Open, or closed for a reason. Clones are the same gate.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    closed: watch::Sender<Option<Closed>>,
    pace: Pace,
    times: Mutex<Times>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Closed {
    reason: Reason,
    detail: String,
}

/// Why the gate is closed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Reason {
    /// The journal of the Graylog node is too full or grows too fast.
    Journal,
    /// The Graylog node asks load balancers to stay away.
    LoadBalancer,
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::LoadBalancer => "load-balancer",
        }
    }
}

#[derive(Debug, Default)]
struct Times {
    since: Option<(Instant, &'static str)>,
    seconds: BTreeMap<&'static str, f64>,
    journal: Option<(u64, Option<f64>)>,
}

impl Gate {
    /// An open gate that lets at most this many messages per second through; 0 is no limit.
    pub(crate) fn new(messages_per_second: u32) -> Self {
        Self {
            shared: Arc::new(Shared {
                closed: watch::Sender::new(None),
                pace: Pace::new(messages_per_second),
                times: Mutex::default(),
            }),
        }
    }

    /// Waits until the gate is open and the cap has room for `messages`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; room that was already reserved is lost with the future.
    pub(crate) async fn pass(&self, messages: usize) {
        let mut closed = self.shared.closed.subscribe();
        // The sender lives in `self`: the wait cannot fail.
        drop(closed.wait_for(Option::is_none).await);
        self.shared.pace.wait(messages).await;
    }

    fn close(&self, reason: Reason, detail: String) {
        self.set(Some(Closed { reason, detail }));
    }

    fn open(&self) {
        self.set(None);
    }

    fn set(&self, next: Option<Closed>) {
        let now = Instant::now();
        let reason = next.as_ref().map(|closed| closed.reason.name());
        let mut times = lock(&self.shared.times);
        if times.since.map(|(_, name)| name) != reason {
            if let Some((since, name)) = times.since {
                *times.seconds.entry(name).or_default() += (now - since).as_secs_f64();
            }
            times.since = reason.map(|name| (now, name));
            match &next {
                Some(closed) => tracing::warn!(reason = closed.detail, "throttled: reading waits"),
                None => tracing::info!("throttling ended: reading goes on"),
            }
        }
        drop(times);
        self.shared.closed.send_if_modified(|closed| {
            let changed = *closed != next;
            *closed = next;
            changed
        });
    }

    fn journal(&self, entries: u64, fill: Option<f64>) {
        lock(&self.shared.times).journal = Some((entries, fill));
    }

    /// For how long the gate has been closed.
    fn closed_for(&self, now: Instant) -> Option<Duration> {
        lock(&self.shared.times).since.map(|(since, _)| now - since)
    }

    /// State and sums for people and metrics.
    pub(crate) fn stats(&self) -> ThrottleStats {
        let times = lock(&self.shared.times);
        let mut seconds = times.seconds.clone();
        if let Some((since, name)) = times.since {
            *seconds.entry(name).or_default() += since.elapsed().as_secs_f64();
        }
        ThrottleStats {
            reason: self
                .shared
                .closed
                .borrow()
                .as_ref()
                .map(|closed| closed.detail.clone()),
            seconds: seconds
                .into_iter()
                .map(|(name, seconds)| (name.to_owned(), seconds))
                .collect(),
            journal_entries: times.journal.map(|(entries, _)| entries),
            journal_fill: times.journal.and_then(|(_, fill)| fill),
        }
    }
}

/// A cap on messages per second, without bursts beyond one batch. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    per_second: u32,
    next: Arc<Mutex<Option<Instant>>>,
}

impl Pace {
    /// 0 is no limit.
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            next: Arc::default(),
        }
    }

    /// Waits until what went before has used up its time, then reserves the time of `messages`.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has reserved its time all the same.
    pub(crate) async fn wait(&self, messages: usize) {
        if self.per_second == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "batches are small")]
        let cost = Duration::from_secs_f64(messages as f64 / f64::from(self.per_second));
        let start = {
            let mut next = lock(&self.next);
            let now = Instant::now();
            let start = next.map_or(now, |next| next.max(now));
            *next = Some(start + cost);
            start
        };
        tokio::time::sleep_until(start).await;
    }
}

/// Gives the leases of `workers` back when the gate is closed, or an output stalls, for longer than `patience`, and
/// takes them again when neither is so. Runs for ever.
///
/// # Cancel safety
///
/// Dropping the future leaves the workers as they are.
pub(crate) async fn relieve(
    gate: Gate,
    sinks: Vec<Sink>,
    workers: Vec<WorkerHandle>,
    patience: Duration,
) {
    let mut parked = false;
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Instant::now();
        let closed = gate.closed_for(now);
        let stalled = sinks
            .iter()
            .map(Sink::health)
            .filter_map(|health| stalled(&health))
            .max();
        let pressure = closed.max(stalled);
        match pressure {
            Some(lasting) if !parked && lasting >= patience => {
                tracing::warn!(
                    ?lasting,
                    "output takes nothing: leases are given back until it does"
                );
                // What a healthy output has taken already need not be read again.
                for sink in &sinks {
                    let _ = sink.flush(FLUSH).await;
                }
                workers.iter().for_each(WorkerHandle::park);
                parked = true;
            }
            None if parked => {
                tracing::info!("output takes messages again: leases are taken again");
                workers.iter().for_each(WorkerHandle::unpark);
                parked = false;
            }
            _ => {}
        }
    }
}

/// For how long a sink has accepted nothing although something waits, if it is in trouble.
fn stalled(health: &Health) -> Option<Duration> {
    let down = matches!(
        health.state,
        State::Down { .. } | State::Misconfigured { .. }
    );
    // Proof of acceptance takes its time on a quiet connection: a short wait is no trouble.
    (down || health.stalled >= TROUBLE).then_some(health.stalled)
}

/// How long an output may take to prove what it has.
const FLUSH: Duration = Duration::from_secs(2);

const LOOK: Duration = Duration::from_millis(500);

/// A healthy TCP connection proves what it took within this time.
const TROUBLE: Duration = Duration::from_secs(40);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_holds_and_an_open_one_lets_through() {
        let gate = Gate::new(0);
        gate.pass(1).await;
        gate.close(Reason::Journal, "full".to_owned());
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.pass(1).await }
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!waiting.is_finished());
        assert_eq!(gate.stats().reason.as_deref(), Some("full"));
        gate.open();
        waiting.await.expect("the gate opens");
        let stats = gate.stats();
        assert_eq!(stats.reason, None);
        assert!((stats.seconds["journal"] - 3.0).abs() < 0.01, "{stats:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_detail_of_the_same_reason_does_not_restart_its_time() {
        let gate = Gate::new(0);
        gate.close(Reason::Journal, "1 entry too many".to_owned());
        tokio::time::sleep(Duration::from_secs(2)).await;
        gate.close(Reason::Journal, "2 entries too many".to_owned());
        assert_eq!(
            gate.closed_for(Instant::now()),
            Some(Duration::from_secs(2))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_cap_is_kept_over_many_batches() {
        let pace = Pace::new(1_000);
        let start = Instant::now();
        for _ in 0..10 {
            pace.wait(500).await;
        }
        // The first batch goes at once, each later one waits for those before it.
        assert_eq!(start.elapsed(), Duration::from_millis(4_500));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_is_not_saved_up() {
        let pace = Pace::new(1_000);
        pace.wait(1_000).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        pace.wait(1_000).await;
        pace.wait(1_000).await;
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }
}
