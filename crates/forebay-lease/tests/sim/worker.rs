//! One process: a real coordinator and the driver between it and the model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use forebay_lease::{
    Action, CallId, Checkpoint, ClientVersion, Config, Coordinator, Event, Failure, Identity,
    Lease, LeaseKey, Outcome, OwnerChange, Request, StartPosition, TakeReason, Timestamp, Token,
    Update, WorkerId,
};

use crate::defects::Defect;
use crate::faults::Millis;
use crate::reader::Reader;
use crate::table::Written;
use crate::world::{Ev, Random, World};

pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) coordinator: Coordinator,
    /// Events of an earlier life are not for this one.
    pub(crate) life: u64,
    pub(crate) born_at: Millis,
    pub(crate) is_alive: bool,
    /// It was asked to stop and ends once it has given everything back.
    pub(crate) is_stopping: bool,
    pub(crate) is_parked: bool,
    pub(crate) paused_until: Millis,
    pub(crate) resumed_at: Millis,
    /// Without the network.
    pub(crate) cut_until: Millis,
    pub(crate) wake_at: Millis,
    pub(crate) readers: BTreeMap<LeaseKey, Reader>,
    /// What the reader of each tenure has said to be done.
    pub(crate) said: BTreeMap<LeaseKey, (Token, Checkpoint)>,
    pub(crate) tenures: BTreeMap<LeaseKey, Token>,
    /// Rows whose last write got no answer.
    pub(crate) unsure: BTreeSet<LeaseKey>,
    /// Reads and writes under way, with the tenure in which they left.
    pub(crate) asked: BTreeMap<CallId, Asked>,
    /// It closes a hole until about then.
    pub(crate) syncing_until: Millis,
    pub(crate) config: Config,
    start: StartPosition,
    base: Instant,
    /// Rate of its clock in millionths.
    rate: u64,
    /// By how much a defective clock has jumped.
    pub(crate) jumped: Millis,
    pub(crate) highest: u128,
    pub(crate) taken: Vec<(Millis, LeaseKey, TakeReason)>,
}

pub(crate) struct Asked {
    pub(crate) key: LeaseKey,
    pub(crate) tenure: Option<Token>,
    pub(crate) is_write: bool,
}

impl Worker {
    pub(crate) fn new(
        id: WorkerId,
        config: Config,
        start: StartPosition,
        seed: u64,
        world: &World,
    ) -> Self {
        let drift = world.faults.drift;
        let drawn = Random(seed).below(2 * drift + 1);
        let rate = 1_000_000 - drift + drawn;
        let now = local(world.base, rate, world.now);
        let identity = Identity {
            worker: id.clone(),
            start,
            seed,
        };
        let coordinator = Coordinator::new(config.clone(), identity, now).expect("a valid config");
        Self {
            id,
            coordinator,
            life: seed,
            born_at: world.now,
            is_alive: true,
            is_stopping: false,
            is_parked: false,
            paused_until: 0,
            resumed_at: 0,
            cut_until: 0,
            wake_at: 0,
            readers: BTreeMap::new(),
            said: BTreeMap::new(),
            tenures: BTreeMap::new(),
            unsure: BTreeSet::new(),
            asked: BTreeMap::new(),
            syncing_until: 0,
            config,
            start,
            base: world.base,
            rate,
            jumped: 0,
            highest: 0,
            taken: Vec::new(),
        }
    }

    pub(crate) fn restart(&self, id: WorkerId, seed: u64, world: &World) -> Self {
        let mut next = Self::new(id, self.config.clone(), self.start, seed, world);
        next.taken.clone_from(&self.taken);
        next
    }

    pub(crate) fn instant(&self, now: Millis) -> Instant {
        local(self.base, self.rate, now) + Duration::from_millis(self.jumped)
    }

    /// Whether this worker believes to hold the lease.
    pub(crate) fn holds(&self, key: &LeaseKey, now: Millis) -> bool {
        self.is_alive
            && self
                .coordinator
                .holds(self.instant(now))
                .any(|(held, _)| held == key)
    }

