//! Kinesis Data Streams: streams, shards, records, iterators, resharding.

pub(crate) mod consumer;
mod iterator;
mod listing;
mod operations;
mod sequence;
mod shard;
mod stream;
mod subscription;

pub use sequence::{ParseSequenceNumberError, SequenceNumber};
pub use shard::StoredRecord;
pub use subscription::{Push, Subscription};

use std::collections::BTreeMap;

use bytes::Bytes;

use self::iterator::ShardIterator;
use self::stream::{Change, Stream};
use crate::{KinesisSettings, ServiceError, Settings};

/// The Kinesis of one account and region.
///
/// The methods here are the Rust face of the operations with the same name; SDK clients reach the same code.
#[derive(Clone, Debug)]
pub struct Kinesis {
    settings: KinesisSettings,
    arn_prefix: String,
    account: String,
    streams: BTreeMap<String, Stream>,
}

/// What a writer learns.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PutReceipt {
    /// The shard that took the record.
    pub shard_id: String,
    /// The record's place in it.
    pub sequence: SequenceNumber,
}

/// A shard as tests want to see it.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShardView {
    /// `shardId-` and twelve digits.
    pub id: String,
    /// Inclusive bounds of its hash range.
    pub range: (u128, u128),
    /// The shards it came from.
    pub parents: Vec<String>,
    /// When it was closed by a split or a merge, in Unix milliseconds.
    pub closed: Option<u64>,
}

