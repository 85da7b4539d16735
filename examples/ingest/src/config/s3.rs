//! `[s3.NAME]`: logs in S3, announced on a queue or found by listing.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Bucket, CloudTrail, Problem, Start,
    cloudtrail::{eight, five_minutes, ten_seconds},
    default_name, units,
};

/// Log objects in S3.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// Which `[aws.NAME]` to use.
    #[serde(default = "default_name")]
    pub aws: String,
    /// Which `[output.NAME]` get the messages; empty means each of them.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// Name, URL or ARN of the queue that carries the notices. Without one, the prefixes are polled.
    pub queue: Option<String>,
    /// How prefixes are polled.
    #[serde(default)]
    pub poll: Poll,
    /// Region of the queue; absent means the one of `aws`.
    pub sqs_region: Option<String>,
    /// Region of the buckets; absent means the one of `aws`. A bucket elsewhere in the partition is found by itself.
    pub s3_region: Option<String>,
    /// Which objects are read, and what they hold. The first entry that fits an object counts.
    pub objects: Vec<Objects>,
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
    /// Pause between two reads of an object whose content is broken; after the third `on_object_error` decides.
    #[serde(default = "ten_seconds", deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub object_retry: Duration,
    /// What becomes of an object that is missing, archived or broken.
    #[serde(default)]
    pub on_object_error: OnObjectError,
    /// Adds the whole CloudTrail record as `full_message_json`.
    #[serde(default)]
    pub full_message: bool,
    /// `flow_log_` before the plugin's flow-log field names.
    #[serde(default)]
    pub field_prefix: bool,
    /// Replaces `aws-cloudtrail`, `aws-flowlogs` and `aws-raw-logs` as GELF host.
    pub source: Option<String>,
    /// Most messages per second of this input; 0 is no limit.
    #[serde(default)]
    pub max_messages_per_second: u32,
}

/// Objects under one bucket and prefix.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// Bucket name.
    pub bucket: String,
    /// Keys must begin with this.
    #[serde(default)]
    pub prefix: String,
    /// Account that owns the bucket; absent means the one that owns the queue.
    pub owner: Option<String>,
    /// What the objects hold.
    pub decode: Decode,
    /// Flow-log format of files without a header line.
    #[serde(default = "default_name")]
    pub flow_format: String,
}

/// What objects hold.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Decode {
    /// CloudTrail log files.
    Cloudtrail,
    /// VPC or Transit Gateway flow logs as text, plain or gzip.
    Flowlog,
    /// Any text, plain or gzip: each line is a message.
    Lines,
}

/// What becomes of an object that cannot be read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum OnObjectError {
    /// A dead letter names it, and its notice is deleted.
    #[default]
    DeadLetter,
    /// Its notice stays for the queue's own redrive.
    Leave,
    /// Its notice is deleted.
    Delete,
}

/// How prefixes are polled.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Poll {
    /// File that remembers what was read; one process at a time.
    pub positions: PathBuf,
    /// Time between two listings.
    #[serde(deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub interval: Duration,
    /// How much later than its neighbours an object may appear among them.
    #[serde(deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub look_back: Duration,
    /// Where a prefix without a position begins.
    pub start: Start,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            positions: PathBuf::from("forebay-s3-positions.redb"),
            interval: Duration::from_secs(60),
            look_back: Duration::from_secs(3_600),
            start: Start::Latest,
        }
    }
}

impl S3 {
    pub(super) fn check(&self, name: &str, problems: &mut Vec<Problem>) {
        if self.objects.is_empty() {
            problems.push(
                Problem::at(["s3", name, "objects"], "`objects` is empty")
                    .help("list which objects to read: bucket, prefix and `decode`"),
            );
        }
        for (index, objects) in self.objects.iter().enumerate() {
            if let Err(error) = crate::route::flow_formats(&objects.flow_format) {
                let index = index.to_string();
                problems.push(
                    Problem::at(
                        ["s3", name, "objects", &index, "flow_format"],
                        format!("`flow_format` does not parse: {error}"),
                    )
                    .help("use `default`, or the template given to AWS"),
                );
            }
        }
    }
}

/// A queue of CloudTrail notices is the plugin's kind of S3 input.
impl From<&CloudTrail> for S3 {
    fn from(input: &CloudTrail) -> Self {
        Self {
            aws: input.aws.clone(),
            outputs: input.outputs.clone(),
            queue: Some(input.queue.clone()),
            poll: Poll::default(),
            sqs_region: input.sqs_region.clone(),
            s3_region: input.s3_region.clone(),
            objects: input.buckets.iter().map(Objects::from).collect(),
            requester_pays: input.requester_pays,
            concurrency: input.concurrency,
            visibility: input.visibility,
            object_retry: input.object_retry,
            on_object_error: OnObjectError::default(),
            full_message: input.full_message,
            field_prefix: false,
            source: input.source.clone(),
            max_messages_per_second: input.max_messages_per_second,
        }
    }
}

impl From<&Bucket> for Objects {
    fn from(bucket: &Bucket) -> Self {
        Self {
            bucket: bucket.name.clone(),
            prefix: bucket.prefix.clone(),
            owner: bucket.owner.clone(),
            decode: Decode::Cloudtrail,
            flow_format: default_name(),
        }
    }
}
