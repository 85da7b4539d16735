//! The configuration file: typed, closed (unknown keys are refused) and checked once, at start.
//!
//! Inputs are tables by kind (`[kinesis.NAME]`, `[cloudtrail.NAME]`), so that a mistake is reported at the
//! value that caused it. `forebay.toml` beside this crate is the commented example.

mod problem;
mod s3;
mod units;

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use toml::Spanned;

pub use problem::{ConfigError, Problem};
pub use s3::{Decode as ObjectDecode, Objects, OnObjectError, Poll, S3};
pub use units::{ByteSize, Secret};

/// A whole configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of the file's layout; only 1 exists.
    #[serde(default = "one")]
    pub version: u32,
    /// The process itself.
    #[serde(default)]
    pub service: Service,
    /// Credentials and regions by name; `default` exists without being written.
    #[serde(default)]
    pub aws: BTreeMap<String, Aws>,
    /// Kinesis streams that carry CloudWatch Logs subscriptions.
    #[serde(default)]
    pub kinesis: BTreeMap<String, Kinesis>,
    /// SQS queues that carry CloudTrail notices.
    #[serde(default)]
    pub cloudtrail: BTreeMap<String, CloudTrail>,
    /// Other logs in S3.
    #[serde(default)]
    pub s3: BTreeMap<String, S3>,
    /// Translation of addresses into AWS entities.
    #[serde(default)]
    pub entities: Entities,
    /// Where messages go. Exactly one today.
    #[serde(default)]
    pub output: BTreeMap<String, Output>,
    /// What could not be delivered.
    #[serde(default)]
    pub dead_letter: DeadLetter,
}

/// The process itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Lease owner name: unique per live process. `auto` is the host name and a random suffix.
    pub worker_id: String,
    /// Longest time from the stop signal to the exit.
    #[serde(deserialize_with = "units::duration")]
    pub shutdown_grace: Duration,
    /// `tracing` filter, for instance `info` or `forebay_kinesis=debug,info`.
    pub log: String,
    /// `text` or `json`.
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            worker_id: "auto".to_owned(),
            shutdown_grace: Duration::from_secs(25),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
        }
    }
}

/// One set of credentials, region and endpoints.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// Region; absent means the standard chain (environment, profile, instance metadata).
    pub region: Option<String>,
    /// Named profile of the shared AWS files.
    pub profile: Option<String>,
    /// Static access key, as the plugin's `aws_access_key`. Needs `secret_key`.
    pub access_key: Option<String>,
    /// Static secret, from a file or an environment variable; never the text itself.
    pub secret_key: Option<Secret>,
    /// Role to assume with the credentials above, as the plugin's `aws_assume_role_arn`.
    pub assume_role: Option<AssumeRole>,
    /// Endpoint overrides by service: `kinesis`, `dynamodb`, `sqs`, `s3`, `ec2`, `elasticloadbalancing`, `sts`.
    pub endpoints: BTreeMap<String, String>,
    /// Path-style S3 addressing, for private endpoints and emulators.
    pub s3_path_style: bool,
}

/// A role to assume.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssumeRole {
    /// ARN of the role.
    pub arn: String,
    /// External id demanded by the role's trust policy.
    pub external_id: Option<String>,
    /// Session name shown in the other account's CloudTrail.
    #[serde(default = "session_name")]
    pub session_name: String,
}

/// A Kinesis stream of CloudWatch Logs subscription payloads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kinesis {
    /// Which `[aws.NAME]` to use.
    #[serde(default = "default_name")]
    pub aws: String,
    /// Stream name or ARN.
    pub stream: Spanned<String>,
    /// What the records are.
    #[serde(default)]
    pub decode: Decode,
    /// Flow-log format of this stream: `default`, or the template given to AWS.
    #[serde(default = "default_format")]
    pub flow_format: Spanned<String>,
    /// Other decoders for some log groups; the first match wins.
    #[serde(default)]
    pub route: Vec<Route>,
    /// Where a shard without a lease starts.
    #[serde(default)]
    pub start: Start,
    /// Most records per GetRecords call, 1 to 10,000.
    #[serde(default = "batch_size")]
    pub batch_size: Spanned<NonZeroU32>,
    /// Pause between reads of a shard that is caught up.
    #[serde(default = "one_second", deserialize_with = "units::duration")]
    pub read_interval: Duration,
    /// Replaces `aws-flowlogs` and `aws-raw-logs` as GELF host, as the plugin's `override_source`.
    pub source: Option<String>,
    /// `flow_log_` before the plugin's flow-log field names.
    #[serde(default)]
    pub field_prefix: bool,
    /// The lease table.
    #[serde(default)]
    pub lease: Lease,
}

