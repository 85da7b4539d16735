//! `[dead_letter]`: what could not be delivered.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ByteSize, Problem};

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
}

impl Default for DeadLetter {
    fn default() -> Self {
        Self {
            path: PathBuf::from("forebay-dead-letters.ndjson"),
            rotate: ByteSize(64 << 20),
            max_size: ByteSize(500 << 20),
        }
    }
}

impl DeadLetter {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
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
