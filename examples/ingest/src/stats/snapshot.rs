//! One moment of the pipeline, as `/status.json` shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything at one moment.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Version of the program.
    pub version: String,
    /// Lease owner name of this process.
    pub worker_id: String,
    /// Since the pipeline began.
    pub uptime_seconds: f64,
    /// Whether data can flow.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// Each input.
    pub inputs: Vec<InputSnapshot>,
    /// Each output.
    pub outputs: Vec<OutputSnapshot>,
    /// Dead letters by class.
    pub dead_letters: BTreeMap<String, u64>,
    /// Why dead letters cannot be kept now.
    pub dead_letter_error: Option<String>,
    /// The entity table, if there is one.
    pub entities: Option<EntityStats>,
    /// Whether reading is held back.
    pub throttle: ThrottleStats,
}

/// One input.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct InputSnapshot {
    /// Its name in the configuration.
    pub name: String,
    /// Records read; repeats count again.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Messages made of them.
    pub messages: u64,
    /// Dead letters made of them.
    pub bad: u64,
    /// Leases are given back because the output makes no progress.
    pub parked: bool,
    /// Errors by kind since the start.
    pub errors: BTreeMap<String, u64>,
    /// The last error, unless it is over.
    pub last_error: Option<String>,
    /// Messages per second of late.
    pub messages_per_second: f64,
    /// Bytes per second of late.
    pub bytes_per_second: f64,
    /// The last five minutes of lag, oldest first.
    pub lag_history_seconds: Vec<f64>,
    /// For a Kinesis stream.
    pub stream: Option<StreamStats>,
    /// For objects in S3.
    pub queue: Option<QueueStats>,
}

/// A stream and its leases.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct StreamStats {
    /// Leases held by this process.
    pub leases_held: usize,
    /// Largest lag of the shards read here, as the service tells it.
    pub lag_seconds: Option<f64>,
    /// Leases taken, stolen, lost, released, ended.
    pub lease_changes: BTreeMap<String, u64>,
    /// Times that records were gone before they were read.
    pub gaps: u64,
    /// Calls that the service throttled.
    pub throttled: u64,
    /// Calls by operation and result.
    pub calls: Vec<CallStats>,
    /// Every shard of the lease table.
    pub shards: Vec<Shard>,
}

/// Calls of one operation with one result.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct CallStats {
    /// As IAM names it: `kinesis:GetRecords`.
    pub operation: String,
    /// `ok` or `failed`.
    pub result: String,
    /// How many.
    pub count: u64,
    /// How long they took together.
    pub seconds: f64,
}

/// One shard.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// Who holds its lease, as last seen.
    pub owner: Option<String>,
    /// Whether this process reads it.
    pub held: bool,
    /// Read to its end.
    pub ended: bool,
    /// How far behind its newest record.
    pub lag_seconds: Option<f64>,
    /// Whether it was read to its end, and all that was read handed on.
    #[serde(default)]
    pub at_end: bool,
    /// Since the last answer of GetRecords.
    pub read_age_seconds: Option<f64>,
    /// Records read from it.
    pub records: u64,
    /// The stored position.
    pub checkpoint: Option<String>,
    /// Since the position was stored, or the lease taken.
    pub checkpoint_age_seconds: Option<f64>,
}

/// A queue and its objects.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[non_exhaustive]
pub struct QueueStats {
    /// Messages received.
    pub received: u64,
    /// Messages deleted, all of their records accepted.
    pub deleted: u64,
    /// Messages left to come again.
    pub returned: u64,
    /// Messages in work.
    pub in_flight: u64,
    /// Messages without work.
    pub skipped: u64,
    /// Visibility timeouts extended.
    pub visibility_extensions: u64,
    /// Objects read and accepted to their end.
    pub objects: u64,
    /// Objects, records and messages kept as dead letters.
    pub rejected: u64,
    /// Time those objects took together.
    pub object_seconds: f64,
}

