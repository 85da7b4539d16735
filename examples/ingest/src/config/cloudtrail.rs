//! `[cloudtrail.NAME]`: queues of CloudTrail notices.

use std::{num::NonZeroU32, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Problem, default_name, units};

/// A queue of CloudTrail notices.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudTrail {
    /// Which `[aws.NAME]` to use.
    #[serde(default = "default_name")]
    pub aws: String,
    /// Which `[output.NAME]` get the messages; empty means each of them.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// Queue name, URL or ARN.
    pub queue: String,
    /// Region of the queue; absent means the one of `aws`.
    pub sqs_region: Option<String>,
    /// Region of the bucket; absent means the one of `aws`.
    pub s3_region: Option<String>,
    /// Buckets that notices may name; empty means CloudTrail's own log files in any bucket of the account that owns
    /// the queue.
    #[serde(default)]
    pub buckets: Vec<Bucket>,
    /// Says with every request that the caller pays, for requester-pays buckets.
    #[serde(default)]
    pub requester_pays: bool,
    /// Most objects read at once.
    #[serde(default = "eight")]
    pub concurrency: NonZeroU32,
    /// How long a received notice stays hidden from other readers; extended while its objects are read.
    #[serde(default = "five_minutes", deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub visibility: Duration,
    /// Pause between two reads of an object whose content is broken; after the third it is a dead letter.
    #[serde(default = "ten_seconds", deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub object_retry: Duration,
    /// Adds the whole record as `full_message_json`.
    #[serde(default)]
    pub full_message: bool,
    /// Replaces `aws-cloudtrail` as GELF host.
    pub source: Option<String>,
    /// Most messages per second of this input; 0 is no limit.
    #[serde(default)]
    pub max_messages_per_second: u32,
}

/// A bucket that notices may name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Bucket name.
    pub name: String,
    /// Keys must begin with this.
    #[serde(default)]
    pub prefix: String,
    /// Account that owns the bucket; absent means the one that owns the queue.
    pub owner: Option<String>,
}

impl CloudTrail {
    pub(super) fn check(&self, name: &str, problems: &mut Vec<Problem>) {
        if self.queue.trim().is_empty() {
            problems.push(
                Problem::at(["cloudtrail", name, "queue"], "`queue` is empty")
                    .help("give a queue name, URL or ARN"),
            );
        }
    }
}

pub(super) fn eight() -> NonZeroU32 {
    NonZeroU32::new(8).expect("8 is not zero")
}

pub(super) fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

pub(super) fn five_minutes() -> Duration {
    Duration::from_secs(300)
}
