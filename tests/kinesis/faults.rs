//! Lost answers, throttling, missing rights.

use std::time::Duration;

use forebay_kinesis::{Error, ErrorKind, Observer, Stopping};
use forebay_localaws::{Fault, FaultRule, Service};

use crate::bed::{Bed, Running, Sink, config};

/// What the observer was told of errors.
#[derive(Clone, Default)]
pub(crate) struct Errors(std::sync::Arc<std::sync::Mutex<Vec<(ErrorKind, String)>>>);

impl Errors {
    pub(crate) fn all(&self) -> Vec<(ErrorKind, String)> {
        self.0.lock().expect("not poisoned").clone()
    }
}

impl Observer for Errors {
    fn error(&self, error: &Error) {
        self.0
            .lock()
            .expect("not poisoned")
            .push((error.kind(), error.to_string()));
    }
}

/// Loses the answers of every UpdateItem after `skip` of them, `times` in a row; nothing may change hands for it.
async fn survives_lost_answers(skip: u64, times: u64) {
    let bed = Bed::new(1);
    bed.aws.with(|cloud, _| {
        cloud.faults().push(
            FaultRule::new(Fault::LoseAnswer)
                .service(Service::DynamoDb)
                .operation("UpdateItem")
                .caller("one")
                .skip(skip)
                .times(times),
        );
    });
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    for round in 0..20 {
        bed.put_numbers(round * 5..round * 5 + 5);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    sink.wait_until("all records", |sink| sink.counts().len() == 100)
        .await;
    assert_eq!(sink.len(), 100, "nothing came twice");
    let lost = sink
        .stopping()
        .iter()
        .filter(|(_, _, why)| *why == Stopping::Lost)
        .count();
    assert_eq!(
        (lost, sink.started().len()),
        (0, 1),
        "the lease stayed where it was"
    );
    let summary = one.stop().await;
    assert_eq!(summary.unaccepted, 0);
    let two = bed.start("two", &sink).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(sink.len(), 100, "the last checkpoint covers all of them");
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_take_whose_answer_was_lost_is_recognised() {
    survives_lost_answers(0, 1).await;
}

#[tokio::test(start_paused = true)]
async fn renewals_and_checkpoints_whose_answers_were_lost_are_recognised() {
    for skip in 1..8 {
        survives_lost_answers(skip, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_lost_answer_of_a_lease_creation_harms_nothing() {
    let bed = Bed::new(3);
    bed.aws.with(|cloud, _| {
        cloud.faults().push(
            FaultRule::new(Fault::LoseAnswer)
                .service(Service::DynamoDb)
                .operation("PutItem")
                .times(2),
        );
    });
    bed.put_numbers(0..60);
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    sink.wait_for(60).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((sink.len(), sink.counts().len()), (60, 60));
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn throttling_and_server_errors_slow_down_and_lose_nothing() {
    let bed = Bed::new(2);
    bed.aws.with(|cloud, _| {
        for (fault, operation) in [
            (Fault::Throttle, "GetRecords"),
            (Fault::ServerError, "GetRecords"),
            (Fault::Throttle, "GetShardIterator"),
            (Fault::LoseAnswer, "GetRecords"),
        ] {
            cloud.faults().push(
                FaultRule::new(fault)
                    .service(Service::Kinesis)
                    .operation(operation)
                    .per_million(200_000),
            );
        }
        for fault in [
            Fault::Throttle,
            Fault::ServerErrorAfterEffect,
            Fault::ServerError,
        ] {
            cloud.faults().push(
                FaultRule::new(fault)
                    .service(Service::DynamoDb)
                    .per_million(50_000),
            );
        }
    });
    let errors = Errors::default();
    let sink = Sink::default();
    let worker = bed
        .worker("one", sink.processor("one"), config())
        .await
        .with_observer(errors.clone());
    let one = Running::spawn(worker);
    for round in 0..60 {
        bed.put_numbers(round * 5..round * 5 + 5);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    sink.wait_until("all records", |sink| sink.counts().len() == 300)
        .await;
    let kinds: Vec<ErrorKind> = errors.all().into_iter().map(|(kind, _)| kind).collect();
    assert!(kinds.contains(&ErrorKind::Throttled) && kinds.contains(&ErrorKind::Unavailable));
    bed.aws.with(|cloud, _| cloud.faults().clear());
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn reads_never_exceed_the_limits_of_the_service_even_when_they_fail() {
    let bed = Bed::new(1);
    bed.aws.with(|cloud, _| {
        cloud.faults().push(
            FaultRule::new(Fault::ServerError)
                .service(Service::Kinesis)
                .operation("GetRecords"),
        );
    });
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let calls = bed
        .aws
        .with(|cloud, _| cloud.calls().count(Service::Kinesis, "GetRecords"));
    assert!(
        calls > 5 && calls < 200,
        "{calls} calls in ten minutes of failure"
    );
    bed.aws.with(|cloud, _| cloud.faults().clear());
    bed.put_numbers(0..3);
    sink.wait_for(3).await;
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_optional_rights_it_works_and_names_them() {
    let bed = Bed::new(1);
    let sink = Sink::default();
    // Somebody with the rights made the table.
    let set_up = bed.start("set-up", &sink).await;
    sink.wait_until("the shard", |sink| !sink.started().is_empty())
        .await;
    set_up.stop().await;
    bed.aws.with(|cloud, _| {
        for operation in ["DescribeTable", "CreateTable", "DeleteItem"] {
            cloud.faults().push(
                FaultRule::new(Fault::AccessDenied)
                    .service(Service::DynamoDb)
                    .operation(operation),
            );
        }
        cloud.faults().push(
            FaultRule::new(Fault::AccessDenied)
                .service(Service::Kinesis)
                .operation("DescribeStreamSummary"),
        );
    });
    bed.put_numbers(0..5);
    let errors = Errors::default();
    let worker = bed
        .worker("one", sink.processor("one"), config())
        .await
        .with_observer(errors.clone());
    let one = Running::spawn(worker);
    sink.wait_for(5).await;
    let named = |action: &str| errors.all().iter().any(|(_, text)| text.contains(action));
    assert!(named("dynamodb:DescribeTable"), "{:?}", errors.all());
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_required_right_is_named_and_waited_for() {
    let bed = Bed::new(1);
    bed.put_numbers(0..5);
    bed.aws.with(|cloud, now| {
        cloud.faults().push(
            FaultRule::new(Fault::AccessDenied)
                .service(Service::Kinesis)
                .operation("GetRecords")
                .between(now, now + 90_000),
        );
    });
    let errors = Errors::default();
    let sink = Sink::default();
    let worker = bed
        .worker("one", sink.processor("one"), config())
        .await
        .with_observer(errors.clone());
    let one = Running::spawn(worker);
    sink.wait_for(5).await;
    assert!(
        errors
            .all()
            .iter()
            .any(|(kind, text)| *kind == ErrorKind::Denied && text.contains("`kinesis:GetRecords`")),
        "{:?}",
        errors.all()
    );
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_exist_is_an_error_at_the_start() {
    let bed = Bed::new(1);
    let sdk = bed.sdk("one").await;
    let stream = forebay_kinesis::KinesisStream::new(
        aws_sdk_kinesis::Client::new(&sdk),
        forebay_kinesis::StreamName::new("other").expect("a name"),
    );
    let sink = Sink::default();
    let worker = forebay_kinesis::Worker::new(
        "one".parse().expect("an id"),
        stream,
        bed.table("one").await,
        sink.processor("one"),
    );
    let error = Running::spawn(worker)
        .ended()
        .await
        .expect_err("no such stream");
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert!(error.to_string().contains("`other`"), "{error}");
}
