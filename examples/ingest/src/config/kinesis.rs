//! `[kinesis.NAME]`: streams of CloudWatch Logs subscription payloads, or of any text.

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::{Problem, default_name, units};

/// A Kinesis stream of CloudWatch Logs subscription payloads, or of any text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kinesis {
    /// Which `[aws.NAME]` to use.
    #[serde(default = "default_name")]
    pub aws: String,
    /// Which `[output.NAME]` get the messages; empty means each of them.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// Stream name or ARN.
    pub stream: String,
    /// What the records are.
    #[serde(default)]
    pub decode: Decode,
    /// Flow-log format of this stream: `default`, or the template given to AWS.
    #[serde(default = "default_name")]
    pub flow_format: String,
    /// Other decoders for some log groups; the first match wins.
    #[serde(default)]
    pub route: Vec<Route>,
    /// Where a shard without a lease starts: `latest`, `trim-horizon` or an RFC 3339 time.
    #[serde(default)]
    pub start: Start,
    /// Most records per GetRecords call, 1 to 10,000.
    #[serde(default = "batch_size")]
    pub batch_size: u32,
    /// Pause between reads of a shard that is caught up.
    #[serde(default = "one_second", deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub read_interval: Duration,
    /// Name or ARN of a consumer of its own: records are pushed to it (enhanced fan-out, billed apart) and share no limits
    /// with other readers. Absent means polling.
    pub fan_out: Option<String>,
    /// Replaces `aws-flowlogs` and `aws-raw-logs` as GELF host, as the plugin's `override_source`.
    pub source: Option<String>,
    /// `flow_log_` before the plugin's flow-log field names.
    #[serde(default)]
    pub field_prefix: bool,
    /// The text of each event also as `full_message`, as the plugin's setting of this name.
    #[serde(default)]
    pub store_full_message: bool,
    /// Most messages per second of this input; 0 is no limit.
    #[serde(default)]
    pub max_messages_per_second: u32,
    /// The lease table.
    #[serde(default)]
    pub lease: Lease,
}

/// What the records of a stream, or the events of a log group, are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Decode {
    /// Flow-log lines where a line is one, otherwise plain log text.
    #[default]
    Auto,
    /// Every event is a flow-log line (the plugin's "AWS Flow Logs").
    Flowlog,
    /// Every event is log text (the plugin's "AWS Logs").
    Cloudwatch,
    /// Every record is a text of its own and no CloudWatch payload (the plugin's "Kinesis Raw"). Nothing is decompressed.
    Raw,
}

/// A decoder for some log groups.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Log group name; `*` stands for any run of characters.
    pub log_group: String,
    /// What its events are.
    pub decode: Decode,
    /// Flow-log format of the group.
    #[serde(default = "default_name")]
    pub flow_format: String,
}

/// Where a shard without a lease starts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Start {
    /// At the newest record, as the plugin; pinned to the time of the first start.
    #[default]
    Latest,
    /// At the oldest record kept.
    TrimHorizon,
    /// At the first record that arrived at this time or later.
    At(SystemTime),
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // TOML has a type of its own for times.
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        match text.as_str() {
            "latest" => Ok(Self::Latest),
            "trim-horizon" => Ok(Self::TrimHorizon),
            time => time
                .parse::<jiff::Timestamp>()
                .ok()
                .and_then(|time| u64::try_from(time.as_millisecond()).ok())
                .map(|millis| Self::At(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)))
                .ok_or_else(|| {
                    de::Error::custom(format_args!(
                        "`{time}` is no start: use \"latest\", \"trim-horizon\" or a time such as \"2026-11-26T08:00:00Z\""
                    ))
                }),
        }
    }
}

impl JsonSchema for Start {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Start".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"anyOf": [{"enum": ["latest", "trim-horizon"]}, {"type": "string", "format": "date-time"}]})
    }
}

/// The lease table of a stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lease {
    /// Table name; absent means the plugin's, `graylog-aws-plugin-STREAM`, so that positions carry over.
    pub table: Option<String>,
    /// A worker silent for this long has lost its leases. The same value on all workers of the table.
    #[serde(deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub failover: Duration,
    /// Most leases this worker takes.
    pub max_leases: NonZeroU32,
    /// How often the whole table is read to find leases to take: shorter means faster failover, longer means fewer reads.
    #[serde(deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub watch_interval: Duration,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            table: None,
            failover: Duration::from_secs(10),
            max_leases: NonZeroU32::new(1_000).expect("1,000 is not zero"),
            watch_interval: Duration::from_millis(1_500),
        }
    }
}

impl Kinesis {
    /// The stream's name, also when `stream` is an ARN.
    #[must_use]
    pub fn stream_name(&self) -> &str {
        match self.stream.strip_prefix("arn:") {
            Some(arn) => arn.rsplit('/').next().unwrap_or(arn),
            None => &self.stream,
        }
    }

    /// Name of the lease table.
    #[must_use]
    pub fn table(&self) -> String {
        match &self.lease.table {
            Some(table) => table.clone(),
            None => format!("graylog-aws-plugin-{}", self.stream_name()),
        }
    }

    pub(super) fn check(&self, name: &str, problems: &mut Vec<Problem>) {
        let at = |key: &str, what: String| Problem::at(["kinesis", name, key], what);
        if self.stream_name().is_empty() {
            problems.push(
                at("stream", "`stream` is empty".to_owned()).help("give a stream name or ARN"),
            );
        }
        if !(1..=10_000).contains(&self.batch_size) {
            problems.push(
                at(
                    "batch_size",
                    format!(
                        "`batch_size` must be between 1 and 10000, not {}",
                        self.batch_size
                    ),
                )
                .help("the plugin's default is 10000, GetRecords allows no more"),
            );
        }
        if self.lease.failover < Duration::from_secs(3) {
            problems.push(
                Problem::at(["kinesis", name, "lease", "failover"], "`failover` must be at least 3s")
                    .help("10s is the default of KCL and of the plugin; all workers of a table need the same"),
            );
        }
        let watch = self.lease.watch_interval;
        if watch < Duration::from_millis(500) || watch > self.lease.failover * 2 {
            problems.push(
                Problem::at(
                    ["kinesis", name, "lease", "watch_interval"],
                    "`watch_interval` must be from 500ms to twice `failover`",
                )
                .help("1.5s finds a crashed worker within 12 s; the KCL looks every 20s"),
            );
        }
        let format = |format: &str| crate::route::flow_formats(format).err();
        let help = "use `default`, or the template given to AWS, such as \"${version} ${srcaddr} ${dstaddr}\"";
        if let Some(error) = format(&self.flow_format) {
            problems.push(
                at(
                    "flow_format",
                    format!("`flow_format` does not parse: {error}"),
                )
                .help(help),
            );
        }
        if self.decode == Decode::Raw && !self.route.is_empty() {
            problems.push(
                at(
                    "decode",
                    "records that are read `raw` have no log group to be routed by".to_owned(),
                )
                .help("leave `route` out, or use another `decode`"),
            );
        }
        for (index, route) in self.route.iter().enumerate() {
            if route.decode == Decode::Raw {
                let path = ["kinesis", name, "route", &index.to_string(), "decode"];
                problems.push(
                    Problem::at(path, "`raw` is for records, a route is for log groups")
                        .help("log text is `cloudwatch`"),
                );
            }
            if let Some(error) = format(&route.flow_format) {
                let path = ["kinesis", name, "route", &index.to_string(), "flow_format"];
                problems.push(
                    Problem::at(path, format!("`flow_format` does not parse: {error}")).help(help),
                );
            }
        }
    }
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

fn batch_size() -> u32 {
    10_000
}
