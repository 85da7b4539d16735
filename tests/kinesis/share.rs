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

#[tokio::test(start_paused = true)]
async fn a_third_worker_gets_its_share_and_two_carry_on_when_one_dies() {
    let bed = Bed::new(6);
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    let two = bed.start("two", &sink).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let three = bed.start("three", &sink).await;
    let mut next = 0;
    let mut put = |bed: &Bed| {
        bed.put_numbers(next..next + 60);
        next += 60;
    };
    put(&bed);
    tokio::time::sleep(Duration::from_secs(180)).await;
    sink.clear();
    put(&bed);
    sink.wait_for(60).await;
    let shares = |sink: &Sink| -> Vec<usize> {
        let delivered = sink.delivered();
        ["one", "two", "three"]
            .map(|worker| {
                let mine = delivered.iter().filter(|d| d.worker == worker);
                mine.map(|d| &d.shard).collect::<BTreeSet<_>>().len()
            })
            .to_vec()
    };
    assert_eq!(shares(&sink), [2, 2, 2]);
    two.crash().await;
    put(&bed);
    sink.wait_until("what the dead worker should have read", |sink| {
        sink.counts().len() == 120
    })
    .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    sink.clear();
    put(&bed);
    sink.wait_for(60).await;
    assert_eq!(shares(&sink), [3, 0, 3]);
    one.stop().await;
    three.stop().await;
}

#[tokio::test(start_paused = true)]
async fn batches_can_be_pulled_from_a_stream() {
    use futures_util::StreamExt;

    let bed = Bed::new(2);
    bed.put_numbers(0..20);
    let (processor, mut batches) = forebay_kinesis::pull();
    let worker = bed.worker("one", processor, config()).await;
    let running = crate::bed::Running::spawn(worker);
    let mut texts = BTreeSet::new();
    while texts.len() < 20 {
        let batch = StreamExt::next(&mut batches)
            .await
            .expect("the worker runs");
        for record in batch.records() {
            texts.insert(String::from_utf8_lossy(&record.data).into_owned());
        }
        batch.accept_all();
    }
    let summary = running.stop().await;
    assert_eq!((summary.records, summary.unaccepted), (20, 0));
    assert!(
        batches.next().await.is_none(),
        "the stream ends with the worker"
    );
}
