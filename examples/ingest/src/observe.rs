//! What the drivers report, as log lines. Repeated failures are told once and then counted.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use forebay_kinesis::{Checkpoint, Gap, ShardId, Stopping, WorkerId};
use tokio::time::Instant;

use crate::pipeline::SharedName;

/// Tells what happens to one input.
#[derive(Debug)]
pub(crate) struct InputObserver {
    input: SharedName,
    repeats: Repeats,
}

impl InputObserver {
    pub(crate) fn new(input: &str) -> Self {
        Self {
            input: input.into(),
            repeats: Repeats::default(),
        }
    }

    fn failed(&self, text: &str) {
        if let Some(suppressed) = self.repeats.tell(text) {
            tracing::warn!(input = %self.input, suppressed, "{text}");
        }
    }
}

impl forebay_kinesis::Observer for InputObserver {
    fn lease_taken(&self, shard: &ShardId, from: Option<&WorkerId>) {
        let from = from.map_or("", WorkerId::as_str);
        tracing::info!(input = %self.input, shard_id = %shard, from, "lease taken");
    }

    fn lease_stopped(&self, shard: &ShardId, reason: Stopping) {
        tracing::info!(input = %self.input, shard_id = %shard, ?reason, "lease given up");
    }

    fn checkpoint_written(&self, shard: &ShardId, checkpoint: &Checkpoint) {
        tracing::debug!(input = %self.input, shard_id = %shard, %checkpoint, "checkpoint written");
    }

    fn gap(&self, gap: &Gap) {
        tracing::error!(input = %self.input, ?gap, "records are lost: the stream no longer keeps them");
    }

    fn error(&self, error: &forebay_kinesis::Error) {
        self.failed(&error.to_string());
    }

    fn parked(&self, parked: bool) {
        if parked {
            tracing::warn!(input = %self.input, "output makes no progress: leases released until it does");
        } else {
            tracing::info!(input = %self.input, "output is back: leases are taken again");
        }
    }
}

impl forebay_s3::Observer for InputObserver {
    fn skipped(&self, why: &str) {
        tracing::debug!(input = %self.input, why, "notice without work");
    }

    fn object_settled(&self, object: &forebay_s3::ObjectId, records: u64, took: Duration) {
        tracing::debug!(input = %self.input, %object, records, ?took, "object settled");
    }

    fn rejected(&self, reason: &str) {
        tracing::warn!(input = %self.input, reason, "input not readable, kept as dead letter");
    }

    fn failed(&self, _kind: &forebay_s3::ErrorKind, detail: &str) {
        Self::failed(self, detail);
    }
}

/// Tells what happens to the names of addresses; the refresher itself tells of missing rights.
#[cfg(feature = "entities")]
#[derive(Debug, Default)]
pub(crate) struct EntityObserver {
    stale: Repeats,
}

#[cfg(feature = "entities")]
impl forebay_entity::Observer for EntityObserver {
    fn stale(&self, origin: &forebay_entity::Origin, age: Duration) {
        let (account, region) = (origin.account(), origin.region());
        if let Some(suppressed) = self.stale.tell(&format!("{account} {region}")) {
            tracing::warn!(
                account,
                region,
                ?age,
                suppressed,
                "names of addresses are stale, and used all the same"
            );
        }
    }

    fn refreshed(&self, summary: &forebay_entity::Summary) {
        tracing::debug!(?summary, "names of addresses refreshed");
    }

    fn snapshot_file_failed(&self, error: &std::io::Error) {
        tracing::warn!(%error, "`snapshot_file` of [entities] not usable: names come from AWS alone");
    }
}

/// Which failures were told already.
#[derive(Debug, Default)]
struct Repeats {
    told: Mutex<HashMap<u64, (Instant, u64)>>,
}

impl Repeats {
    /// `Some` with the number of repeats that were held back, if `text` is to be told now.
    fn tell(&self, text: &str) -> Option<u64> {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let key = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= REMEMBERED {
            told.retain(|_, (at, _)| now - *at < WINDOW);
        }
        if let Some((at, count)) = told.get_mut(&key)
            && now - *at < WINDOW
        {
            *count += 1;
            return None;
        }
        let suppressed = told.get(&key).map_or(0, |(_, count)| *count);
        told.insert(key, (now, 0));
        Some(suppressed)
    }
}

/// The same failure is told once per window.
const WINDOW: Duration = Duration::from_secs(30);

/// Different failures remembered.
const REMEMBERED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_repeated_failure_is_told_once_per_window() {
        let repeats = Repeats::default();
        assert_eq!(repeats.tell("denied"), Some(0));
        assert_eq!(repeats.tell("denied"), None);
        assert_eq!(repeats.tell("throttled"), Some(0));
        tokio::time::advance(WINDOW).await;
        assert_eq!(repeats.tell("denied"), Some(1));
    }
}
