//! What happens to objects on the way: broken downloads, damage, other kinds of content, other regions, refusals.

use forebay_localaws::{Fault, Service, ServiceError};
use forebay_s3::{AllowedBucket, Content, Lines, OnObjectError, Polling, Positions};
use serde_json::json;

use crate::bed::{BUCKET, Bed, Counts, QUEUE, Take, config, file, gzip, seconds};

/// An S3 notice of one key, without an entity tag.
fn notice_of(key: &str) -> String {
    json!({"s3Bucket": BUCKET, "s3ObjectKey": [key]}).to_string()
}

fn lines(prefix: &str) -> AllowedBucket {
    let lines = Lines {
        is_header: Some(|line| line.starts_with(b"version ")),
    };
    AllowedBucket {
        name: BUCKET.into(),
        prefix: prefix.into(),
        content: Content::Lines(lines),
        ..AllowedBucket::default()
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("record-{number:06}"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_broken_download_goes_on_at_the_byte_where_it_broke() {
    let bed = Bed::new().await;
    let names = names(5_000);
    bed.object("1", file(&names));
    bed.fault(Fault::CutBody(3_000), Service::S3, "GetObject", 3);
    bed.notice(&["1"]);
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(5).await;
    assert_eq!(take.names(), names);
    assert_eq!((bed.left(), take.rejected().len()), (0, 0));
    assert_eq!(bed.calls(Service::S3, "GetObject"), 4);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn damage_that_shows_behind_the_last_byte_is_read_again_and_not_resumed() {
    let bed = Bed::new().await;
    // Without records behind the damaged byte only S3's checksum tells: a blank at the end, outside of the JSON.
    let mut text = br#"{"Records":[{"eventID":"a","eventVersion":"1.11"}]}"#.to_vec();
    text.push(b' ');
    bed.put(&Bed::key("1"), text);
    bed.fault(Fault::AlterBody, Service::S3, "GetObject", 1);
    bed.notice(&["1"]);
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(60).await;
    assert_eq!(take.names(), ["a"], "once, although it was read twice");
    assert_eq!((bed.left(), take.rejected().len()), (0, 0));
    assert_eq!(
        bed.calls(Service::S3, "GetObject"),
        2,
        "a request behind the last byte would be a third one"
    );
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_object_without_a_tag_in_its_notice_gives_its_records_once() {
    let bed = Bed::new().await;
    let mut damaged = gzip(b"1\n2\n3\n");
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    bed.put("app/x.log", damaged);
    bed.send(&notice_of("app/x.log"));
    let mut config = config();
    config.allow.buckets = vec![lines("app/")];
    let take = Take::default();
    let reader = bed.run(config, take.clone()).await;
    seconds(60).await;
    assert_eq!(take.names(), ["1", "2", "3"]);
    assert_eq!(bed.calls(Service::S3, "GetObject"), 3);
    let rejected = take.rejected();
    assert_eq!((rejected.len(), bed.left()), (1, 0), "{rejected:?}");
    assert!(
        rejected[0].contains("damaged")
            && rejected[0].contains("s3://trail/app/x.log")
            && rejected[0].contains("checksum"),
        "{rejected:?}"
    );
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lines_come_with_their_header_and_what_is_no_text_is_refused_at_once() {
    let bed = Bed::new().await;
    bed.put("flow/plain.log", b"version a\n1 x\n\n2 y\n".to_vec());
    bed.put("flow/packed.log.gz", gzip(b"version b\n3 z"));
    bed.put("flow/twice.log.gz", gzip(&gzip(b"version c\n4 z")));
    bed.put("flow/columns.log.parquet", b"PAR1 columns PAR1".to_vec());
    for key in [
        "plain.log",
        "packed.log.gz",
        "twice.log.gz",
        "columns.log.parquet",
    ] {
        bed.send(&notice_of(&format!("flow/{key}")));
    }
    let mut config = config();
    config.allow.buckets = vec![lines("flow/")];
    let take = Take::default();
    let reader = bed.run(config, take.clone()).await;
    seconds(5).await;
    let mut found = take.names();
    found.sort();
    assert_eq!(
        found,
        [
            "version a|1 x",
            "version a|2 y",
            "version b|3 z",
            "version c|4 z"
        ]
    );
    let rejected = take.rejected();
    assert_eq!((rejected.len(), bed.left()), (1, 0), "{rejected:?}");
    assert!(
        rejected[0].contains("Parquet") && rejected[0].contains("columns.log.parquet"),
        "{rejected:?}"
    );
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_is_rejected_with_its_place_and_no_record() {
    let bed = Bed::new().await;
    let text = format!("before\n{}\nbehind\n", "x".repeat(3 << 20));
    bed.put("app/x.log", gzip(text.as_bytes()));
    bed.send(&notice_of("app/x.log"));
    let mut config = config();
    config.allow.buckets = vec![lines("app/")];
    let take = Take::default();
    let reader = bed.run(config, take.clone()).await;
    seconds(5).await;
    assert_eq!(take.names(), ["before", "behind"]);
    assert_eq!(
        take.rejected(),
        [
            "the line is longer than 1048576 bytes, of which the first 1048576 are kept; record 1, byte 7"
        ]
    );
    assert_eq!(bed.left(), 0);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bucket_in_another_region_is_read_through_a_client_for_it() {
    let bed = Bed::new().await;
    for name in ["1", "2"] {
        bed.object(name, file(&[name]));
        bed.notice(&[name]);
    }
    bed.aws.with(|cloud, now| {
        cloud.s3().create_bucket_in(BUCKET, "ap-southeast-2", now);
    });
    let mut config = config();
    config.concurrency = std::num::NonZeroUsize::MIN;
    let take = Take::default();
    let reader = bed.run(config, take.clone()).await;
    seconds(5).await;
    assert_eq!((take.names().len(), bed.left()), (2, 0));
    assert_eq!(
        bed.calls(Service::S3, "GetObject"),
        3,
        "the region is asked for once"
    );
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_requester_pays_bucket_is_read_only_by_who_says_that_he_pays() {
    let other = "999999999999";
    let mut bed = Bed::new().await;
    bed.put("app/x.log", b"line".to_vec());
    bed.send(&notice_of("app/x.log"));
    bed.aws
        .with(|cloud, _| cloud.s3().let_requesters_pay(BUCKET, other));
    let mut config = config();
    config.allow.buckets = vec![AllowedBucket {
        owner: Some(other.into()),
        ..lines("app/")
    }];
    let (take, counts) = (Take::default(), Counts::default());
    let reader = bed
        .observed(QUEUE, config.clone(), take.clone(), counts.clone())
        .await;
    seconds(30).await;
    reader.stop().await;
    assert_eq!((take.names().len(), take.rejected().len()), (0, 0));
    let failure = counts.last_failure();
    assert!(
        failure.contains("requester-pays bucket unless `requester_pays` is set"),
        "{failure}"
    );
    bed.requester_pays = true;
    let reader = bed.run(config.clone(), take.clone()).await;
    seconds(30).await;
    reader.stop().await;
    assert_eq!((take.names().len(), bed.left()), (1, 0));
    // Listing needs it as well.
    let positions = Positions::in_memory().expect("memory");
    let settings = (config, Polling::default());
    let poller = bed.poll(settings, &positions, take.clone());
    seconds(5).await;
    assert_eq!(poller.stop().await.settled, 1);
    assert_eq!(take.names(), ["line", "line"]);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_in_another_partition_is_not_followed_and_named() {
    let bed = Bed::new().await;
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    bed.aws
        .with(|cloud, now| cloud.s3().create_bucket_in(BUCKET, "cn-north-1", now));
    let (take, counts) = (Take::default(), Counts::default());
    let reader = bed
        .observed(QUEUE, config(), take.clone(), counts.clone())
        .await;
    seconds(30).await;
    assert_eq!(
        (take.names().len(), take.rejected().len(), bed.left()),
        (0, 0, 1)
    );
    assert!(
        counts.last_failure().contains("cn-north-1"),
        "{}",
        counts.last_failure()
    );
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn missing_denied_and_damaged_are_told_apart_with_bucket_key_and_right() {
    let key = Bed::key("1");
    let object = format!("s3://{BUCKET}/{key}");
    for (fault, content, expected) in [
        (None, None, "the object does not exist"),
        (
            Some(ServiceError::new("AccessDenied", 403, "Access Denied")),
            Some(file(&["a"])),
            "access was denied (needs `s3:GetObject` on",
        ),
        (
            Some(ServiceError::new(
                "AccessDenied",
                403,
                "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/2 because",
            )),
            Some(file(&["a"])),
            "needs `kms:Decrypt` on arn:aws:kms:eu-west-1:1:key/2",
        ),
        (
            Some(ServiceError::new(
                "InvalidObjectState",
                403,
                "The operation is not valid for the object's storage class",
            )),
            Some(file(&["a"])),
            "archived and must be restored",
        ),
        (
            None,
            Some(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9]),
            "the object is damaged",
        ),
    ] {
        let bed = Bed::new().await;
        if let Some(content) = content {
            bed.object("1", content);
        }
        if let Some(error) = fault {
            bed.fault(Fault::Error(error), Service::S3, "GetObject", u64::MAX);
        }
        bed.notice(&["1"]);
        let counts = Counts::default();
        let reader = bed
            .observed(QUEUE, config(), Take::default(), counts.clone())
            .await;
        seconds(2).await;
        let failure = counts.last_failure();
        assert!(
            failure.contains(expected) && failure.contains(&object),
            "{failure}"
        );
        reader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_object_is_kept_left_or_dropped_as_configured() {
    for (choice, rejected, dropped, left) in [
        (OnObjectError::DeadLetter, 1, 0, 0),
        (OnObjectError::Leave, 0, 0, 1),
        (OnObjectError::Delete, 0, 1, 0),
    ] {
        let bed = Bed::new().await;
        bed.object("1", b"neither JSON nor gzip".to_vec());
        bed.notice(&["1"]);
        let mut config = config();
        config.on_object_error = choice;
        let (take, counts) = (Take::default(), Counts::default());
        let reader = bed
            .observed(QUEUE, config, take.clone(), counts.clone())
            .await;
        seconds(5).await;
        assert_eq!(
            (take.rejected().len(), counts.get("dropped"), bed.left()),
            (rejected, dropped, left),
            "{choice:?}"
        );
        reader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_object_beside_a_failing_one_is_rejected_once() {
    let bed = Bed::new().await;
    let keys = [Bed::key("1"), "secrets/passwords.json".to_owned()];
    bed.send(&json!({"s3Bucket": BUCKET, "s3ObjectKey": keys}).to_string());
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(15).await;
    assert_eq!(bed.left(), 1, "the first object is missing");
    bed.object("1", file(&["a"]));
    seconds(60).await;
    assert_eq!(take.names(), ["a"]);
    let rejected = take.rejected();
    assert_eq!((rejected.len(), bed.left()), (1, 0), "{rejected:?}");
    assert!(
        rejected[0].contains("secrets/passwords.json"),
        "{rejected:?}"
    );
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_rejected_is_read_when_it_is_announced_again() {
    let bed = Bed::new().await;
    bed.notice(&["1"]);
    let take = Take::default();
    let reader = bed.run(config(), take.clone()).await;
    seconds(60).await;
    assert_eq!((take.rejected().len(), bed.left()), (1, 0));
    bed.object("1", file(&["a"]));
    bed.notice(&["1"]);
    seconds(5).await;
    assert_eq!((take.names().len(), bed.left()), (1, 0));
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_above_the_limit_is_not_downloaded() {
    let bed = Bed::new().await;
    bed.object("1", file(&names(500)));
    bed.notice(&["1"]);
    let mut config = config();
    config.object_bytes = 100;
    let take = Take::default();
    let reader = bed.run(config, take.clone()).await;
    seconds(5).await;
    assert_eq!((take.names().len(), bed.left()), (0, 0));
    assert!(
        take.rejected()[0].contains("object_bytes"),
        "{:?}",
        take.rejected()
    );
    reader.stop().await;
}
