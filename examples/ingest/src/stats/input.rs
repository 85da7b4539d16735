//! One input: what its drivers tell is counted, and logged where a person should know.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use forebay_kinesis::{Call, Checkpoint, ErrorKind, Gap, Lease, ShardId, Stopping, WorkerId};
use tokio::time::Instant;

use crate::{dead_letter::DeadLetter, repeats::Repeats};

use super::{
    CallStats, Counts, InputSnapshot, QueueStats, Rate, SAMPLE, Shard, StreamStats, lock, named,
};

/// What one input did, and what its drivers last told. It is the observer of its drivers.
#[derive(Debug)]
pub(crate) struct InputStats {
    name: Arc<str>,
    kind: Kind,
    records: AtomicU64,
    bytes: AtomicU64,
    messages: AtomicU64,
    bad: AtomicU64,
    parked: AtomicBool,
    /// Errors by kind.
    errors: Mutex<Counts>,
    /// The last error an operator should see, and when.
    last_error: Mutex<Option<(Instant, String)>>,
    samples: Mutex<Samples>,
    repeats: Repeats,
}

#[derive(Debug)]
enum Kind {
    Stream(Mutex<Stream>),
    Queue(Mutex<QueueStats>),
}

#[derive(Debug, Default)]
struct Stream {
    shards: BTreeMap<ShardId, ShardState>,
    lease_changes: Counts,
    gaps: u64,
    throttled: u64,
    calls: BTreeMap<(&'static str, bool), (u64, Duration)>,
}

#[derive(Debug, Default)]
struct ShardState {
    /// As it is shown, but for ages.
    seen: Shard,
    read_at: Option<Instant>,
    /// When the checkpoint was written, or the lease taken.
    checkpoint_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Samples {
    /// Lag in seconds, oldest first.
    lag: VecDeque<f64>,
    /// When the newest was taken.
    lag_at: Option<Instant>,
    messages: Rate,
    bytes: Rate,
}

impl InputStats {
    /// An input that reads a stream.
    pub(crate) fn stream(name: &str) -> Arc<Self> {
        Self::new(name, Kind::Stream(Mutex::default()))
    }

    /// An input that reads what a queue, or a listing, announces.
    pub(crate) fn queue(name: &str) -> Arc<Self> {
        Self::new(name, Kind::Queue(Mutex::default()))
    }

