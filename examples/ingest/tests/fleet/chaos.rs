//! Everything that goes wrong in the field, at random and at once: kills, freezes, networks, AWS, the receiver,
//! reshards, credentials.
//!
//! `FOREBAY_CHAOS_SECONDS` sets how long (60; 1,800 with `FOREBAY_TIER=nightly`), `FOREBAY_SEED` repeats the choices,
//! `FOREBAY_CHAOS_LOGS` names a folder to which the logs of the processes are copied.

use std::{collections::BTreeMap, fs, net::Ipv4Addr, sync::PoisonError, time::Duration};

use tokio::time::Instant;

use forebay_localaws::{Fault, FaultRule, Service, ServiceError};
use forebay_tests::{Random, Signal, scale};

use crate::{
    health::Health,
    proxy::{Proxy, Weather},
    scene::{FAILOVER, PROCESSES, Scene, seed},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_goes_wrong() {
    let length = match std::env::var("FOREBAY_CHAOS_SECONDS") {
        Ok(seconds) => seconds.parse().expect("FOREBAY_CHAOS_SECONDS is a number"),
        Err(_) => scale(60, 1_800, 28_800),
    };
    let seed = seed();
    println!("seed {seed}");
    let mut scene = Scene::start().await;
    let mut chaos = Chaos::before(&mut scene, seed).await;
    for worker in 0..PROCESSES {
        scene.launch(worker);
    }
    scene.wait_for_leases().await;
    let end = Instant::now() + Duration::from_secs(length);
    let mut health = Health::default();
    let mut next_look = Instant::now();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
        chaos.turn(&mut scene);
        if Instant::now() >= next_look {
            next_look += Duration::from_millis(500);
            scene.check_running().await;
            health.look(
                scene.running[SURVIVOR]
                    .as_ref()
                    .expect("it is never killed"),
            );
        }
    }
    chaos.heal(&mut scene);
    let account = scene.finish().await;
    println!("\n{account}\n\n| what was done to them in {length} s | times |\n|---|---:|");
    for (act, times) in &chaos.done {
        println!("| {} | {times} |", act.told());
    }
    println!("\n{health}");
    if let Some(folder) = std::env::var_os("FOREBAY_CHAOS_LOGS") {
        scene.copy_logs(folder.as_ref());
    }
    account.check();
    health.check(MEMORY_SLACK, DESCRIPTOR_SLACK);
}

/// Frozen and cut off like the others, but never killed, so that what it holds can be watched.
const SURVIVOR: usize = 0;

/// One kind of thing that goes wrong.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Act {
    Kill,
    Freeze,
    Network(Place),
    Model,
    Split,
    Merge,
    Expire,
}

impl Act {
    fn told(self) -> String {
        let told = match self {
            Self::Kill => "kill -9, restart after 0 to 5 s",
            Self::Freeze => "SIGSTOP for longer than the failover time, SIGCONT",
            Self::Network(place) => {
                return format!("{place:?}: latency, resets, black hole or lost answers");
            }
            Self::Model => "AWS: throttles, 500s, lost calls, late, cut or stale answers",
            Self::Split => "split of a shard",
            Self::Merge => "merge of two shards",
            Self::Expire => "end of the session's credentials",
        };
        told.to_owned()
    }
}

/// What a proxy stands before.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Place {
    Kinesis,
    DynamoDb,
    Sqs,
    S3,
    Receiver,
}

/// As [`Endpoints::all`].
///
/// [`Endpoints::all`]: crate::scene::Endpoints::all
const PLACES: [Place; 5] = [
    Place::Kinesis,
    Place::DynamoDb,
    Place::Sqs,
    Place::S3,
    Place::Receiver,
];

const ACTS: [Act; 11] = [
    Act::Kill,
    Act::Freeze,
    Act::Network(Place::Kinesis),
    Act::Network(Place::DynamoDb),
    Act::Network(Place::Sqs),
    Act::Network(Place::S3),
    Act::Network(Place::Receiver),
    Act::Model,
    Act::Split,
    Act::Merge,
    Act::Expire,
];

