use crate::checkpoint::Checkpoint;
use crate::lease::{HashRange, ShardId, Timestamp};

/// A shard as ListShards describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the stream layer builds it field by field"
)]
pub struct Shard {
    /// `ShardId`.
    pub id: ShardId,
    /// `ParentShardId` and `AdjacentParentShardId`, as far as present.
    pub parents: Vec<ShardId>,
    /// `HashKeyRange`.
    pub hash_range: HashRange,
    /// `StartingSequenceNumber`.
    pub first: crate::SequenceNumber,
    /// Whether it has no ending sequence number.
    pub is_open: bool,
}

/// A child as GetRecords or SubscribeToShard names it at the end of its parent.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the stream layer builds it field by field"
)]
pub struct ChildShard {
    /// `ShardId`.
    pub id: ShardId,
    /// `ParentShards`: one after a split, two after a merge.
    pub parents: Vec<ShardId>,
    /// `HashKeyRange`.
    pub hash_range: HashRange,
}

impl From<Shard> for ChildShard {
    fn from(shard: Shard) -> Self {
        Self {
            id: shard.id,
            parents: shard.parents,
            hash_range: shard.hash_range,
        }
    }
}

/// Which shards to list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the four listings the coordinator asks for"
)]
pub enum ShardFilter {
    /// All that the service still knows (no filter).
    All,
    /// Open now (`AT_LATEST`).
    Latest,
    /// Open at the oldest record kept (`AT_TRIM_HORIZON`).
    TrimHorizon,
    /// Open at this time (`AT_TIMESTAMP`).
    AtTimestamp(Timestamp),
}

/// Where reading begins in a shard that no lease has a position for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "what the lease table can say")]
pub enum StartPosition {
    /// At the newest record, pinned to the time of the first start. The default of the KCL.
    #[default]
    Latest,
    /// At the oldest record kept.
    TrimHorizon,
    /// At a time.
    AtTimestamp(Timestamp),
}

impl StartPosition {
    pub(crate) const fn checkpoint(self) -> Checkpoint {
        match self {
            Self::Latest => Checkpoint::Latest,
            Self::TrimHorizon => Checkpoint::TrimHorizon,
            Self::AtTimestamp(_) => Checkpoint::AtTimestamp,
        }
    }

    pub(crate) const fn filter(self) -> ShardFilter {
        match self {
            Self::Latest => ShardFilter::Latest,
            Self::TrimHorizon => ShardFilter::TrimHorizon,
            Self::AtTimestamp(at) => ShardFilter::AtTimestamp(at),
        }
    }
}
