//! What a queue may bring, and how it is named.

use forebay_localaws::{Fault, Service};
use forebay_s3::{ErrorKind, Queue};
use serde_json::json;

use crate::bed::{ACCOUNT, BUCKET, Bed, Counts, QUEUE, Take, config, file, seconds};

#[tokio::test(start_paused = true)]
async fn every_form_of_notice_is_read_and_what_announces_no_log_file_is_skipped() {
    let bed = Bed::new().await;
    let key = Bed::key;
    for name in ["wrapped", "raw", "event", "bridge"] {
        bed.object(name, file(&[name]));
    }
    bed.object("digest", "never read");
    let object =
        |key: String| json!({"bucket": {"name": BUCKET}, "object": {"key": key, "size": 9}});
    let event = |name: &str, key: String| json!({"eventSource": "aws:s3", "eventName": name, "eventVersion": "2.1", "s3": object(key)});
    let digest = key("digest").replace("/CloudTrail/", "/CloudTrail-Digest/");
    bed.notice(&["wrapped"]);
    for body in [
        json!({"s3Bucket": BUCKET, "s3ObjectKey": [key("raw")]}),
        json!({"Records": [
            event("ObjectCreated:Put", key("event")),
            event("ObjectCreated:Put", digest.clone()),
            event("ObjectRemoved:Delete", key("raw")),
        ]}),
        json!({"source": "aws.s3", "detail-type": "Object Created", "detail": object(key("bridge"))}),
        json!({"source": "aws.ec2", "detail-type": "AWS API Call via CloudTrail", "detail": {"eventID": "inline", "eventVersion": "1.11"}}),
        // Nothing to read.
        json!({"Records": [event("ObjectCreated:Put", digest)]}),
        json!({"Records": [event("ObjectRemoved:Delete", key("raw"))]}),
        json!({"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe", "SubscribeURL": "https://x"}),
    ] {
        bed.send(&body.to_string());
    }
    let (take, counts) = (Take::default(), Counts::default());
    let reader = bed
        .observed(QUEUE, config(), take.clone(), counts.clone())
        .await;
    seconds(10).await;
    reader.stop().await;
    let mut names = take.names();
    names.sort();
    assert_eq!(names, ["bridge", "event", "inline", "raw", "wrapped"]);
    assert_eq!(take.rejected(), [""; 0]);
    assert_eq!((counts.get("skipped"), bed.left()), (3, 0));
    assert_eq!(bed.calls(Service::S3, "GetObject"), 4);
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_known_by_name_url_or_arn() {
    let bed = Bed::new().await;
    let url = bed.aws.with(|cloud, _| cloud.sqs().url(QUEUE));
    let arn = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{QUEUE}");
    for (number, queue) in [QUEUE, &url, &arn].into_iter().enumerate() {
        let found = Queue::find(bed.sqs(), queue).await.expect("the queue");
        assert_eq!((found.name(), found.account()), (QUEUE, Some(ACCOUNT)));
        let name = number.to_string();
        bed.object(&name, file(&[&name]));
        bed.notice(&[&name]);
        let take = Take::default();
        let reader = bed
            .observed(queue, config(), take.clone(), Counts::default())
            .await;
        seconds(5).await;
        reader.stop().await;
        assert_eq!((take.names(), bed.left()), (vec![name], 0), "{queue}");
    }
    assert_eq!(
        bed.calls(Service::Sqs, "GetQueueUrl"),
        4,
        "none for the URL"
    );
    for wrong in ["missing", "arn:aws:sns:us-east-1:1:topic"] {
        let error = Queue::find(bed.sqs(), wrong).await.expect_err("no queue");
        assert_eq!(error.kind(), ErrorKind::NoSuchResource);
        assert!(error.to_string().contains(wrong), "{error}");
    }
    bed.fault(Fault::AccessDenied, Service::Sqs, "GetQueueUrl", u64::MAX);
    let found = Queue::find(bed.sqs(), QUEUE).await.expect("as it is");
    assert_eq!((found.name(), found.account()), (QUEUE, None));
    let error = Queue::find(bed.sqs(), &arn).await.expect_err("no right");
    assert!(error.to_string().contains("`sqs:GetQueueUrl`"), "{error}");
}
