use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::Builder as Overrides;
use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit, StatisticSet};
use forebay_lease::{ShardId, WorkerId};

use crate::call::{Call, attempt};
use crate::error::{Error, ErrorKind};
use crate::observer::Observer;
use crate::processor::Stopping;

/// Reports the KCL's metrics to CloudWatch, so that dashboards and alarms made for the KCL go on working.
///
/// It is an [`Observer`] for the worker and a future to run beside it. Values are summed up in memory as statistic sets
/// and sent every ten seconds, twenty at a time, as the KCL does. What CloudWatch does not take is counted and dropped:
/// metrics never hold up records.
#[derive(Clone, Debug)]
pub struct CloudWatchMetrics {
    worker: Arc<str>,
    sums: Arc<Mutex<BTreeMap<Series, Sum>>>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Series {
    operation: &'static str,
    /// `ShardId` or `WorkerIdentifier` with its value.
    detail: Option<(&'static str, Arc<str>)>,
    name: String,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Unit {
    Count,
    Bytes,
    Millis,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Sum {
    count: f64,
    sum: f64,
    least: f64,
    most: f64,
}

impl CloudWatchMetrics {
    /// Metrics of one worker.
    pub fn new(worker: &WorkerId) -> Self {
        Self {
            worker: worker.to_string().into(),
            sums: Arc::default(),
        }
    }

    /// Sends what was observed every ten seconds, and once more when `stop` resolves. KCL uses the application's name
    /// as `namespace`.
    ///
    /// # Cancel safety
    /// Dropping the future loses the metrics observed since the last report, and nothing else.
    pub async fn run(&self, client: &Client, namespace: &str, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let stopping = tokio::select! {
                () = &mut stop => true,
                () = tokio::time::sleep(PERIOD) => false,
            };
            if let Err(error) = self.report(client, namespace).await {
                tracing::warn!(%error, "metrics were not reported");
            }
            if stopping {
                return;
            }
        }
    }

    /// Sends what was observed since the last report.
    ///
    /// # Errors
    /// Of the first batch that CloudWatch did not take. It and what comes after it is dropped.
    ///
    /// # Cancel safety
    /// As [`CloudWatchMetrics::run`].
    pub async fn report(&self, client: &Client, namespace: &str) -> Result<(), Error> {
        let sums = std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner));
        let sums: Vec<(Series, Sum)> = sums.into_iter().collect();
        for batch in sums.chunks(BATCH) {
            let data = batch
                .iter()
                .map(|(series, sum)| datum(series, *sum))
                .collect();
            let request = client
                .put_metric_data()
                .namespace(namespace)
                .set_metric_data(Some(data));
            let once = Overrides::new().retry_config(RetryConfig::disabled());
            attempt(
                Call::PutMetricData,
                namespace,
                request.customize().config_override(once).send(),
            )
            .await?;
        }
        Ok(())
    }

    fn add(
        &self,
        operation: &'static str,
        detail: Option<(&'static str, Arc<str>)>,
        name: &str,
        value: Value,
    ) {
        let series = Series {
            operation,
            detail,
            name: name.to_owned(),
            unit: value.0,
        };
        let value = value.1;
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.len() >= QUEUE && !sums.contains_key(&series) {
            return;
        }
        let sum = sums.entry(series).or_insert(Sum {
            count: 0.0,
            sum: 0.0,
            least: value,
            most: value,
        });
        sum.count += 1.0;
        sum.sum += value;
        sum.least = sum.least.min(value);
        sum.most = sum.most.max(value);
    }

    fn of_shard(&self, shard: &ShardId, name: &str, value: Value) {
        self.add(
            "ProcessTask",
            Some(("ShardId", shard.to_string().into())),
            name,
            value,
        );
    }

    fn of_worker(&self, operation: &'static str, name: &str, value: Value) {
        let detail = Some(("WorkerIdentifier", Arc::clone(&self.worker)));
        self.add(operation, detail, name, value);
    }
}

impl Observer for CloudWatchMetrics {
    fn lease_taken(&self, _shard: &ShardId, _from: Option<&WorkerId>) {
        self.of_worker("TakeLeases", "TakenLeases", count(1));
    }

    fn lease_stopped(&self, _shard: &ShardId, reason: Stopping) {
        let lost = usize::from(reason == Stopping::Lost);
        self.of_worker("RenewAllLeases", "LostLeases", count(lost));
    }

    fn leases_held(&self, held: usize) {
        self.of_worker("RenewAllLeases", "CurrentLeases", count(held));
    }

    fn records_read(&self, shard: &ShardId, records: usize, bytes: usize) {
        self.of_shard(shard, "RecordsProcessed", count(records));
        self.of_shard(
            shard,
            "DataBytesProcessed",
            Value(Unit::Bytes, as_float(bytes)),
        );
    }

    fn lag(&self, shard: &ShardId, behind: Duration) {
        self.of_shard(shard, "MillisBehindLatest", millis(behind));
        self.add(
            "ApplicationTracker",
            None,
            "MillisBehindLatest",
            millis(behind),
        );
    }

    fn call(&self, call: Call, took: Duration, failed: bool) {
        let success = count(usize::from(!failed));
        let (operation, name) = match call {
            Call::GetRecords => ("ProcessTask", "KinesisDataFetcher.getRecords"),
            Call::GetShardIterator => ("ProcessTask", "KinesisDataFetcher.getShardIterator"),
            Call::UpdateItem => return self.of_call("RenewAllLeases", "RenewLease", success, took),
            Call::Scan => return self.of_call("TakeLeases", "ListLeases", success, took),
            _ => return,
        };
        self.add(operation, None, &format!("{name}.Success"), success);
        self.add(operation, None, &format!("{name}.Time"), millis(took));
    }

    fn error(&self, error: &Error) {
        if error.kind() == ErrorKind::Expired {
            self.add("ProcessTask", None, "ExpiredIterator", count(1));
        }
    }
}

impl CloudWatchMetrics {
    fn of_call(&self, operation: &'static str, name: &str, success: Value, took: Duration) {
        self.of_worker(operation, &format!("{name}.Success"), success);
        self.of_worker(operation, &format!("{name}.Time"), millis(took));
    }
}

#[derive(Clone, Copy, Debug)]
struct Value(Unit, f64);

fn count(value: usize) -> Value {
    Value(Unit::Count, as_float(value))
}

fn millis(value: Duration) -> Value {
    Value(Unit::Millis, value.as_secs_f64() * 1_000.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "CloudWatch keeps floating point numbers"
)]
fn as_float(value: usize) -> f64 {
    value as f64
}

fn datum(series: &Series, sum: Sum) -> MetricDatum {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let datum = MetricDatum::builder()
        .metric_name(&series.name)
        .unit(match series.unit {
            Unit::Count => StandardUnit::Count,
            Unit::Bytes => StandardUnit::Bytes,
            Unit::Millis => StandardUnit::Milliseconds,
        })
        .dimensions(dimension("Operation", series.operation))
        .statistic_values(
            StatisticSet::builder()
                .sample_count(sum.count)
                .sum(sum.sum)
                .minimum(sum.least)
                .maximum(sum.most)
                .build(),
        );
    match &series.detail {
        Some((name, value)) => datum.dimensions(dimension(name, value)).build(),
        None => datum.build(),
    }
}

const PERIOD: Duration = Duration::from_secs(10);
const BATCH: usize = 20;
const QUEUE: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_series_become_one_statistic_set() {
        let metrics = CloudWatchMetrics::new(&"w".parse().expect("an id"));
        let shard = "shardId-000000000000".parse().expect("an id");
        metrics.records_read(&shard, 3, 300);
        metrics.records_read(&shard, 5, 500);
        let sums = metrics.sums.lock().expect("not poisoned");
        let data: Vec<MetricDatum> = sums
            .iter()
            .map(|(series, sum)| datum(series, *sum))
            .collect();
        let processed = data
            .iter()
            .find(|datum| datum.metric_name() == Some("RecordsProcessed"))
            .expect("reported");
        let set = processed.statistic_values().expect("a set");
        assert_eq!(
            (set.sample_count(), set.sum(), set.minimum(), set.maximum()),
            (Some(2.0), Some(8.0), Some(3.0), Some(5.0))
        );
        let dimensions: Vec<_> = processed
            .dimensions()
            .iter()
            .map(|d| (d.name(), d.value()))
            .collect();
        assert_eq!(
            dimensions,
            [
                (Some("Operation"), Some("ProcessTask")),
                (Some("ShardId"), Some("shardId-000000000000"))
            ]
        );
    }
}
