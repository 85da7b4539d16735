//! The queue's side: outages, stops, kinds of queues, counters.

use std::time::Duration;

use forebay_localaws::{Fault, QueueAttributes, Service};
use forebay_s3::Config;
use serde_json::json;

use crate::bed::{BUCKET, Bed, Counts, QUEUE, Take, config, file, seconds};

#[tokio::test(start_paused = true)]
async fn an_outage_costs_one_receive_of_each_message() {
    for fault in [Fault::AccessDenied, Fault::ServerError] {
        let bed = Bed::new().await;
        bed.fault(fault, Service::S3, "GetObject", u64::MAX);
        for name in 0..20 {
            let name = name.to_string();
            bed.object(&name, file(&[&name]));
            bed.notice(&[&name]);
        }
        let (take, counts) = (Take::default(), Counts::default());
        let mut config = config();
        config.visibility = Duration::from_secs(60);
        let reader = bed
            .observed(QUEUE, config, take.clone(), counts.clone())
            .await;
        seconds(14 * 60).await;
        assert_eq!((bed.left(), take.names().len()), (20, 0));
        bed.aws.with(|cloud, _| cloud.faults().clear());
        seconds(180).await;
        assert_eq!((bed.left(), take.names().len()), (0, 20));
        assert_eq!(counts.get("received"), 20, "each message once");
        assert!(
            counts.get("failed") < 200,
            "{} failures",
            counts.get("failed")
        );
        reader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_denied_object_does_not_hold_up_the_others() {
    let bed = Bed::new().await;
    let denied = forebay_localaws::FaultRule::new(Fault::AccessDenied)
        .service(Service::S3)
        .resource(format!("{BUCKET}/{}", Bed::key("denied")));
    bed.aws.with(|cloud, _| cloud.faults().push(denied));
    bed.object("denied", file(&["denied"]));
    bed.notice(&["denied"]);
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(120).await;
    for name in 0..50 {
        let name = name.to_string();
        bed.object(&name, file(&[&name]));
        bed.notice(&[&name]);
    }
    seconds(600).await;
    assert_eq!((take.names().len(), bed.left()), (50, 1));
    assert_eq!(take.rejected().len(), 0, "denied is never poison");
    reader.stop().await;
}

/// docs/decisions/0030-held-notices.md
#[tokio::test(start_paused = true)]
async fn a_stuck_sink_holds_what_was_received_and_leaves_the_rest_to_others() {
    let bed = Bed::new().await;
    let (queue, dead) = ("strict", "dead");
    let mut attributes = QueueAttributes::default();
    // A second receive of a notice would be one too many.
    attributes.redrive = Some((dead.to_owned(), 1));
    bed.aws.with(|cloud, now| {
        cloud
            .sqs()
            .create_queue(dead, QueueAttributes::default(), now);
        cloud.sqs().create_queue(queue, attributes, now);
        for name in 0..30 {
            let body = json!({"s3Bucket": BUCKET, "s3ObjectKey": [Bed::key(&name.to_string())]});
            cloud
                .sqs()
                .send(queue, &body.to_string(), now)
                .expect("the queue exists");
        }
    });
    for name in 0..30 {
        let name = name.to_string();
        bed.object(&name, file(&[&name]));
    }
    let left = |queue| bed.aws.with(|cloud, _| cloud.sqs().bodies(queue).len());
    let (stuck, counts) = (Take::holding(), Counts::default());
    let reader = bed
        .observed(queue, config(), stuck.clone(), counts.clone())
        .await;
    seconds(60).await;
    let (healthy, others) = (Take::default(), Counts::default());
    let other = bed
        .observed(queue, config(), healthy.clone(), others.clone())
        .await;
    seconds(2 * 3_600).await;
    let held = config().concurrency.get();
    assert_eq!(
        (stuck.names().len(), healthy.names().len(), left(queue)),
        (held, 30 - held, held)
    );
    stuck.accept_held();
    seconds(5).await;
    assert_eq!((left(queue), left(dead)), (0, 0));
    assert_eq!(
        (counts.get("received"), others.get("received")),
        (held as u64, 30 - held as u64),
        "each once"
    );
    reader.stop().await;
    other.stop().await;
}

/// Over TCP each object waits five seconds for its proof of acceptance; one place would otherwise read twelve in a minute.
#[tokio::test(start_paused = true)]
async fn objects_that_wait_for_acceptance_hold_up_no_others() {
    let bed = Bed::new().await;
    for name in 0..400 {
        let name = name.to_string();
        bed.object(&name, file(&[&name]));
        bed.notice(&[&name]);
    }
    let (take, counts) = (Take::late(Duration::from_secs(5)), Counts::default());
    let reader = bed
        .observed(QUEUE, config(), take.clone(), counts.clone())
        .await;
    seconds(4).await;
    let places = config().concurrency.get();
    assert_eq!(
        take.names().len(),
        places,
        "nobody knows yet whether the sink accepts"
    );
    // Sixteen times as many at a time, once it is known.
    seconds(26).await;
    assert_eq!((take.names().len(), bed.left()), (400, 0));
    assert_eq!(counts.get("most_in_flight"), 16 * places as u64);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rejection_that_cannot_be_kept_stops_receiving_and_is_not_lost() {
    let bed = Bed::new().await;
    bed.send("not a notice");
    let take = Take::default();
    take.set_full(true);
    let reader = bed.run(config(), take.clone()).await;
    seconds(300).await;
    assert_eq!((take.rejected().len(), bed.left()), (0, 1));
    take.set_full(false);
    seconds(120).await;
    assert_eq!((take.rejected().len(), bed.left()), (1, 0));
    assert_eq!(reader.stop().await.received, 1);
}

#[tokio::test(start_paused = true)]
async fn two_notices_of_one_object_give_its_records_once_also_at_the_same_time() {
    let bed = Bed::new().await;
    bed.object("1", file(&["a"]));
    let etag = bed.aws.with(|cloud, _| {
        let object = cloud.s3().get(BUCKET, &Bed::key("1"));
        object.map(|object| object.etag.trim_matches('"').to_owned())
    });
    let record = json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventVersion": "2.1",
        "s3": {"bucket": {"name": BUCKET}, "object": {"key": Bed::key("1"), "size": 9, "eTag": etag}}});
    bed.notice(&["1"]);
    bed.send(&json!({ "Records": [record] }).to_string());
    bed.notice(&["1"]);
    let take = Take::holding();
    let reader = bed.run(config(), take.clone()).await;
    seconds(30).await;
    assert_eq!(take.names(), ["a"]);
    take.accept_held();
    seconds(5).await;
    assert_eq!((take.names().len(), bed.left()), (1, 0));
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_delete_holds_up_neither_reading_nor_other_deletes() {
    let bed = Bed::new().await;
    bed.fault(Fault::Delay(4_000), Service::Sqs, "DeleteMessageBatch", 1);
    bed.object("first", file(&["first"]));
    bed.notice(&["first"]);
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(1).await;
    for name in ["2", "3"] {
        bed.object(name, file(&[name]));
        bed.notice(&[name]);
    }
    seconds(1).await;
    assert_eq!(take.names().len(), 3);
    let summary = reader.stop().await;
    assert_eq!(
        (summary.deleted, bed.left()),
        (3, 0),
        "a stop waits for deletes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_delete_is_tried_again_and_repeats_no_record() {
    let bed = Bed::new().await;
    bed.fault(Fault::ServerError, Service::Sqs, "DeleteMessageBatch", 12);
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(400).await;
    assert_eq!((take.names().len(), bed.left()), (1, 0));
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_poll_brings_after_the_stop_is_handed_back_at_once() {
    let bed = Bed::new().await;
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(1).await;
    let task = tokio::spawn(reader.stop());
    seconds(1).await;
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    let summary = task.await.expect("a task");
    assert_eq!((summary.received, summary.returned), (1, 1));
    assert_eq!(take.names().len(), 0);
    let counts = bed.aws.with(|cloud, now| cloud.sqs().counts(QUEUE, now));
    assert_eq!(counts, (1, 0, 0), "visible for others");
}

#[tokio::test(start_paused = true)]
async fn work_that_a_stop_cannot_wait_for_is_handed_back_at_once() {
    let bed = Bed::new().await;
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    let take = Take::holding();
    let reader = bed.run(config(), take.clone()).await;
    seconds(5).await;
    let begun = tokio::time::Instant::now();
    reader.stop().await;
    assert!(begun.elapsed() <= Config::default().stop_grace + Duration::from_secs(1));
    let counts = bed.aws.with(|cloud, now| cloud.sqs().counts(QUEUE, now));
    assert_eq!(counts, (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_back_off() {
    let bed = Bed::new().await;
    bed.fault(Fault::AccessDenied, Service::S3, "GetObject", u64::MAX);
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    let reader = bed.run(config(), Take::default()).await;
    seconds(100).await;
    let begun = tokio::time::Instant::now();
    reader.stop().await;
    assert!(begun.elapsed() <= Duration::from_secs(11), "a poll at most");
    let counts = bed.aws.with(|cloud, now| cloud.sqs().counts(QUEUE, now));
    assert_eq!(counts, (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn fifo_queues_work() {
    let bed = Bed::new().await;
    let queue = "notices.fifo";
    let mut attributes = QueueAttributes::default();
    attributes.fifo = true;
    bed.aws
        .with(|cloud, now| cloud.sqs().create_queue(queue, attributes, now));
    for number in 0..30 {
        let name = number.to_string();
        bed.object(&name, file(&[&name]));
        let body = json!({"s3Bucket": BUCKET, "s3ObjectKey": [Bed::key(&name)]}).to_string();
        bed.send_fifo(queue, &body, &format!("group-{}", number % 3))
            .await;
    }
    let (take, counts) = (Take::default(), Counts::default());
    let reader = bed
        .observed(queue, config(), take.clone(), counts.clone())
        .await;
    seconds(60).await;
    assert_eq!((take.names().len(), counts.get("deleted")), (30, 30));
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_a_redrive_brings_back_are_read() {
    let bed = Bed::new().await;
    let (queue, dead) = ("with-redrive", "dead");
    let mut attributes = QueueAttributes::default();
    attributes.redrive = Some((dead.to_owned(), 2));
    bed.aws.with(|cloud, now| {
        cloud
            .sqs()
            .create_queue(dead, QueueAttributes::default(), now);
        cloud.sqs().create_queue(queue, attributes, now);
        let body = json!({"s3Bucket": BUCKET, "s3ObjectKey": [Bed::key("1")]}).to_string();
        cloud
            .sqs()
            .send(queue, &body, now)
            .expect("the queue exists");
    });
    let take = Take::default();
    let mut config = config();
    config.missing_receives = 100;
    let reader = bed
        .observed(queue, config.clone(), take.clone(), Counts::default())
        .await;
    seconds(120).await;
    reader.stop().await;
    let bodies = bed.aws.with(|cloud, _| cloud.sqs().bodies(dead));
    assert_eq!(
        (bodies.len(), take.rejected().len()),
        (1, 0),
        "the queue's own redrive took it"
    );
    bed.object("1", file(&["a"]));
    let counts = Counts::default();
    let reader = bed
        .observed(dead, config, take.clone(), counts.clone())
        .await;
    seconds(5).await;
    assert_eq!((take.names().len(), counts.get("deleted")), (1, 1));
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_counters_tell_what_was_done() {
    let bed = Bed::new().await;
    let content = file(&["a", "b"]);
    bed.object("1", content.clone());
    bed.notice(&["1"]);
    bed.send("not a notice");
    bed.send(r#"{"Type":"Notification","Message":"CloudTrail validation message."}"#);
    bed.notice(&["missing"]);
    let (take, counts) = (Take::holding(), Counts::default());
    let mut config = config();
    config.visibility = Duration::from_secs(60);
    let reader = bed
        .observed(QUEUE, config, take.clone(), counts.clone())
        .await;
    seconds(50).await;
    take.accept_held();
    seconds(5).await;
    for (name, expected) in [
        ("received", 6),
        ("in_flight", 0),
        ("most_in_flight", 4),
        ("deleted", 4),
        ("returned", 2),
        ("skipped", 1),
        ("extended", 1),
        ("records", 2),
        ("settled_records", 2),
        ("downloaded", content.len() as u64),
        ("objects", 1),
        ("object_seconds", 50),
        ("rejected", 2),
    ] {
        assert_eq!(counts.get(name), expected, "{name}");
    }
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sixty_forged_notices_make_us_read_nothing() {
    let keys = [
        "secrets/passwords.json",
        "AWSLogs/../secrets",
        "AWSLogs/%2e%2e/secrets",
        "AWSLogs/123456789012/Config/us-east-1/2026/11/25/x.json.gz",
        "/AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/25/x.json.gz",
        "AWSLogs\u{0}x",
    ];
    let buckets = [
        BUCKET,
        "someone-elses",
        "arn:aws:s3:us-east-1:999999999999:accesspoint/x",
        "Upper",
        "a/b",
        "169.254.169.254",
    ];
    let bed = Bed::new().await;
    let mut forged = 0;
    for bucket in buckets {
        for key in keys {
            let trail = json!({"s3Bucket": bucket, "s3ObjectKey": [key]}).to_string();
            let event = json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventVersion": "2.1",
                "awsRegion": "xx-evil-1", "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}}}]})
            .to_string();
            let bridge =
                json!({"source": "aws.s3", "detail-type": "Object Created", "region": "xx-evil-1",
                "detail": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}}})
                .to_string();
            let wrapped = json!({"Type": "Notification", "Message": trail}).to_string();
            for body in [trail, event, bridge, wrapped] {
                bed.send(&body);
                forged += 1;
            }
        }
    }
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(60).await;
    assert!(forged >= 60);
    assert_eq!(
        (take.rejected().len(), take.names().len(), bed.left()),
        (forged, 0, 0)
    );
    assert_eq!(bed.calls(Service::S3, "GetObject"), 0);
    reader.stop().await;
}
