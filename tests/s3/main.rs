//! `forebay-s3` on the embedded AWS: when a notice is deleted, when it stays, and what is never read.

mod bed;
mod large;
mod notices;
mod objects;
mod polling;
mod queue;

use std::time::Duration;

use bed::{Bed, Take, config, file, seconds};
use forebay_localaws::{Fault, FaultRule, Service};
use forebay_s3::AllowedBucket;

#[tokio::test(start_paused = true)]
async fn a_notice_is_deleted_after_the_acceptance_of_its_records_and_not_before() {
    let bed = Bed::new().await;
    bed.object("1", file(&["a", "b"]));
    bed.notice(&["1"]);
    let take = Take::holding();
    let reader = bed.run(config(), take.clone()).await;
    seconds(60).await;
    assert_eq!(take.names(), ["a", "b"]);
    assert_eq!(bed.left(), 1, "nothing is accepted yet");
    take.accept_held();
    seconds(5).await;
    assert_eq!(bed.left(), 0);
    let summary = reader.stop().await;
    assert_eq!(
        (summary.received, summary.deleted, summary.returned),
        (1, 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_acceptance_and_delete_repeats_and_loses_nothing() {
    let bed = Bed::new().await;
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    let take = Take::holding();
    let reader = bed.run(config(), take.clone()).await;
    seconds(5).await;
    reader.task.abort();
    seconds(301).await;
    let again = Take::default();
    let reader = bed.run(config(), again.clone()).await;
    seconds(30).await;
    assert_eq!(
        (take.names(), again.names()),
        (vec!["a".to_owned()], vec!["a".to_owned()])
    );
    assert_eq!(bed.left(), 0);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_object_keeps_its_notice_hidden_even_with_a_short_visibility() {
    let bed = Bed::new().await;
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    let take = Take::holding();
    let mut config = config();
    config.visibility = Duration::from_secs(30);
    let reader = bed.run(config, take.clone()).await;
    seconds(200).await;
    assert_eq!(take.names(), ["a"], "the notice was never received twice");
    take.accept_held();
    seconds(5).await;
    assert_eq!(bed.left(), 0);
    assert_eq!(reader.stop().await.received, 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_extend_nothing_is_lost_and_settled_records_do_not_repeat() {
    let bed = Bed::new().await;
    let denied = FaultRule::new(Fault::AccessDenied)
        .service(Service::Sqs)
        .operation("ChangeMessageVisibility");
    bed.aws.with(|cloud, _| cloud.faults().push(denied));
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    let take = Take::holding();
    let mut config = config();
    config.visibility = Duration::from_secs(60);
    let reader = bed.run(config, take.clone()).await;
    seconds(58).await;
    take.accept_held();
    seconds(120).await;
    assert!(take.names().iter().all(|name| name == "a"));
    assert_eq!(bed.left(), 0);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_object_of_a_notice_is_not_sent_again_with_its_failing_neighbour() {
    let bed = Bed::new().await;
    bed.object("1", file(&["a"]));
    bed.notice(&["1", "2"]);
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(15).await;
    assert_eq!(bed.left(), 1, "the second object is missing");
    bed.object("2", file(&["b"]));
    seconds(60).await;
    assert_eq!(take.names(), ["a", "b"]);
    assert_eq!((bed.left(), take.rejected().len()), (0, 0));
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_is_rejected_at_the_third_receive_and_named() {
    let bed = Bed::new().await;
    bed.notice(&["1"]);
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(120).await;
    let rejected = take.rejected();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(
        rejected[0].contains("s3://trail/AWSLogs/") && rejected[0].contains("does not exist"),
        "{rejected:?}"
    );
    assert_eq!(bed.left(), 0);
    assert_eq!(reader.stop().await.received, 3);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_object_gives_its_good_records_once_and_is_rejected() {
    let bed = Bed::new().await;
    let mut damaged = file(&["a", "b"]);
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    bed.object("1", damaged);
    bed.notice(&["1"]);
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(60).await;
    assert_eq!(take.names(), ["a", "b"]);
    let rejected = take.rejected();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(rejected[0].contains("checksum"), "{rejected:?}");
    assert_eq!(bed.left(), 0);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn denied_access_pauses_reading_and_never_rejects() {
    let bed = Bed::new().await;
    let denied = FaultRule::new(Fault::AccessDenied)
        .service(Service::S3)
        .operation("GetObject");
    bed.aws.with(|cloud, _| cloud.faults().push(denied));
    for name in ["1", "2", "3"] {
        bed.object(name, file(&[name]));
        bed.notice(&[name]);
    }
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(600).await;
    assert_eq!((bed.left(), take.rejected().len()), (3, 0));
    let receives = bed
        .aws
        .with(|cloud, _| cloud.calls().count(Service::Sqs, "ReceiveMessage"));
    assert!(
        receives < 60,
        "{receives} receive calls in ten minutes of denial"
    );
    bed.aws.with(|cloud, _| cloud.faults().clear());
    seconds(300).await;
    let mut names = take.names();
    names.sort();
    assert_eq!(names, ["1", "2", "3"]);
    assert_eq!(bed.left(), 0);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_forged_notice_makes_us_read_nothing() {
    let bed = Bed::new().await;
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    bed.send(r#"{"s3Bucket":"trail","s3ObjectKey":["secrets/passwords.json"]}"#);
    bed.send(
        r#"{"s3Bucket":"arn:aws:s3:us-east-1:123456789012:accesspoint/x","s3ObjectKey":["a"]}"#,
    );
    bed.send("not a notice");
    let take = Take::default();
    let mut config = config();
    config.allow.buckets = vec![AllowedBucket {
        name: "elsewhere".into(),
        ..AllowedBucket::default()
    }];
    let reader = bed.run(config, take.clone()).await;
    seconds(30).await;
    assert_eq!(take.rejected().len(), 4, "{:?}", take.rejected());
    assert_eq!((take.names().len(), bed.left()), (0, 0));
    assert_eq!(
        bed.aws
            .with(|cloud, _| cloud.calls().count(Service::S3, "GetObject")),
        0
    );
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn messages_without_work_are_deleted_quietly() {
    let bed = Bed::new().await;
    bed.send(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-25T12:00:00Z","Bucket":"trail","RequestId":"1","HostId":"1"}"#);
    bed.send(
        r#"{"Type":"Notification","MessageId":"m","Message":"CloudTrail validation message."}"#,
    );
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(10).await;
    assert_eq!((bed.left(), take.rejected().len()), (0, 0));
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failing_calls_and_lost_answers_lose_nothing() {
    let bed = Bed::new().await;
    bed.aws.with(|cloud, _| {
        for service in [Service::Sqs, Service::S3] {
            cloud.faults().push(
                FaultRule::new(Fault::Throttle)
                    .service(service)
                    .per_million(100_000),
            );
            cloud.faults().push(
                FaultRule::new(Fault::ServerError)
                    .service(service)
                    .per_million(100_000),
            );
            cloud.faults().push(
                FaultRule::new(Fault::LoseAnswer)
                    .service(service)
                    .per_million(100_000),
            );
        }
    });
    let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    for name in &names {
        bed.object(name, file(&[name]));
        bed.notice(&[name]);
    }
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(3_600).await;
    let mut found = take.names();
    found.sort_by_key(|name| name.parse::<u64>().unwrap_or_default());
    found.dedup();
    assert_eq!(found, names);
    assert_eq!((bed.left(), take.rejected().len()), (0, 0));
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_running_work_and_receives_nothing_more() {
    let bed = Bed::new().await;
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    let take = Take::holding();
    let reader = bed.run(config(), take.clone()).await;
    seconds(5).await;
    let accept = tokio::spawn({
        let take = take.clone();
        async move {
            seconds(3).await;
            take.accept_held();
        }
    });
    let summary = reader.stop().await;
    accept.await.expect("a task");
    assert_eq!((summary.received, summary.deleted), (1, 1));
    bed.notice(&["1"]);
    seconds(30).await;
    assert_eq!(bed.left(), 1, "nobody reads any more");
}
