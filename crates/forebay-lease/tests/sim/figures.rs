//! The figures the design promises, measured in virtual time.

use forebay_lease::{Checkpoint, Config, Lease, StartPosition};

use crate::faults::{Faults, Millis};
use crate::world::{Random, Setup, World};

fn setup(workers: usize, java: usize, shards: usize) -> Setup {
    Setup {
        workers,
        java,
        shards,
        start: StartPosition::TrimHorizon,
        config: Config::default(),
        period: 1000,
    }
}

fn calm(workers: usize, java: usize, shards: usize, seed: u64) -> World {
    World::new(seed, &setup(workers, java, shards), Faults::default(), None)
}

fn held(world: &World, without: Option<usize>) -> usize {
    let counted = world
        .workers
        .iter()
        .enumerate()
        .filter(|(at, _)| Some(*at) != without);
    counted.map(|(_, worker)| worker.count(world.now)).sum()
}

/// Runs until the others hold everything; how long that took.
fn until_taken(world: &mut World, without: usize, shards: usize) -> Millis {
    let start = world.now;
    while held(world, Some(without)) < shards && world.now < start + 120_000 {
        world.run_until(world.now + 20);
    }
    assert_eq!(world.inv.violation, None);
    world.now - start
}

#[test]
fn leases_of_a_crashed_worker_are_taken_within_1_2_failover_times() {
    let mut worst = 0;
    for seed in 0..50 {
        let mut world = calm(3, 0, 9, seed);
        world.run_until(world.now + 90_000 + seed * 137);
        world.workers[0].is_alive = false;
        worst = worst.max(until_taken(&mut world, 0, 9));
    }
    println!("crash failover: at most {worst} ms at a failover time of 10000 ms");
    assert!(worst < 12_000, "{worst} ms");
}

#[test]
fn leases_of_a_stopping_worker_are_taken_within_two_seconds_of_the_release() {
    let mut worst = 0;
    for seed in 0..50 {
        let mut world = calm(3, 0, 9, seed);
        world.run_until(world.now + 90_000 + seed * 137);
        let now = world.workers[0].instant(world.now);
        world.workers[0].coordinator.begin_shutdown(now);
        world.pump(0);
        while !world.workers[0].coordinator.is_drained() {
            world.run_until(world.now + 10);
        }
        worst = worst.max(until_taken(&mut world, 0, 9));
    }
    println!("graceful handover: at most {worst} ms after the last release");
    assert!(worst < 2_000, "{worst} ms");
}

#[test]
fn a_worker_that_joins_has_its_share_within_three_taker_cycles() {
    let mut worst = 0;
    for seed in 0..20 {
        let mut world = calm(4, 0, 16, seed);
        world.workers[3].is_alive = false;
        world.run_until(world.now + 60_000);
        world.push(world.now, crate::world::Ev::Restart(3));
        let start = world.now;
        while world.workers[3].count(world.now) < 3 && world.now < start + 200_000 {
            world.run_until(world.now + 100);
        }
        worst = worst.max(world.now - start);
        assert_eq!(world.inv.violation, None);
    }
    println!("balance after a join: at most {worst} ms, three taker cycles are 60150 ms");
    assert!(worst <= 60_150, "{worst} ms");
}

#[test]
fn loads_differ_by_one_within_three_taker_cycles_of_the_last_fault() {
    let mut worst = 0;
    for seed in 0..60 {
        let faults = Faults {
            reshard_every: 0,
            deletes: false,
            three_x: false,
            heal_at: 5 * 60_000,
            ..Faults::draw(&mut Random(seed))
        };
        let setup = Setup {
            workers: 2 + (seed % 3) as usize,
            ..setup(0, 0, 4 + (seed % 9) as usize)
        };
        let mut world = World::new(seed, &setup, faults, None);
        world.run_until(world.now + 5 * 60_000);
        let start = world.now;
        let mut uneven = start;
        while world.now < start + 120_000 {
            world.run_until(world.now + 250);
            let counts = || world.workers.iter().map(|worker| worker.count(world.now));
            let (most, least) = (counts().max(), counts().min());
            let all = counts().sum::<usize>() >= world.table.leases().count();
            if !all
                || most
                    .zip(least)
                    .is_some_and(|(most, least)| most > least + 1)
            {
                uneven = world.now;
            }
        }
        assert_eq!(world.inv.violation, None);
        worst = worst.max(uneven - start);
    }
    println!("balance after faults: at most {worst} ms, three taker cycles are 60150 ms");
    assert!(worst <= 60_150, "{worst} ms");
}

#[test]
fn the_first_record_is_delivered_within_two_seconds_of_the_start() {
    let mut world = calm(1, 0, 8, 1);
    let start = world.now;
    while world.inv.accepted == 0 && world.now < start + 60_000 {
        world.run_until(world.now + 10);
    }
    println!("start to first accepted record: {} ms", world.now - start);
    assert!(world.now - start < 2_000);
}

#[test]
fn a_lease_costs_no_more_writes_than_with_java() {
    let hour = 3_600_000;
    let mut ours = calm(2, 0, 8, 5);
    ours.run_until(ours.now + 60_000);
    let before = ours.table.writes;
    ours.run_until(ours.now + hour);
    let mine = (ours.table.writes - before) / 8;
    // A Java worker with the same settings: a renewal each 3308 ms, and each checkpoint as a write of its own.
    let mut java = calm(0, 1, 8, 5);
    for at in 0..8 {
        let shard = java.stream.shards[at].id.clone();
        let (inv, stream) = (&mut java.inv, &java.stream);
        let row = Lease::new(shard, Checkpoint::TrimHorizon);
        java.table.create(row, java.now, inv, stream);
    }
    java.run_until(java.now + 60_000);
    let before = java.table.writes;
    java.run_until(java.now + hour);
    let theirs = (java.table.writes - before) / 8;
    println!(
        "writes per lease and hour: {mine} with every checkpoint in them, Java {theirs} if its checkpoints cost nothing"
    );
    assert!(mine <= theirs, "{mine} and {theirs}");
}
