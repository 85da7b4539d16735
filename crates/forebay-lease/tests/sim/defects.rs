//! The defects planted on purpose, each around the coordinator: between it and the table, its reader or its clock. The
//! crate itself has no hook for them.

/// A planted defect. A number is that of `reliability.md` section 11.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Defect {
    /// 1: a reader skips a batch whose processing failed.
    SkippedBatch,
    /// 2: one last position for all shards.
    SharedPosition,
    /// 3: the highest accepted position is stored, not the highest contiguous one.
    HighestPosition,
    /// 4: an unanswered write passes for an applied one, so memory runs ahead of the table.
    UnknownIsApplied,
    /// 5: the end of a shard is not stored if its last number is stored already.
    EndNotStored,
    /// 6: children do not wait for their parents.
    ChildBeforeParent,
    /// 7: the end is reported before everything is accepted.
    EarlyEnd,
    /// 8: a parent that the service has forgotten blocks its children.
    ForgottenParentBlocks,
    /// 9: a worker restarted in the middle of a split forgets the children.
    RestartForgetsSplit,
    /// 10: a shard read to its end is read again from the horizon.
    EndedReadAgain,
    /// 11: LATEST means the newest record at every start.
    LatestAgain,
    /// 11, in the sync: a hole is read from the time of the sync.
    HoleAtLatest,
    /// 13: a lease to hand over is never let go.
    HandoverNeverDone,
    /// 14: a leader that never does its duty.
    IdleLeader,
    /// 15: a stop that comes while the reader starts is forgotten.
    StopRacesStart,
    /// 16: the reader of a lost lease goes on and speaks for the new tenure.
    StaleTenure,
    /// 24: delivery counts as acceptance.
    AcknowledgedOnDelivery,
    /// 29: hold time counts from seconds after the request left.
    LateStamp,
    /// 30: a call without an answer hangs for ever.
    HangingCall,
    /// 32: a stop acknowledges what it should only drop.
    StopAcknowledgesAll,
    /// 35: a lost answer passes for a lost lease.
    SpuriousLoss,
    /// A clock that follows the time of day, with its jumps.
    WallClock,
    /// Writes lose the condition on the counter.
    NoCounterCondition,
    /// A refused write passes for an applied one.
    RefusedIsApplied,
    /// Children's leases are not created at the end of the parent.
    NoChildren,
    /// Leases are deleted although their children have not begun.
    EarlyDelete,
    /// Rows of other types are taken for leases.
    ForeignRows,
    /// The mode of the fleet is not followed.
    ModeIgnored,
    /// Writes replace the whole row.
    WholeRow,
    /// The checkpoint written is behind what was stored before.
    Backwards,
}

impl Defect {
    /// Every defect, with a seed that is known to show it: where the search begins.
    pub(crate) const ALL: [(Self, u64); 30] = [
        (Self::SkippedBatch, 0),
        (Self::SharedPosition, 0),
        (Self::HighestPosition, 0),
        (Self::UnknownIsApplied, 2),
        (Self::EndNotStored, 2),
        (Self::ChildBeforeParent, 0),
        (Self::EarlyEnd, 0),
        (Self::ForgottenParentBlocks, 5),
        (Self::RestartForgetsSplit, 0),
        (Self::EndedReadAgain, 0),
        (Self::LatestAgain, 1),
        (Self::HoleAtLatest, 56),
        (Self::HandoverNeverDone, 3),
        (Self::IdleLeader, 1),
        (Self::StopRacesStart, 29),
        (Self::StaleTenure, 25),
        (Self::AcknowledgedOnDelivery, 0),
        (Self::LateStamp, 2),
        (Self::HangingCall, 3),
        (Self::StopAcknowledgesAll, 3),
        (Self::SpuriousLoss, 0),
        (Self::WallClock, 2),
        (Self::NoCounterCondition, 0),
        (Self::RefusedIsApplied, 2),
        (Self::NoChildren, 0),
        (Self::EarlyDelete, 0),
        (Self::ForeignRows, 0),
        (Self::ModeIgnored, 0),
        (Self::WholeRow, 0),
        (Self::Backwards, 0),
    ];
}
