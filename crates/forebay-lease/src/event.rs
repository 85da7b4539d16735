use crate::action::{CallId, Token};
use crate::checkpoint::Checkpoint;
use crate::lease::{Lease, LeaseKey, Timestamp};
use crate::shard::{ChildShard, Shard};

/// What the driver tells the coordinator.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer to a call. Each call is answered once; an answer to an unknown call is ignored.
    Answer {
        /// The call.
        id: CallId,
        /// What came of it.
        outcome: Outcome,
    },
    /// The sink has accepted everything of this tenure up to and including this position. Lower ones are ignored.
    Acknowledged {
        /// The lease.
        key: LeaseKey,
        /// The tenure; an old one is ignored.
        token: Token,
        /// The highest contiguous position.
        upto: Checkpoint,
    },
    /// The reader reached the end of the shard and everything in it is accepted.
    ShardEnded {
        /// The lease.
        key: LeaseKey,
        /// The tenure.
        token: Token,
        /// The children the service named.
        children: Vec<ChildShard>,
    },
    /// The service does not know the shard any more (asked twice and checked with ListShards); what was not read is lost.
    ShardGone {
        /// The lease.
        key: LeaseKey,
        /// The tenure.
        token: Token,
    },
    /// The reader is gone and has acknowledged what it could.
    Stopped {
        /// The lease.
        key: LeaseKey,
        /// The tenure.
        token: Token,
    },
    /// The machine slept: the time of day ran ahead of the monotonic clock. Every hold is in doubt and is dropped.
    Suspended,
}

/// What came of a call.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The leases of a whole scan; rows of foreign types and rows that cannot be read are left out.
    Scanned {
        /// The leases.
        leases: Vec<Lease>,
        /// Time of day just before the scan was sent.
        asked_at: Timestamp,
    },
    /// The row of a consistent read.
    Row(Option<Box<Lease>>),
    /// The write was made.
    Applied,
    /// The condition failed. The row that stood in the way, `None` if the answer did not show it.
    Refused(Option<Box<Lease>>),
    /// No usable answer.
    Failed(Failure),
    /// The shards of a complete listing.
    Shards {
        /// The shards.
        shards: Vec<Shard>,
        /// Time of day just before the listing was sent.
        asked_at: Timestamp,
    },
    /// Attribute `cv` of item `Migration3.0`.
    ClientVersion(ClientVersion),
}

/// Why there is no usable answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// Timeout, broken connection or 5xx: a write may have landed, or may still land.
    Unknown,
    /// Refused for its rate; not applied.
    Throttled,
    /// Never sent, or refused as a whole; not applied.
    Unavailable,
    /// No right to do it; not applied.
    Denied,
    /// The table does not exist.
    TableMissing,
}

/// The mode of a KCL 3.x fleet.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClientVersion {
    /// No such item or table: KCL 1.x, 2.x, or no Java worker at all.
    Absent,
    /// `CLIENT_VERSION_2X`.
    TwoX,
    /// `CLIENT_VERSION_UPGRADE_FROM_2X`.
    UpgradeFromTwoX,
    /// `CLIENT_VERSION_3X_WITH_ROLLBACK`.
    ThreeXWithRollback,
    /// `CLIENT_VERSION_3X`.
    ThreeX,
    /// A value this crate does not know.
    Other(String),
}

impl ClientVersion {
    /// Reads the attribute `cv`.
    pub fn parse(text: &str) -> Self {
        match text {
            "CLIENT_VERSION_2X" => Self::TwoX,
            "CLIENT_VERSION_UPGRADE_FROM_2X" => Self::UpgradeFromTwoX,
            "CLIENT_VERSION_3X_WITH_ROLLBACK" => Self::ThreeXWithRollback,
            "CLIENT_VERSION_3X" => Self::ThreeX,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Whether workers take leases themselves in this mode.
    pub const fn lets_workers_take(&self) -> bool {
        matches!(self, Self::Absent | Self::TwoX | Self::UpgradeFromTwoX)
    }
}
