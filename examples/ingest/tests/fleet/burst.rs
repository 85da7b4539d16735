//! The receiver is out of reach, again and again, and one process fills with what it cannot send: what a backlog takes is given
//! back when it has drained, by our buffers and by the allocator, and the next one takes no more.

use std::{net::Ipv4Addr, time::Duration};

use forebay_tests::{Process, scale};
use tokio::time::{Instant, sleep};

use crate::{
    events::flow_logs,
    proxy::{Proxy, Weather},
    scene::STAGE,
    soak::World,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_of_a_backlog_is_given_back() {
    let _alone = STAGE.lock().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut world = World::start().await;
    let receiver = world.receiver.parse().expect("an address");
    let proxy = Proxy::before(receiver, Ipv4Addr::LOCALHOST.into()).await;
    world.receiver = proxy.address.to_string();
    let scene = Outage {
        process: world.launch(folder.path()),
        proxy,
        world,
    };
    // The receiver goes when it is connected and the shards are read.
    scene.put(1);
    scene.drain().await;
    let first = scene.backlog().await;
    sleep(DECAY).await;
    let calm = scene.memory();
    println!("| backlog | own memory at most, KiB | afterwards |\n|---:|---:|---:|");
    println!("| 1 | {} | {} |", first >> 10, calm >> 10);
    for number in 2..=scale(3, 8, 30) {
        let most = scene.backlog().await;
        let patience = Instant::now() + 3 * DECAY;
        while scene.memory() > calm + SLACK && Instant::now() < patience {
            sleep(Duration::from_millis(100)).await;
        }
        let after = scene.memory();
        println!("| {number} | {} | {} |", most >> 10, after >> 10);
        assert!(after <= calm + SLACK, "kept");
        // The first began without spare buffers.
        assert!(most <= first + 2 * SLACK, "more than before");
    }
}

struct Outage {
    process: Process,
    proxy: Proxy,
    world: World,
}

impl Outage {
    /// Puts events while the receiver is out of reach, lets them out once all are read, and waits for them; the most memory.
    async fn backlog(&self) -> u64 {
        self.proxy.set(Weather::Hole);
        for _ in 0..EVENTS / EVENTS_PER_RECORD {
            self.put(EVENTS_PER_RECORD);
        }
        let (mut most, mut risen) = (0, Instant::now());
        while most < BACKLOG || risen.elapsed() < STANDSTILL {
            let log = || self.process.log().unwrap_or_default();
            assert!(risen.elapsed() < 10 * STANDSTILL, "not read: {}", log());
            sleep(Duration::from_millis(50)).await;
            let memory = self.memory();
            if memory > most + (64 << 10) {
                (most, risen) = (memory, Instant::now());
            }
        }
        self.proxy.set(Weather::Fair);
        self.drain().await;
        most
    }

    fn put(&self, events: u64) {
        let mut books = self.world.books.flow();
        let numbers: Vec<u64> = (0..events).map(|_| books.produce(false)).collect();
        drop(books);
        let key = numbers.first().map_or_else(String::new, u64::to_string);
        self.world.put("flow", &key, flow_logs(&numbers));
    }

    /// Waits until the receiver has everything.
    async fn drain(&self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.world.books.flow().receipt().lost > 0 {
            let log = || self.process.log().unwrap_or_default();
            assert!(Instant::now() < deadline, "{}", log());
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn memory(&self) -> u64 {
        self.process.memory().expect("it runs").own
    }
}

const EVENTS: u64 = 80_000;
/// They are messages of 24 MiB, which is half of the byte budget; this is the memory of a process that holds them.
const BACKLOG: u64 = 32 << 20;
const EVENTS_PER_RECORD: u64 = 200;
/// No rise of memory for this long: everything is read.
const STANDSTILL: Duration = Duration::from_secs(3);
/// In which the allocator gives back what is free.
const DECAY: Duration = Duration::from_secs(10);
/// What connections and spare buffers may take more or less.
const SLACK: u64 = 10 << 20;
