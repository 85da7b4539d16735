//! One state of the small world: workers, table, what is under way, and the faults that are left.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use forebay_lease::{
    Action, CallId, Checkpoint, ChildShard, ClientVersion, Config, Coordinator, Decision, Event,
    Failure, HashRange, Identity, Lease, LeaseKey, Outcome, Request, Shard, ShardId, StartPosition,
    TakeReason, Timestamp, Token, Update,
};

/// Faults that may still happen.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Budget {
    /// Writes whose request or answer is lost or late.
    pub(crate) faults: usize,
    /// Crashes, each followed by a restart under the same id.
    pub(crate) crashes: usize,
    /// A planted defect: an unanswered write passes for an applied one.
    pub(crate) believes_all: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    now: u64,
    end: u64,
    base: Instant,
    budget: Budget,
    workers: Vec<Worker>,
    rows: BTreeMap<LeaseKey, Lease>,
    /// What comes later: time, worker and its life.
    later: Vec<(u64, usize, u64, Later)>,
    /// How far each shard has been accepted by anybody.
    accepted: BTreeMap<LeaseKey, u128>,
    /// Until when a worker from whom a lease was stolen may believe in it.
    robbed: BTreeMap<(LeaseKey, usize), u64>,
    /// The choices that led here.
    course: Vec<String>,
    violation: Option<String>,
}

#[derive(Clone, Debug)]
struct Worker {
    core: Option<Coordinator>,
    life: u64,
    readers: BTreeMap<LeaseKey, (Token, u128)>,
    intents: BTreeMap<LeaseKey, TakeReason>,
}

#[derive(Clone, Debug)]
enum Later {
    Answer(CallId, Outcome),
    /// A request that its sender has given up.
    Land(Request),
    Deliver(LeaseKey, Token),
    Restart,
}

/// What happens to a write.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    AnswerLost,
    RequestLost,
    LandsLate,
}

impl State {
    pub(crate) fn new(workers: usize, budget: Budget, base: Instant, end: u64) -> Self {
        let mut lease = Lease::new(shard_id(0), Checkpoint::TrimHorizon);
        lease.hash_range = Some(HashRange::FULL);
        let mut other = Lease::new(shard_id(9), Checkpoint::TrimHorizon);
        other.hash_range = Some(HashRange::FULL);
        let rows = [lease, other].map(|row| (row.key.clone(), row));
        let mut state = Self {
            now: 0,
            end,
            base,
            budget,
            workers: Vec::new(),
            rows: rows.into(),
            later: Vec::new(),
            accepted: BTreeMap::new(),
            robbed: BTreeMap::new(),
            course: Vec::new(),
            violation: None,
        };
        for at in 0..workers {
            let core = Some(state.start(at));
            state.workers.push(Worker {
                core,
                life: 0,
                readers: BTreeMap::new(),
                intents: BTreeMap::new(),
            });
        }
        state
    }

    fn start(&self, at: usize) -> Coordinator {
        let identity = Identity {
            worker: format!("worker-{at}").parse().expect("id"),
            start: StartPosition::TrimHorizon,
            seed: at as u64,
        };
        // Fewer scans keep the world small; everything else is as by default.
        let config = Config {
            watch_interval: Duration::from_secs(4),
            steal_interval: Duration::from_secs(4),
            ..Config::default()
        };
        Coordinator::new(config, identity, self.instant()).expect("a valid config")
    }

    fn instant(&self) -> Instant {
        self.base + Duration::from_millis(self.now)
    }

    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    pub(crate) fn course(&self) -> String {
        self.course.join("\n")
    }

