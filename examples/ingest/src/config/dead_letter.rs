//! `[dead_letter]`: what could not be delivered.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ByteSize, Problem, default_name};

/// What could not be delivered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetter {
    /// Newline-delimited JSON file; created with mode 0600.
    pub path: PathBuf,
    /// At this size the file is renamed to `PATH.1`, `PATH.2`, ... and a new one begins.
    pub rotate: ByteSize,
    /// Reading stops when all these files together have this size.
    pub max_size: ByteSize,
    /// Name, URL or ARN of an SQS queue that letters go to instead. What it does not take goes to the file: letters that
    /// are too long for it, and all of them while it does not answer.
    pub queue: Option<String>,
    /// Which `[aws.NAME]` may send to the queue.
    pub aws: String,
    /// Region of the queue; absent means the one of `aws`.
    pub region: Option<String>,
}

impl Default for DeadLetter {
    fn default() -> Self {
        Self {
            path: PathBuf::from("forebay-dead-letters.ndjson"),
            rotate: ByteSize(64 << 20),
            max_size: ByteSize(500 << 20),
            queue: None,
            aws: default_name(),
            region: None,
        }
    }
}

impl DeadLetter {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if self
            .queue
            .as_ref()
            .is_some_and(|queue| queue.ends_with(".fifo"))
        {
            problems.push(
                Problem::at(
                    ["dead_letter", "queue"],
                    "letters have no order that a FIFO queue could keep",
                )
                .help("name a standard queue"),
            );
        }
        if self.max_size.0 == 0 {
            problems.push(
                Problem::at(
                    ["dead_letter", "max_size"],
                    "with `max_size` 0 the first broken record stops all reading",
                )
                .help("500MiB is the default"),
            );
        }
    }
}
