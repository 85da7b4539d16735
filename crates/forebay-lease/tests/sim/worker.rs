//! One process: a real coordinator, its readers, and the driver between it and the model.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use forebay_lease::{
    Action, CallId, Checkpoint, ClientVersion, Config, Coordinator, Decision, Event, Failure,
    Grant, Identity, Lease, LeaseKey, Outcome, Request, StartPosition, StopReason, TakeReason,
    Ticket, Timestamp, Token, Tracker, WorkerId,
};

use crate::faults::{Defect, Millis};
use crate::table::{Written, is_take};
use crate::world::{Ev, World};

pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) coordinator: Coordinator,
    /// Events of an earlier life are not for this one.
    pub(crate) life: u64,
    pub(crate) is_alive: bool,
    pub(crate) paused_until: Millis,
    pub(crate) resumed_at: Millis,
    pub(crate) wake_at: Millis,
    readers: BTreeMap<LeaseKey, Reader>,
    config: Config,
    start: StartPosition,
    base: Instant,
    /// Rate of its clock in millionths.
    rate: u64,
    highest: u128,
    pub(crate) taken: Vec<(Millis, LeaseKey, TakeReason)>,
}

pub(crate) struct Reader {
    shard: usize,
    token: Token,
    next: usize,
    tracker: Tracker,
    open: usize,
    stop: Option<StopReason>,
    has_ended: bool,
    has_started: bool,
}

impl Worker {
    pub(crate) fn new(
        id: WorkerId,
        config: Config,
        start: StartPosition,
        seed: u64,
        world: &World,
    ) -> Self {
        let rate = if world.faults.drift {
            995_000 + seed % 10_000
        } else {
            1_000_000
        };
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
            is_alive: true,
            paused_until: 0,
            resumed_at: 0,
            wake_at: world.now,
            readers: BTreeMap::new(),
            config,
            start,
            base: world.base,
            rate,
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
        local(self.base, self.rate, now)
    }

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

    fn next_wake(&self, now: Millis) -> Millis {
        let at = self
            .coordinator
            .poll_timeout()
            .saturating_duration_since(self.base)
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
        let (life, wake) = (self.workers[at].life, self.workers[at].next_wake(self.now));
        self.workers[at].wake_at = wake;
        self.push(wake, Ev::Wake(at, life));
    }

    fn send(&mut self, at: usize, id: CallId, mut request: Request) {
        if let Request::Update(update) = &mut request {
            // (I6) Only a take may be written without holding; a release ends the holding as it leaves.
            let held = self.workers[at].holds(&update.key, self.now);
            if update.changes.owner.is_none() && update.changes.counter.is_some() && !held {
                let key = update.key.clone();
                self.inv.violate(self.now, || {
                    format!("I6 {key} is written without being held")
                });
            }
            match self.defect {
                Some(Defect::NoCounterCondition) => update.condition.counter = None,
                Some(Defect::Backwards)
                    if self.random.chance(20) && update.changes.checkpoint.is_some() =>
                {
                    update.changes.checkpoint = Some(Checkpoint::TrimHorizon);
                }
                _ => {}
            }
        }
        let life = self.workers[at].life;
        let mut delay = 1 + self.random.below(15);
        if self.hits(self.faults.slow) {
            delay += self.random.below(4000);
        }
        let arrival = self.now + delay;
        if self.hits(self.faults.throttled) {
            self.push(
                arrival,
                Ev::Answer(at, life, id, Outcome::Failed(Failure::Throttled)),
            );
        } else if self.hits(self.faults.lost_before) {
            self.push(
                self.now + TIMEOUT,
                Ev::Answer(at, life, id, Outcome::Failed(Failure::Unknown)),
            );
        } else if self.hits(self.faults.late) {
            self.push(
                self.now + TIMEOUT,
                Ev::Answer(at, life, id, Outcome::Failed(Failure::Unknown)),
            );
            let landing = self.now + TIMEOUT + self.random.below(12_000);
            self.push(landing, Ev::Arrive(at, life, None, request));
        } else {
            self.push(arrival, Ev::Arrive(at, life, Some(id), request));
        }
    }

