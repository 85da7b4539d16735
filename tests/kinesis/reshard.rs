//! Splits and merges while reading.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_kinesis::Stopping;

use crate::bed::{Bed, STREAM, Sink};

/// The open shards, by the start of their hash range.
fn open_shards(bed: &Bed) -> Vec<(u128, u128, String)> {
    let mut shards: Vec<_> = bed
        .aws
        .with(|cloud, now| cloud.kinesis().shards(STREAM, now))
        .expect("the stream")
        .into_iter()
        .filter(|shard| shard.closed.is_none())
        .map(|shard| (shard.range.0, shard.range.1, shard.id))
        .collect();
    shards.sort();
    shards
}

pub(crate) fn split(bed: &Bed, at: usize) {
    let (start, end, id) = open_shards(bed)[at].clone();
    bed.aws
        .with(|cloud, now| {
            cloud
                .kinesis()
                .split_shard(STREAM, &id, start + (end - start) / 2, now)
        })
        .expect("a split");
}

pub(crate) fn merge(bed: &Bed, at: usize) {
    let shards = open_shards(bed);
    bed.aws
        .with(|cloud, now| {
            cloud
                .kinesis()
                .merge_shards(STREAM, &shards[at].2, &shards[at + 1].2, now)
        })
        .expect("a merge");
}

/// Every delivery of a shard's parents lies before the first of the shard.
pub(crate) fn assert_parents_before_children(bed: &Bed, sink: &Sink) {
    let parents: BTreeMap<String, Vec<String>> = bed
        .aws
        .with(|cloud, now| cloud.kinesis().shards(STREAM, now))
        .expect("the stream")
        .into_iter()
        .map(|shard| (shard.id, shard.parents))
        .collect();
    assert_lineage(&parents, sink);
}

/// The same, with the parents of each shard.
pub(crate) fn assert_lineage(parents: &BTreeMap<String, Vec<String>>, sink: &Sink) {
    let delivered = sink.delivered();
    for (child, parents) in parents {
        let Some(first) = delivered.iter().position(|d| d.shard.as_str() == child) else {
            continue;
        };
        for parent in parents {
            if let Some(last) = delivered.iter().rposition(|d| d.shard.as_str() == parent) {
                assert!(
                    last < first,
                    "{parent} was still read after its child {child}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_record_comes_once_and_in_order_through_splits_and_merges() {
    let bed = Bed::new(2);
    let sink = Sink::default();
    let worker = bed.start("one", &sink).await;
    let mut next = 0;
    let mut put = |bed: &Bed, count: u32| {
        bed.put_numbers(next..next + count);
        next += count;
        next
    };
    put(&bed, 50);
    split(&bed, 0);
    put(&bed, 50);
    tokio::time::sleep(Duration::from_secs(3)).await;
    merge(&bed, 1);
    put(&bed, 50);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    split(&bed, 1);
    let total = put(&bed, 50) as usize;
    sink.wait_until("every record", |sink| sink.counts().len() == total)
        .await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(sink.len(), total, "without a fault nothing comes twice");
    assert_parents_before_children(&bed, &sink);
    let ended = sink
        .stopping()
        .iter()
        .filter(|(_, _, why)| *why == Stopping::Ended)
        .count();
    assert_eq!(ended, 4, "two splits and one merge close four shards");
    let summary = worker.stop().await;
    assert_eq!(summary.unaccepted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_across_a_resharding_is_read_in_the_order_of_lineage() {
    let bed = Bed::new(1);
    bed.put_numbers(0..30);
    split(&bed, 0);
    bed.put_numbers(30..60);
    merge(&bed, 0);
    bed.put_numbers(60..90);
    let sink = Sink::default();
    let worker = bed.start("one", &sink).await;
    sink.wait_until("every record", |sink| sink.counts().len() == 90)
        .await;
    assert_parents_before_children(&bed, &sink);
    assert_eq!(sink.len(), 90);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_after_a_finished_split_repeats_nothing() {
    let bed = Bed::new(1);
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    bed.put_numbers(0..20);
    split(&bed, 0);
    bed.put_numbers(20..40);
    sink.wait_for(40).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    one.stop().await;
    let two = bed.start("two", &sink).await;
    bed.put_numbers(40..50);
    sink.wait_for(50).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(sink.len(), 50);
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn finished_leases_are_deleted_once_their_children_are_read() {
    let bed = Bed::new(1);
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    bed.put_numbers(0..20);
    sink.wait_for(20).await;
    split(&bed, 0);
    for round in 0..40 {
        bed.put_numbers(20 + round * 5..25 + round * 5);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    use forebay_kinesis::LeaseTable;
    let scan = bed.table("reader").await.scan().await.expect("a scan");
    assert_eq!(scan.leases.len(), 2, "{:?}", scan.leases);
    one.stop().await;
}
