use crate::checkpoint::Checkpoint;
use crate::lease::{HashRange, Lease, LeaseCounter, LeaseKey, ShardId, Timestamp, WorkerId};

/// One conditional write to one existing row: named attributes only, so foreign attributes survive.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the table layer translates every part"
)]
pub struct Update {
    /// The row.
    pub key: LeaseKey,
    /// What must hold for the write to happen.
    pub condition: Condition,
    /// What it changes.
    pub changes: Changes,
}

impl Update {
    /// Applies the changes to a row, as the table does once the condition holds.
    pub fn apply(&self, lease: &mut Lease) {
        let changes = &self.changes;
        if let Some(counter) = changes.counter {
            lease.counter = counter;
        }
        match &changes.owner {
            Some(OwnerChange::Set(owner)) => lease.owner = Some(owner.clone()),
            Some(OwnerChange::Remove) => lease.owner = None,
            None => {}
        }
        match changes.owner_switches {
            Some(SwitchesChange::Reset) => lease.owner_switches = 0,
            Some(SwitchesChange::Increment) => lease.owner_switches += 1,
            None => {}
        }
        if let Some(checkpoint) = changes.checkpoint {
            lease.checkpoint = checkpoint;
        }
        if changes.clear_pending {
            lease.pending_checkpoint = None;
            lease.pending_state = None;
        }
        if let Some(children) = &changes.children {
            lease.children.clone_from(children);
        }
        if let Some(range) = changes.hash_range {
            lease.hash_range = Some(range);
        }
        if changes.remove_checkpoint_owner {
            lease.checkpoint_owner = None;
        }
        if let Some(start_at) = changes.start_at {
            lease.start_at = Some(start_at);
        }
    }
}

/// What must hold, all of it. The row itself must always exist (`attribute_exists(leaseKey)`): an update never creates.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the table layer translates every part"
)]
pub struct Condition {
    /// `leaseCounter` equals this.
    pub counter: Option<LeaseCounter>,
    /// `leaseOwner` equals this.
    pub owner: Option<WorkerId>,
    /// `checkpointOwner` is absent.
    pub no_checkpoint_owner: bool,
    /// `checkpoint <> SHARD_END`.
    pub not_shard_end: bool,
}

impl Condition {
    /// Whether the row, as it stands in the table, lets the write happen.
    pub fn allows(&self, row: Option<&Lease>) -> bool {
        row.is_some_and(|row| {
            self.counter.is_none_or(|counter| row.counter == counter)
                && self
                    .owner
                    .as_ref()
                    .is_none_or(|owner| row.owner.as_ref() == Some(owner))
                && !(self.no_checkpoint_owner && row.checkpoint_owner.is_some())
                && !(self.not_shard_end && row.checkpoint.is_shard_end())
        })
    }
}

/// What a write changes; everything else in the row stays byte for byte.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the table layer translates every part"
)]
pub struct Changes {
    /// SET `leaseCounter`.
    pub counter: Option<LeaseCounter>,
    /// SET or REMOVE `leaseOwner`.
    pub owner: Option<OwnerChange>,
    /// SET `ownerSwitchesSinceCheckpoint` to 0, or ADD 1 to it.
    pub owner_switches: Option<SwitchesChange>,
    /// SET `checkpoint` and `checkpointSubSequenceNumber`.
    pub checkpoint: Option<Checkpoint>,
    /// REMOVE `pendingCheckpoint`, `pendingCheckpointSubSequenceNumber`, `pendingCheckpointState`.
    pub clear_pending: bool,
    /// SET `childShardIds`; never empty.
    pub children: Option<Vec<ShardId>>,
    /// SET `startingHashKey` and `endingHashKey`.
    pub hash_range: Option<HashRange>,
    /// REMOVE `checkpointOwner`.
    pub remove_checkpoint_owner: bool,
    /// SET `forebayStartAt`.
    pub start_at: Option<Timestamp>,
}

/// A change of `leaseOwner`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "an attribute is set or removed")]
pub enum OwnerChange {
    /// SET to this worker.
    Set(WorkerId),
    /// REMOVE.
    Remove,
}

/// A change of `ownerSwitchesSinceCheckpoint`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "KCL does these two and nothing else"
)]
pub enum SwitchesChange {
    /// SET to 0, with every checkpoint.
    Reset,
    /// ADD 1, with every change of owner.
    Increment,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Lease {
        let mut lease = Lease::new(
            "shardId-000000000001".parse().expect("id"),
            Checkpoint::TrimHorizon,
        );
        lease.throughput = Some("1.5".to_owned());
        lease.pending_state = Some(vec![7]);
        lease
    }

    #[test]
    fn an_update_of_nothing_changes_nothing() {
        let mut after = row();
        let update = Update {
            key: after.key.clone(),
            condition: Condition::default(),
            changes: Changes::default(),
        };
        update.apply(&mut after);
        assert_eq!(after, row());
    }

    #[test]
    fn a_missing_row_is_never_created_by_an_update() {
        assert!(!Condition::default().allows(None));
        assert!(Condition::default().allows(Some(&row())));
    }

    #[test]
    fn every_part_of_a_condition_must_hold() {
        let condition = Condition {
            counter: Some(LeaseCounter(0)),
            not_shard_end: true,
            ..Condition::default()
        };
        assert!(condition.allows(Some(&row())));
        let mut ended = row();
        ended.checkpoint = Checkpoint::ShardEnd;
        assert!(!condition.allows(Some(&ended)));
        let owned = Condition {
            owner: Some("me".parse().expect("id")),
            ..Condition::default()
        };
        assert!(!owned.allows(Some(&row())));
    }
}
