use crate::action::Token;
use crate::checkpoint::Checkpoint;
use crate::event::ClientVersion;
use crate::lease::{LeaseKey, ShardId, WorkerId};

/// What the coordinator decided or learned, for logs and metrics. Nothing has to be done about it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// A lease is about to be taken; followed by `Taken`, `TakeRefused`, or nothing if the table does not answer.
    Taking {
        /// The lease.
        key: LeaseKey,
        /// Who has it.
        from: Option<WorkerId>,
        /// Why it is taken.
        why: TakeReason,
    },
    /// A lease is ours.
    Taken {
        /// The lease.
        key: LeaseKey,
        /// Its tenure.
        token: Token,
        /// Who had it.
        from: Option<WorkerId>,
        /// Why it was taken.
        why: TakeReason,
    },
    /// Another worker was faster.
    TakeRefused {
        /// The lease.
        key: LeaseKey,
    },
    /// Nothing is taken for now. Reported when the reason changes.
    NotTaking {
        /// Why.
        why: IdleReason,
    },
    /// A lease is not ours any more.
    Lost {
        /// The lease.
        key: LeaseKey,
        /// Its tenure.
        token: Token,
        /// Why.
        why: LossReason,
    },
    /// A lease was given back, its position stored.
    Released {
        /// The lease.
        key: LeaseKey,
        /// Its tenure.
        token: Token,
    },
    /// A write got no answer; a consistent read will tell.
    Uncertain {
        /// The lease.
        key: LeaseKey,
    },
    /// A position was stored.
    Checkpointed {
        /// The lease.
        key: LeaseKey,
        /// The position.
        checkpoint: Checkpoint,
    },
    /// Reading waits until the parents are done.
    WaitingForParent {
        /// The lease.
        key: LeaseKey,
        /// The first parent that is not done.
        parent: ShardId,
    },
    /// A lease was created.
    Created {
        /// The lease.
        key: LeaseKey,
        /// Its start.
        checkpoint: Checkpoint,
    },
    /// The end of a shard is stored.
    ShardEnded {
        /// The lease.
        key: LeaseKey,
        /// Its children.
        children: Vec<ShardId>,
    },
    /// Records may be lost for good: the service has forgotten the shard before its end was read.
    Gap {
        /// The lease.
        key: LeaseKey,
        /// The last position done.
        from: Checkpoint,
    },
    /// A lease of an ended or trimmed shard was deleted.
    Deleted {
        /// The lease.
        key: LeaseKey,
    },
    /// Somebody deleted the row of a lease that was held; it is written again with the position known.
    Recreated {
        /// The lease.
        key: LeaseKey,
    },
    /// No lease covers a part of the hash range.
    Hole {
        /// First hash key without a lease.
        at: u128,
        /// How often in a row it was seen; a sync starts at 3.
        seen: u32,
    },
    /// The shards of the stream are compared with the leases.
    Syncing,
    /// The shard-sync leader changed.
    Leader {
        /// Whether it is this worker.
        me: bool,
    },
    /// The mode of the fleet changed. In a mode in which workers do not take, held leases go on.
    Mode(ClientVersion),
    /// The worker is parked or unparked.
    Parked(bool),
}

/// Why a lease was taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TakeReason {
    /// Nobody had it.
    Free,
    /// Its owner did not renew it.
    Expired,
    /// Its owner had more than its share.
    Stolen,
    /// It was ours already: an earlier run with the same id, or a take whose answer was lost.
    Regained,
}

/// Why nothing is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum IdleReason {
    /// We have our share.
    Balanced,
    /// We are short of our share, but the last steal was too recent.
    StealInterval,
    /// `max_leases` is reached.
    Limit,
    /// The fleet is in a mode of KCL 3.x in which a leader assigns.
    ThreeX,
    /// The mode of the fleet is unknown.
    UnknownMode,
    /// The worker is parked.
    Parked,
    /// The worker is stopping.
    ShuttingDown,
}

/// Why a lease was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LossReason {
    /// Not renewed in time: our own limit, before the limit of the peers.
    Expired,
    /// Another worker has it.
    TakenAway,
    /// Somebody removed the owner.
    Evicted,
    /// The row is gone.
    Deleted,
    /// The machine slept.
    Suspended,
}
