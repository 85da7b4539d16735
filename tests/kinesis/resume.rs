//! Where reading goes on.

use std::time::Duration;

use forebay_kpl::Aggregator;
use forebay_localaws::{Fault, FaultRule, Service, ServiceError};

use crate::bed::{Bed, Mode, Sink, config};

fn aggregate(texts: &[&str]) -> Vec<u8> {
    let mut aggregator = Aggregator::new(1 << 20);
    for text in texts {
        aggregator
            .add("key", None, text.as_bytes())
            .expect("it fits");
    }
    aggregator.finish().expect("not empty")
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_between_the_records_of_an_aggregate() {
    let bed = Bed::new(1);
    bed.put("key", "plain");
    bed.put("key", aggregate(&["a", "b", "c", "d"]));
    bed.put("key", "last");
    let sink = Sink::default();
    sink.mode(Mode::Hold);
    let one = bed.start("one", &sink).await;
    sink.wait_for(6).await;
    // Up to the second user record of the aggregate, in any order.
    sink.accept_first(&[2, 0, 1]);
    let summary = one.stop().await;
    assert_eq!(summary.unaccepted, 3);
    sink.clear();
    sink.mode(Mode::Accept);
    let two = bed.start("two", &sink).await;
    sink.wait_for(3).await;
    let got: Vec<_> = sink
        .delivered()
        .into_iter()
        .map(|delivered| (delivered.sub_sequence, delivered.text))
        .collect();
    assert_eq!(
        got,
        [
            (2, "c".to_owned()),
            (3, "d".to_owned()),
            (0, "last".to_owned())
        ]
    );
    two.stop().await;
    sink.clear();
    let three = bed.start("three", &sink).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(sink.len(), 0);
    three.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_behind_a_gap_moves_nothing() {
    let bed = Bed::new(1);
    for text in ["a", "b", "c"] {
        bed.put("key", text);
    }
    let sink = Sink::default();
    sink.mode(Mode::Hold);
    let one = bed.start("one", &sink).await;
    sink.wait_for(3).await;
    sink.accept_first(&[1, 2]);
    let mut summary = one.stop().await;
    assert_eq!(summary.unaccepted, 1);
    sink.clear();
    sink.mode(Mode::Accept);
    let two = bed.start("two", &sink).await;
    sink.wait_for(3).await;
    assert_eq!(sink.counts().len(), 3, "all of them come again");
    summary = two.stop().await;
    assert_eq!(summary.unaccepted, 0);
}

#[tokio::test(start_paused = true)]
async fn an_expired_iterator_loses_and_repeats_nothing() {
    let bed = Bed::new(1);
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    bed.put_numbers(0..10);
    sink.wait_for(10).await;
    bed.aws.with(|cloud, _| {
        cloud.faults().push(
            FaultRule::new(Fault::Error(ServiceError::new(
                "ExpiredIteratorException",
                400,
                "Iterator expired",
            )))
            .service(Service::Kinesis)
            .operation("GetRecords")
            .times(2),
        );
    });
    bed.put_numbers(10..20);
    sink.wait_for(20).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(sink.len(), 20);
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn latest_stays_where_it_was_when_the_iterator_expires_before_the_first_record() {
    let bed = Bed::new(1);
    bed.put_numbers(0..3);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let sink = Sink::default();
    let worker = bed
        .start_with("one", &sink, forebay_kinesis::Config::default())
        .await;
    sink.wait_until("the shard", |sink| !sink.started().is_empty())
        .await;
    // Every read fails while records arrive; the next iterator must not jump over them.
    bed.aws.with(|cloud, now| {
        cloud.faults().push(
            FaultRule::new(Fault::Error(ServiceError::new(
                "ExpiredIteratorException",
                400,
                "Iterator expired",
            )))
            .service(Service::Kinesis)
            .operation("GetRecords")
            .between(now, now + 5_000),
        );
    });
    bed.put_numbers(3..6);
    sink.wait_for(3).await;
    assert_eq!(
        sink.counts().into_keys().collect::<Vec<_>>(),
        ["3", "4", "5"]
    );
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn latest_stays_where_it_was_after_a_crash_before_the_first_checkpoint() {
    let bed = Bed::new(1);
    bed.put_numbers(0..3);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let sink = Sink::default();
    sink.mode(Mode::Hold);
    let one = bed
        .start_with("one", &sink, forebay_kinesis::Config::default())
        .await;
    sink.wait_until("the shard", |sink| !sink.started().is_empty())
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    bed.put_numbers(3..6);
    sink.wait_for(3).await;
    one.crash().await;
    sink.clear();
    sink.mode(Mode::Accept);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let two = bed
        .start_with("two", &sink, forebay_kinesis::Config::default())
        .await;
    sink.wait_for(3).await;
    assert_eq!(
        sink.counts().into_keys().collect::<Vec<_>>(),
        ["3", "4", "5"]
    );
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_dropped_unaccepted_comes_again() {
    let bed = Bed::new(1);
    bed.put_numbers(0..5);
    let sink = Sink::default();
    sink.mode(Mode::Hold);
    let one = bed.start("one", &sink).await;
    sink.wait_for(5).await;
    sink.mode(Mode::Accept);
    sink.drop_held();
    sink.wait_for(10).await;
    assert!(sink.counts().values().all(|count| *count == 2));
    let summary = one.stop().await;
    assert_eq!(summary.unaccepted, 0);
    let two = bed.start_with("two", &sink, config()).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(sink.len(), 10);
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn records_that_were_trimmed_are_reported_as_a_gap() {
    use std::sync::{Arc, Mutex};

    use forebay_kinesis::{Gap, Observer};

    #[derive(Clone, Default)]
    struct Gaps(Arc<Mutex<Vec<Gap>>>);
    impl Observer for Gaps {
        fn gap(&self, gap: &Gap) {
            self.0.lock().expect("not poisoned").push(gap.clone());
        }
    }

    let bed = Bed::new(1);
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    bed.put_numbers(0..5);
    sink.wait_for(5).await;
    one.stop().await;
    bed.put_numbers(5..10);
    tokio::time::sleep(Duration::from_secs(25 * 3_600)).await;
    bed.put_numbers(10..12);
    let gaps = Gaps::default();
    let worker = bed
        .worker("two", sink.processor("two"), config())
        .await
        .with_observer(gaps.clone());
    let two = crate::bed::Running::spawn(worker);
    sink.wait_for(7).await;
    assert_eq!(sink.counts().len(), 7, "5 to 9 are gone");
    let gaps = gaps.0.lock().expect("not poisoned").clone();
    assert_eq!(gaps.len(), 1);
    let missing = gaps[0].missing.expect("the model's numbers carry the time");
    assert!(missing > Duration::from_secs(24 * 3_600) && missing < Duration::from_secs(26 * 3_600));
    two.stop().await;
}