/// What the records of a stream, or the events of a log group, are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Decode {
    /// Flow-log lines where a line is one, otherwise plain log text.
    #[default]
    Auto,
    /// Every event is a flow-log line (the plugin's "AWS Flow Logs").
    Flowlog,
    /// Every event is log text (the plugin's "AWS Logs").
    Cloudwatch,
}

/// A decoder for some log groups.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Log group name; `*` stands for any run of characters.
    pub log_group: String,
    /// What its events are.
    pub decode: Decode,
    /// Flow-log format of the group.
    #[serde(default = "default_format")]
    pub flow_format: Spanned<String>,
}

/// Where a shard without a lease starts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// At the newest record, as the plugin; pinned to the time of the first start.
    #[default]
    Latest,
    /// At the oldest record kept.
    TrimHorizon,
}

/// The lease table of a stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lease {
    /// Table name; absent means the plugin's, `graylog-aws-plugin-STREAM`, so that positions carry over.
    pub table: Option<String>,
    /// A worker silent for this long has lost its leases. The same value on all workers of the table.
    #[serde(deserialize_with = "units::duration")]
    pub failover: Duration,
    /// Most leases this worker takes.
    pub max_leases: NonZeroU32,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            table: None,
            failover: Duration::from_secs(10),
            max_leases: NonZeroU32::new(1_000).expect("1,000 is not zero"),
        }
    }
}

/// A queue of CloudTrail notices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudTrail {
    /// Which `[aws.NAME]` to use.
    #[serde(default = "default_name")]
    pub aws: String,
    /// Queue name, URL or ARN.
    pub queue: Spanned<String>,
    /// Region of the queue; absent means the one of `aws`.
    pub sqs_region: Option<String>,
    /// Region of the bucket; absent means the one of `aws`.
    pub s3_region: Option<String>,
    /// Buckets that notices may name; empty means CloudTrail's own log files in any bucket of the account that owns
    /// the queue.
    #[serde(default)]
    pub buckets: Vec<Bucket>,
    /// Most objects read at once.
    #[serde(default = "eight")]
    pub concurrency: NonZeroU32,
    /// How long a received notice stays hidden from other readers; extended while its objects are read.
    #[serde(default = "five_minutes", deserialize_with = "units::duration")]
    pub visibility: Duration,
    /// Pause between two reads of an object whose content is broken; after the third it is a dead letter.
    #[serde(default = "ten_seconds", deserialize_with = "units::duration")]
    pub object_retry: Duration,
    /// Adds the whole record as `full_message_json`.
    #[serde(default)]
    pub full_message: bool,
    /// Replaces `aws-cloudtrail` as GELF host.
    pub source: Option<String>,
}

/// A bucket that notices may name.
#[derive(Clone, Debug, Deserialize)]
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

/// Translation of addresses into AWS entities.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Entities {
    /// Off by default, as in the plugin.
    pub enabled: bool,
    /// `[aws.NAME]` sets to scan.
    pub accounts: Vec<String>,
    /// Regions to scan; empty means each account's own.
    pub regions: Vec<String>,
    /// Time between scans.
    #[serde(deserialize_with = "units::duration")]
    pub refresh: Duration,
}

impl Default for Entities {
    fn default() -> Self {
        Self {
            enabled: false,
            accounts: vec![default_name()],
            regions: Vec::new(),
            refresh: Duration::from_secs(60),
        }
    }
}

/// A GELF receiver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// How messages travel.
    #[serde(default)]
    pub protocol: Protocol,
    /// `host:port` of each receiver, or for HTTP a URL.
    pub address: Spanned<Vec<String>>,
    /// Certificate authorities in PEM; absent means the platform's.
    pub ca_file: Option<PathBuf>,
    /// Name the certificate must carry; absent means the address's host.
    pub server_name: Option<String>,
    /// Additional fields of every message.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Byte budget of everything between AWS and the receiver's acceptance.
    #[serde(default = "budget")]
    pub queue: ByteSize,
    /// UDP cannot tell what arrived: `best-effort` says that this is understood.
    pub delivery: Option<Delivery>,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Plain TCP, NUL-terminated.
    #[default]
    Tcp,
    /// TCP inside TLS.
    Tls,
    /// `POST /gelf`.
    Http,
    /// Datagrams.
    Udp,
}

