//! Starting, sharing, stopping, crashing.

use std::collections::BTreeSet;
use std::time::Duration;

use forebay_kinesis::{Config, Stopping};
use tokio::time::Instant;

use crate::bed::{Bed, Mode, Sink, config};

#[tokio::test(start_paused = true)]
async fn the_first_record_comes_within_two_seconds() {
    let bed = Bed::new(2);
    bed.put_numbers(0..10);
    let sink = Sink::default();
    let start = Instant::now();
    let worker = bed.start("one", &sink).await;
    sink.wait_for(10).await;
    let took = sink.delivered()[0].at - start;
    println!(
        "start to first record: {} ms of virtual time",
        took.as_millis()
    );
    assert!(took < Duration::from_secs(2), "{took:?}");
    let last = start.elapsed();
    assert!(last < Duration::from_secs(3), "all of them: {last:?}");
    assert!(sink.counts().values().all(|count| *count == 1));
    let summary = worker.stop().await;
    assert_eq!((summary.records, summary.unaccepted), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn latest_starts_at_the_start_of_the_worker() {
    let bed = Bed::new(1);
    bed.put_numbers(0..5);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let sink = Sink::default();
    let worker = bed.start_with("one", &sink, Config::default()).await;
    sink.wait_until("the shard", |sink| !sink.started().is_empty())
        .await;
    bed.put_numbers(5..10);
    sink.wait_for(5).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let counts = sink.counts();
    assert_eq!(
        counts.into_keys().collect::<Vec<_>>(),
        ["5", "6", "7", "8", "9"]
    );
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_workers_share_the_shards() {
    let bed = Bed::new(4);
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    sink.wait_until("all shards", |sink| sink.started().len() == 4)
        .await;
    let two = bed.start("two", &sink).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    sink.clear();
    bed.put_numbers(0..200);
    sink.wait_for(200).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let delivered = sink.delivered();
    assert_eq!(delivered.len(), 200, "no repeats once settled");
    let shards_of = |worker: &str| -> BTreeSet<_> {
        delivered
            .iter()
            .filter(|delivered| delivered.worker == worker)
            .map(|delivered| delivered.shard.clone())
            .collect()
    };
    assert_eq!((shards_of("one").len(), shards_of("two").len()), (2, 2));
    assert!(shards_of("one").is_disjoint(&shards_of("two")));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_graceful_stop_a_peer_goes_on_at_once_without_repeats() {
    let bed = Bed::new(2);
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    bed.put_numbers(0..100);
    sink.wait_for(100).await;
    let start = Instant::now();
    let summary = one.stop().await;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!((summary.records, summary.unaccepted), (100, 0));
    bed.put_numbers(100..120);
    let start = Instant::now();
    let two = bed.start("two", &sink).await;
    sink.wait_for(120).await;
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(sink.len(), 120, "nothing came twice");
    assert!(sink.counts().values().all(|count| *count == 1));
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_late_acceptance() {
    let bed = Bed::new(1);
    let sink = Sink::default();
    sink.mode(Mode::Hold);
    let one = bed.start("one", &sink).await;
    bed.put_numbers(0..10);
    sink.wait_for(10).await;
    let later = sink.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        later.release();
    });
    let summary = one.stop().await;
    assert_eq!(summary.unaccepted, 0);
    assert!(
        sink.stopping()
            .iter()
            .any(|(_, _, reason)| *reason == Stopping::Released)
    );
    sink.mode(Mode::Accept);
    let two = bed.start("two", &sink).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(sink.len(), 10);
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_longer_than_the_grace() {
    let bed = Bed::new(1);
    let sink = Sink::default();
    sink.mode(Mode::Hold);
    let mut settings = config();
    settings.stop_grace = Duration::from_secs(7);
    let one = bed.start_with("one", &sink, settings).await;
    bed.put_numbers(0..10);
    sink.wait_for(10).await;
    let start = Instant::now();
    let summary = one.stop().await;
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(7) && took < Duration::from_secs(9),
        "{took:?}"
    );
    assert_eq!(summary.unaccepted, 10);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_a_peer_takes_over_within_twelve_seconds() {
    let bed = Bed::new(2);
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    sink.wait_until("both shards", |sink| sink.started().len() == 2)
        .await;
    let two = bed.start("two", &sink).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    bed.put_numbers(0..50);
    sink.wait_for(50).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    one.crash().await;
    let crash = Instant::now();
    let before = sink.started().len();
    bed.put_numbers(50..100);
    sink.wait_until("all records", |sink| sink.counts().len() == 100)
        .await;
    let took = crash.elapsed();
    assert!(
        took < Duration::from_secs(12),
        "{took:?} until the first read"
    );
    let figure = took.as_millis();
    println!("crash to the last record of the dead worker's shards: {figure} ms of virtual time");
    assert!(sink.started().len() > before, "a shard changed hands");
    two.stop().await;
}
