use std::fmt;
use std::str::FromStr;

use crate::checkpoint::Checkpoint;
use crate::error::ParseError;
use crate::shard::ChildShard;

/// One row of the lease table, with every attribute that KCL 1.x, 2.x and 3.x write.
///
/// A row whose `entityType` is present and not `LEASE` is not a lease (KCL 3.5 keeps other things in the same table):
/// the table layer skips it ([`Lease::is_entity_type`]). Attributes unknown to this type survive because every write is
/// an [`Update`](crate::Update) of named attributes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the table layer and tests build rows field by field"
)]
pub struct Lease {
    /// `leaseKey`: the shard id, or `account:stream:epoch:shard` in a multi-stream table.
    pub key: LeaseKey,
    /// `leaseOwner`; in a handoff of KCL 3.x the next owner.
    pub owner: Option<WorkerId>,
    /// `leaseCounter`: the fence.
    pub counter: LeaseCounter,
    /// `ownerSwitchesSinceCheckpoint`.
    pub owner_switches: u64,
    /// `checkpoint` and `checkpointSubSequenceNumber`.
    pub checkpoint: Checkpoint,
    /// `pendingCheckpoint` and `pendingCheckpointSubSequenceNumber`.
    pub pending_checkpoint: Option<Checkpoint>,
    /// `pendingCheckpointState`; a value that is not binary is ignored, as KCL has written numbers there.
    pub pending_state: Option<Vec<u8>>,
    /// `parentShardId`: at most two bare shard ids.
    pub parents: Vec<ShardId>,
    /// `childShardIds`: known once the shard has ended.
    pub children: Vec<ShardId>,
    /// `startingHashKey` and `endingHashKey`.
    pub hash_range: Option<HashRange>,
    /// `throughputKBps` as written (KCL 3.x).
    pub throughput: Option<String>,
    /// `checkpointOwner`: only during a handoff of KCL 3.x.
    pub checkpoint_owner: Option<WorkerId>,
    /// `streamName`: the serialised stream identifier of a multi-stream table.
    pub stream: Option<String>,
    /// `shardId` of a multi-stream table.
    pub stream_shard: Option<ShardId>,
    /// `forebayStartAt` (N, milliseconds): our own attribute, the time a start at LATEST or AT_TIMESTAMP means. Children
    /// inherit it, so that the fleet never forgets where it began. Java ignores and keeps it.
    pub start_at: Option<Timestamp>,
}

impl Lease {
    /// A row as it is created: no owner, counter 0, nothing processed.
    pub fn new(shard: ShardId, checkpoint: Checkpoint) -> Self {
        Self {
            key: LeaseKey::from(shard),
            owner: None,
            counter: LeaseCounter(0),
            owner_switches: 0,
            checkpoint,
            pending_checkpoint: None,
            pending_state: None,
            parents: Vec::new(),
            children: Vec::new(),
            hash_range: None,
            throughput: None,
            checkpoint_owner: None,
            stream: None,
            stream_shard: None,
            start_at: None,
        }
    }

    /// Whether a row with this `entityType` is a lease: absent or `LEASE`.
    pub fn is_entity_type(entity_type: Option<&str>) -> bool {
        entity_type.is_none_or(|name| name == "LEASE")
    }

    /// The bare shard id.
    pub fn shard(&self) -> ShardId {
        if let Some(shard) = &self.stream_shard {
            return shard.clone();
        }
        ShardId(
            self.key
                .as_str()
                .rsplit(':')
                .next()
                .unwrap_or_default()
                .to_owned(),
        )
    }

    /// A new row of the same stream for a relative of this shard, read from its beginning. It inherits the time at which
    /// the fleet began.
    pub(crate) fn child(&self, shard: &ChildShard) -> Self {
        let mut lease = Self::new(shard.id.clone(), Checkpoint::TrimHorizon);
        lease.key = self.key.relative(&shard.id);
        lease.parents.clone_from(&shard.parents);
        lease.hash_range = Some(shard.hash_range);
        lease.stream.clone_from(&self.stream);
        lease.stream_shard = self.stream.as_ref().map(|_| shard.id.clone());
        lease.start_at = self.start_at;
        lease
    }