/// One output.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[non_exhaustive]
pub struct OutputSnapshot {
    /// Its name in the configuration.
    pub name: String,
    /// How messages travel.
    pub protocol: String,
    /// Its receivers.
    pub addresses: Vec<String>,
    /// `starting`, `up`, `down`, `misconfigured` or `closed`.
    pub state: String,
    /// Why it is down.
    pub reason: Option<String>,
    /// Whether certificates are taken unseen.
    #[serde(default)]
    pub unverified: bool,
    /// For how long nothing was accepted although something waits.
    pub stalled_seconds: f64,
    /// Bytes sent or waiting and not accepted.
    pub queue_bytes: usize,
    /// Messages accepted.
    pub accepted: u64,
    /// Messages written per second of late, repeats included.
    pub messages_per_second: f64,
    /// Bytes written per second of late.
    pub bytes_per_second: f64,
    /// Messages refused for good.
    pub refused: u64,
    /// Messages handed to the kernel, repeats included.
    pub written: u64,
    /// Bytes handed to the kernel, repeats included.
    pub written_bytes: u64,
    /// Connections made.
    pub connects: u64,
    /// Connections that failed with messages under way.
    pub failures: u64,
    /// Sum over all messages of the time from reading to acceptance.
    pub latency_seconds: f64,
}

/// The entity table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct EntityStats {
    /// Addresses that have a name.
    pub addresses: usize,
    /// Addresses that several entities have.
    pub conflicts: usize,
    /// Lookups by result: `hit`, `chosen` (of several), `ambiguous` (several, none chosen), `miss`.
    pub lookups: BTreeMap<String, u64>,
    /// Since the table was built.
    pub age_seconds: Option<f64>,
}

/// Whether reading is held back, and how often it was.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ThrottleStats {
    /// Why reading waits now.
    pub reason: Option<String>,
    /// Seconds that reading waited since the start, by reason.
    pub seconds: BTreeMap<String, f64>,
    /// Entries in the journal of the Graylog node, if it is asked.
    pub journal_entries: Option<u64>,
    /// How full that journal is, 0 to 1.
    pub journal_fill: Option<f64>,
}

impl Snapshot {
    /// Shards, lag, rate and trouble in one line.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        let streams = || self.inputs.iter().filter_map(|input| input.stream.as_ref());
        let held: usize = streams().map(|stream| stream.leases_held).sum();
        let lag = streams()
            .filter_map(|stream| stream.lag_seconds)
            .fold(0.0, f64::max);
        let rate: f64 = self
            .inputs
            .iter()
            .map(|input| input.messages_per_second)
            .sum();
        let mut line = format!("{held} shards, lag {lag:.1} s, {rate:.0} messages/s");
        if let Some(reason) = self.reasons.first() {
            line.push_str("; ");
            line.push_str(reason);
        }
        line
    }

    /// Sets `ready` and `reasons`.
    pub(super) fn judge(&mut self) {
        let mut reasons = Vec::new();
        for output in &self.outputs {
            match (output.state.as_str(), &output.reason) {
                ("down" | "misconfigured", Some(reason)) => {
                    reasons.push(format!(
                        "output {} is {}: {reason}",
                        output.name, output.state
                    ));
                }
                ("starting" | "closed", _) => {
                    reasons.push(format!("output {} is {}", output.name, output.state));
                }
                _ => {}
            }
        }
        for input in &self.inputs {
            if input.errors.contains_key("denied")
                && let Some(error) = &input.last_error
            {
                reasons.push(format!("input {}: {error}", input.name));
            }
            if input.parked {
                reasons.push(format!("input {} has given its leases back", input.name));
            }
        }
        if let Some(error) = &self.dead_letter_error {
            reasons.push(format!("dead-letter: {error}"));
        }
        if let Some(reason) = &self.throttle.reason {
            reasons.push(format!("throttled: {reason}"));
        }
        self.ready = reasons.is_empty();
        self.reasons = reasons;
    }
}
