//! Virtual time, the queue of events, and the run of one seed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use forebay_lease::{
    CallId, Config, Event, LeaseKey, Outcome, Request, StartPosition, Ticket, Timestamp, Token,
};

use crate::faults::{Defect, Faults, Millis};
use crate::invariants::Invariants;
use crate::java::Java;
use crate::stream::Stream;
use crate::table::Table;
use crate::worker::Worker;

pub(crate) enum Ev {
    Wake(usize, u64),
    Arrive(usize, u64, Option<CallId>, Request),
    Answer(usize, u64, CallId, Outcome),
    Tell(usize, u64, Event),
    Read(usize, u64, LeaseKey, Token),
    Settle(usize, u64, LeaseKey, Token, Ticket, usize, bool),
    JavaTake(usize),
    JavaRenew(usize),
    Crash,
    Restart(usize),
    Pause,
    Park,
    Unpark(usize, u64),
    Reshard,
    ThreeX(bool),
    DeleteByHand,
    Heal,
}

pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) base: Instant,
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) defect: Option<Defect>,
    pub(crate) table: Table,
    pub(crate) stream: Stream,
    pub(crate) workers: Vec<Worker>,
    pub(crate) java: Vec<Java>,
    pub(crate) inv: Invariants,
    pub(crate) three_x_since: Option<Millis>,
    pub(crate) hash: DefaultHasher,
    pub(crate) events: u64,
    /// Prints every decision.
    pub(crate) is_verbose: bool,
    queue: BTreeMap<(Millis, u64), Ev>,
    pushed: u64,
}

/// What a world is made of.
pub(crate) struct Setup {
    pub(crate) workers: usize,
    pub(crate) java: usize,
    pub(crate) shards: usize,
    pub(crate) start: StartPosition,
    pub(crate) config: Config,
    pub(crate) period: Millis,
}