    pub(crate) fn count(&self, now: Millis) -> usize {
        self.coordinator.holds(self.instant(now)).count()
    }

    fn note_asked(&mut self, id: CallId, request: &Request) {
        let (key, is_write) = match request {
            Request::Update(update) if update.changes.counter.is_some() => (&update.key, true),
            Request::Delete { key, .. } => (key, true),
            Request::Read { key } => (key, false),
            _ => return,
        };
        let asked = Asked {
            key: key.clone(),
            tenure: self.tenures.get(key).copied(),
            is_write,
        };
        self.asked.insert(id, asked);
    }

    fn next_wake(&self, now: Millis) -> Millis {
        let at = self
            .coordinator
            .poll_timeout()
            .saturating_duration_since(self.base + Duration::from_millis(self.jumped))
            .as_micros() as u64;
        // Rounded up: waking early does nothing.
        (at * 1000).div_ceil(self.rate).max(now + 1)
    }
}

fn local(base: Instant, rate: u64, now: Millis) -> Instant {
    base + Duration::from_micros(now * rate / 1000)
}

impl World {
    pub(crate) fn tell(&mut self, at: usize, event: Event) {
        let now = self.workers[at].instant(self.now);
        self.workers[at].coordinator.handle(event, now);
        self.pump(at);
    }

    pub(crate) fn wake(&mut self, at: usize) {
        if self.defect == Some(Defect::WallClock) && self.random.chance(1) {
            self.workers[at].jumped += 15_000;
        }
        let now = self.workers[at].instant(self.now);
        self.workers[at].coordinator.handle_timeout(now);
        self.pump(at);
    }

    /// Carries out what the coordinator wants, and sets its alarm.
    pub(crate) fn pump(&mut self, at: usize) {
        loop {
            let mut now = self.workers[at].instant(self.now);
            if self.defect == Some(Defect::LateStamp) {
                now += Duration::from_secs(4);
            }
            let Some(action) = self.workers[at].coordinator.poll_action(now) else {
                break;
            };
            match action {
                Action::Call { id, request } => self.send(at, id, request),
                Action::Start(grant) => self.start_reader(at, grant),
                Action::Stop { key, token, reason } => self.stop_reader(at, key, token, reason),
                Action::Report(decision) => self.learn(at, decision),
                _ => {}
            }
        }
        let worker = &mut self.workers[at];
        if worker.is_stopping && worker.coordinator.is_drained() {
            worker.is_alive = false;
            return;
        }
        let (life, wake) = (worker.life, worker.next_wake(self.now));
        if wake != worker.wake_at {
            worker.wake_at = wake;
            self.push(wake, Ev::Wake(at, life));
        }
    }

    fn send(&mut self, at: usize, id: CallId, mut request: Request) {
        match &mut request {
            Request::Update(update) => {
                self.check_write(at, update);
                self.spoil(update);
            }
            Request::Create(lease)
                if self.defect == Some(Defect::HoleAtLatest)
                    && self.workers[at].syncing_until > self.now
                    && lease.start_at.is_some() =>
            {
                lease.checkpoint = Checkpoint::Latest;
                lease.start_at = Some(Timestamp(self.now as i64));
            }
            _ => {}
        }
        let life = self.workers[at].life;
        let mut delay = 1 + self.random.below(15);
        if self.hits(self.faults.slow) {
            delay += self.random.below(4000);
        }
        let arrival = self.now + delay;
        self.workers[at].note_asked(id, &request);
        let unknown = Outcome::Failed(Failure::Unknown);
        let is_cut = self.workers[at].cut_until > self.now;
        if self.hits(self.faults.throttled) {
            let outcome = Outcome::Failed(Failure::Throttled);
            self.push(arrival, Ev::Answer(at, life, id, outcome));
        } else if is_cut || self.hits(self.faults.lost_before) {
            if self.defect == Some(Defect::HangingCall) {
                return;
            }
            let end = self.now + TIMEOUT;
            self.push(end, Ev::Answer(at, life, id, unknown));
            // One way only: the request passes, its answer does not.
            if is_cut && self.workers[at].cut_until % 2 == 1 {
                self.push(arrival, Ev::Arrive(at, life, None, request));
            }
        } else if self.hits(self.faults.late) {
            let end = self.now + TIMEOUT;
            self.push(end, Ev::Answer(at, life, id, unknown));
            let landing = end + self.random.below(12_000);
            self.push(landing, Ev::Arrive(at, life, None, request));
        } else {
            self.push(arrival, Ev::Arrive(at, life, Some(id), request));
        }
    }