    fn new(name: &str, kind: Kind) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            kind,
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            parked: AtomicBool::new(false),
            errors: Mutex::default(),
            last_error: Mutex::default(),
            samples: Mutex::default(),
            repeats: Repeats::default(),
        })
    }

    /// Messages were handed to the outputs.
    pub(crate) fn messages(&self, count: usize) {
        self.messages.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Input became dead letters: all are counted, and the first of a class is told once a while.
    pub(crate) fn bad(&self, letters: &[DeadLetter<'_>]) {
        self.bad.fetch_add(letters.len() as u64, Ordering::Relaxed);
        for letter in letters {
            let class = letter.class.name();
            if let Some(suppressed) = self.repeats.tell(class) {
                tracing::warn!(
                    input = letter.input,
                    origin = letter.origin,
                    position = letter.position,
                    class,
                    reason = letter.reason,
                    suppressed,
                    "input not readable, kept as dead letter"
                );
            }
        }
    }

    fn failed(&self, kind: &'static str, text: &str) {
        *lock(&self.errors).entry(kind).or_default() += 1;
        // What is over by itself is counted; what waits for a person is shown.
        if !matches!(kind, "throttled" | "retry" | "expired" | "fenced") {
            *lock(&self.last_error) = Some((Instant::now(), text.to_owned()));
        }
        if let Some(suppressed) = self.repeats.tell(text) {
            tracing::warn!(input = %self.name, suppressed, "{text}");
        }
    }

    pub(super) fn sample(&self, now: Instant) {
        let lag = match &self.kind {
            Kind::Stream(stream) => lock(stream).lag().unwrap_or_default(),
            Kind::Queue(_) => 0.0,
        };
        let messages = self.messages.load(Ordering::Relaxed);
        let bytes = self.bytes.load(Ordering::Relaxed);
        let mut samples = lock(&self.samples);
        if samples.lag_at.is_none_or(|at| now - at >= SAMPLE) {
            samples.lag_at = Some(now);
            if samples.lag.len() == SPARKLINE {
                samples.lag.pop_front();
            }
            samples.lag.push_back(lag);
        }
        samples.messages.sample(now, messages);
        samples.bytes.sample(now, bytes);
    }

    pub(super) fn snapshot(&self, now: Instant) -> InputSnapshot {
        let (mut stream, mut queue) = (None, None);
        match &self.kind {
            Kind::Stream(state) => stream = Some(lock(state).snapshot(now)),
            Kind::Queue(state) => {
                let mut seen = lock(state).clone();
                let settled = seen.deleted + seen.returned;
                seen.in_flight = seen.received.saturating_sub(settled);
                queue = Some(seen);
            }
        }
        let samples = lock(&self.samples);
        let error = lock(&self.last_error)
            .as_ref()
            .filter(|(at, _)| now - *at < RECENT)
            .map(|(_, text)| text.clone());
        InputSnapshot {
            name: self.name.to_string(),
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
            bad: self.bad.load(Ordering::Relaxed),
            parked: self.parked.load(Ordering::Relaxed),
            errors: named(&lock(&self.errors)),
            last_error: error,
            messages_per_second: samples.messages.per_second(),
            bytes_per_second: samples.bytes.per_second(),
            lag_history_seconds: samples.lag.iter().copied().collect(),
            stream,
            queue,
        }
    }

    fn with_stream(&self, change: impl FnOnce(&mut Stream)) {
        if let Kind::Stream(stream) = &self.kind {
            change(&mut lock(stream));
        }
    }

    fn with_queue(&self, change: impl FnOnce(&mut QueueStats)) {
        if let Kind::Queue(queue) = &self.kind {
            change(&mut lock(queue));
        }
    }
}

impl Stream {
    /// The largest lag of the shards that are read here, in seconds.
    fn lag(&self) -> Option<f64> {
        let held = self.shards.values().filter(|shard| shard.seen.held);
        held.filter_map(|shard| shard.seen.lag_seconds)
            .reduce(f64::max)
    }

    fn snapshot(&self, now: Instant) -> StreamStats {
        let age = |at: Option<Instant>| at.map(|at| (now - at).as_secs_f64());
        let shown = |shard: &ShardState| {
            let seen = shard.seen.clone();
            // Of the shards of others only the lease table tells.
            let held = seen.held;
            Shard {
                lag_seconds: seen.lag_seconds.filter(|_| held),
                read_age_seconds: age(shard.read_at).filter(|_| held),
                checkpoint_age_seconds: age(shard.checkpoint_at).filter(|_| held),
                ..seen
            }
        };
        let shards: Vec<_> = self.shards.values().map(shown).collect();
        let calls = self
            .calls
            .iter()
            .map(|(&(operation, failed), &(count, took))| CallStats {
                operation: operation.to_owned(),
                result: if failed { "failed" } else { "ok" }.to_owned(),
                count,
                seconds: took.as_secs_f64(),
            });
        StreamStats {
            leases_held: shards.iter().filter(|shard| shard.held).count(),
            lag_seconds: self.lag(),
            lease_changes: named(&self.lease_changes),
            gaps: self.gaps,
            throttled: self.throttled,
            calls: calls.collect(),
            shards,
        }
    }

    fn changed(&mut self, result: &'static str) {
        *self.lease_changes.entry(result).or_default() += 1;
    }

    fn shard(&mut self, id: &ShardId) -> &mut ShardState {
        let shard = self.shards.entry(id.clone()).or_default();
        if shard.seen.id.is_empty() {
            shard.seen.id = id.to_string();
        }
        shard
    }
}

impl forebay_kinesis::Observer for InputStats {
    fn lease_taken(&self, shard: &ShardId, from: Option<&WorkerId>) {
        self.with_stream(|stream| {
            stream.changed(if from.is_some() { "stolen" } else { "taken" });
            let state = stream.shard(shard);
            state.seen.held = true;
            state.seen.lag_seconds = None;
            state.checkpoint_at = Some(Instant::now());
        });
    }

    fn lease_stopped(&self, shard: &ShardId, reason: Stopping) {
        self.with_stream(|stream| {
            stream.changed(match reason {
                Stopping::Released => "released",
                Stopping::Ended => "ended",
                _ => "lost",
            });
            let state = stream.shard(shard);
            state.seen.held = false;
            state.seen.ended |= reason == Stopping::Ended;
        });
    }

    fn leases_seen(&self, leases: &[Lease]) {
        self.with_stream(|stream| {
            let seen: BTreeMap<ShardId, &Lease> =
                leases.iter().map(|lease| (lease.shard(), lease)).collect();
            stream
                .shards
                .retain(|id, state| state.seen.held || seen.contains_key(id));
            for (id, lease) in seen {
                let state = &mut stream.shard(&id).seen;
                state.owner = lease.owner.as_ref().map(ToString::to_string);
                state.ended = lease.checkpoint == Checkpoint::ShardEnd;
                state.checkpoint = Some(lease.checkpoint.to_string());
            }
        });
    }

    fn checkpoint_written(&self, shard: &ShardId, checkpoint: &Checkpoint) {
        self.with_stream(|stream| {
            let state = stream.shard(shard);
            state.seen.checkpoint = Some(checkpoint.to_string());
            state.checkpoint_at = Some(Instant::now());
        });
    }

    fn records_read(&self, shard: &ShardId, records: usize, bytes: usize) {
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.with_stream(|stream| {
            let state = stream.shard(shard);
            state.seen.records += records as u64;
            state.read_at = Some(Instant::now());
        });
    }

    fn lag(&self, shard: &ShardId, behind: Duration) {
        self.with_stream(|stream| {
            let seen = &mut stream.shard(shard).seen;
            seen.at_end = behind.is_zero() && seen.lag_seconds == Some(0.0);
            seen.lag_seconds = Some(behind.as_secs_f64());
        });
    }

    fn gap(&self, gap: &Gap) {
        tracing::error!(input = %self.name, ?gap, "records are lost: the stream no longer keeps them");
        self.with_stream(|stream| stream.gaps += 1);
    }

    fn call(&self, call: Call, took: Duration, failed: bool) {
        self.with_stream(|stream| {
            let (count, seconds) = stream.calls.entry((call.action(), failed)).or_default();
            *count += 1;
            *seconds += took;
        });
    }

    fn throttled(&self, _call: Option<Call>) {
        self.with_stream(|stream| stream.throttled += 1);
    }

    fn error(&self, error: &forebay_kinesis::Error) {
        self.failed(kinesis_error(error.kind()), &error.to_string());
    }

    fn parked(&self, parked: bool) {
        self.parked.store(parked, Ordering::Relaxed);
    }
}

fn kinesis_error(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Throttled => "throttled",
        ErrorKind::Denied => "denied",
        ErrorKind::Expired => "expired",
        ErrorKind::Fenced => "fenced",
        ErrorKind::Gone => "gone",
        ErrorKind::Position => "position",
        ErrorKind::Clock => "clock",
        _ => "retry",
    }
}

