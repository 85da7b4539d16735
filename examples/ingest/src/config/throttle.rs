//! `[throttle]`: when reading is held back.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Problem, Secret, output::is_loopback, units};

/// When reading is held back. The rules are the Graylog server's own for inputs that allow throttling.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Throttle {
    /// The node's API, such as `https://graylog:9000/api`; absent means that no node is asked.
    pub graylog_api: Option<String>,
    /// Access token of a user who may read the journal; absent means that only the node's load-balancer status is asked.
    pub token: Option<Secret>,
    /// Certificate authorities of the API in PEM; absent means the platform's.
    pub ca_file: Option<PathBuf>,
    /// Time between two questions.
    #[serde(deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub poll: Duration,
    /// More unread journal entries than this hold reading back.
    pub max_entries: u64,
    /// Growth by more than this between two questions holds reading back.
    pub max_growth: u64,
    /// A journal fuller than this, 0 to 1, holds reading back.
    pub max_fill: f64,
    /// Leases are given back when reading is held back, or an output takes nothing, for this long (the plugin's
    /// `kinesis_max_throttled_wait`); `0s` keeps them.
    #[serde(deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub release_leases_after: Duration,
    /// Most messages per second over all inputs; 0 is no limit.
    pub max_messages_per_second: u32,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            graylog_api: None,
            token: None,
            ca_file: None,
            poll: Duration::from_secs(1),
            max_entries: 100_000,
            max_growth: 20_000,
            max_fill: 0.9,
            release_leases_after: Duration::from_secs(60),
            max_messages_per_second: 0,
        }
    }
}

impl Throttle {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if let Some(text) = &self.graylog_api {
            let host = text.starts_with("http://").then(|| is_loopback(text));
            match host {
                Some(false) if self.token.is_some() => problems.push(
                    Problem::at(
                        ["throttle", "graylog_api"],
                        "`token` would travel in the clear",
                    )
                    .help("use https, or leave `token` out: the load-balancer status needs none"),
                ),
                None if !text.starts_with("https://") => problems.push(
                    Problem::at(
                        ["throttle", "graylog_api"],
                        "`graylog_api` is no http or https address",
                    )
                    .help("such as \"https://graylog:9000/api\""),
                ),
                _ => {}
            }
        } else if self.token.is_some() {
            problems.push(
                Problem::at(
                    ["throttle", "token"],
                    "`token` of `[throttle]` has nobody to show it to",
                )
                .help("set `graylog_api` too"),
            );
        }
        if self.poll < Duration::from_millis(100) {
            problems.push(
                Problem::at(
                    ["throttle", "poll"],
                    "`poll` of `[throttle]` must be at least 100ms",
                )
                .help("1s is the server's own"),
            );
        }
        if !(0.0..=1.0).contains(&self.max_fill) {
            problems.push(
                Problem::at(
                    ["throttle", "max_fill"],
                    "`max_fill` of `[throttle]` must be between 0 and 1",
                )
                .help("0.9 is the server's own"),
            );
        }
        let after = self.release_leases_after;
        if !after.is_zero() && after < Duration::from_secs(1) {
            problems.push(
                Problem::at(
                    ["throttle", "release_leases_after"],
                    "`release_leases_after` of `[throttle]` must be 0s or at least 1s",
                )
                .help("60s is the plugin's"),
            );
        }
    }
}
