//! A processor that makes no progress.

use std::time::Duration;

use forebay_kinesis::{InitialPosition, LeaseTable};
use tokio::time::Instant;

use crate::bed::{Bed, Mode, Sink, config};

#[tokio::test(start_paused = true)]
async fn a_stalled_processor_gives_the_leases_back_and_takes_them_again() {
    let bed = Bed::new(2);
    let sink = Sink::default();
    sink.mode(Mode::Stall);
    let worker = bed.start("one", &sink).await;
    sink.wait_until("both shards", |sink| sink.started().len() == 2)
        .await;
    bed.put_numbers(0..20);
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(50)).await;
    let table = bed.table("reader").await;
    let owned = |leases: &[forebay_kinesis::Lease]| {
        leases.iter().filter(|lease| lease.owner.is_some()).count()
    };
    assert_eq!(
        owned(&table.scan().await.expect("a scan").leases),
        2,
        "not yet"
    );
    loop {
        if owned(&table.scan().await.expect("a scan").leases) == 0 {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(75),
            "the leases are still held"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = start.elapsed();
    assert!(
        took > Duration::from_secs(59) && took < Duration::from_secs(66),
        "{took:?}"
    );
    sink.mode(Mode::Accept);
    sink.wait_for(20).await;
    assert!(sink.counts().values().all(|count| *count == 1));
    let summary = worker.stop().await;
    assert_eq!(summary.unaccepted, 0);
}

#[tokio::test(start_paused = true)]
async fn parking_by_hand_keeps_the_leases_free_until_unparked() {
    let bed = Bed::new(2);
    let sink = Sink::default();
    let worker = bed.start("one", &sink).await;
    bed.put_numbers(0..10);
    sink.wait_for(10).await;
    worker.handle.park();
    tokio::time::sleep(Duration::from_secs(120)).await;
    bed.put_numbers(10..20);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(sink.len(), 10, "nothing is read while parked");
    let leases = bed
        .table("reader")
        .await
        .scan()
        .await
        .expect("a scan")
        .leases;
    assert!(
        leases.iter().all(|lease| lease.owner.is_none()),
        "{leases:?}"
    );
    worker.handle.unpark();
    let start = Instant::now();
    sink.wait_for(20).await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(sink.len(), 20, "parking stored what was accepted");
    worker.stop().await;
}

/// Acceptance takes seconds where a receiver has to prove it, and a small budget is one of several inputs' share.
#[tokio::test(start_paused = true)]
async fn what_waits_for_acceptance_keeps_no_shard_from_its_first_read() {
    let bed = Bed::new(8);
    bed.put_numbers(0..80);
    let sink = Sink::default();
    sink.mode(Mode::Hold);
    let mut settings = config();
    settings.initial_position = InitialPosition::TrimHorizon;
    settings.bytes_in_flight = 4 << 20;
    let worker = bed.start_with("one", &sink, settings).await;
    let start = Instant::now();
    sink.wait_for(80).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    sink.mode(Mode::Accept);
    sink.release();
    let summary = worker.stop().await;
    assert_eq!(summary.unaccepted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_budget_stops_reading_and_goes_on_when_bytes_are_accepted() {
    let bed = Bed::new(1);
    let sink = Sink::default();
    sink.mode(Mode::Hold);
    let mut settings = config();
    settings.bytes_in_flight = 1 << 20;
    settings.release_after = None;
    let worker = bed.start_with("one", &sink, settings).await;
    // Three megabytes, over several seconds because a shard takes one each.
    for number in 0..60 {
        let mut data = format!("{number:04}").into_bytes();
        data.resize(50_000, b'.');
        bed.put("key", data);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    let stuck = sink.len();
    assert!(stuck < 60, "{stuck} records are in flight");
    for _ in 0..60 {
        sink.release();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(sink.len(), 60);
    assert_eq!(sink.counts().len(), 60);
    let summary = worker.stop().await;
    assert_eq!(summary.unaccepted, 0);
}
