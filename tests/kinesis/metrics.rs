//! The KCL's metrics in CloudWatch.

use std::time::Duration;

use forebay_kinesis::CloudWatchMetrics;
use tokio::sync::oneshot;

use crate::bed::{Bed, Running, Sink, TABLE, config};

#[tokio::test(start_paused = true)]
async fn metrics_carry_the_names_and_dimensions_of_the_kcl() {
    let bed = Bed::new(2);
    let sink = Sink::default();
    let metrics = CloudWatchMetrics::new(&"one".parse().expect("an id"));
    let worker = bed
        .worker("one", sink.processor("one"), config())
        .await
        .with_observer(metrics.clone());
    let worker = Running::spawn(worker);
    let client = aws_sdk_cloudwatch::Client::new(&bed.sdk("one").await);
    let (stop, stopped) = oneshot::channel::<()>();
    let reporting = tokio::spawn(async move {
        let stop = async {
            let _ = stopped.await;
        };
        metrics.run(&client, TABLE, stop).await;
    });
    for round in 0..60 {
        bed.put_numbers(round * 5..round * 5 + 5);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    sink.wait_for(300).await;
    worker.stop().await;
    stop.send(()).expect("it runs");
    reporting.await.expect("no panic");
    let (data, calls) = bed.aws.with(|cloud, _| {
        let calls = cloud
            .calls()
            .count(forebay_localaws::Service::CloudWatch, "PutMetricData");
        (cloud.cloudwatch().data().to_vec(), calls)
    });
    // Every ten seconds, twenty at a time.
    assert!((7..=20).contains(&calls), "{calls} calls in a minute");
    let sum = |name: &str, dimensions: &[(&str, &str)]| -> Option<f64> {
        let mut of_series = data.iter().filter(|datum| {
            let mut found: Vec<(&str, &str)> = datum
                .dimensions
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            found.sort_unstable();
            let mut wanted = dimensions.to_vec();
            wanted.sort_unstable();
            datum.namespace == TABLE && datum.name == name && found == wanted
        });
        of_series
            .clone()
            .next()
            .map(|_| of_series.by_ref().map(|datum| datum.sum).sum())
    };
    let shard = |number: u32| format!("shardId-{number:012}");
    let process = |name: &str, number: u32| {
        let shard = shard(number);
        let dimensions = [("Operation", "ProcessTask"), ("ShardId", shard.as_str())];
        sum(name, &dimensions)
    };
    let records = process("RecordsProcessed", 0).expect("reported")
        + process("RecordsProcessed", 1).expect("reported");
    assert!((records - 300.0).abs() < 0.5, "{records}");
    for name in ["DataBytesProcessed", "MillisBehindLatest"] {
        assert!(process(name, 0).is_some(), "{name}: {data:?}");
    }
    let application = [("Operation", "ApplicationTracker")];
    assert!(sum("MillisBehindLatest", &application).is_some());
    let renew = [("Operation", "RenewAllLeases"), ("WorkerIdentifier", "one")];
    for name in [
        "CurrentLeases",
        "LostLeases",
        "RenewLease.Success",
        "RenewLease.Time",
    ] {
        assert!(sum(name, &renew).is_some(), "{name}");
    }
    let take = [("Operation", "TakeLeases"), ("WorkerIdentifier", "one")];
    for name in ["TakenLeases", "ListLeases.Success"] {
        assert!(sum(name, &take).is_some(), "{name}");
    }
}
