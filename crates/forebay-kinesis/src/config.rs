use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::time::{Duration, SystemTime};

use crate::error::{Error, ErrorKind};
use crate::stream::StreamName;

/// Settings of a [`Worker`](crate::Worker). The defaults are those of the KCL where both have the setting.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to start on a stream that nobody has read under this table. Default: [`InitialPosition::Latest`].
    pub initial_position: InitialPosition,
    /// How long a lease may go without renewal before peers take it. All workers of a table must agree.
    /// Default 10 s; 2 s to 5 min.
    pub failover_time: Duration,
    /// How often the lease table is scanned for leases of dead peers, at most every 2 × `failover_time`. Each scan reads
    /// the whole table. A crash is noticed within `failover_time` and this, or within twice this from `failover_time`
    /// on. Default 1.5 s; 20 s is the KCL's pace, which a worker keeps anyway while it holds every lease.
    pub watch_interval: Duration,
    /// The most leases this worker holds. Default: no limit.
    pub max_leases: Option<NonZeroUsize>,
    /// How the records of a shard are read. Default: [`Retrieval::Polling`].
    pub retrieval: Retrieval,
    /// The most Kinesis records one read asks for. Default 10,000, which is also the service's limit. No more are asked for
    /// than make 4 MB, two seconds of a shard's read rate, or take a third of `bytes_in_flight` while they are decoded,
    /// and 8 while the size of a shard's records is not known.
    pub max_records: NonZeroU16,
    /// The pause between two reads of a shard once its newest record was read. While behind, reads follow each other
    /// as fast as the service allows. Default 1 s.
    pub idle: Duration,
    /// How many reads per second and shard this worker may make of the five that all readers of a shard share.
    /// Default 5.
    pub reads_per_second: NonZeroU32,
    /// The most bytes of records that are read and not accepted yet, over all shards. At least 1 MiB; a read of a shard
    /// that lags reserves up to 20 MiB and at most a third of this, so less than 60 MiB slows catching up. Default 64 MiB.
    pub bytes_in_flight: usize,
    /// How many batches of one shard may wait for the processor besides the one it works on. Default 2.
    pub batches_ahead: NonZeroUsize,
    /// How long the processor may make no progress on any shard, while records wait for it, before the leases are
    /// given back. They are taken again when it has caught up. `None` keeps the leases for ever. Default 60 s.
    pub release_after: Option<Duration>,
    /// How long a stop waits for batches in work to be accepted. Default 20 s.
    pub stop_grace: Duration,
    /// Whether KPL aggregates are split into user records. Default true.
    pub deaggregate: bool,
    /// Whether finished leases are deleted once their children are read. Needs `dynamodb:DeleteItem`. Default true.
    pub delete_finished_leases: bool,
    /// Spreads random delays and choices. Workers of one table should differ; `None` derives it from the worker id.
    pub seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            initial_position: InitialPosition::Latest,
            failover_time: Duration::from_secs(10),
            watch_interval: Duration::from_millis(1_500),
            max_leases: None,
            retrieval: Retrieval::Polling,
            max_records: const { NonZeroU16::new(10_000).unwrap() },
            idle: Duration::from_secs(1),
            reads_per_second: const { NonZeroU32::new(5).unwrap() },
            bytes_in_flight: 64 * 1024 * 1024,
            batches_ahead: const { NonZeroUsize::new(2).unwrap() },
            release_after: Some(Duration::from_secs(60)),
            stop_grace: Duration::from_secs(20),
            deaggregate: true,
            delete_finished_leases: true,
            seed: None,
        }
    }
}

