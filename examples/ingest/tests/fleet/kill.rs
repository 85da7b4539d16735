//! Processes that are killed at random moments under load: nothing is lost.
//!
//! `FOREBAY_TIER=nightly` or `release` kills more often, `FOREBAY_KILLS` sets how often, `FOREBAY_SEED` repeats the choices.

use std::time::Duration;

use tokio::time::Instant;

use forebay_tests::{Random, scale};

use crate::{
    events::RATE,
    scene::{PROCESSES, SHARDS, Scene, seed},
};

/// How long a shard's records can be delivered without being checkpointed: the shard lies idle for a failover time, the
/// sink proves delivery over TCP by an orderly close of what is 5 s old, the position is stored with the next renewal.
/// The rest is for two busy cores.
const UNPROVEN: Duration = Duration::from_secs(3 + 5 + 1 + 3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_processes_are_killed_under_load() {
    let kills = match std::env::var("FOREBAY_KILLS") {
        Ok(kills) => kills.parse().expect("FOREBAY_KILLS is a number"),
        Err(_) => scale(10, 300, 3_000),
    };
    let seed = seed();
    let mut random = Random::new(seed);
    let mut scene = Scene::start().await;
    let started = Instant::now();
    for worker in 0..PROCESSES {
        scene.launch(worker);
    }
    scene.wait_for_leases().await;
    let mut restarts = [None; PROCESSES];
    let mut next_kill = Instant::now() + Duration::from_secs(2);
    let mut killed = 0;
    while killed < kills || restarts.iter().any(Option::is_some) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = Instant::now();
        for (worker, restart) in restarts.iter_mut().enumerate() {
            if restart.is_some_and(|at| at <= now) {
                *restart = None;
                scene.launch(worker);
            }
        }
        if now < next_kill || killed == kills {
            continue;
        }
        let victim = random.below(PROCESSES as u64) as usize;
        if let Some(mut process) = scene.running[victim].take() {
            process.kill().expect("it runs");
            killed += 1;
            restarts[victim] = Some(now + Duration::from_millis(random.between(0..=4_000)));
            next_kill = now + Duration::from_millis(random.between(1_500..=4_500));
            if killed == kills / 2 {
                assert!(scene.reshard(true, &mut random), "the shard can be split");
            }
        }
    }
    let account = scene.finish().await;
    let seconds = started.elapsed().as_secs();
    println!("\n{account}\nkills {killed}, seconds {seconds}, seed {seed}");
    let duplicates = account.flow.duplicates as u64;
    let moves = account.moves;
    let bound = moves * RATE * UNPROVEN.as_secs() / u64::from(SHARDS);
    println!(
        "{moves} times a shard changed hands; {} events repeated for each, {} at most",
        duplicates / moves.max(1),
        bound / moves.max(1)
    );
    account.check();
    assert!(duplicates <= bound, "{bound} are allowed");
}
