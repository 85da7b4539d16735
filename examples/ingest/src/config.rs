//! The configuration: typed, closed (unknown keys are refused) and checked once, at start.
//!
//! Inputs are tables by kind (`[kinesis.NAME]`, `[cloudtrail.NAME]`), so that a mistake is reported at the value that
//! caused it. `forebay.toml` beside this crate is the commented example. Values come, in rising precedence, from the
//! defaults, the files, the environment (`FOREBAY_SERVICE__LOG=debug`) and `--set service.log=debug`.

mod admin;
mod aws;
mod cloudtrail;
mod dead_letter;
mod document;
mod entities;
mod kinesis;
mod output;
mod problem;
mod s3;
mod secret;
mod service;
mod throttle;
mod units;

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::Deserialize;

pub use admin::Admin;
pub use aws::{AssumeRole, Aws, SERVICES};
pub use cloudtrail::{Bucket, CloudTrail};
pub use dead_letter::DeadLetter;
pub use document::Sources;
pub use entities::{Entities, OnConflict};
pub use kinesis::{Decode, Kinesis, Lease, Route, Start};
pub use output::{Balance, Delivery, Output, Protocol, Proxy};
pub use problem::{ConfigError, Problem};
pub use s3::{Decode as ObjectDecode, Objects, OnObjectError, Poll, S3};
pub use secret::Secret;
pub use service::{LogFormat, Service};
pub use throttle::Throttle;
pub use units::ByteSize;

use document::Document;

/// A whole configuration.
#[derive(Debug, Deserialize, JsonSchema)]
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
    /// Other logs in S3, announced on a queue or found by listing.
    #[serde(default)]
    pub s3: BTreeMap<String, S3>,
    /// Translation of addresses into AWS entities.
    #[serde(default)]
    pub entities: Entities,
    /// Where messages go.
    #[serde(default)]
    pub output: BTreeMap<String, Output>,
    /// What could not be delivered.
    #[serde(default)]
    pub dead_letter: DeadLetter,
    /// When reading is held back.
    #[serde(default)]
    pub throttle: Throttle,
    /// Health, metrics and the status page.
    #[serde(default)]
    pub admin: Admin,
}