    /// Equal for states with equal futures.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let parts = (&self.workers, &self.rows, &self.later, &self.robbed);
        format!("{:?} {:?} {:?}", self.now, self.budget, parts).hash(&mut hasher);
        hasher.finish()
    }

    /// All states that come next: one for each fate of the next write, or for each crash before time goes on.
    pub(crate) fn successors(mut self) -> Vec<Self> {
        for at in 0..self.workers.len() {
            let now = self.instant();
            let Some(core) = &mut self.workers[at].core else {
                continue;
            };
            if let Some(action) = core.poll_action(now) {
                return self.act(at, action);
            }
        }
        let alarms = self.workers.iter().filter_map(|worker| {
            let at = worker.core.as_ref()?.poll_timeout();
            Some(
                at.saturating_duration_since(self.base)
                    .as_micros()
                    .div_ceil(1000) as u64,
            )
        });
        let next = alarms.chain(self.later.iter().map(|(at, ..)| *at)).min();
        let Some(next) = next.filter(|next| *next <= self.end) else {
            return Vec::new();
        };
        let mut states = Vec::new();
        if self.budget.crashes > 0 {
            for at in 0..self.workers.len() {
                let mut state = self.clone();
                if state.workers[at].core.take().is_some() {
                    state.budget.crashes -= 1;
                    state.workers[at].readers.clear();
                    state.workers[at].life += 1;
                    state
                        .course
                        .push(format!("{} ms: worker {at} crashes", state.now));
                    let life = state.workers[at].life;
                    state
                        .later
                        .push((state.now + 3000, at, life, Later::Restart));
                    states.push(state);
                }
            }
        }
        self.now = next.max(self.now);
        self.pass();
        states.push(self);
        states
    }

    /// Does what is due at this time.
    fn pass(&mut self) {
        let (due, later) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|(at, ..)| *at <= self.now);
        self.later = later;
        let due: Vec<(u64, usize, u64, Later)> = due;
        for (_, at, life, what) in due {
            let is_current = self.workers[at].life == life;
            match what {
                Later::Land(request) => {
                    self.serve(at, life, request);
                }
                Later::Answer(id, outcome) if is_current => {
                    self.tell(at, Event::Answer { id, outcome });
                }
                Later::Deliver(key, token) if is_current => self.deliver(at, key, token),
                Later::Restart if is_current => {
                    self.workers[at].core = Some(self.start(at));
                }
                _ => {}
            }
        }
        let now = self.instant();
        for worker in &mut self.workers {
            if let Some(core) = &mut worker.core {
                core.handle_timeout(now);
            }
        }
    }

    fn tell(&mut self, at: usize, event: Event) {
        let now = self.instant();
        if let Some(core) = &mut self.workers[at].core {
            core.handle(event, now);
        }
    }

    /// A record is accepted; the third one is the last of shard 0, which splits.
    fn deliver(&mut self, at: usize, key: LeaseKey, token: Token) {
        let life = self.workers[at].life;
        let Some((_, number)) = self.workers[at]
            .readers
            .get_mut(&key)
            .filter(|r| r.0 == token)
        else {
            return;
        };
        if key == LeaseKey::from(shard_id(0)) && *number >= 3 {
            let children = vec![child(1), child(2)];
            self.tell(
                at,
                Event::ShardEnded {
                    key,
                    token,
                    children,
                },
            );
            return;
        }
        *number += 1;
        let number = *number;
        let accepted = self.accepted.entry(key.clone()).or_default();
        *accepted = number.max(*accepted);
        let upto = Checkpoint::at(number.into());
        let next = Later::Deliver(key.clone(), token);
        self.later.push((self.now + 2500, at, life, next));
        self.tell(at, Event::Acknowledged { key, token, upto });
    }

    fn act(mut self, at: usize, action: Action) -> Vec<Self> {
        match action {
            Action::Call { id, request } => {
                let is_write = matches!(request, Request::Update(_) | Request::Delete { .. });
                if let Request::Update(update) = &request {
                    self.check_write(at, update);
                }
                let fates: &[Fate] = if is_write && self.budget.faults > 0 {
                    &[
                        Fate::Answered,
                        Fate::AnswerLost,
                        Fate::RequestLost,
                        Fate::LandsLate,
                    ]
                } else {
                    &[Fate::Answered]
                };
                return fates
                    .iter()
                    .map(|fate| self.clone().sent(at, id, request.clone(), *fate))
                    .collect();
            }
            Action::Start(grant) => {
                let number = match grant.from {
                    Checkpoint::Sequence { number, .. } => number.as_str().parse().expect("ours"),
                    _ => 0,
                };
                self.check_parents(&grant.parents);
                let life = self.workers[at].life;
                let next = Later::Deliver(grant.key.clone(), grant.token);
                self.later.push((self.now + 2500, at, life, next));
                let reader = (grant.token, number);
                self.workers[at].readers.insert(grant.key, reader);
            }
            Action::Stop { key, token, .. } => {
                self.workers[at].readers.remove(&key);
                self.tell(at, Event::Stopped { key, token });
            }
            Action::Report(Decision::Taking { key, why, .. }) => {
                self.workers[at].intents.insert(key, why);
            }
            Action::Report(Decision::Taken { key, .. }) => self.check_holders(&key, None),
            _ => {}
        }
        vec![self]
    }

    fn sent(mut self, at: usize, id: CallId, request: Request, fate: Fate) -> Self {
        let life = self.workers[at].life;
        let outcome = if self.budget.believes_all {
            Outcome::Applied
        } else {
            Outcome::Failed(Failure::Unknown)
        };
        let unknown = Later::Answer(id, outcome);
        if !matches!(fate, Fate::Answered) {
            self.budget.faults -= 1;
            self.course.push(format!(
                "{} ms: worker {at}: {fate:?} {request:?}",
                self.now
            ));
        }
        match fate {
            Fate::Answered => {
                let outcome = self.serve(at, life, request);
                self.tell(at, Event::Answer { id, outcome });
            }
            Fate::AnswerLost => {
                self.serve(at, life, request);
                self.later.push((self.now + 2000, at, life, unknown));
            }
            Fate::RequestLost => self.later.push((self.now + 2000, at, life, unknown)),
            Fate::LandsLate => {
                self.later.push((self.now + 2000, at, life, unknown));
                self.later
                    .push((self.now + 5000, at, life, Later::Land(request)));
            }
        }
        self
    }

    fn serve(&mut self, at: usize, life: u64, request: Request) -> Outcome {
        match request {
            Request::Scan => Outcome::Scanned {
                leases: self.rows.values().cloned().collect(),
                asked_at: Timestamp(0),
            },
            Request::Read { key } => Outcome::Row(self.rows.get(&key).cloned().map(Box::new)),
            Request::Create(lease) => match self.rows.get(&lease.key) {
                Some(row) => Outcome::Refused(Some(Box::new(row.clone()))),
                None => {
                    self.rows.insert(lease.key.clone(), *lease);
                    Outcome::Applied
                }
            },
            Request::Update(update) => self.update(at, life, &update),
            Request::ListShards { .. } => Outcome::Shards {
                shards: vec![
                    listed(0, &[], false),
                    listed(1, &[0], true),
                    listed(9, &[], true),
                ],
                asked_at: Timestamp(0),
            },
            Request::ReadClientVersion => Outcome::ClientVersion(ClientVersion::Absent),
            _ => Outcome::Failed(Failure::Unavailable),
        }
    }

    fn update(&mut self, at: usize, life: u64, update: &Update) -> Outcome {
        let found = self.rows.get(&update.key).cloned();
        let Some(before) = found.filter(|row| update.condition.allows(Some(row))) else {
            return Outcome::Refused(self.rows.get(&update.key).cloned().map(Box::new));
        };
        let mut after = before.clone();
        update.apply(&mut after);
        let key = &update.key;
        if after.checkpoint < before.checkpoint || after.counter <= before.counter {
            self.violate(format!("I2, I11: {before:?} becomes {after:?}"));
        }
        let accepted = self.accepted.get(key).copied().unwrap_or_default();
        if after.checkpoint > Checkpoint::at(accepted.into()) && !after.checkpoint.is_shard_end() {
            self.violate(format!("I1: {after:?}, accepted is {accepted}"));
        }
        if after.checkpoint.is_shard_end() {
            let has = |number| self.rows.contains_key(&LeaseKey::from(shard_id(number)));
            if accepted < 3 || !has(1) || !has(2) {
                self.violate(format!("I1, I9: {key} ends after {accepted} records"));
            }
        }
        self.rows.insert(key.clone(), after);
        if matches!(
            update.changes.owner,
            Some(forebay_lease::OwnerChange::Set(_))
        ) {
            self.robbed.remove(&(key.clone(), at));
            if self.workers[at].intents.get(key) == Some(&TakeReason::Stolen) {
                for victim in (0..self.workers.len()).filter(|victim| *victim != at) {
                    self.robbed.insert((key.clone(), victim), self.now + 9000);
                }
            } else {
                self.check_holders(key, Some((at, life)));
            }
        }
        Outcome::Applied
    }

    /// (I6)
    fn check_write(&mut self, at: usize, update: &Update) {
        let is_renewal = update.changes.owner.is_none() && update.changes.counter.is_some();
        if is_renewal && !self.holders(&update.key).contains(&at) {
            self.violate(format!("I6: worker {at} does not hold {}", update.key));
        }
    }

    /// (I8)
    fn check_parents(&mut self, parents: &[ShardId]) {
        let rows = &self.rows;
        let is_done = |parent: &ShardId| {
            let row = rows.get(&LeaseKey::from(parent));
            row.is_none_or(|row| row.checkpoint.is_shard_end())
        };
        if !parents.iter().all(is_done) {
            self.violate(format!("I8: a child of {parents:?} is read too early"));
        }
    }

    fn holders(&self, key: &LeaseKey) -> BTreeSet<usize> {
        let holds = |worker: &Worker| {
            let core = worker.core.as_ref();
            core.is_some_and(|core| core.holds(self.instant()).any(|(held, _)| held == key))
        };
        let workers = self.workers.iter().enumerate();
        workers
            .filter(|(_, worker)| holds(worker))
            .map(|(at, _)| at)
            .collect()
    }

    /// (I5) A steal excuses whoever took the lease before it, until the hold time has passed.
    fn check_holders(&mut self, key: &LeaseKey, taker: Option<(usize, u64)>) {
        let mut holders = self.holders(key);
        holders.retain(|at| {
            let until = self.robbed.get(&(key.clone(), *at));
            until.is_none_or(|until| *until < self.now)
        });
        if let Some((at, life)) = taker
            && self.workers[at].life == life
        {
            holders.insert(at);
        }
        if holders.len() + usize::from(taker.is_some() && holders.is_empty()) > 1 {
            self.violate(format!("I5: {key} is held by {holders:?}"));
        }
    }

    fn violate(&mut self, text: String) {
        self.violation
            .get_or_insert_with(|| format!("at {} ms: {text}", self.now));
    }
}

fn shard_id(number: u32) -> ShardId {
    format!("shardId-{number:012}").parse().expect("id")
}

fn listed(number: u32, parents: &[u32], is_open: bool) -> Shard {
    Shard {
        id: shard_id(number),
        parents: parents.iter().map(|parent| shard_id(*parent)).collect(),
        hash_range: HashRange::FULL,
        first: u128::from(number).into(),
        is_open,
    }
}

fn child(number: u32) -> ChildShard {
    ChildShard::from(listed(number, &[0], true))
}