impl Kinesis {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.kinesis.clone(),
            arn_prefix: format!(
                "arn:aws:kinesis:{}:{}:stream/",
                settings.region, settings.account
            ),
            account: settings.account.clone(),
            streams: BTreeMap::new(),
        }
    }

    /// Starts the creation of a stream with equal shards.
    ///
    /// # Errors
    ///
    /// `ResourceInUseException` if the name is taken, `LimitExceededException` above the shard limit,
    /// `ValidationException` for a malformed name.
    pub fn create_stream(&mut self, name: &str, shards: u32, now: u64) -> Result<(), ServiceError> {
        self.advance(now);
        let well_formed = (1..=128).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !well_formed {
            return Err(ServiceError::validation(format!(
                "Value '{name}' at 'streamName' failed to satisfy constraint: [a-zA-Z0-9_.-]+, 1 to 128 characters"
            )));
        }
        if self.streams.contains_key(name) {
            return Err(ServiceError::client(
                "ResourceInUseException",
                format!(
                    "Stream {name} under account {} already exists.",
                    self.account
                ),
            ));
        }
        self.check_shard_limit(shards as usize)?;
        let stream = Stream::new(
            name,
            format!("{}{name}", self.arn_prefix),
            shards,
            now,
            &self.settings,
        );
        self.streams.insert(name.to_owned(), stream);
        Ok(())
    }

    /// Writes one record; `explicit_hash` overrides the MD5 of the partition key.
    ///
    /// # Errors
    ///
    /// As the operation PutRecord of the Kinesis API reference.
    pub fn put_record(
        &mut self,
        stream: &str,
        partition_key: &str,
        data: impl Into<Bytes>,
        now: u64,
    ) -> Result<PutReceipt, ServiceError> {
        self.put(stream, (partition_key, None), data.into(), now)
    }

    /// Splits an open shard at a hash key, which begins the upper child.
    ///
    /// # Errors
    ///
    /// As the operation SplitShard of the Kinesis API reference.
    pub fn split_shard(
        &mut self,
        stream: &str,
        shard_id: &str,
        at: u128,
        now: u64,
    ) -> Result<(), ServiceError> {
        self.check_shard_limit(1)?;
        let duration = self.settings.reshard_ms;
        let stream = self.stream(stream, now)?;
        stream.require_active()?;
        let shard = stream.shard(shard_id)?;
        if !shard.is_open() {
            return Err(closed(&shard.id()));
        }
        // Both children must have more than the very edge of the range, as AWS demands.
        if at <= shard.range.0 || at > shard.range.1 {
            return Err(listing::invalid(&format!(
                "NewStartingHashKey {at} used in SplitShard() on shard {} is not both greater than one plus the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.",
                shard.id(),
                shard.range.0,
                shard.range.1
            )));
        }
        let change = Change::Split {
            shard: shard.number,
            at,
        };
        stream.begin(change, duration, now);
        Ok(())
    }

    /// Merges two open shards with adjacent ranges.
    ///
    /// # Errors
    ///
    /// As the operation MergeShards of the Kinesis API reference.
    pub fn merge_shards(
        &mut self,
        stream: &str,
        shard_id: &str,
        adjacent: &str,
        now: u64,
    ) -> Result<(), ServiceError> {
        let duration = self.settings.reshard_ms;
        let stream = self.stream(stream, now)?;
        stream.require_active()?;
        let (one, other) = (stream.shard(shard_id)?, stream.shard(adjacent)?);
        for shard in [one, other] {
            if !shard.is_open() {
                return Err(closed(&shard.id()));
            }
        }
        let (low, high) = if one.range.0 < other.range.0 {
            (one, other)
        } else {
            (other, one)
        };
        if low.range.1.checked_add(1) != Some(high.range.0) {
            return Err(listing::invalid(&format!(
                "Shards {shard_id} and {adjacent} in stream {} are not an adjacent pair of shards eligible for merging",
                stream.name
            )));
        }
        let change = Change::Merge {
            first: low.number,
            second: high.number,
        };
        stream.begin(change, duration, now);
        Ok(())
    }

    /// Changes the number of open shards to equal parts of the range, by splits and merges.
    ///
    /// # Errors
    ///
    /// As the operation UpdateShardCount of the Kinesis API reference: at most double, at least half.
    pub fn update_shard_count(
        &mut self,
        stream: &str,
        shards: u32,
        now: u64,
    ) -> Result<(), ServiceError> {
        self.advance(now);
        let duration = self.settings.reshard_ms;
        let open = self.stream(stream, now)?.open_shards().count();
        self.check_shard_limit((shards as usize).saturating_sub(open))?;
        let stream = self.stream(stream, now)?;
        stream.require_active()?;
        if shards as usize > open * 2 || (shards as usize) < open.div_ceil(2) || shards == 0 {
            return Err(listing::invalid(&format!(
                "UpdateShardCount cannot scale from {open} to {shards}: at most double, at least half"
            )));
        }
        stream.begin(Change::Resize { shards }, duration, now);
        Ok(())
    }

    /// The shards still listed, by number; closed ones until the retention has passed.
    ///
    /// # Errors
    ///
    /// `ResourceNotFoundException`.
    pub fn shards(&mut self, stream: &str, now: u64) -> Result<Vec<ShardView>, ServiceError> {
        let stream = self.stream(stream, now)?;
        Ok(stream
            .shards
            .iter()
            .map(|shard| ShardView {
                id: shard.id(),
                range: shard.range,
                parents: shard
                    .parents
                    .iter()
                    .map(|parent| shard::shard_id(*parent))
                    .collect(),
                closed: shard.closed,
            })
            .collect())
    }

    /// All records a shard still keeps, oldest first.
    ///
    /// # Errors
    ///
    /// `ResourceNotFoundException`.
    pub fn records(
        &mut self,
        stream: &str,
        shard_id: &str,
        now: u64,
    ) -> Result<Vec<StoredRecord>, ServiceError> {
        let stream = self.stream(stream, now)?;
        Ok(stream.shard(shard_id)?.since_index(0).cloned().collect())
    }

    pub(crate) fn put(
        &mut self,
        stream: &str,
        (partition_key, explicit): (&str, Option<u128>),
        data: Bytes,
        now: u64,
    ) -> Result<PutReceipt, ServiceError> {
        let (limit, rates, account) = (
            self.settings.max_record_bytes,
            self.settings.enforce_rates,
            self.account.clone(),
        );
        if partition_key.is_empty() || partition_key.chars().count() > 256 {
            return Err(ServiceError::validation(
                "Value at 'partitionKey' failed to satisfy constraint: 1 to 256 characters",
            ));
        }
        let size = data.len() + partition_key.len();
        if size > limit {
            return Err(ServiceError::validation(format!(
                "Value at 'data' failed to satisfy constraint: data and partition key have {size} bytes, at most {limit} are allowed"
            )));
        }
        let stream = self.stream(stream, now)?;
        let name = stream.name.clone();
        let unavailable = || {
            ServiceError::client(
                "ResourceNotFoundException",
                format!("Stream {name} under account {account} not found."),
            )
        };
        let Some(shard) = stream.route(partition_key, explicit) else {
            return Err(unavailable());
        };
        if rates && !shard.admit_write(size, now) {
            return Err(exceeded(&shard.id(), &name, &account));
        }
        let sequence = shard.append(partition_key.to_owned(), data, now);
        Ok(PutReceipt {
            shard_id: shard.id(),
            sequence,
        })
    }

    pub(crate) fn stream(&mut self, name: &str, now: u64) -> Result<&mut Stream, ServiceError> {
        self.advance(now);
        self.streams.get_mut(name).ok_or_else(|| {
            ServiceError::client(
                "ResourceNotFoundException",
                format!("Stream {name} under account {} not found.", self.account),
            )
        })
    }

    fn advance(&mut self, now: u64) {
        self.streams.retain(|_, stream| stream.advance(now));
    }

    fn check_shard_limit(&self, more: usize) -> Result<(), ServiceError> {
        let open: usize = self
            .streams
            .values()
            .map(|stream| stream.open_shards().count())
            .sum();
        if open + more <= self.settings.shard_limit {
            return Ok(());
        }
        Err(ServiceError::client(
            "LimitExceededException",
            format!(
                "This request would exceed the shard limit for the account {}. Limit: {}.",
                self.account, self.settings.shard_limit
            ),
        ))
    }
}

/// `stream/shard` of an iterator, by which fault rules aim at one shard.
pub(crate) fn iterator_resource(text: &str) -> Option<String> {
    let iterator = ShardIterator::decode(text).ok()?;
    Some(format!(
        "{}/{}",
        iterator.stream,
        shard::shard_id(iterator.shard)
    ))
}

fn closed(id: &str) -> ServiceError {
    ServiceError::client(
        "ResourceNotFoundException",
        format!("Shard {id} is already closed."),
    )
}

fn exceeded(shard: &str, stream: &str, account: &str) -> ServiceError {
    ServiceError::client(
        "ProvisionedThroughputExceededException",
        format!("Rate exceeded for shard {shard} in stream {stream} under account {account}."),
    )
}