/// What the operator accepts about delivery.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Loss between the kernel and the receiver is accepted.
    BestEffort,
}

/// What could not be delivered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetter {
    /// Newline-delimited JSON file; created with mode 0600.
    pub path: PathBuf,
    /// Reading stops when the file has this size.
    pub max_size: ByteSize,
}

impl Default for DeadLetter {
    fn default() -> Self {
        Self {
            path: PathBuf::from("forebay-dead-letters.ndjson"),
            max_size: ByteSize(500 << 20),
        }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// Names the file, and for each problem its line, column and remedy.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Self::parse(&text).map_err(|problems| ConfigError::new(path, &text, problems))
    }

    /// Parses and checks a configuration text.
    ///
    /// # Errors
    ///
    /// Every problem found, with its byte range in `text`.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let config: Self =
            toml::from_str(text).map_err(|error| vec![Problem::from_toml(&error)])?;
        let problems = config.problems();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }

    /// The only output.
    #[must_use]
    pub fn output(&self) -> Option<(&str, &Output)> {
        self.output
            .iter()
            .next()
            .map(|(name, output)| (name.as_str(), output))
    }

    /// The credentials set `name`; `default` exists without being written.
    #[must_use]
    pub fn aws(&self, name: &str) -> Option<Aws> {
        match self.aws.get(name) {
            Some(aws) => Some(aws.clone()),
            None if name == "default" => Some(Aws::default()),
            None => None,
        }
    }

    /// All inputs that read objects: queues of CloudTrail notices among them.
    pub(crate) fn objects(&self) -> Vec<(&str, S3)> {
        let trails = self.cloudtrail.iter();
        let trails = trails.map(|(name, input)| (name.as_str(), S3::from(input)));
        let others = self.s3.iter();
        trails
            .chain(others.map(|(name, input)| (name.as_str(), input.clone())))
            .collect()
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.version != 1 {
            problems.push(
                Problem::general("`version` must be 1").help("this program reads layout 1 only"),
            );
        }
        if self.kinesis.is_empty() && self.cloudtrail.is_empty() && self.s3.is_empty() {
            problems.push(
                Problem::general("no input is configured")
                    .help("add a table `[kinesis.NAME]`, `[cloudtrail.NAME]` or `[s3.NAME]`"),
            );
        }
        match self.output.len() {
            1 => {}
            0 => problems.push(
                Problem::general("no output is configured").help("add a table `[output.NAME]`"),
            ),
            _ => problems.push(
                Problem::general("more than one output is configured")
                    .help("keep one `[output.NAME]`"),
            ),
        }
        for (name, input) in &self.kinesis {
            self.check_aws(&input.aws, &format!("kinesis.{name}"), &mut problems);
            check_format(&input.flow_format, &mut problems);
            for route in &input.route {
                check_format(&route.flow_format, &mut problems);
            }
            if input.stream.get_ref().is_empty() {
                problems.push(
                    Problem::at(input.stream.span(), "`stream` is empty")
                        .help("give a stream name or ARN"),
                );
            }
            let batch = input.batch_size.get_ref().get();
            if batch > 10_000 {
                problems.push(
                    Problem::at(
                        input.batch_size.span(),
                        format!("`batch_size` must be between 1 and 10000, not {batch}"),
                    )
                    .help("the plugin's default is 10000, GetRecords allows no more"),
                );
            }
        }
        for (name, input) in &self.cloudtrail {
            self.check_aws(&input.aws, &format!("cloudtrail.{name}"), &mut problems);
            if input.queue.get_ref().is_empty() {
                problems.push(
                    Problem::at(input.queue.span(), "`queue` is empty")
                        .help("give a queue name, URL or ARN"),
                );
            }
        }
        for (name, input) in &self.s3 {
            self.check_aws(&input.aws, &format!("s3.{name}"), &mut problems);
            if input.objects.is_empty() {
                problems.push(
                    Problem::general(format!("`objects` of `[s3.{name}]` is empty"))
                        .help("list which objects to read: bucket, prefix and `decode`"),
                );
            }
            for objects in &input.objects {
                check_format(&objects.flow_format, &mut problems);
            }
        }
        for account in &self.entities.accounts {
            self.check_aws(account, "entities", &mut problems);
        }
        for output in self.output.values() {
            if output.address.get_ref().is_empty() {
                problems.push(
                    Problem::at(output.address.span(), "`address` is empty")
                        .help("give at least one `host:port`"),
                );
            }
            if output.protocol == Protocol::Udp && output.delivery.is_none() {
                problems.push(
                    Problem::at(output.address.span(), "UDP cannot tell what arrived, so checkpoints would prove nothing")
                        .help("use `protocol = \"tcp\"`, or accept the loss with `delivery = \"best-effort\"`"),
                );
            }
            for name in output.fields.keys() {
                if let Err(error) = forebay_gelf::FieldName::new(name) {
                    problems.push(Problem::general(format!(
                        "field `{name}` in `[output.…].fields`: {error}"
                    )));
                }
            }
        }
        for (name, aws) in &self.aws {
            if aws.access_key.is_some() != aws.secret_key.is_some() {
                problems.push(
                    Problem::general(format!(
                        "`access_key` and `secret_key` of `[aws.{name}]` belong together"
                    ))
                    .help("set both, or neither to use the standard AWS chain"),
                );
            }
            for service in aws.endpoints.keys() {
                if !SERVICES.contains(&service.as_str()) {
                    problems.push(
                        Problem::general(format!(
                            "unknown service `{service}` in `[aws.{name}].endpoints`"
                        ))
                        .help(format!("known are {}", SERVICES.join(", "))),
                    );
                }
            }
        }
        problems
    }

    fn check_aws(&self, name: &str, user: &str, problems: &mut Vec<Problem>) {
        if self.aws(name).is_none() {
            problems.push(
                Problem::general(format!(
                    "`[{user}]` uses `aws = \"{name}\"`, which does not exist"
                ))
                .help(format!("add a table `[aws.{name}]`")),
            );
        }
    }
}