/// The choices, and what is going on.
struct Chaos {
    random: Random,
    proxies: BTreeMap<Place, Proxy>,
    /// When the weather before a place is fair again.
    fair: BTreeMap<Place, Instant>,
    /// Acts not yet played of this round: each comes once, in an order by chance.
    deck: Vec<Act>,
    next: Instant,
    /// When a killed process is started again, when a frozen one is thawed.
    restart: [Option<Instant>; PROCESSES],
    thaw: [Option<Instant>; PROCESSES],
    session: u32,
    done: BTreeMap<Act, u32>,
}

impl Chaos {
    /// Stands between the processes and everything else.
    async fn before(scene: &mut Scene, seed: u64) -> Self {
        let mut proxies = BTreeMap::new();
        for (place, endpoint) in PLACES.into_iter().zip(scene.endpoints.all()) {
            let target = endpoint.parse().expect("an address");
            let proxy = Proxy::before(target, Ipv4Addr::LOCALHOST.into()).await;
            *endpoint = proxy.address.to_string();
            proxies.insert(place, proxy);
        }
        // Outages last longer than this: leases are given back and taken again.
        scene.more = "[throttle]\nrelease_leases_after = \"4s\"";
        scene.credentials = "profile = \"sessions\"".to_owned();
        let session = scene.folder.path().join("session");
        fs::write(
            scene.folder.path().join("aws"),
            format!(
                "[profile sessions]\ncredential_process = cat {}\n",
                session.display()
            ),
        )
        .expect("written");
        let mut chaos = Self {
            random: Random::new(seed),
            proxies,
            fair: BTreeMap::new(),
            deck: Vec::new(),
            next: Instant::now() + Duration::from_secs(5),
            restart: [None; PROCESSES],
            thaw: [None; PROCESSES],
            session: 0,
            done: BTreeMap::new(),
        };
        chaos.renew_session(scene);
        chaos
    }