    /// Defects in what is written.
    fn spoil(&mut self, update: &mut Update) {
        let changes = &mut update.changes;
        match self.defect {
            Some(Defect::NoCounterCondition) => update.condition.counter = None,
            Some(Defect::Backwards) if changes.checkpoint.is_some() && self.random.chance(20) => {
                changes.checkpoint = Some(Checkpoint::TrimHorizon);
            }
            Some(Defect::EndNotStored) if changes.checkpoint == Some(Checkpoint::ShardEnd) => {
                let shard = self.stream.index(&update.key);
                let last = self.stream.count(shard, self.now);
                let stored = self.table.read(&update.key).map(|row| row.checkpoint);
                if last > 0 && stored == Some(Checkpoint::at(self.stream.number(shard, last - 1))) {
                    changes.checkpoint = stored;
                    changes.children = None;
                }
            }
            _ => {}
        }
    }

    /// A request reaches the service.
    pub(crate) fn arrive(&mut self, at: usize, life: u64, id: Option<CallId>, request: Request) {
        let key = match &request {
            Request::Update(update) => Some(update.key.clone()),
            _ => None,
        };
        let outcome = self.serve(at, life, request);
        let Some(id) = id else { return };
        let delay = 1 + self.random.below(15);
        let (when, outcome) = if self.hits(self.faults.lost_after) {
            (self.now + TIMEOUT, Outcome::Failed(Failure::Unknown))
        } else {
            let slow = if self.hits(self.faults.slow) {
                self.random.below(4000)
            } else {
                0
            };
            (self.now + delay + slow, outcome)
        };
        let outcome = match (self.defect, outcome) {
            (Some(Defect::RefusedIsApplied), Outcome::Refused(_)) => Outcome::Applied,
            (Some(Defect::UnknownIsApplied), Outcome::Failed(Failure::Unknown)) => Outcome::Applied,
            (Some(Defect::SpuriousLoss), Outcome::Failed(Failure::Unknown)) => {
                let row = key.as_ref().and_then(|key| self.table.read(key)).cloned();
                row.map_or(Outcome::Failed(Failure::Unknown), |mut row| {
                    row.counter.0 += 5;
                    Outcome::Refused(Some(Box::new(row)))
                })
            }
            (_, outcome) => outcome,
        };
        self.push(when, Ev::Answer(at, life, id, outcome));
    }