fn check_format(format: &Spanned<String>, problems: &mut Vec<Problem>) {
    if let Err(error) = crate::route::flow_format(format.get_ref()) {
        problems.push(
            Problem::at(format.span(), format!("`flow_format` does not parse: {error}"))
                .help("use `default`, or the template given to AWS, such as \"${version} ${srcaddr} ${dstaddr}\""),
        );
    }
}

fn one() -> u32 {
    1
}

fn eight() -> NonZeroU32 {
    NonZeroU32::new(8).expect("8 is not zero")
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

fn budget() -> ByteSize {
    ByteSize(64 << 20)
}

fn session_name() -> String {
    "forebay".to_owned()
}

fn default_name() -> String {
    "default".to_owned()
}

fn default_format() -> Spanned<String> {
    Spanned::new(0..0, "default".to_owned())
}

fn batch_size() -> Spanned<NonZeroU32> {
    Spanned::new(0..0, NonZeroU32::new(10_000).expect("10,000 is not zero"))
}

/// Services whose endpoint can be set.
pub(crate) const SERVICES: [&str; 7] = [
    "dynamodb",
    "ec2",
    "elasticloadbalancing",
    "kinesis",
    "s3",
    "sqs",
    "sts",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let problems = Config::parse(text).expect_err("the text has a problem");
        ConfigError::new(Path::new("forebay.toml"), text, problems).to_string()
    }

    #[test]
    fn the_commented_example_is_valid() {
        let config = Config::parse(include_str!("../forebay.toml")).expect("the example parses");
        assert_eq!(config.kinesis.len() + config.objects().len(), 4);
    }

    #[test]
    fn an_unknown_key_is_reported_with_its_place() {
        insta::assert_snapshot!(problems("[kinesis.flow]\nstraem = \"x\"\n"));
    }

    #[test]
    fn all_problems_of_a_file_are_reported_in_one_run() {
        insta::assert_snapshot!(problems(
            "[kinesis.flow]\nstream = \"\"\nbatch_size = 100000\nflow_format = \"${srcaddr} ${srcaddr}\"\naws = \"audit\"\n[output.gelf]\nprotocol = \"udp\"\naddress = [\"127.0.0.1:12201\"]\n"
        ));
    }

    #[test]
    fn a_secret_is_never_written_in_the_file() {
        insta::assert_snapshot!(problems(
            "[aws.default]\naccess_key = \"AKIA\"\nsecret_key = \"hunter2\"\n"
        ));
    }

    #[test]
    fn durations_carry_their_unit() {
        insta::assert_snapshot!(problems("[service]\nshutdown_grace = 25\n"));
    }
}
