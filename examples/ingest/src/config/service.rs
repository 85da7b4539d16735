//! `[service]`: the process itself.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::units;

/// The process itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Lease owner name: unique per live process. `auto` is the host name and a random suffix.
    pub worker_id: String,
    /// Longest time from the stop signal to the exit.
    #[serde(deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub shutdown_grace: Duration,
    /// `tracing` filter, for instance `info` or `forebay_kinesis=debug,info`.
    pub log: String,
    /// `text` or `json`.
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
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