    /// Who may checkpoint: `checkpointOwner` during a handoff, otherwise the owner.
    pub fn effective_owner(&self) -> Option<&WorkerId> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }
}

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(String);

        impl $name {
            /// The text as it stands in the table.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                if text.is_empty() {
                    return Err(ParseError::Empty { what: $what });
                }
                if text.len() > $limit {
                    return Err(ParseError::TooLong { what: $what, length: text.len(), limit: $limit });
                }
                Ok(Self(text.to_owned()))
            }
        }
    };
}

identity! {
    /// A shard of a stream, as `shardId-000000000007`. At most 128 bytes.
    ShardId, "shard id", 128
}
identity! {
    /// The key of a row in the lease table. At most 2,048 bytes.
    LeaseKey, "lease key", 2048
}
identity! {
    /// A worker; unique among all live processes that share the table. At most 2,048 bytes, and never a lease key.
    WorkerId, "worker id", 2048
}

impl LeaseKey {
    /// The key of another shard of the same stream.
    pub(crate) fn relative(&self, shard: &ShardId) -> Self {
        match self.0.rsplit_once(':') {
            Some((stream, _)) => Self(format!("{stream}:{shard}")),
            None => Self::from(shard),
        }
    }
}

impl From<ShardId> for LeaseKey {
    fn from(shard: ShardId) -> Self {
        Self(shard.0)
    }
}

impl From<&ShardId> for LeaseKey {
    fn from(shard: &ShardId) -> Self {
        Self(shard.0.clone())
    }
}

/// `leaseCounter`: grows with every change of owner, renewal and checkpoint.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a plain number")]
pub struct LeaseCounter(pub u64);

impl LeaseCounter {
    /// The value the next write sets.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for LeaseCounter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Time of day in milliseconds since 1970-01-01 UTC. Never decides who holds a lease.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a plain number")]
pub struct Timestamp(pub i64);

/// The hash keys of a shard, both ends inclusive.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HashRange {
    start: u128,
    end: u128,
}

impl HashRange {
    /// All hash keys.
    pub const FULL: Self = Self {
        start: 0,
        end: u128::MAX,
    };

    /// A range; `None` if it ends before it starts.
    pub const fn new(start: u128, end: u128) -> Option<Self> {
        if start <= end {
            Some(Self { start, end })
        } else {
            None
        }
    }

    /// Reads the attributes `startingHashKey` and `endingHashKey`.
    ///
    /// # Errors
    /// [`ParseError::HashRange`] if one is not a 128-bit decimal or they are out of order.
    pub fn parse(start: &str, end: &str) -> Result<Self, ParseError> {
        let range = start
            .parse()
            .ok()
            .zip(end.parse().ok())
            .and_then(|(start, end)| Self::new(start, end));
        range.ok_or_else(|| ParseError::HashRange {
            start: start.to_owned(),
            end: end.to_owned(),
        })
    }

    /// First key.
    pub const fn start(&self) -> u128 {
        self.start
    }

    /// Last key.
    pub const fn end(&self) -> u128 {
        self.end
    }

    /// Whether the key is in the range.
    pub const fn contains(&self, key: u128) -> bool {
        self.start <= key && key <= self.end
    }
}

impl fmt::Display for HashRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.start, self.end)
    }
}

impl FromStr for HashRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (start, end) = text.split_once('-').unwrap_or((text, ""));
        Self::parse(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leases_are_leases() {
        assert!(Lease::is_entity_type(None) && Lease::is_entity_type(Some("LEASE")));
        assert!(
            !Lease::is_entity_type(Some("STREAM")) && !Lease::is_entity_type(Some("something new"))
        );
    }

    #[test]
    fn the_shard_of_a_multi_stream_key_is_its_last_part() {
        let mut lease = Lease::new(
            "shardId-000000000001".parse().expect("id"),
            Checkpoint::Latest,
        );
        lease.key = "123:orders:17:shardId-000000000009".parse().expect("key");
        assert_eq!(lease.shard().as_str(), "shardId-000000000009");
    }

    #[test]
    fn a_hash_range_out_of_order_is_refused() {
        assert!(HashRange::parse("5", "4").is_err());
        assert_eq!(
            "0-340282366920938463463374607431768211455".parse(),
            Ok(HashRange::FULL)
        );
        assert!(HashRange::parse("0", "340282366920938463463374607431768211456").is_err());
    }
}
