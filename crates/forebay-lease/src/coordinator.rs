use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::action::{Action, CallId, Request, StopReason, Token};
use crate::call::{Call, Later, Purpose};
use crate::checkpoint::Checkpoint;
use crate::cleanup::Cleanup;
use crate::config::Config;
use crate::decision::{Decision, IdleReason, LossReason};
use crate::error::ConfigError;
use crate::event::{ClientVersion, Event, Failure, Outcome};
use crate::lease::{LeaseKey, Timestamp, WorkerId};
use crate::plan::Seen;
use crate::random::Random;
use crate::renew::Held;
use crate::shard::StartPosition;
use crate::sync::Sync;
use crate::take::Taking;

/// Who this coordinator is and where it begins.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain arguments")]
pub struct Identity {
    /// Unique among all live processes that share the table.
    pub worker: WorkerId,
    /// Where reading begins in a stream without leases.
    pub start: StartPosition,
    /// Seed of the random choices; different for each worker.
    pub seed: u64,
}

/// Decides which leases this worker takes, renews, gives up and creates.
///
/// A state machine without input or output: [`handle`](Self::handle) takes in events, [`poll_action`](Self::poll_action)
/// gives out what to do, [`poll_timeout`](Self::poll_timeout) says when to come back. After each call of another method,
/// take actions until there is none. `now` must never go back.
///
/// A clone is for tests that look at what could happen next: two that act for one worker break every guarantee.
#[derive(Clone, Debug)]
pub struct Coordinator {
    pub(crate) config: Config,
    pub(crate) me: WorkerId,
    pub(crate) start: StartPosition,
    pub(crate) random: Random,
    pub(crate) held: BTreeMap<LeaseKey, Held>,
    pub(crate) seen: BTreeMap<LeaseKey, Seen>,
    pub(crate) taking: BTreeMap<LeaseKey, Taking>,
    /// Readers of lost leases which are still running.
    pub(crate) stopping: BTreeMap<LeaseKey, Token>,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) later: Vec<Later>,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) sync: Sync,
    pub(crate) cleanup: Cleanup,
    pub(crate) steal_at: Instant,
    /// When the last taking pass was.
    pub(crate) pass_at: Instant,
    /// Time of day before the last scan or listing: never in the future.
    pub(crate) wall: Option<Timestamp>,
    mode: Option<ClientVersion>,
    stage: Stage,
    idle: Option<IdleReason>,
    /// When a worker that has peers to watch scans next.
    scan_at: Instant,
    /// When any worker scans next.
    look_at: Instant,
    is_scanning: bool,
    has_scanned: bool,
    version_at: Instant,
    next_call: u64,
    next_token: u64,
}

