//! `[service]`: the process itself.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use forebay_kinesis::WorkerId;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::units;

/// The process itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Lease owner name: unique per live process. `auto`, the default, is the host name and a random suffix, chosen when
    /// the configuration is read.
    #[serde(deserialize_with = "worker_id")]
    #[schemars(with = "String")]
    pub worker_id: WorkerId,
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
            worker_id: automatic(),
            shutdown_grace: Duration::from_secs(25),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
        }
    }
}

fn worker_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WorkerId, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "auto" => Ok(automatic()),
        name => name.parse().map_err(de::Error::custom),
    }
}

/// Unique per start of a process, and readable in the lease table.
fn automatic() -> WorkerId {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty());
    let random = RandomState::new().build_hasher().finish();
    format!("{}-{random:016x}", host.unwrap_or("forebay"))
        .parse()
        .expect("a host name is shorter than a worker id may be")
}