    /// A request reaches the service.
    pub(crate) fn arrive(&mut self, at: usize, life: u64, id: Option<CallId>, request: Request) {
        let outcome = self.serve(at, request);
        let Some(id) = id else { return };
        let delay = 1 + self.random.below(15);
        let (when, mut outcome) = if self.hits(self.faults.lost_after) {
            (self.now + TIMEOUT, Outcome::Failed(Failure::Unknown))
        } else {
            let slow = if self.hits(self.faults.slow) {
                self.random.below(4000)
            } else {
                0
            };
            (self.now + delay + slow, outcome)
        };
        outcome = match (self.defect, outcome) {
            (Some(Defect::RefusedIsApplied), Outcome::Refused(_)) => Outcome::Applied,
            (Some(Defect::UnknownIsApplied), Outcome::Failed(Failure::Unknown)) => Outcome::Applied,
            (_, outcome) => outcome,
        };
        self.push(when, Ev::Answer(at, life, id, outcome));
    }

    fn serve(&mut self, at: usize, request: Request) -> Outcome {
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
                let leases = self.table.scan(now, lag, miss, &mut self.random, foreign);
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
                self.forge(at, &mut row);
                Outcome::Row(row.map(Box::new))
            }
            Request::Create(lease) => {
                if self.defect == Some(Defect::NoChildren) && !lease.parents.is_empty() {
                    return Outcome::Applied;
                }
                answer(
                    self.table.create(*lease, now, &mut self.inv, &self.stream),
                    true,
                )
            }
            Request::Update(update) => {
                let shows = self.random.chance(700);
                let whole = self.defect == Some(Defect::WholeRow);
                let written = self
                    .table
                    .update(&update, whole, now, &mut self.inv, &self.stream);
                if matches!(written, Written::Applied) && is_take(&update) {
                    let since = self.three_x_since;
                    let fresh = self.workers[at].resumed_at + 90_000 > now;
                    if since.is_some_and(|since| since + 90_000 < now) && !fresh {
                        self.inv
                            .violate(now, || format!("I18 {} is taken in mode 3.x", update.key));
                    }
                }
                answer(written, shows)
            }
            Request::Delete { key, counter } => answer(
                self.table
                    .delete(&key, counter, now, &mut self.inv, &self.stream),
                true,
            ),
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

    /// Defects in what the coordinator is told about relatives.
    fn forge(&self, at: usize, row: &mut Option<Lease>) {
        let Some(lease) = row else { return };
        let is_ours = lease.owner.as_ref() == Some(&self.workers[at].id);
        match self.defect {
            Some(Defect::ChildBeforeParent) if !is_ours => lease.checkpoint = Checkpoint::ShardEnd,
            Some(Defect::EarlyDelete) if lease.checkpoint == Checkpoint::TrimHorizon => {
                lease.checkpoint = Checkpoint::Latest;
            }
            _ => {}
        }
    }

    fn learn(&mut self, at: usize, decision: Decision) {
        self.trace(at as u64, std::mem::discriminant(&decision));
        if self.is_verbose {
            println!("{} ms, worker {at}: {decision:?}", self.now);
        }
        if let Decision::Taken { key, why, .. } = decision {
            if why == TakeReason::Stolen {
                self.inv.stolen.insert(key.clone(), self.now);
            }
            // A row deleted by hand is free for everybody before its owner can know.
            let shard = self.stream.index(&key);
            let is_fresh_loot = self.inv.tampered.contains(&shard)
                || self
                    .inv
                    .stolen
                    .get(&key)
                    .is_some_and(|stolen| stolen + 10_000 > self.now);
            let landed_late = self.inv.landed_steals.get(&key);
            let is_fresh_loot = is_fresh_loot
                || (why == TakeReason::Regained
                    && landed_late.is_some_and(|at| at + 10_000 > self.now));
            for (other, worker) in self.workers.iter().enumerate() {
                if !is_fresh_loot && other != at && worker.holds(&key, self.now) {
                    self.inv
                        .violate(self.now, || format!("I5 {key} is held by {other} and {at}"));
                }
            }
            let worker = &self.workers[at];
            let now = worker.instant(self.now);
            let is_taken = |key: &LeaseKey| {
                let last = worker.taken.iter().rev().find(|(_, taken, _)| taken == key);
                last.is_none_or(|(.., why)| *why != TakeReason::Regained)
            };
            let count = worker
                .coordinator
                .holds(now)
                .filter(|(key, _)| is_taken(key))
                .count();
            if why != TakeReason::Regained && count > self.workers[at].config.max_leases.get() {
                self.inv
                    .violate(self.now, || format!("I14 {at} holds {count}"));
            }
            self.workers[at].taken.push((self.now, key, why));
        }
    }