impl Coordinator {
    /// Starts at once: the first actions are ready.
    ///
    /// # Errors
    /// [`ConfigError`] if a setting cannot work.
    pub fn new(config: Config, identity: Identity, now: Instant) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut coordinator = Self {
            me: identity.worker,
            start: identity.start,
            random: Random::new(identity.seed),
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
            taking: BTreeMap::new(),
            stopping: BTreeMap::new(),
            calls: BTreeMap::new(),
            later: Vec::new(),
            actions: VecDeque::new(),
            sync: Sync::new(now + config.audit_interval / 2),
            cleanup: Cleanup::new(now),
            steal_at: now,
            pass_at: now,
            wall: None,
            mode: None,
            stage: Stage::Running,
            idle: None,
            scan_at: now,
            look_at: now,
            is_scanning: false,
            has_scanned: false,
            version_at: now,
            next_call: 0,
            next_token: 0,
            config,
        };
        coordinator.handle_timeout(now);
        Ok(coordinator)
    }

    /// Takes in what happened.
    pub fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Answer { id, outcome } => {
                if let Some(call) = self.calls.remove(&id) {
                    self.answered(call, outcome, now);
                }
            }
            Event::Acknowledged { key, token, upto } => self.acknowledged(&key, token, upto),
            Event::ShardEnded {
                key,
                token,
                children,
            } => self.shard_ended(&key, token, children),
            Event::ShardGone { key, token } => {
                if let Some(held) = self.held_as(&key, token) {
                    let from = held.row.checkpoint;
                    self.report(Decision::Gap {
                        key: key.clone(),
                        from,
                    });
                    self.shard_ended(&key, token, Vec::new());
                }
            }
            Event::Stopped { key, token } => self.reader_stopped(&key, token, now),
            Event::Suspended => {
                let keys: Vec<LeaseKey> = self.held.keys().cloned().collect();
                for key in keys {
                    self.lose(&key, LossReason::Suspended);
                }
                // The clock stood still: what looks fresh may be old, and what looks old was perhaps renewed meanwhile.
                for seen in self.seen.values_mut() {
                    (seen.since, seen.stands) = (now, false);
                }
                self.scan_soon(now);
            }
        }
        self.handle_timeout(now);
    }

    /// Does what is due; call it when [`Coordinator::poll_timeout`] has come. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.retry_due(now);
        self.drive_held(now);
        if now >= self.version_at {
            self.version_at = now + VERSION_INTERVAL;
            self.call(Purpose::ClientVersion, Request::ReadClientVersion);
        }
        if !self.is_scanning && now >= self.next_scan() {
            self.is_scanning = true;
            self.call(Purpose::Scan, Request::Scan);
        }
        self.audit(now);
        self.clean(now);
        if self.next_expiry().is_some_and(|at| now >= at) {
            self.take_pass(now);
        }
    }

    /// The next thing to do. Call it until `None` after every other call, and send requests at once: the hold time of a
    /// lease counts from this `now`.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        while let Some(action) = self.actions.pop_front() {
            let Action::Call { id, .. } = &action else {
                return Some(action);
            };
            let wanted = self
                .calls
                .get(id)
                .is_some_and(|call| self.is_wanted(&call.purpose, now));
            if !wanted {
                if let Some(call) = self.calls.remove(id) {
                    self.withdrawn(&call.purpose);
                }
                continue;
            }
            if let Some(call) = self.calls.get_mut(id) {
                call.sent = now;
                if let Purpose::Write { key, .. } = &call.purpose
                    && let Some(held) = self.held.get_mut(key)
                {
                    // Several writes with one condition: any may land, so the first one counts.
                    held.first_sent.get_or_insert(now);
                }
            }
            return Some(action);
        }
        None
    }

    /// When [`Coordinator::handle_timeout`] is wanted next. Always a time; may be in the past if work is due.
    pub fn poll_timeout(&self) -> Instant {
        let mut at = self.sync.audit_at.min(self.cleanup.at).min(self.version_at);
        if !self.is_scanning {
            at = at.min(self.next_scan());
        }
        for held in self.held.values() {
            at = at.min(held.wake_at());
        }
        for later in &self.later {
            at = at.min(later.at);
        }
        self.next_expiry().map_or(at, |expiry| at.min(expiry))
    }

    /// Stops taking, asks all readers to finish, then gives the leases back with their last position.
    pub fn begin_shutdown(&mut self, now: Instant) {
        if self.stage != Stage::Draining {
            self.stage = Stage::Draining;
            self.set_idle(IdleReason::ShuttingDown);
            self.release_all(StopReason::Shutdown, now);
        }
    }

    /// Whether every lease is given back or lost and no take is under way.
    pub fn is_drained(&self) -> bool {
        self.held.is_empty() && self.taking.is_empty() && self.stopping.is_empty()
    }

    /// The sink is down: stops the readers, stores their positions, gives the leases back, takes nothing until
    /// [`Coordinator::unpark`].
    pub fn park(&mut self, now: Instant) {
        if self.stage == Stage::Running {
            self.stage = Stage::Parked;
            self.report(Decision::Parked(true));
            self.set_idle(IdleReason::Parked);
            self.release_all(StopReason::Parked, now);
        }
    }

    /// Takes leases again, at once.
    pub fn unpark(&mut self, now: Instant) {
        if self.stage == Stage::Parked {
            self.stage = Stage::Running;
            self.report(Decision::Parked(false));
            self.scan_soon(now);
            self.handle_timeout(now);
        }
    }

    /// The leases this worker believes to hold at this time, with their tenure. A lease whose release has been sent is not
    /// among them.
    pub fn holds(&self, now: Instant) -> impl Iterator<Item = (&LeaseKey, Token)> {
        self.held
            .iter()
            .filter(move |(_, held)| now < held.held_until && !held.is_released)
            .map(|(key, held)| (key, held.token))
    }

    pub(crate) fn report(&mut self, decision: Decision) {
        self.actions.push_back(Action::Report(decision));
    }

    pub(crate) fn call(&mut self, purpose: Purpose, request: Request) {
        let id = CallId(self.next_call);
        self.next_call += 1;
        // Stamped when it leaves; until then it must not look older than it is.
        let sent = self.scan_at;
        self.calls.insert(
            id,
            Call {
                purpose,
                request: request.clone(),
                sent,
            },
        );
        self.actions.push_back(Action::Call { id, request });
    }

    pub(crate) const fn next_token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    pub(crate) fn held_as(&self, key: &LeaseKey, token: Token) -> Option<&Held> {
        self.held.get(key).filter(|held| held.token == token)
    }

    /// Why nothing may be taken, if so.
    pub(crate) const fn forbidden(&self) -> Option<IdleReason> {
        match (&self.stage, &self.mode) {
            (Stage::Draining, _) => Some(IdleReason::ShuttingDown),
            (Stage::Parked, _) => Some(IdleReason::Parked),
            (Stage::Running, Some(mode)) if mode.lets_workers_take() => None,
            (Stage::Running, Some(ClientVersion::ThreeX | ClientVersion::ThreeXWithRollback)) => {
                Some(IdleReason::ThreeX)
            }
            (Stage::Running, _) => Some(IdleReason::UnknownMode),
        }
    }

    /// Whether a lease that arrives now has to be given back at once.
    pub(crate) fn is_leaving(&self) -> bool {
        self.stage != Stage::Running
    }

    pub(crate) fn set_idle(&mut self, why: IdleReason) {
        if self.idle != Some(why) {
            self.idle = Some(why);
            self.report(Decision::NotTaking { why });
        }
    }

    pub(crate) const fn clear_idle(&mut self) {
        self.idle = None;
    }

    pub(crate) const fn knows_table(&self) -> bool {
        self.has_scanned
    }

    pub(crate) fn scan_soon(&mut self, now: Instant) {
        self.scan_at = self.scan_at.min(now);
        self.look_at = self.scan_at;
    }

    /// When the table is scanned next: soon if there is somebody to watch or something to take, else when the KCL would.
    /// Whoever holds every lease learns of a newcomer from the first renewal that is refused.
    fn next_scan(&self) -> Instant {
        // What is held was seen.
        let holds_all = self.held.len() == self.seen.len() && !self.seen.is_empty();
        if self.may_take() && !holds_all {
            self.scan_at
        } else {
            self.scan_at.max(self.look_at)
        }
    }

    /// Renewals go first when the table throttles.
    pub(crate) fn yield_to_renewals(&mut self, now: Instant) {
        self.scan_at = self.scan_at.max(now + self.config.watch_interval * 2);
    }

    pub(crate) fn scanned(&mut self, outcome: Outcome, now: Instant) {
        self.is_scanning = false;
        // A tenth of jitter keeps workers that started together from scanning together.
        let jitter = self.random.below(100) as f64 / 1000.0;
        let watch = self.config.watch_interval;
        self.scan_at = now + watch - watch.mul_f64(jitter);
        let Outcome::Scanned { leases, asked_at } = outcome else {
            return;
        };
        self.look_at = now + self.config.take_interval().mul_f64(1.0 + jitter);
        self.has_scanned = true;
        self.wall = Some(asked_at);
        let keys: BTreeSet<LeaseKey> = leases.iter().map(|lease| lease.key.clone()).collect();
        for lease in leases {
            self.observe(lease, now);
        }
        // What a scan does not show may be younger than the scan; ours is known better from its writes.
        let (held, taking) = (&self.held, &self.taking);
        self.seen.retain(|key, _| {
            keys.contains(key) || held.contains_key(key) || taking.contains_key(key)
        });
        if self.seen.is_empty() {
            self.sync_empty_table(now);
        } else {
            self.sync.empty_since = None;
            let began = self
                .seen
                .values()
                .filter_map(|seen| seen.row.start_at)
                .min();
            self.sync.had_leases = true;
            self.sync.began = self.sync.began.min(began).or(began);
        }
        self.regain();
        self.take_pass(now);
    }

    pub(crate) fn learned_mode(&mut self, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::ClientVersion(mode) => {
                if self.mode.as_ref() != Some(&mode) {
                    if self.mode.replace(mode.clone()).is_some() {
                        self.scan_soon(now);
                    }
                    self.report(Decision::Mode(mode));
                }
                if self.seen.is_empty() && self.has_scanned {
                    self.sync_empty_table(now);
                }
                self.take_pass(now);
            }
            Outcome::Failed(Failure::TableMissing) => {
                self.learned_mode(Outcome::ClientVersion(ClientVersion::Absent), now);
            }
            _ => self.version_at = now + VERSION_RETRY,
        }
    }

    fn acknowledged(&mut self, key: &LeaseKey, token: Token, upto: Checkpoint) {
        if let Some(held) = self.held.get_mut(key)
            && held.token == token
            && !upto.is_shard_end()
        {
            held.acknowledged = held.acknowledged.max(upto);
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Running,
    Parked,
    Draining,
}

/// KCL polls the mode each minute.
const VERSION_INTERVAL: Duration = Duration::from_secs(60);
const VERSION_RETRY: Duration = Duration::from_secs(1);