impl World {
    #[expect(
        clippy::disallowed_methods,
        reason = "the origin of virtual time; only differences count"
    )]
    pub(crate) fn new(seed: u64, setup: &Setup, faults: Faults, defect: Option<Defect>) -> Self {
        let mut world = Self {
            now: 100_000,
            base: Instant::now(),
            random: Random(seed),
            faults,
            defect,
            table: Table::default(),
            stream: Stream::new(setup.shards, setup.period),
            workers: Vec::new(),
            java: Vec::new(),
            inv: Invariants::default(),
            three_x_since: None,
            hash: DefaultHasher::new(),
            events: 0,
            is_verbose: std::env::var_os("FOREBAY_SEED").is_some(),
            queue: BTreeMap::new(),
            pushed: 0,
        };
        world.table.put_foreign("a-foreign-item");
        for at in 0..setup.java {
            world.java.push(Java::new(&format!("java-{at}")));
            world.push(world.now + 500 + at as u64 * 700, Ev::JavaTake(at));
            world.push(world.now + 900 + at as u64 * 700, Ev::JavaRenew(at));
        }
        for at in 0..setup.workers {
            let id = format!("worker-{at}").parse().expect("id");
            let life = seed.wrapping_mul(1000).wrapping_add(at as u64);
            let worker = Worker::new(id, setup.config.clone(), setup.start, life, &world);
            world.push(world.now + at as u64 * 100, Ev::Wake(at, life));
            world.workers.push(worker);
            world.workers[at].wake_at = world.now + at as u64 * 100;
        }
        let faults = world.faults.clone();
        for (mean, event) in [
            (faults.crash_every, Ev::Crash),
            (faults.pause_every, Ev::Pause),
            (faults.reshard_every, Ev::Reshard),
            (faults.park_every, Ev::Park),
        ] {
            if mean > 0 {
                let at = world.now + world.random.below(mean * 2);
                world.push(at, event);
            }
        }
        if faults.three_x {
            let at = world.now + world.random.below(600_000);
            world.push(at, Ev::ThreeX(true));
            world.push(at + 300_000, Ev::ThreeX(false));
        }
        if faults.deletes {
            let at = world.now + 60_000 + world.random.below(600_000);
            world.push(at, Ev::DeleteByHand);
        }
        if faults.heal_at > 0 {
            world.push(world.now + faults.heal_at, Ev::Heal);
        }
        world
    }

    pub(crate) fn push(&mut self, at: Millis, event: Ev) {
        self.pushed += 1;
        self.queue.insert((at, self.pushed), event);
    }

    pub(crate) fn hits(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.random.chance(thousandths)
    }

    pub(crate) fn trace(&mut self, at: u64, what: impl Hash) {
        (self.now, at, what).hash(&mut self.hash);
    }

    /// Runs until a time, or until the first violation.
    pub(crate) fn run_until(&mut self, end: Millis) {
        while self.inv.violation.is_none() {
            let Some(entry) = self.queue.first_entry() else {
                break;
            };
            if entry.key().0 > end {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.events += 1;
            self.step(event);
        }
        self.now = self.now.max(end);
    }

    fn step(&mut self, event: Ev) {
        let worker = match &event {
            Ev::Wake(at, life)
            | Ev::Answer(at, life, ..)
            | Ev::Tell(at, life, _)
            | Ev::Read(at, life, ..)
            | Ev::Settle(at, life, ..)
            | Ev::Unpark(at, life) => Some((*at, *life)),
            _ => None,
        };
        if let Some((at, life)) = worker {
            let worker = &self.workers[at];
            if !worker.is_alive || worker.life != life {
                return;
            }
            if worker.paused_until > self.now {
                let until = worker.paused_until;
                if let Ev::Wake(..) = &event {
                    self.workers[at].wake_at = until;
                }
                self.push(until, event);
                return;
            }
        }
        match event {
            Ev::Wake(at, _) if self.workers[at].wake_at <= self.now => self.wake(at),
            Ev::Wake(..) => {}
            Ev::Arrive(at, life, id, request) => self.arrive(at, life, id, request),
            Ev::Answer(at, _, id, outcome) => self.tell(at, Event::Answer { id, outcome }),
            Ev::Tell(at, _, event) => self.tell(at, event),
            Ev::Read(at, _, key, token) => self.read(at, key, token),
            Ev::Settle(at, _, key, token, ticket, record, accepted) => {
                self.settle(at, key, token, ticket, record, accepted)
            }
            Ev::JavaTake(at) => self.java_take(at),
            Ev::JavaRenew(at) => self.java_renew(at),
            Ev::Crash
            | Ev::Pause
            | Ev::Park
            | Ev::Reshard
            | Ev::ThreeX(true)
            | Ev::DeleteByHand
                if self.faults.heal_at == 0 => {}
            Ev::Crash => self.crash(),
            Ev::Restart(at) => self.restart(at),
            Ev::Pause => self.pause(),
            Ev::Park => self.park(),
            Ev::Unpark(at, _) => {
                let now = self.workers[at].instant(self.now);
                self.workers[at].coordinator.unpark(now);
                self.pump(at);
            }
            Ev::Reshard => self.reshard(),
            Ev::ThreeX(on) => self.three_x_since = on.then_some(self.now),
            Ev::DeleteByHand => self.delete_by_hand(),
            Ev::Heal => self.heal(),
        }
    }

    fn again(&mut self, mean: Millis, event: Ev) {
        if mean > 0 && self.faults.heal_at > 0 {
            let at = self.now + 1 + self.random.below(mean * 2);
            self.push(at, event);
        }
    }

    fn crash(&mut self) {
        self.again(self.faults.crash_every, Ev::Crash);
        let all = (self.workers.len() + self.java.len()) as u64;
        let at = self.random.below(all) as usize;
        let back = self.now + 100 + self.random.below(40_000);
        if let Some(worker) = self.workers.get_mut(at) {
            worker.is_alive = false;
        } else {
            self.java_crash(at - self.workers.len(), false);
        }
        self.push(back, Ev::Restart(at));
    }

    fn restart(&mut self, at: usize) {
        if at >= self.workers.len() {
            self.java_crash(at - self.workers.len(), true);
            return;
        }
        if self.workers[at].is_alive {
            return;
        }
        let life = self.random.next();
        let same = self.random.chance(500);
        let id = self.workers[at].id.clone();
        let id = if same {
            id
        } else {
            format!("worker-{at}-{}", life % 1000).parse().expect("id")
        };
        let worker = self.workers[at].restart(id, life, self);
        self.workers[at] = worker;
        self.pump(at);
    }

    fn pause(&mut self) {
        self.again(self.faults.pause_every, Ev::Pause);
        let at = self.random.below(self.workers.len() as u64) as usize;
        let length = [5_000, 10_000, 20_000, 100_000][self.random.below(4) as usize];
        self.workers[at].paused_until = self.now + length;
        self.workers[at].resumed_at = self.now + length;
    }

    fn park(&mut self) {
        self.again(self.faults.park_every, Ev::Park);
        let at = self.random.below(self.workers.len() as u64) as usize;
        if self.workers[at].is_alive && self.workers[at].paused_until <= self.now {
            let now = self.workers[at].instant(self.now);
            self.workers[at].coordinator.park(now);
            self.pump(at);
            let (life, back) = (
                self.workers[at].life,
                self.now + 1000 + self.random.below(60_000),
            );
            self.push(back, Ev::Unpark(at, life));
        }
    }

    fn reshard(&mut self) {
        self.again(self.faults.reshard_every, Ev::Reshard);
        let open: Vec<usize> = (0..self.stream.shards.len())
            .filter(|at| self.stream.shards[*at].closed.is_none())
            .collect();
        let at = open[self.random.below(open.len() as u64) as usize];
        if open.len() < 12 && (open.len() < 3 || self.random.chance(500)) {
            self.stream.split(at, self.now);
        } else {
            self.stream.merge(at, self.now);
        }
    }

    fn delete_by_hand(&mut self) {
        // An open shard that somebody is reading: the hard case of a lease that vanishes.
        let held: Vec<LeaseKey> = self
            .table
            .leases()
            .filter(|row| {
                self.workers
                    .iter()
                    .any(|worker| worker.holds(&row.key, self.now))
            })
            .map(|row| row.key.clone())
            .collect();
        if let Some(key) = held.first() {
            let shard = self.stream.index(key);
            self.inv.tampered.insert(shard);
            self.table.remove(key, self.now);
        }
    }

    fn heal(&mut self) {
        self.faults = Faults {
            drift: self.faults.drift,
            ..Faults::none()
        };
        self.three_x_since = None;
        for at in 0..self.workers.len() {
            if self.workers[at].paused_until > self.now {
                self.workers[at].paused_until = self.now + 1;
            }
            self.push(self.now + 2, Ev::Restart(at));
        }
        for at in 0..self.java.len() {
            if !self.java[at].is_alive {
                self.java_crash(at, true);
            }
        }
    }

    /// What must be true once everything has been calm for a while (I3, I15, I16).
    pub(crate) fn check_healed(&mut self, calm_since: Millis) {
        let now = self.now;
        for shard in 0..self.stream.shards.len() {
            let expected = self.stream.count(shard, now.saturating_sub(60_000));
            let done = self.inv.done(shard);
            let is_gone = !self.stream.is_listed(shard, now);
            let leased = self.inv.is_leased(shard);
            // Closed before the first start: nobody ever asked for it.
            let is_wanted = leased || self.stream.shards[shard].closed.is_none();
            if done < expected && is_wanted && !is_gone {
                self.inv.violate(now, || {
                    format!("I15 shard {shard}: {done} of {expected} records accepted")
                });
            }
        }
        let mut open: Vec<LeaseKey> = Vec::new();
        for row in self
            .table
            .leases()
            .filter(|row| !row.checkpoint.is_shard_end())
        {
            open.push(row.key.clone());
        }
        for key in open {
            let holders = self
                .workers
                .iter()
                .filter(|worker| worker.holds(&key, now))
                .count()
                + self.java.iter().filter(|java| java.holds(&key)).count();
            let is_fresh_loot = self
                .inv
                .stolen
                .get(&key)
                .is_some_and(|at| at + 10_000 > now);
            if holders != 1 && !(is_fresh_loot && holders == 2) {
                let row = self.table.read(&key).cloned();
                self.inv
                    .violate(now, || format!("I15 {key} has {holders} holders: {row:?}"));
            }
        }
        if self.inv.changed_at + 180_000 > now {
            // Leases of ended shards are still going; each one moves the balance.
            return;
        }
        let counts: Vec<usize> = self
            .workers
            .iter()
            .map(|worker| worker.count(now))
            .chain(self.java.iter().map(Java::count))
            .collect();
        let spread = counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0);
        if spread > 1 {
            self.inv
                .violate(now, || format!("I15 loads are {counts:?}"));
        }
        for (at, worker) in self.workers.iter().enumerate() {
            if let Some((time, key, why)) =
                worker.taken.iter().find(|(time, ..)| *time > calm_since)
            {
                self.inv
                    .violate(now, || format!("I16 {at} takes {key} at {time}: {why:?}"));
                break;
            }
        }
    }
}

