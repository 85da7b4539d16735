//! Reading prefixes without notices.

use std::time::Duration;

use forebay_localaws::{Fault, Service};
use forebay_s3::{AllowedBucket, Config, Polling, Positions};

use crate::bed::{BUCKET, Bed, Take, config, file, seconds};

/// Polls the region that [`Bed::key`] writes to.
fn settings() -> (Config, Polling) {
    let mut config = config();
    config.allow.buckets = vec![AllowedBucket {
        name: BUCKET.into(),
        prefix: "AWSLogs/123456789012/CloudTrail/us-east-1/".into(),
        ..AllowedBucket::default()
    }];
    (config, Polling::default())
}

fn put(bed: &Bed, names: &[&str]) {
    for name in names {
        bed.object(name, file(&[name]));
    }
}

#[tokio::test(start_paused = true)]
async fn objects_are_read_as_they_appear_and_once() {
    let bed = Bed::new().await;
    let positions = Positions::in_memory().expect("memory");
    put(&bed, &["10", "20"]);
    let take = Take::default();
    let poller = bed.poll(settings(), &positions, take.clone());
    seconds(5).await;
    assert_eq!(take.names(), ["10", "20"]);
    // One of these is late: its key stands before those that are read already.
    put(&bed, &["30", "15"]);
    seconds(600).await;
    assert_eq!(take.names()[2..], ["15", "30"]);
    assert_eq!(poller.stop().await.settled, 4);
    let again = Take::default();
    put(&bed, &["40"]);
    let poller = bed.poll(settings(), &positions, again.clone());
    seconds(90).await;
    assert_eq!(again.names(), ["40"], "a restart goes on at the position");
    poller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_key_is_found_within_the_look_back_and_not_after_it() {
    let bed = Bed::new().await;
    let positions = Positions::in_memory().expect("memory");
    put(&bed, &["10", "20"]);
    let take = Take::default();
    let poller = bed.poll(settings(), &positions, take.clone());
    seconds(3_000).await;
    put(&bed, &["30"]);
    seconds(61).await;
    put(&bed, &["15"]);
    seconds(61).await;
    assert_eq!(take.names(), ["10", "20", "30", "15"]);
    seconds(4_000).await;
    put(&bed, &["40"]);
    seconds(61).await;
    put(&bed, &["12"]);
    seconds(600).await;
    assert_eq!(take.names()[4..], ["40"], "the position has passed 30");
    poller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_position_moves_after_acceptance_and_not_before() {
    let bed = Bed::new().await;
    let positions = Positions::in_memory().expect("memory");
    put(&bed, &["10", "20"]);
    let take = Take::holding();
    let poller = bed.poll(settings(), &positions, take.clone());
    seconds(30).await;
    assert_eq!(take.names().len(), 2);
    poller.task.abort();
    seconds(1).await;
    let again = Take::default();
    let poller = bed.poll(settings(), &positions, again.clone());
    seconds(5).await;
    assert_eq!(again.names().len(), 2, "a crash repeats and loses nothing");
    poller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_the_first_start_may_be_passed_over() {
    let bed = Bed::new().await;
    let positions = Positions::in_memory().expect("memory");
    put(&bed, &["10", "20"]);
    seconds(10).await;
    let (config, mut polling) = settings();
    polling.since = i64::try_from(bed.aws.now()).expect("a time");
    let take = Take::default();
    let poller = bed.poll((config.clone(), polling), &positions, take.clone());
    seconds(5).await;
    put(&bed, &["15"]);
    seconds(61).await;
    assert_eq!(take.names(), ["15"]);
    poller.stop().await;
    // The time of the first start counts, not that of the second.
    put(&bed, &["17"]);
    seconds(10).await;
    polling.since = i64::try_from(bed.aws.now()).expect("a time");
    let again = Take::default();
    let poller = bed.poll((config, polling), &positions, again.clone());
    seconds(5).await;
    assert_eq!(again.names(), ["17"]);
    poller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failing_calls_lose_nothing_and_a_broken_object_holds_nothing_up() {
    let bed = Bed::new().await;
    for operation in ["GetObject", "ListObjectsV2"] {
        let rule = forebay_localaws::FaultRule::new(Fault::ServerError)
            .service(Service::S3)
            .operation(operation)
            .per_million(300_000);
        bed.aws.with(|cloud, _| cloud.faults().push(rule));
    }
    let names: Vec<String> = (100..200).map(|number| number.to_string()).collect();
    for name in &names {
        bed.object(name, file(&[name]));
    }
    bed.object("150x", b"broken".to_vec());
    let take = Take::default();
    let positions = Positions::in_memory().expect("memory");
    let poller = bed.poll(settings(), &positions, take.clone());
    seconds(1_800).await;
    let mut found = take.names();
    found.sort();
    assert_eq!(found, names);
    assert_eq!(take.rejected().len(), 1, "{:?}", take.rejected());
    poller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_prefix_over_several_regions_is_refused() {
    let bed = Bed::new().await;
    put(&bed, &["10"]);
    let (mut config, polling) = settings();
    config.allow.buckets[0].prefix = "AWSLogs/".into();
    let take = Take::default();
    let positions = Positions::in_memory().expect("memory");
    let poller = bed.poll((config, polling), &positions, take.clone());
    seconds(600).await;
    assert_eq!(take.names().len(), 0);
    let calls = bed.calls(Service::S3, "ListObjectsV2");
    assert!(calls < 30, "{calls} listings of a prefix that cannot work");
    tokio::time::timeout(Duration::from_secs(1), poller.stop())
        .await
        .expect("a stop does not wait for the pause");
}

#[tokio::test(start_paused = true)]
async fn objects_that_wait_for_acceptance_hold_up_no_others() {
    let bed = Bed::new().await;
    let positions = Positions::in_memory().expect("memory");
    for name in 100..300 {
        let name = name.to_string();
        put(&bed, &[&name]);
    }
    let take = Take::late(Duration::from_secs(5));
    let poller = bed.poll(settings(), &positions, take.clone());
    seconds(20).await;
    assert_eq!(take.names().len(), 200);
    assert_eq!(poller.stop().await.settled, 200);
}