impl Config {
    /// Reads, merges and checks all sources.
    ///
    /// # Errors
    ///
    /// Every problem found, each with its source, line, column and remedy.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let layers = sources.read()?;
        let document = Document::merge(&layers)?;
        let (config, problems) = document.read();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::new(&document, &problems)),
        }
    }

    /// Parses and checks one text, called `name` in errors.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn parse(name: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::load(&Sources::default().with_text(name, text))
    }

    /// The merged values, one per line as `kinesis.flow.stream = "x"`, each with the place it comes from. Secrets are
    /// never in it: a configuration holds only where they are.
    ///
    /// # Errors
    ///
    /// A source that cannot be read or is no TOML; what the values mean is not checked.
    pub fn show(sources: &Sources) -> Result<String, ConfigError> {
        let layers = sources.read()?;
        Ok(Document::merge(&layers)?.show())
    }

    /// The JSON Schema of a configuration file, for editors.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
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

    /// The names of the credentials sets that inputs, names and dead letters need.
    pub(crate) fn used_accounts(&self) -> Vec<String> {
        let streams = self.kinesis.values().map(|input| input.aws.clone());
        let objects = self.objects().into_iter().map(|(_, input)| input.aws);
        let entities = self
            .entities
            .accounts
            .iter()
            .filter(|_| self.entities.enabled);
        let letters = self.dead_letter.queue.iter().map(|_| &self.dead_letter.aws);
        let others = entities.chain(letters).cloned();
        let mut names: Vec<_> = streams.chain(objects).chain(others).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The names of the outputs that an input with this list feeds; an empty list is all of them.
    pub fn outputs_of<'a>(&'a self, listed: &'a [String]) -> impl Iterator<Item = &'a str> {
        self.output
            .keys()
            .map(String::as_str)
            .filter(move |name| listed.is_empty() || listed.iter().any(|listed| listed == name))
    }

    /// All inputs that read objects: queues of CloudTrail notices among them.
    pub(crate) fn objects(&self) -> Vec<(&String, S3)> {
        let trails = self.cloudtrail.iter();
        let trails = trails.map(|(name, input)| (name, S3::from(input)));
        let others = self.s3.iter().map(|(name, input)| (name, input.clone()));
        trails.chain(others).collect()
    }

    /// What serde cannot know: limits, references, and settings that contradict each other.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.version != 1 {
            problems.push(
                Problem::at(["version"], "`version` must be 1")
                    .help("this program reads layout 1 only"),
            );
        }
        if self.kinesis.is_empty() && self.cloudtrail.is_empty() && self.s3.is_empty() {
            problems.push(
                Problem::at([], "no input is configured")
                    .help("add a table `[kinesis.NAME]`, `[cloudtrail.NAME]` or `[s3.NAME]`"),
            );
        }
        if self.output.is_empty() {
            problems.push(
                Problem::at([], "no output is configured").help("add a table `[output.NAME]`"),
            );
        }
        let mut input = |kind: &str, name: &str, aws: &str, outputs: &[String]| {
            self.check_reference([kind, name, "aws"], aws, &mut problems);
            for output in outputs {
                if !self.output.contains_key(output) {
                    problems.push(
                        Problem::at(
                            [kind, name, "outputs"],
                            format!("there is no output `{output}`"),
                        )
                        .help(format!("add a table `[output.{output}]`")),
                    );
                }
            }
        };
        for (name, settings) in &self.kinesis {
            input("kinesis", name, &settings.aws, &settings.outputs);
        }
        for (name, settings) in &self.cloudtrail {
            input("cloudtrail", name, &settings.aws, &settings.outputs);
        }
        for (name, settings) in &self.s3 {
            input("s3", name, &settings.aws, &settings.outputs);
        }
        self.check_names(&mut problems);
        self.check_tables(&mut problems);
        self.check_reference(["dead_letter", "aws"], &self.dead_letter.aws, &mut problems);
        for account in &self.entities.accounts {
            self.check_reference(["entities", "accounts"], account, &mut problems);
        }
        self.aws
            .iter()
            .for_each(|(name, aws)| aws.check(name, &mut problems));
        self.kinesis
            .iter()
            .for_each(|(name, input)| input.check(name, &mut problems));
        self.cloudtrail
            .iter()
            .for_each(|(name, input)| input.check(name, &mut problems));
        self.s3
            .iter()
            .for_each(|(name, input)| input.check(name, &mut problems));
        self.output
            .iter()
            .for_each(|(name, output)| output.check(name, &mut problems));
        self.entities.check(&mut problems);
        self.dead_letter.check(&mut problems);
        self.throttle.check(&mut problems);
        self.admin.check(&mut problems);
        problems
    }

    /// Each input has a name of its own.
    fn check_names(&self, problems: &mut Vec<Problem>) {
        let kinds: [(&str, Vec<&String>); 3] = [
            ("kinesis", self.kinesis.keys().collect()),
            ("cloudtrail", self.cloudtrail.keys().collect()),
            ("s3", self.s3.keys().collect()),
        ];
        for (at, (kind, names)) in kinds.iter().enumerate() {
            for (earlier, taken) in kinds.iter().take(at) {
                for name in names.iter().filter(|name| taken.contains(name)) {
                    problems.push(
                        Problem::at([*kind, name.as_str()], format!("`[{earlier}.{name}]` has the same name")).help(
                            "counters, logs and dead letters know inputs by their names: give each its own",
                        ),
                    );
                }
            }
        }
    }

    /// Each stream has a lease table of its own: rows are known by their shards, and ids of shards repeat.
    fn check_tables(&self, problems: &mut Vec<Problem>) {
        let mut taken = BTreeMap::new();
        for (name, input) in &self.kinesis {
            let table = input.table();
            if let Some(other) = taken.insert((&input.aws, table.clone()), name) {
                problems.push(
                    Problem::at(
                        ["kinesis", name],
                        format!("`[kinesis.{other}]` has the lease table `{table}` too"),
                    )
                    .help("set `lease.table` of one of them; to read a stream twice over is seldom meant"),
                );
            }
        }
    }

    fn check_reference<const N: usize>(
        &self,
        path: [&str; N],
        name: &str,
        problems: &mut Vec<Problem>,
    ) {
        if self.aws(name).is_none() {
            problems.push(
                Problem::at(path, format!("there are no credentials `{name}`"))
                    .help(format!("add a table `[aws.{name}]`")),
            );
        }
    }
}

fn one() -> u32 {
    1
}

fn default_name() -> String {
    "default".to_owned()
}

#[cfg(test)]
mod tests;