impl forebay_s3::Observer for InputStats {
    fn received(&self, messages: usize) {
        self.with_queue(|queue| queue.received += messages as u64);
    }

    fn deleted(&self, messages: usize) {
        self.with_queue(|queue| queue.deleted += messages as u64);
    }

    fn returned(&self, _why: &forebay_s3::ErrorKind) {
        self.with_queue(|queue| queue.returned += 1);
    }

    fn skipped(&self, why: &str) {
        tracing::debug!(input = %self.name, why, "notice without work");
        self.with_queue(|queue| queue.skipped += 1);
    }

    fn visibility_extended(&self) {
        self.with_queue(|queue| queue.visibility_extensions += 1);
    }

    fn records(&self, _object: &forebay_s3::ObjectId, count: usize, bytes: usize) {
        self.records.fetch_add(count as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn object_settled(&self, object: &forebay_s3::ObjectId, records: u64, took: Duration) {
        tracing::debug!(input = %self.name, %object, records, ?took, "object settled");
        self.with_queue(|queue| {
            queue.objects += 1;
            queue.object_seconds += took.as_secs_f64();
        });
    }

    fn rejected(&self, _reason: &str) {
        self.with_queue(|queue| queue.rejected += 1);
    }

    fn failed(&self, kind: &forebay_s3::ErrorKind, detail: &str) {
        let kind = match kind {
            forebay_s3::ErrorKind::Unavailable => "retry",
            forebay_s3::ErrorKind::Denied => "denied",
            forebay_s3::ErrorKind::NoSuchResource => "gone",
            forebay_s3::ErrorKind::Expired => "expired",
            _ => "object",
        };
        Self::failed(self, kind, detail);
    }
}

/// Samples of a sparkline: five minutes.
const SPARKLINE: usize = 60;

/// An error older than this is over, unless it comes again.
const RECENT: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use forebay_kinesis::Observer as _;

    use super::*;

    fn shard(id: &str) -> ShardId {
        id.parse().expect("a shard id")
    }

    #[tokio::test(start_paused = true)]
    async fn lag_is_the_largest_of_the_shards_read_here() {
        let stats = InputStats::stream("flow");
        stats.lease_taken(&shard("shardId-0"), None);
        stats.lag(&shard("shardId-0"), Duration::from_secs(3));
        stats.lag(&shard("shardId-1"), Duration::from_secs(90));
        let stream = stats.snapshot(Instant::now()).stream.expect("a stream");
        assert_eq!(stream.lag_seconds, Some(3.0));
        assert_eq!(stream.leases_held, 1);
        assert_eq!(stream.shards[1].lag_seconds, None, "not read here");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_reached_when_the_read_before_was_handed_on() {
        let stats = InputStats::stream("flow");
        let id = shard("shardId-0");
        stats.lease_taken(&id, None);
        for (millis, expected) in [(5, false), (0, false), (0, true), (7, false), (0, false)] {
            stats.lag(&id, Duration::from_millis(millis));
            let stream = stats.snapshot(Instant::now()).stream.expect("a stream");
            assert_eq!(stream.shards[0].at_end, expected, "after {millis} ms");
        }
        stats.lease_taken(&id, None);
        stats.lag(&id, Duration::ZERO);
        let stream = stats.snapshot(Instant::now()).stream.expect("a stream");
        assert!(
            !stream.shards[0].at_end,
            "a lease that comes back begins anew"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn peers_are_shown_with_their_shards_and_deleted_leases_vanish() {
        let stats = InputStats::stream("flow");
        let mut lease = Lease::new(shard("shardId-0"), Checkpoint::TrimHorizon);
        lease.owner = Some("peer".parse().expect("a worker id"));
        stats.leases_seen(&[lease]);
        let shards = stats
            .snapshot(Instant::now())
            .stream
            .expect("a stream")
            .shards;
        assert_eq!(shards[0].owner.as_deref(), Some("peer"));
        stats.leases_seen(&[]);
        let shards = stats
            .snapshot(Instant::now())
            .stream
            .expect("a stream")
            .shards;
        assert!(shards.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn rates_come_from_two_samples() {
        let stats = InputStats::queue("trail");
        stats.sample(Instant::now());
        stats.messages(500);
        tokio::time::advance(SAMPLE).await;
        stats.sample(Instant::now());
        let rate = stats.snapshot(Instant::now()).messages_per_second;
        assert!((rate - 100.0).abs() < f64::EPSILON, "{rate}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_error_is_over() {
        let stats = InputStats::queue("trail");
        forebay_s3::Observer::failed(
            &*stats,
            &forebay_s3::ErrorKind::Denied,
            "needs sqs:ReceiveMessage",
        );
        assert!(stats.snapshot(Instant::now()).last_error.is_some());
        tokio::time::advance(RECENT).await;
        let snapshot = stats.snapshot(Instant::now());
        assert_eq!(snapshot.last_error, None);
        assert_eq!(snapshot.errors["denied"], 1);
        forebay_s3::Observer::failed(&*stats, &forebay_s3::ErrorKind::Unavailable, "throttled");
        assert_eq!(
            stats.snapshot(Instant::now()).last_error,
            None,
            "it is over by itself"
        );
    }
}