    fn start_reader(&mut self, at: usize, grant: Grant) {
        let shard = self.stream.index(&grant.key);
        let horizon = self.stream.horizon(shard, self.now);
        let mut next = match (grant.from, grant.start_at) {
            (Checkpoint::Latest, Some(_)) if self.defect == Some(Defect::LatestAgain) => {
                self.stream.count(shard, self.now)
            }
            (Checkpoint::Latest | Checkpoint::AtTimestamp, Some(time)) => {
                self.stream.since(shard, time.0.max(0) as u64)
            }
            (Checkpoint::Latest, None) => self.stream.count(shard, self.now),
            (Checkpoint::Sequence { .. }, _) => self.stream.after(shard, grant.from),
            _ => horizon,
        };
        let (key, token) = (grant.key.clone(), grant.token);
        let is_trimmed = next < horizon;
        if is_trimmed {
            self.inv.gap(shard, horizon);
            next = horizon;
        }
        let tracker = Tracker::new(grant.from);
        let reader = Reader {
            shard,
            token,
            next,
            tracker,
            open: 0,
            stop: None,
            has_ended: false,
            has_started: false,
        };
        if self.workers[at]
            .readers
            .insert(key.clone(), reader)
            .is_some()
        {
            self.inv.violate(self.now, || {
                format!("{key} is started while its last reader runs")
            });
        }
        let life = self.workers[at].life;
        self.push(self.now + 5, Ev::Read(at, life, key.clone(), token));
        if is_trimmed {
            let resumed = Checkpoint::at(self.stream.number(shard, next));
            self.push(
                self.now,
                Ev::Tell(
                    at,
                    life,
                    Event::Trimmed {
                        key,
                        token,
                        resumed,
                    },
                ),
            );
        }
    }

    pub(crate) fn read(&mut self, at: usize, key: LeaseKey, token: Token) {
        let (now, life) = (self.now, self.workers[at].life);
        let Some(reader) = self.workers[at].readers.get_mut(&key) else {
            return;
        };
        if reader.token != token || reader.stop.is_some() || reader.has_ended {
            return;
        }
        let shard = reader.shard;
        if !reader.has_started {
            reader.has_started = true;
            self.inv.started(shard, &self.table, now, &self.stream);
        }
        let count = self.stream.count(shard, now);
        let horizon = self.stream.horizon(shard, now);
        if reader.next < horizon {
            self.inv.gap(shard, horizon);
            reader.next = horizon;
        }
        let until = count.min(reader.next + 40);
        let skips = self.defect == Some(Defect::SkippedBatch) && self.random.chance(50);
        let delivered: Vec<(usize, Ticket)> = (reader.next..until)
            .map(|record| {
                (
                    record,
                    reader
                        .tracker
                        .open(Checkpoint::at(self.stream.number(shard, record))),
                )
            })
            .collect();
        reader.next = until;
        reader.open += delivered.len();
        let last = delivered.last().map(|(record, _)| *record);
        for (record, ticket) in delivered {
            let delay = 5 + self.random.below(1500);
            self.push(
                now + delay,
                Ev::Settle(at, life, key.clone(), token, ticket, record, !skips),
            );
        }
        if let (Some(Defect::AcknowledgedOnDelivery), Some(last)) = (self.defect, last) {
            let upto = Checkpoint::at(self.stream.number(shard, last));
            self.push(
                now,
                Ev::Tell(
                    at,
                    life,
                    Event::Acknowledged {
                        key: key.clone(),
                        token,
                        upto,
                    },
                ),
            );
        }
        self.finish(at, &key);
        let pause = 300 + self.random.below(700);
        self.push(now + pause, Ev::Read(at, life, key, token));
    }