    fn serve(&mut self, at: usize, life: u64, request: Request) -> Outcome {
        let now = self.now;
        let answer = |written: Written, shows: bool| match written {
            Written::Applied => Outcome::Applied,
            Written::Refused(row) => Outcome::Refused(row.filter(|_| shows).map(Box::new)),
        };
        match request {
            Request::Scan => {
                let lag = if self.hits(self.faults.stale_scan) {
                    3000
                } else {
                    0
                };
                let miss = if self.hits(self.faults.partial_scan) {
                    200
                } else {
                    0
                };
                let foreign = self.defect == Some(Defect::ForeignRows);
                let mut leases = self.table.scan(now, lag, miss, &mut self.random, foreign);
                leases.iter_mut().for_each(|lease| self.forget_end(lease));
                Outcome::Scanned {
                    leases,
                    asked_at: Timestamp(now as i64 - 20),
                }
            }
            Request::Read { key } => {
                let mut row = match (self.defect, self.table.rows.get(&key)) {
                    (Some(Defect::ForeignRows), Some(row)) => Some(row.lease.clone()),
                    _ => self.table.read(&key).cloned(),
                };
                self.forge(at, &key, &mut row);
                Outcome::Row(row.map(Box::new))
            }
            Request::Create(lease) => {
                let is_young = self.workers[at].born_at + 20_000 > now;
                let forgets = match self.defect {
                    Some(Defect::NoChildren) => true,
                    Some(Defect::RestartForgetsSplit) => is_young && life > 10_000_000,
                    _ => false,
                };
                if forgets && !lease.parents.is_empty() {
                    return Outcome::Applied;
                }
                self.inv.is_ignorant = self.table.leases().next().is_none()
                    && self.inv.tampered_at > 0
                    && self.workers[at].born_at >= self.inv.tampered_at;
                let written = self.table.create(*lease, now, &mut self.inv, &self.stream);
                answer(written, true)
            }
            Request::Update(update) => {
                let shows = self.random.chance(700);
                let written = self.write(&update, (at, life));
                answer(written, shows)
            }
            Request::Delete { key, counter } => {
                let (inv, stream) = (&mut self.inv, &self.stream);
                answer(self.table.delete(&key, counter, now, inv, stream), true)
            }
            Request::ListShards { .. }
                if self.defect == Some(Defect::IdleLeader)
                    && self.workers[at].syncing_until > self.now =>
            {
                Outcome::Failed(Failure::Unavailable)
            }
            Request::ListShards { filter } => Outcome::Shards {
                shards: self.stream.list(filter, now),
                asked_at: Timestamp(now as i64 - 20),
            },
            _ => Outcome::ClientVersion(match (self.three_x_since, self.defect) {
                (Some(_), defect) if defect != Some(Defect::ModeIgnored) => ClientVersion::ThreeX,
                _ => ClientVersion::Absent,
            }),
        }
    }

    /// A conditional write of a coordinator lands or is refused.
    fn write(&mut self, update: &Update, (at, life): (usize, u64)) -> Written {
        let whole = self.defect == Some(Defect::WholeRow);
        let is_take = matches!(update.changes.owner, Some(OwnerChange::Set(_)));
        let (inv, stream) = (&mut self.inv, &self.stream);
        let written = self.table.update(update, whole, self.now, inv, stream);
        if matches!(written, Written::Applied) {
            self.trace((at as u64) << 32, update.changes.counter);
            if update.changes.counter.is_some() {
                self.inv.wrote(&update.key, (at, life));
            }
            if is_take {
                self.check_take(&update.key, at, life);
            }
        }
        written
    }

    /// Defects in what the coordinator is told about rows.
    fn forge(&self, at: usize, key: &LeaseKey, row: &mut Option<Lease>) {
        let Some(lease) = row else {
            let is_listed = self.stream.is_listed(self.stream.index(key), self.now);
            if self.defect == Some(Defect::ForgottenParentBlocks) && !is_listed {
                let shard = key.as_str().parse().expect("id");
                *row = Some(Lease::new(shard, Checkpoint::TrimHorizon));
            }
            return;
        };
        let is_ours = lease.owner.as_ref() == Some(&self.workers[at].id);
        match self.defect {
            Some(Defect::ChildBeforeParent) if !is_ours => lease.checkpoint = Checkpoint::ShardEnd,
            Some(Defect::EarlyDelete) if lease.checkpoint == Checkpoint::TrimHorizon => {
                lease.checkpoint = Checkpoint::at(1.into());
            }
            _ => self.forget_end(lease),
        }
    }

    fn forget_end(&self, lease: &mut Lease) {
        if self.defect == Some(Defect::EndedReadAgain) && lease.checkpoint.is_shard_end() {
            lease.checkpoint = Checkpoint::TrimHorizon;
        }
    }
}

/// How long a caller waits for an answer.
const TIMEOUT: Millis = 3000;
