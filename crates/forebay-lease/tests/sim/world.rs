//! Virtual time, the queue of events, and the run of one seed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use forebay_lease::{
    CallId, Config, Event, LeaseKey, Outcome, Request, StartPosition, TakeReason, Ticket,
    Timestamp, Token,
};

use crate::defects::Defect;
use crate::faults::{Faults, Millis};
use crate::invariants::Invariants;
use crate::java::Java;
use crate::stream::Stream;
use crate::table::Table;
use crate::worker::Worker;

pub(crate) enum Ev {
    Wake(usize, u64),
    Arrive(usize, u64, Option<CallId>, Request),
    Answer(usize, u64, CallId, Outcome),
    /// Who holds this lease?
    Check(LeaseKey),
    Tell(usize, u64, Event),
    Read(usize, u64, LeaseKey, Token),
    Settle(usize, u64, LeaseKey, Token, Ticket, usize, bool),
    JavaTake(usize),
    JavaRenew(usize),
    Crash,
    Stop,
    Kill(usize, u64),
    Cut,
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
    /// No pause and no cut lasts longer.
    pub(crate) healed_at: Millis,
    pub(crate) base: Instant,
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) defect: Option<Defect>,
    pub(crate) table: Table,
    pub(crate) stream: Stream,
    pub(crate) workers: Vec<Worker>,
    pub(crate) java: Vec<Java>,
    pub(crate) inv: Invariants,
    /// Why a worker takes what it is taking.
    pub(crate) intents: BTreeMap<(usize, u64, LeaseKey), TakeReason>,
    /// The event in which each take of each worker and life landed.
    pub(crate) took: BTreeMap<(usize, u64, LeaseKey), u64>,
    /// Event and time of each steal that landed.
    pub(crate) steals: BTreeMap<LeaseKey, Vec<(u64, Millis)>>,
    pub(crate) three_x_since: Option<Millis>,
    pub(crate) hash: DefaultHasher,
    pub(crate) events: u64,
    /// Prints every decision.
    pub(crate) is_verbose: bool,
    /// Boxed: an event is wider than what the map should move about.
    queue: BTreeMap<(Millis, u64), Box<Ev>>,
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
            now: EPOCH,
            healed_at: EPOCH + faults.heal_at,
            base: Instant::now(),
            random: Random(seed),
            faults,
            defect,
            table: Table::default(),
            stream: Stream::new(setup.shards, setup.period),
            workers: Vec::new(),
            java: Vec::new(),
            inv: Invariants::default(),
            intents: BTreeMap::new(),
            took: BTreeMap::new(),
            steals: BTreeMap::new(),
            three_x_since: None,
            hash: DefaultHasher::new(),
            events: 0,
            is_verbose: std::env::var_os("FOREBAY_SEED").is_some(),
            queue: BTreeMap::new(),
            pushed: 0,
        };
        world.table.put_foreign("a-foreign-item");
        world.inv.has_java = setup.java > 0;
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
            (faults.stop_every, Ev::Stop),
            (faults.cut_every, Ev::Cut),
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
        self.queue.insert((at, self.pushed), Box::new(event));
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
            self.step(*event);
        }
        self.now = self.now.max(end);
    }

    fn step(&mut self, event: Ev) {
        let worker = match &event {
            Ev::Wake(at, life)
            | Ev::Answer(at, life, ..)
            | Ev::Kill(at, life)
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
            Ev::Answer(at, _, id, outcome) => self.answered(at, id, outcome),
            Ev::Check(key) => self.check_holders(&key, None),
            Ev::Tell(at, _, event) => self.tell(at, event),
            Ev::Read(at, _, key, token) => self.read(at, key, token),
            Ev::Settle(at, _, key, token, ticket, record, accepted) => {
                self.settle(at, key, token, ticket, record, accepted)
            }
            Ev::JavaTake(at) => self.java_take(at),
            Ev::JavaRenew(at) => self.java_renew(at),
            Ev::Crash
            | Ev::Stop
            | Ev::Cut
            | Ev::Pause
            | Ev::Park
            | Ev::Reshard
            | Ev::ThreeX(true)
            | Ev::DeleteByHand
                if self.faults.heal_at == 0 => {}
            Ev::Crash => self.crash(),
            Ev::Stop => self.stop(),
            Ev::Kill(at, _) => {
                self.check_stopped(at);
                self.workers[at].is_alive = false;
            }
            Ev::Cut => self.cut(),
            Ev::Restart(at) => self.restart(at),
            Ev::Pause => self.pause(),
            Ev::Park => self.park(),
            Ev::Unpark(at, _) => {
                if std::mem::take(&mut self.workers[at].is_parked) {
                    self.check_stopped(at);
                }
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
}

/// One seed: 30 virtual minutes under drawn faults, the last eight calm.
pub(crate) fn run(seed: u64, defect: Option<Defect>) -> World {
    let mut random = Random(seed ^ 0x5EED);
    let mut faults = Faults::draw(&mut random);
    if Random(seed ^ 0xDE1E).chance(150) {
        (faults.deletes, faults.deletes_unseen) = (true, true);
    }
    let java = if random.chance(250) {
        1 + random.below(2) as usize
    } else {
        0
    };
    let start = match random.below(4) {
        0 | 1 if java == 0 => StartPosition::Latest,
        2 if java == 0 => StartPosition::AtTimestamp(Timestamp(random.below(EPOCH) as i64)),
        _ => StartPosition::TrimHorizon,
    };
    let limit = if random.chance(850) {
        1000
    } else {
        3 + random.below(6) as usize
    };
    let config = Config {
        max_leases: NonZeroUsize::new(limit).expect("not zero"),
        checkpoint_interval: Duration::from_secs([0, 0, 0, 20][random.below(4) as usize]),
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
    if random.chance(500) {
        world.stream.live_before(EPOCH, &mut random);
    }
    let end = world.now + 30 * 60_000;
    let healed = world.now + world.faults.heal_at;
    world.run_until(healed + 120_000);
    world.check_held();
    world.run_until(end);
    if world.inv.violation.is_none() {
        world.check_healed(end - 60_000);
    }
    world
}

/// When a run begins: the stream is older.
const EPOCH: Millis = 1_000_000;

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
