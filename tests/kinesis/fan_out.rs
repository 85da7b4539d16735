//! Enhanced fan-out: records are pushed.

use std::time::Duration;

use forebay_kinesis::{Config, ErrorKind, Retrieval};
use forebay_kpl::Aggregator;
use forebay_localaws::{Fault, FaultRule, Service, ServiceError, Settings};
use tokio::time::Instant;

use crate::bed::{Bed, Mode, Running, STREAM, Sink, config};
use crate::faults::Errors;
use crate::reshard::{assert_parents_before_children, merge, split};

fn fan_out() -> Config {
    let mut config = config();
    config.retrieval = Retrieval::FanOut {
        consumer: "application".to_owned(),
    };
    config
}

fn calls(bed: &Bed, operation: &str) -> u64 {
    bed.aws
        .with(|cloud, _| cloud.calls().count(Service::Kinesis, operation))
}

/// Puts five records every two seconds.
async fn feed(bed: &Bed, numbers: std::ops::Range<u32>) {
    for number in numbers.step_by(5) {
        bed.put_numbers(number..number + 5);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Waits until every number below `count` came, then some time more for repeats.
async fn all_of(sink: &Sink, count: usize) {
    sink.wait_until("every record", |sink| sink.counts().len() == count)
        .await;
    tokio::time::sleep(Duration::from_secs(15)).await;
}

#[tokio::test(start_paused = true)]
async fn records_are_pushed_once_across_renewals_of_the_subscription() {
    // Creation of table and consumer takes its time.
    let bed = Bed::with(2, Settings::default());
    tokio::time::sleep(Duration::from_secs(1)).await;
    bed.put_numbers(0..5);
    let sink = Sink::default();
    let start = Instant::now();
    let worker = bed.start_with("one", &sink, fan_out()).await;
    sink.wait_for(5).await;
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    // 21 minutes, so four renewals; some of them while records arrive.
    feed(&bed, 5..3_155).await;
    all_of(&sink, 3_155).await;
    assert_eq!(sink.len(), 3_155, "no repeat at a seam");
    let subscribed = calls(&bed, "SubscribeToShard");
    assert_eq!(subscribed, 2 * 5, "once per shard and five minutes");
    assert_eq!(calls(&bed, "GetRecords"), 0);
    worker.stop().await;
    sink.clear();
    let two = bed.start_with("two", &sink, config()).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(sink.len(), 0, "polling goes on at the same checkpoint");
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn splits_and_merges_are_followed() {
    let bed = Bed::new(2);
    let sink = Sink::default();
    let worker = bed.start_with("one", &sink, fan_out()).await;
    feed(&bed, 0..50).await;
    split(&bed, 0);
    feed(&bed, 50..100).await;
    merge(&bed, 1);
    feed(&bed, 100..150).await;
    split(&bed, 1);
    feed(&bed, 150..200).await;
    all_of(&sink, 200).await;
    assert_eq!(sink.len(), 200);
    assert_parents_before_children(&bed, &sink);
    let summary = worker.stop().await;
    assert_eq!(summary.unaccepted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_fails_goes_on_where_it_was() {
    let bed = Bed::new(2);
    let sink = Sink::default();
    let errors = Errors::default();
    let worker = bed
        .worker("one", sink.processor("one"), fan_out())
        .await
        .with_observer(errors.clone());
    let worker = Running::spawn(worker);
    bed.aws.with(|cloud, _| {
        let error = |code: &str| Fault::Error(ServiceError::new(code, 400, "by the fault plan"));
        for (fault, per_million) in [
            (Fault::LoseAnswer, 50_000),
            (Fault::ServerError, 30_000),
            (error("KMSThrottlingException"), 20_000),
            (error("ResourceInUseException"), 20_000),
            (error("SomethingNew"), 10_000),
            // Silent for a minute and a half: a connection that is half open.
            (Fault::Delay(90_000), 20_000),
        ] {
            let rule = FaultRule::new(fault).service(Service::Kinesis);
            let rule = rule.operation("SubscribeToShardEvent");
            cloud.faults().push(rule.per_million(per_million));
        }
        for fault in [Fault::LoseAnswer, Fault::Throttle, Fault::ServerError] {
            let rule = FaultRule::new(fault).service(Service::Kinesis);
            let rule = rule.operation("SubscribeToShard");
            cloud.faults().push(rule.per_million(100_000));
        }
    });
    feed(&bed, 0..2_000).await;
    bed.aws.with(|cloud, _| cloud.faults().clear());
    all_of(&sink, 2_000).await;
    assert_eq!(sink.len(), 2_000, "no repeat at a seam");
    let kinds: Vec<ErrorKind> = errors.all().into_iter().map(|(kind, _)| kind).collect();
    for kind in [
        ErrorKind::Unavailable,
        ErrorKind::Busy,
        ErrorKind::Throttled,
    ] {
        assert!(kinds.contains(&kind), "{kind} did not occur: {kinds:?}");
    }
    let denied = kinds.contains(&ErrorKind::Denied);
    assert!(!denied, "an unknown exception in the stream is a fault");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn calls_stay_within_one_in_five_seconds_when_every_event_fails() {
    let bed = Bed::new(1);
    bed.put_numbers(0..1);
    bed.aws.with(|cloud, _| {
        let rule = FaultRule::new(Fault::LoseAnswer).service(Service::Kinesis);
        cloud.faults().push(rule.operation("SubscribeToShardEvent"));
    });
    let sink = Sink::default();
    let worker = bed.start_with("one", &sink, fan_out()).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let subscribed = calls(&bed, "SubscribeToShard");
    assert!((10..=121).contains(&subscribed), "{subscribed} in 600 s");
    bed.aws.with(|cloud, _| cloud.faults().clear());
    sink.wait_for(1).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_takes_the_subscription_over_and_the_old_one_delivers_no_more() {
    let bed = Bed::new(2);
    let sink = Sink::default();
    let one = bed.start_with("one", &sink, fan_out()).await;
    bed.put_numbers(0..50);
    sink.wait_for(50).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    // The second worker steals a shard.
    let two = bed.start_with("two", &sink, fan_out()).await;
    sink.wait_until("a shard to change hands", |sink| sink.started().len() == 3)
        .await;
    feed(&bed, 50..300).await;
    all_of(&sink, 300).await;
    assert_eq!(sink.len(), 300, "no record came through both");
    let workers: std::collections::BTreeSet<_> = sink
        .delivered()
        .into_iter()
        .map(|delivered| delivered.worker)
        .collect();
    assert_eq!(workers.len(), 2);
    two.crash().await;
    feed(&bed, 300..400).await;
    all_of(&sink, 400).await;
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_budget_stops_the_pushing_and_lets_the_subscription_go() {
    let bed = Bed::new(2);
    let sink = Sink::default();
    sink.mode(Mode::Hold);
    let mut settings = fan_out();
    settings.bytes_in_flight = 1 << 20;
    settings.release_after = None;
    let worker = bed.start_with("one", &sink, settings).await;
    for number in 0..120 {
        let mut data = format!("{number:04}").into_bytes();
        data.resize(50_000, b'.');
        bed.put(&format!("key-{number}"), data);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    let stuck = sink.len();
    assert!(
        stuck * 50_000 < (1 << 20) + 2 * 250_000,
        "{stuck} records are in flight"
    );
    let subscribed = calls(&bed, "SubscribeToShard");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(
        calls(&bed, "SubscribeToShard"),
        subscribed,
        "nobody subscribes to what cannot be taken"
    );
    for _ in 0..300 {
        sink.release();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((sink.len(), sink.counts().len()), (120, 120));
    let summary = worker.stop().await;
    assert_eq!(summary.unaccepted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_between_the_records_of_an_aggregate() {
    let bed = Bed::new(1);
    let mut aggregator = Aggregator::new(1 << 20);
    for text in ["a", "b", "c"] {
        aggregator
            .add("key", None, text.as_bytes())
            .expect("it fits");
    }
    bed.put("key", aggregator.finish().expect("not empty"));
    let sink = Sink::default();
    sink.mode(Mode::Hold);
    let one = bed.start_with("one", &sink, fan_out()).await;
    sink.wait_for(3).await;
    sink.accept_first(&[0, 1]);
    one.stop().await;
    sink.clear();
    sink.mode(Mode::Accept);
    let two = bed.start_with("two", &sink, fan_out()).await;
    sink.wait_for(1).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let got: Vec<_> = sink.delivered().into_iter().map(|d| d.text).collect();
    assert_eq!(got, ["c"]);
    two.stop().await;
}

/// Denies an operation of Kinesis for good.
fn deny(bed: &Bed, operation: &str) {
    bed.aws.with(|cloud, _| {
        let rule = FaultRule::new(Fault::AccessDenied).service(Service::Kinesis);
        cloud.faults().push(rule.operation(operation));
    });
}

#[tokio::test(start_paused = true)]
async fn a_registered_consumer_needs_no_right_to_register() {
    let bed = Bed::new(1);
    bed.put_numbers(0..5);
    let sink = Sink::default();
    let one = bed.start_with("one", &sink, fan_out()).await;
    sink.wait_for(5).await;
    one.stop().await;
    deny(&bed, "RegisterStreamConsumer");
    deny(&bed, "GetRecords");
    deny(&bed, "GetShardIterator");
    let sdk = bed.sdk("admin").await;
    let arn = aws_sdk_kinesis::Client::new(&sdk)
        .list_stream_consumers()
        .stream_arn(format!(
            "arn:aws:kinesis:us-east-1:123456789012:stream/{STREAM}"
        ))
        .send()
        .await
        .expect("a list")
        .consumers()[0]
        .consumer_arn()
        .to_owned();
    deny(&bed, "DescribeStreamSummary");
    let mut by_arn = fan_out();
    by_arn.retrieval = Retrieval::FanOut { consumer: arn };
    bed.put_numbers(5..10);
    let two = bed.start_with("two", &sink, by_arn).await;
    sink.wait_for(10).await;
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_right_that_fan_out_cannot_do_without_is_named() {
    for operation in [
        "RegisterStreamConsumer",
        "DescribeStreamConsumer",
        "DescribeStreamSummary",
    ] {
        let bed = Bed::new(1);
        deny(&bed, operation);
        let sink = Sink::default();
        let worker = bed.start_with("one", &sink, fan_out()).await;
        let error = worker.ended().await.expect_err("a missing right");
        assert_eq!(error.kind(), ErrorKind::Denied);
        let named = format!("`kinesis:{operation}`");
        assert!(error.to_string().contains(&named), "{error}");
    }
    // One that is missing later is waited for.
    let bed = Bed::new(1);
    bed.put_numbers(0..5);
    deny(&bed, "SubscribeToShard");
    let sink = Sink::default();
    let errors = Errors::default();
    let worker = bed
        .worker("one", sink.processor("one"), fan_out())
        .await
        .with_observer(errors.clone());
    let worker = Running::spawn(worker);
    tokio::time::sleep(Duration::from_secs(90)).await;
    let named = |(_, text): &(ErrorKind, String)| text.contains("`kinesis:SubscribeToShard`");
    assert!(errors.all().iter().any(named), "{:?}", errors.all());
    bed.aws.with(|cloud, _| cloud.faults().clear());
    sink.wait_for(5).await;
    worker.stop().await;
}