    pub(crate) fn settle(
        &mut self,
        at: usize,
        key: LeaseKey,
        token: Token,
        ticket: Ticket,
        record: usize,
        accepted: bool,
    ) {
        let highest = self.workers[at].highest;
        let Some(reader) = self.workers[at].readers.get_mut(&key) else {
            return;
        };
        if reader.token != token {
            return;
        }
        let shard = reader.shard;
        if accepted {
            self.inv.accept(shard, record);
        }
        reader.open -= 1;
        let delta = reader.tracker.close(ticket);
        let own = u128::from(self.stream.time(shard, record)) * 1000 + 1;
        let upto = match self.defect {
            Some(Defect::HighestPosition) => Some(Checkpoint::at(own.into())),
            Some(Defect::SharedPosition) => Some(Checkpoint::at(own.max(highest).into())),
            _ => delta.map(|delta| delta.to),
        };
        self.workers[at].highest = highest.max(own);
        if let Some(upto) = upto {
            self.tell(
                at,
                Event::Acknowledged {
                    key: key.clone(),
                    token,
                    upto,
                },
            );
        }
        self.finish(at, &key);
    }

    /// Reports the end of the shard or of the reader once everything is settled.
    fn finish(&mut self, at: usize, key: &LeaseKey) {
        let (now, life) = (self.now, self.workers[at].life);
        let early = self.defect == Some(Defect::EarlyEnd);
        let Some(reader) = self.workers[at].readers.get_mut(key) else {
            return;
        };
        let (shard, token) = (reader.shard, reader.token);
        let at_end = self.stream.shards[shard].closed.is_some()
            && reader.next >= self.stream.count(shard, now);
        let is_settled = reader.open == 0;
        if reader.stop.is_none() && !reader.has_ended && at_end && (is_settled || early) {
            reader.has_ended = true;
            let key = key.clone();
            let event = if self.stream.is_listed(shard, now) {
                Event::ShardEnded {
                    key,
                    token,
                    children: self.stream.children(shard),
                }
            } else {
                Event::ShardGone { key, token }
            };
            self.push(now, Ev::Tell(at, life, event));
        }
        let Some(reader) = self.workers[at].readers.get(key) else {
            return;
        };
        if reader.stop.is_some() && reader.open == 0 {
            self.workers[at].readers.remove(key);
            self.push(
                now + 1,
                Ev::Tell(
                    at,
                    life,
                    Event::Stopped {
                        key: key.clone(),
                        token,
                    },
                ),
            );
        }
    }

    fn stop_reader(&mut self, at: usize, key: LeaseKey, token: Token, reason: StopReason) {
        let (now, life) = (self.now, self.workers[at].life);
        let ends = self.defect == Some(Defect::StopAcknowledgesAll);
        let Some(reader) = self.workers[at].readers.get_mut(&key) else {
            return;
        };
        if reader.token != token {
            return;
        }
        reader.stop = Some(reason);
        if reason != StopReason::Shutdown {
            // Nothing is waited for: what is open is dropped.
            reader.open = 0;
        }
        if ends && reader.next > 0 {
            reader.open = 0;
            let upto = Checkpoint::at(self.stream.number(reader.shard, reader.next - 1));
            self.push(
                now,
                Ev::Tell(
                    at,
                    life,
                    Event::Acknowledged {
                        key: key.clone(),
                        token,
                        upto,
                    },
                ),
            );
        }
        self.finish(at, &key);
    }
}

const TIMEOUT: Millis = 3000;