    /// Ends what is over and begins what is due.
    fn turn(&mut self, scene: &mut Scene) {
        let now = Instant::now();
        for worker in 0..PROCESSES {
            if self.restart[worker].is_some_and(|at| at <= now) {
                self.restart[worker] = None;
                scene.launch(worker);
            }
            if self.thaw[worker].is_some_and(|at| at <= now) {
                self.signal(scene, worker, None);
            }
        }
        let over: Vec<Place> = self
            .fair
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(place, _)| *place)
            .collect();
        for place in over {
            self.fair.remove(&place);
            self.proxies[&place].set(Weather::Fair);
        }
        if self.next > now {
            return;
        }
        self.next = now + self.time(500..=2_500);
        if self.deck.is_empty() {
            self.deck = ACTS.to_vec();
        }
        let drawn = self.random.below(self.deck.len() as u64) as usize;
        let act = self.deck.swap_remove(drawn);
        if self.play(scene, act) {
            *self.done.entry(act).or_default() += 1;
        }
    }

    /// Begins an act; whether it could be.
    fn play(&mut self, scene: &mut Scene, act: Act) -> bool {
        let now = Instant::now();
        match act {
            Act::Kill => {
                let victim = 1 + self.random.below(PROCESSES as u64 - 1) as usize;
                let Some(mut process) = scene.running[victim].take() else {
                    return false;
                };
                process.kill().expect("it runs");
                self.thaw[victim] = None;
                self.restart[victim] = Some(now + self.time(0..=5_000));
                true
            }
            Act::Freeze => {
                let victim = self.random.below(PROCESSES as u64) as usize;
                if scene.running[victim].is_none() || self.thaw[victim].is_some() {
                    return false;
                }
                let failover = FAILOVER.as_millis() as u64;
                let until = now + self.time(failover + 500..=failover * 3);
                self.signal(scene, victim, Some(until));
                true
            }
            Act::Network(place) => {
                let weather = match self.random.below(4) {
                    0 => Weather::Delay(self.time(20..=400)),
                    1 => Weather::Reset,
                    2 => Weather::Hole,
                    _ => Weather::Mute,
                };
                let until = now + self.time(500..=8_000);
                self.proxies[&place].set(weather);
                self.fair.insert(place, until);
                true
            }
            Act::Model => {
                let service = match self.random.below(4) {
                    0 => Service::Kinesis,
                    1 => Service::DynamoDb,
                    2 => Service::Sqs,
                    _ => Service::S3,
                };
                let faults = [
                    Fault::Throttle,
                    Fault::ServerError,
                    Fault::ServerErrorAfterEffect,
                    Fault::LoseRequest,
                    Fault::LoseAnswer,
                    Fault::Delay(700),
                    Fault::CutBody(40),
                    Fault::StaleRead,
                ];
                let fault = faults[self.random.below(faults.len() as u64) as usize].clone();
                let parts = [200_000, 1_000_000][self.random.below(2) as usize];
                let (from, length) = ((scene.clock)(), self.random.between(500..=6_000));
                let rule = FaultRule::new(fault).service(service).per_million(parts);
                let mut cloud = scene.cloud.lock().unwrap_or_else(PoisonError::into_inner);
                cloud.faults().push(rule.between(from, from + length));
                true
            }
            Act::Split => scene.reshard(true, &mut self.random),
            Act::Merge => scene.reshard(false, &mut self.random),
            Act::Expire => {
                self.renew_session(scene);
                true
            }
        }
    }

    /// Freezes a process until some time, or thaws it.
    fn signal(&mut self, scene: &Scene, worker: usize, until: Option<Instant>) {
        if let Some(process) = &scene.running[worker] {
            let signal = match until {
                Some(_) => Signal::Stop,
                None => Signal::Continue,
            };
            process.signal(signal).expect("it runs");
        }
        self.thaw[worker] = until;
    }

    /// Gives out another session; AWS refuses the one before.
    fn renew_session(&mut self, scene: &Scene) {
        let key = |session: u32| format!("SESSION{session:09}");
        let old = key(self.session);
        self.session += 1;
        let text = format!(
            r#"{{"Version": 1, "AccessKeyId": "{}", "SecretAccessKey": "secret", "SessionToken": "token"}}"#,
            key(self.session)
        );
        // Whole or not at all: a process may be reading it.
        let path = scene.folder.path().join("session");
        let new = path.with_extension("new");
        fs::write(&new, text).expect("written");
        fs::rename(new, path).expect("renamed");
        let mut cloud = scene.cloud.lock().unwrap_or_else(PoisonError::into_inner);
        for (service, code) in [
            (Service::Kinesis, "ExpiredTokenException"),
            (Service::DynamoDb, "ExpiredTokenException"),
            (Service::Sqs, "ExpiredToken"),
            (Service::S3, "ExpiredToken"),
        ] {
            let error = ServiceError::new(code, 400, "The security token is expired");
            let rule = FaultRule::new(Fault::Error(error)).service(service);
            cloud.faults().push(rule.caller(&old));
        }
    }

    /// Ends every fault.
    fn heal(&mut self, scene: &mut Scene) {
        for proxy in self.proxies.values() {
            proxy.set(Weather::Fair);
        }
        scene
            .cloud
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .faults()
            .clear();
        for worker in 0..PROCESSES {
            self.signal(scene, worker, None);
            if scene.running[worker].is_none() {
                scene.launch(worker);
            }
        }
    }

    fn time(&mut self, milliseconds: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.random.between(milliseconds))
    }
}

/// One answer of GetRecords and its messages, more or less.
const MEMORY_SLACK: u64 = 16 << 20;
/// Connections of calls that wait in a fault: the processes hold up to all shards in turn.
const DESCRIPTOR_SLACK: u64 = 24;