/// One seed: 30 virtual minutes under drawn faults, the last eight calm.
pub(crate) fn run(seed: u64, defect: Option<Defect>) -> World {
    let mut random = Random(seed ^ 0x5EED);
    let faults = Faults::draw(&mut random);
    let java = if random.chance(250) {
        1 + random.below(2) as usize
    } else {
        0
    };
    let start = match random.below(4) {
        0 | 1 if java == 0 => StartPosition::Latest,
        2 if java == 0 => StartPosition::AtTimestamp(Timestamp(random.below(100_000) as i64)),
        _ => StartPosition::TrimHorizon,
    };
    let limit = if random.chance(900) { 1000 } else { 40 };
    let config = Config {
        max_leases: NonZeroUsize::new(limit).expect("not zero"),
        cleanup_after: Duration::from_secs(60),
        audit_interval: Duration::from_secs(60),
        ..Config::default()
    };
    let setup = Setup {
        workers: 1 + random.below(4) as usize,
        java,
        shards: 1 + random.below(6) as usize,
        start,
        config,
        period: 1000 + random.below(4000),
    };
    let mut world = World::new(seed, &setup, faults, defect);
    if random.chance(250) {
        world.stream.retention = 600_000;
    }
    let end = world.now + 30 * 60_000;
    world.run_until(end);
    if world.inv.violation.is_none() {
        world.check_healed(end - 60_000);
    }
    world
}

/// SplitMix64.
#[derive(Clone)]
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    pub(crate) fn chance(&mut self, thousandths: u64) -> bool {
        self.below(1000) < thousandths
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for size in (2..=items.len()).rev() {
            let other = self.below(size as u64) as usize;
            items.swap(size - 1, other);
        }
    }
}