impl Config {
    /// Checks every setting that a type cannot keep right.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the setting and its limits.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |setting: &str, why: &str| Err(Error::new(ErrorKind::Config, setting, why));
        if self.failover_time < Duration::from_secs(2)
            || self.failover_time > Duration::from_secs(300)
        {
            return refuse("failover_time", "it must be from 2 s to 5 min");
        }
        if self.max_records.get() > 10_000 {
            return refuse(
                "max_records",
                "the service gives at most 10,000 records per read",
            );
        }
        if self.reads_per_second.get() > 5 {
            return refuse(
                "reads_per_second",
                "the service allows five reads per second and shard",
            );
        }
        if self.idle > Duration::from_secs(240) {
            return refuse(
                "idle",
                "iterators expire after 5 min, so it must be at most 4 min",
            );
        }
        if self.bytes_in_flight < 1024 * 1024 {
            return refuse(
                "bytes_in_flight",
                "it must be at least 1 MiB, the size of one record",
            );
        }
        if self
            .release_after
            .is_some_and(|after| after < Duration::from_secs(1))
        {
            return refuse("release_after", "it must be at least 1 s, or not set");
        }
        if let Retrieval::FanOut { consumer } = &self.retrieval {
            let is_arn = consumer.starts_with("arn:") && consumer.contains("/consumer/");
            if !is_arn && StreamName::new(consumer).is_err() {
                return refuse(
                    "retrieval",
                    "a consumer has a name of 1 to 128 characters of `[a-zA-Z0-9_.-]`, or an ARN that ends with `/consumer/NAME:TIME`",
                );
            }
        }
        Ok(())
    }
}

/// How the records of a shard are read.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Retrieval {
    /// With GetRecords. All readers of a shard share five calls and 2 MB a second, and a record takes up to
    /// [`Config::idle`] to be seen.
    Polling,
    /// With SubscribeToShard (enhanced fan-out): records are pushed, with 2 MB a second of each shard for this consumer
    /// alone. AWS bills it by consumer, shard and hour, and by volume. The client must reach Kinesis over HTTP/2.
    FanOut {
        /// The name of the consumer, which is registered if it does not exist (the KCL takes the application's name), or
        /// the ARN of one that does. A consumer has one subscription to a shard: no two applications may share it.
        consumer: String,
    },
}

/// Where to start on a stream that nobody has read under this table.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InitialPosition {
    /// At the oldest record the stream still keeps.
    TrimHorizon,
    /// At the moment the worker first sees the shard. The moment is fixed then: a failover or an expired iterator
    /// before the first checkpoint does not move it forward.
    Latest,
    /// At the first record that arrived at this time or later.
    AtTimestamp(SystemTime),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        match config.check() {
            Ok(()) => "accepted".to_owned(),
            Err(error) => error.resource().to_owned(),
        }
    }

    #[test]
    fn a_setting_outside_its_limits_is_named() {
        assert_eq!(refused(|_| {}), "accepted");
        assert_eq!(
            refused(|c| c.failover_time = Duration::from_secs(1)),
            "failover_time"
        );
        assert_eq!(
            refused(|c| c.failover_time = Duration::from_secs(301)),
            "failover_time"
        );
        assert_eq!(refused(|c| c.max_records = NonZeroU16::MAX), "max_records");
        assert_eq!(
            refused(|c| c.reads_per_second = NonZeroU32::MAX),
            "reads_per_second"
        );
        assert_eq!(refused(|c| c.idle = Duration::from_secs(300)), "idle");
        assert_eq!(refused(|c| c.bytes_in_flight = 10), "bytes_in_flight");
        assert_eq!(
            refused(|c| c.release_after = Some(Duration::ZERO)),
            "release_after"
        );
        assert_eq!(refused(|c| c.release_after = None), "accepted");
        let consumer = |name: &str| {
            let consumer = name.to_owned();
            refused(|c| c.retrieval = Retrieval::FanOut { consumer })
        };
        assert_eq!(consumer("application"), "accepted");
        assert_eq!(
            consumer("arn:aws:kinesis:eu-west-1:1:stream/s/consumer/a:1"),
            "accepted"
        );
        assert_eq!(consumer(""), "retrieval");
        assert_eq!(
            consumer("arn:aws:kinesis:eu-west-1:1:stream/s"),
            "retrieval"
        );
    }
}
