use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::consumer::Consumer;
use super::shard::{Shard, shard_id, shard_number};
use crate::wire::json::seconds;
use crate::wire::md5;
use crate::{KinesisSettings, ServiceError};

/// A stream: its shards, open and closed, and what it is turning into.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) created: u64,
    pub(crate) retention_hours: u64,
    pub(crate) shards: Vec<Shard>,
    pub(crate) on_demand: bool,
    pub(crate) consumers: BTreeMap<String, Consumer>,
    status: Status,
}

#[derive(Clone, Debug, PartialEq)]
enum Status {
    Creating { until: u64, shards: u32 },
    Active,
    Updating { until: u64, change: Change },
    Deleting { until: u64 },
}

/// A change of the shards that takes effect when the stream is ACTIVE again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    Split { shard: u32, at: u128 },
    Merge { first: u32, second: u32 },
    Resize { shards: u32 },
}

impl Stream {
    pub(crate) fn new(
        name: &str,
        arn: String,
        shards: u32,
        now: u64,
        settings: &KinesisSettings,
    ) -> Self {
        let mut stream = Self {
            name: name.to_owned(),
            arn,
            created: now,
            retention_hours: settings.retention_hours,
            shards: Vec::new(),
            on_demand: false,
            consumers: BTreeMap::new(),
            status: Status::Creating {
                until: now + settings.create_ms,
                shards,
            },
        };
        stream.advance(now);
        stream
    }

    /// Brings the stream to `now`: finishes what is due and trims. False once it is gone.
    pub(crate) fn advance(&mut self, now: u64) -> bool {
        match self.status.clone() {
            Status::Creating { until, shards } if until <= now => {
                // They are as old as the stream, so that they are open at its horizon.
                for (number, range) in (0..).zip(even_ranges(shards)) {
                    self.shards
                        .push(Shard::new(number, Vec::new(), range, self.created));
                }
                self.status = Status::Active;
            }
            Status::Updating { until, change } if until <= now => {
                self.apply(&change, until);
                self.status = Status::Active;
            }
            Status::Deleting { until } if until <= now => return false,
            _ => {}
        }
        let horizon = self.horizon(now);
        for shard in &mut self.shards {
            shard.trim(horizon);
        }
        // A closed shard stays listed until its last record could have expired.
        self.shards
            .retain(|shard| shard.closed.is_none_or(|closed| closed >= horizon));
        true
    }

