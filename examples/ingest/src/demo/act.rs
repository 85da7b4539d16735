//! Acts of the demo: one kind of trouble at a time, told as it happens.

use std::time::Duration;

use anyhow::Context;
use aws_sdk_kinesis::primitives::Blob;
use clap::ValueEnum;
use forebay_localaws::{Fault, FaultRule, LocalAws, Service};
use tokio::time::sleep;

use super::{Worker, world::STREAM};
use crate::aws::Account;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Act {
    /// A shard is split while it is read.
    Reshard,
    /// The process dies without a word, and another takes over.
    KillWorker,
    /// Kinesis and DynamoDB refuse every call for a while.
    Throttle,
    /// Records that nobody can read arrive among the good ones.
    BadRecords,
}

impl Act {
    /// Plays the act. Returns how many dead letters it must give.
    pub(super) async fn play(
        self,
        aws: &LocalAws,
        account: &Account,
        worker: &mut Worker,
        tell: &(impl Fn(&str) + Sync),
    ) -> anyhow::Result<u64> {
        match self {
            Self::Reshard => {
                let kinesis = account.kinesis();
                let split = kinesis
                    .split_shard()
                    .stream_name(STREAM)
                    .shard_to_split(SHARD)
                    .new_starting_hash_key(QUARTER);
                split.send().await.context("the demo's split")?;
                tell(
                    "reshard: shard 0 was split in two; its children are read when it is read to its end",
                );
                Ok(0)
            }
            Self::KillWorker => {
                worker.kill().await;
                tell(
                    "kill-worker: the process died without a word; what was not checkpointed is read again",
                );
                worker.start(account)?;
                tell(
                    "kill-worker: another process waits until the dead one's leases run out (3 s) and takes them",
                );
                Ok(0)
            }
            Self::Throttle => {
                aws.with(|cloud, _| {
                    for service in [Service::Kinesis, Service::DynamoDb] {
                        cloud
                            .faults()
                            .push(FaultRule::new(Fault::Throttle).service(service));
                    }
                });
                tell("throttle: Kinesis and DynamoDB refuse every call");
                sleep(THROTTLED).await;
                aws.with(|cloud, _| cloud.faults().clear());
                tell("throttle: they answer again; reading goes on where it was");
                Ok(0)
            }
            Self::BadRecords => {
                let kinesis = account.kinesis();
                for number in 0..BAD_RECORDS {
                    let bytes = format!("\u{1f}\u{8b} no gzip, number {number}").into_bytes();
                    let put = kinesis
                        .put_record()
                        .stream_name(STREAM)
                        .partition_key(number.to_string())
                        .data(Blob::new(bytes));
                    put.send().await.context("the demo's bad records")?;
                }
                tell(&format!(
                    "bad-records: {BAD_RECORDS} records that nobody can read; each becomes a dead letter, none holds the others up"
                ));
                Ok(BAD_RECORDS)
            }
        }
    }
}

const SHARD: &str = "shardId-000000000000";

/// A quarter of all hash keys: the middle of the first of two shards.
const QUARTER: &str = "85070591730234615865843651857942052864";

const THROTTLED: Duration = Duration::from_secs(2);
const BAD_RECORDS: u64 = 10;
