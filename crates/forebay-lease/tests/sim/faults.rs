//! What goes wrong, drawn once per seed (some seeds are calm, some extreme), and the mutations planted on purpose.

use crate::world::Random;

/// Milliseconds of virtual time.
pub(crate) type Millis = u64;

#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// In thousandths of calls.
    pub(crate) throttled: u64,
    pub(crate) lost_before: u64,
    pub(crate) lost_after: u64,
    /// Unanswered, and applied seconds after the caller gave up.
    pub(crate) late: u64,
    pub(crate) slow: u64,
    pub(crate) stale_scan: u64,
    pub(crate) partial_scan: u64,
    /// Mean time between events of the process, 0 for never.
    pub(crate) crash_every: Millis,
    pub(crate) pause_every: Millis,
    pub(crate) reshard_every: Millis,
    pub(crate) park_every: Millis,
    pub(crate) drift: bool,
    /// Rows deleted by hand.
    pub(crate) deletes: bool,
    /// The fleet's mode goes to 3.x for a while.
    pub(crate) three_x: bool,
    /// Everything is calm from here.
    pub(crate) heal_at: Millis,
}

impl Faults {
    pub(crate) const fn none() -> Self {
        Self {
            throttled: 0,
            lost_before: 0,
            lost_after: 0,
            late: 0,
            slow: 0,
            stale_scan: 0,
            partial_scan: 0,
            crash_every: 0,
            pause_every: 0,
            reshard_every: 0,
            park_every: 0,
            drift: false,
            deletes: false,
            three_x: false,
            heal_at: 0,
        }
    }

    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut rate = |most: u64| {
            if random.chance(400) {
                0
            } else {
                random.below(most)
            }
        };
        let (throttled, lost_before, lost_after) = (rate(200), rate(100), rate(100));
        let (late, slow, stale_scan, partial_scan) = (rate(60), rate(200), rate(500), rate(100));
        let mut mean = |least: u64| {
            if random.chance(400) {
                0
            } else {
                least + random.below(least * 4)
            }
        };
        let (crash_every, pause_every) = (mean(60_000), mean(60_000));
        let (reshard_every, park_every) = (mean(40_000), mean(200_000));
        Self {
            throttled,
            lost_before,
            lost_after,
            late,
            slow,
            stale_scan,
            partial_scan,
            crash_every,
            pause_every,
            reshard_every,
            park_every,
            drift: random.chance(500),
            deletes: random.chance(100),
            three_x: random.chance(150),
            heal_at: 22 * 60_000,
        }
    }
}

/// A defect planted around the coordinator: between it and the table, its reader or its clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Defect {
    /// Writes lose the condition on the counter.
    NoCounterCondition,
    /// Hold time counts from seconds after the request left.
    LateStamp,
    /// A refused write passes for an applied one.
    RefusedIsApplied,
    /// An unanswered write passes for an applied one: memory ahead of the table.
    UnknownIsApplied,
    /// The highest accepted position is stored, not the highest contiguous one.
    HighestPosition,
    /// One last position for all shards.
    SharedPosition,
    /// Delivery counts as acceptance.
    AcknowledgedOnDelivery,
    /// The end is reported before everything is accepted.
    EarlyEnd,
    /// Children do not wait for their parents.
    ChildBeforeParent,
    /// Children's leases are not created at the end of the parent.
    NoChildren,
    /// LATEST means the newest record at every start.
    LatestAgain,
    /// Leases are deleted although their children have not begun.
    EarlyDelete,
    /// Rows of other types are taken for leases.
    ForeignRows,
    /// The mode of the fleet is not followed.
    ModeIgnored,
    /// Writes replace the whole row.
    WholeRow,
    /// The checkpoint written is one step behind what was stored before.
    Backwards,
    /// Stop leaves accepted positions unsaid and says others.
    StopAcknowledgesAll,
    /// A reader skips a batch whose processing failed.
    SkippedBatch,
}

pub(crate) const DEFECTS: [Defect; 18] = [
    Defect::NoCounterCondition,
    Defect::LateStamp,
    Defect::RefusedIsApplied,
    Defect::UnknownIsApplied,
    Defect::HighestPosition,
    Defect::SharedPosition,
    Defect::AcknowledgedOnDelivery,
    Defect::EarlyEnd,
    Defect::ChildBeforeParent,
    Defect::NoChildren,
    Defect::LatestAgain,
    Defect::EarlyDelete,
    Defect::ForeignRows,
    Defect::ModeIgnored,
    Defect::WholeRow,
    Defect::Backwards,
    Defect::StopAcknowledgesAll,
    Defect::SkippedBatch,
];