    pub(crate) fn status(&self) -> &'static str {
        match self.status {
            Status::Creating { .. } => "CREATING",
            Status::Active => "ACTIVE",
            Status::Updating { .. } => "UPDATING",
            Status::Deleting { .. } => "DELETING",
        }
    }

    /// The arrival time before which records are gone.
    pub(crate) fn horizon(&self, now: u64) -> u64 {
        now.saturating_sub(self.retention_hours * 3_600_000)
    }

    /// Starts a change; the stream is UPDATING until it is due.
    pub(crate) fn begin(&mut self, change: Change, duration: u64, now: u64) {
        self.status = Status::Updating {
            until: now + duration,
            change,
        };
        self.advance(now);
    }

    pub(crate) fn begin_deletion(&mut self, duration: u64, now: u64) {
        self.status = Status::Deleting {
            until: now + duration,
        };
    }

    pub(crate) fn require_active(&self) -> Result<(), ServiceError> {
        if self.status == Status::Active {
            return Ok(());
        }
        Err(ServiceError::client(
            "ResourceInUseException",
            format!("Stream {} is {}, not ACTIVE.", self.name, self.status()),
        ))
    }

    pub(crate) fn shard(&self, id: &str) -> Result<&Shard, ServiceError> {
        shard_number(id)
            .and_then(|number| self.shards.iter().find(|shard| shard.number == number))
            .ok_or_else(|| self.no_shard(id))
    }

    pub(crate) fn shard_mut(&mut self, number: u32) -> Result<&mut Shard, ServiceError> {
        let error = self.no_shard(&shard_id(number));
        self.shards
            .iter_mut()
            .find(|shard| shard.number == number)
            .ok_or(error)
    }

    /// The open shard of a partition key, or of the explicit hash key that overrides it.
    pub(crate) fn route(
        &mut self,
        partition_key: &str,
        explicit: Option<u128>,
    ) -> Option<&mut Shard> {
        let hash = explicit.unwrap_or_else(|| u128::from_be_bytes(md5(partition_key.as_bytes())));
        self.shards
            .iter_mut()
            .find(|shard| shard.is_open() && shard.contains(hash))
    }

    pub(crate) fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.is_open())
    }

    /// The shards that continue a closed one, as its last answer names them.
    pub(crate) fn children(&self, parent: &Shard) -> Value {
        self.shards
            .iter()
            .filter(|shard| parent.children.contains(&shard.number))
            .map(|child| {
                json!({
                    "ShardId": child.id(),
                    "ParentShards": child.parents.iter().map(|parent| shard_id(*parent)).collect::<Vec<_>>(),
                    "HashKeyRange": child.describe_range(),
                })
            })
            .collect()
    }

    pub(crate) fn summary(&self) -> Value {
        json!({
            "StreamName": self.name,
            "StreamARN": self.arn,
            "StreamStatus": self.status(),
            "StreamModeDetails": {"StreamMode": if self.on_demand { "ON_DEMAND" } else { "PROVISIONED" }},
            "RetentionPeriodHours": self.retention_hours,
            "StreamCreationTimestamp": seconds(self.created),
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
        })
    }

    fn no_shard(&self, id: &str) -> ServiceError {
        ServiceError::client(
            "ResourceNotFoundException",
            format!("Could not find shard {id} in stream {}.", self.name),
        )
    }

    fn apply(&mut self, change: &Change, at: u64) {
        match *change {
            Change::Split { shard, at: hash } => {
                self.split(shard, hash, at);
            }
            Change::Merge { first, second } => {
                self.merge(first, second, at);
            }
            Change::Resize { shards } => self.resize(shards, at),
        }
    }

    fn split(&mut self, parent: u32, hash: u128, at: u64) {
        let Some((low, high)) = self.close(parent, at) else {
            return;
        };
        self.open(vec![parent], (low, hash - 1), at);
        self.open(vec![parent], (hash, high), at);
    }

    fn merge(&mut self, first: u32, second: u32, at: u64) -> Option<u32> {
        let (low, _) = self.close(first, at)?;
        let (_, high) = self.close(second, at)?;
        Some(self.open(vec![first, second], (low, high), at))
    }

    /// Splits at every boundary of the even ranges, then merges what lies within one of them.
    fn resize(&mut self, count: u32, at: u64) {
        let targets = even_ranges(count);
        for (start, _) in &targets {
            let cut = self
                .open_shards()
                .find(|shard| shard.contains(*start) && shard.range.0 != *start);
            if let Some(number) = cut.map(|shard| shard.number) {
                self.split(number, *start, at);
            }
        }
        for (low, high) in targets {
            let mut parts: Vec<(u128, u32)> = self
                .open_shards()
                .filter(|shard| shard.range.0 >= low && shard.range.1 <= high)
                .map(|shard| (shard.range.0, shard.number))
                .collect();
            parts.sort_unstable();
            let mut parts = parts.into_iter().map(|(_, number)| number);
            let Some(first) = parts.next() else { continue };
            let _ = parts.try_fold(first, |merged, next| self.merge(merged, next, at));
        }
    }

    fn close(&mut self, number: u32, at: u64) -> Option<(u128, u128)> {
        let shard = self
            .shards
            .iter_mut()
            .find(|shard| shard.number == number)?;
        shard.closed = Some(at);
        Some(shard.range)
    }

    fn open(&mut self, parents: Vec<u32>, range: (u128, u128), at: u64) -> u32 {
        let number = self
            .shards
            .iter()
            .map(|shard| shard.number + 1)
            .max()
            .unwrap_or(0);
        for shard in &mut self.shards {
            if parents.contains(&shard.number) {
                shard.children.push(number);
            }
        }
        self.shards.push(Shard::new(number, parents, range, at));
        number
    }
}

/// Cuts the hash range into equal parts.
pub(crate) fn even_ranges(count: u32) -> Vec<(u128, u128)> {
    let count = u128::from(count.max(1));
    // The largest multiple below 2^128, which itself does not fit: two shards meet at exactly 2^127.
    let width = match count {
        1 => u128::MAX,
        _ => (u128::MAX - (count - 1)) / count + 1,
    };
    (0..count)
        .map(|part| {
            let end = if part + 1 == count {
                u128::MAX
            } else {
                (part + 1) * width - 1
            };
            (part * width, end)
        })
        .collect()
}
