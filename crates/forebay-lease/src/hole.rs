//! Hash keys that no lease covers, and the leases that close such a hole.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Checkpoint;
use crate::lease::{HashRange, Lease, ShardId, Timestamp};
use crate::shard::{Shard, StartPosition};

/// The first hash key that no range covers.
pub(crate) fn hole(ranges: impl Iterator<Item = HashRange>) -> Option<u128> {
    let mut ranges: Vec<HashRange> = ranges.collect();
    ranges.sort();
    let mut next = Some(0_u128);
    for range in ranges {
        match next {
            Some(at) if range.start() > at => return Some(at),
            Some(at) if range.end() >= at => next = range.end().checked_add(1),
            _ => {}
        }
    }
    next
}

/// A row of a sync. Whatever it starts at, it remembers the time at which the fleet began, and so do its descendants.
pub(crate) fn new_lease(
    shard: &Shard,
    checkpoint: Checkpoint,
    start: StartPosition,
    pinned: Option<Timestamp>,
) -> Lease {
    let mut lease = Lease::new(shard.id.clone(), checkpoint);
    lease.parents.clone_from(&shard.parents);
    lease.hash_range = Some(shard.hash_range);
    lease.start_at = match start {
        StartPosition::Latest => pinned,
        StartPosition::AtTimestamp(at) => Some(at),
        StartPosition::TrimHorizon => None,
    };
    lease
}

/// The time that LATEST means once there were leases: when the fleet `began`, which every row of ours remembers; now if
/// nobody has read anything yet. `None` if it cannot be known.
pub(crate) fn pinned_start(
    leases: &BTreeMap<ShardId, &Lease>,
    began: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let known = leases
        .values()
        .map(|lease| lease.start_at)
        .chain([began])
        .flatten();
    let is_pinned =
        |lease: &&Lease| lease.start_at.is_some() || lease.checkpoint == Checkpoint::Latest;
    let is_certain = leases.values().all(is_pinned) && (began.is_some() || !leases.is_empty());
    is_certain.then(|| known.min().map_or(now, |known| known.min(now)))
}

/// The leases that a sync of a non-empty table creates, in the order of creation.
///
/// Unlike the KCL, LATEST is never the time of the sync once somebody has read: a shard that is found as a hole may have
/// taken in records since its parent ended. It starts where the fleet began, or at the horizon if nobody remembers.
pub(crate) fn missing_leases(
    shards: &[Shard],
    leases: &BTreeMap<ShardId, &Lease>,
    start: StartPosition,
    pinned: Option<Timestamp>,
) -> Vec<Lease> {
    let start = match start {
        StartPosition::Latest if pinned.is_none() => StartPosition::TrimHorizon,
        start => start,
    };
    let mut lineage = Lineage {
        listed: shards.iter().map(|shard| (&shard.id, shard)).collect(),
        read: read_ancestors(shards, leases),
        leases,
        start: start.checkpoint(),
        visited: BTreeSet::new(),
        create: Vec::new(),
    };
    for shard in shards.iter().filter(|shard| shard.is_open) {
        lineage.cover(shard);
    }
    let mut create = lineage.create;
    create.sort_by(|(left, _), (right, _)| (left.first, &left.id).cmp(&(right.first, &right.id)));
    create
        .into_iter()
        .map(|(shard, checkpoint)| new_lease(shard, checkpoint, start, pinned))
        .collect()
}

struct Lineage<'a> {
    listed: BTreeMap<&'a ShardId, &'a Shard>,
    leases: &'a BTreeMap<ShardId, &'a Lease>,
    read: BTreeSet<ShardId>,
    start: Checkpoint,
    visited: BTreeSet<&'a ShardId>,
    create: Vec<(&'a Shard, Checkpoint)>,
}

impl<'a> Lineage<'a> {
    /// Notes the leases without which this shard would never be read: its own, or those of its oldest ancestors that are
    /// still to be read. Everything below them is created as they end.
    fn cover(&mut self, shard: &'a Shard) {
        // A listing with a circle must not hang us.
        if self.leases.contains_key(&shard.id) || !self.visited.insert(&shard.id) {
            return;
        }
        let (mut waits, mut checkpoint) = (false, self.start);
        for parent in &shard.parents {
            match self.leases.get(parent) {
                // Its end should have created this shard: nothing of it has been read.
                Some(lease) if lease.checkpoint.is_shard_end() => {
                    checkpoint = Checkpoint::TrimHorizon;
                }
                Some(_) => waits = true,
                None if self.read.contains(parent) => {}
                None => {
                    if let Some(listed) = self.listed.get(parent).copied() {
                        self.cover(listed);
                        waits = true;
                    }
                }
            }
        }
        if !waits {
            self.create.push((shard, checkpoint));
        }
    }
}

/// Shards that nobody has to read any more, with a lease or without: one of their descendants has begun, which had to
/// wait for them, or was open when the fleet began.
pub(crate) fn read_ancestors(
    shards: &[Shard],
    leases: &BTreeMap<ShardId, &Lease>,
) -> BTreeSet<ShardId> {
    let listed: BTreeMap<&ShardId, &Shard> =
        shards.iter().map(|shard| (&shard.id, shard)).collect();
    let begun = leases
        .values()
        .filter(|lease| lease.checkpoint != Checkpoint::TrimHorizon);
    let mut open: Vec<&ShardId> = begun.flat_map(|lease| &lease.parents).collect();
    let mut read = BTreeSet::new();
    while let Some(shard) = open.pop() {
        if read.insert(shard.clone())
            && let Some(listed) = listed.get(shard)
        {
            open.extend(&listed.parents);
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ShardId {
        format!("shardId-{number:012}").parse().expect("id")
    }

    fn shard(number: u32, parents: &[u32], is_open: bool) -> Shard {
        Shard {
            id: id(number),
            parents: parents.iter().map(|parent| id(*parent)).collect(),
            hash_range: HashRange::FULL,
            first: u128::from(number).into(),
            is_open,
        }
    }

    fn row(number: u32, parents: &[u32], checkpoint: Checkpoint) -> Lease {
        let mut row = Lease::new(id(number), checkpoint);
        row.parents = parents.iter().map(|parent| id(*parent)).collect();
        row
    }

    fn created(shards: &[Shard], rows: &[Lease], start: StartPosition) -> Vec<Lease> {
        let leases = rows.iter().map(|row| (row.shard(), row)).collect();
        let pinned = pinned_start(&leases, None, Timestamp(9));
        missing_leases(shards, &leases, start, pinned)
    }

    fn starts(leases: &[Lease]) -> Vec<(&str, Checkpoint)> {
        let number = |lease: &'_ Lease| lease.key.as_str().len() - 2;
        leases
            .iter()
            .map(|lease| (&lease.key.as_str()[number(lease)..], lease.checkpoint))
            .collect()
    }

    /// The example of the KCL's documentation of its syncer: 0+1→6, 2+3→7, 6+7→8, 5→9+10; leases for 4, 5, 7.
    fn example() -> ([Shard; 11], [Lease; 3]) {
        let shards = [
            shard(0, &[], false),
            shard(1, &[], false),
            shard(2, &[], false),
            shard(3, &[], false),
            shard(4, &[], true),
            shard(5, &[], false),
            shard(6, &[0, 1], false),
            shard(7, &[2, 3], false),
            shard(8, &[6, 7], true),
            shard(9, &[5], true),
            shard(10, &[5], true),
        ];
        (
            shards,
            [4, 5, 7].map(|number| row(number, &[], Checkpoint::TrimHorizon)),
        )
    }

    #[test]
    fn a_sync_starts_with_the_oldest_ancestors_without_a_lease() {
        let (shards, rows) = example();
        let expected = ["00", "01"].map(|name| (name, Checkpoint::TrimHorizon));
        assert_eq!(
            starts(&created(&shards, &rows, StartPosition::TrimHorizon)),
            expected
        );
        let expected = ["00", "01"].map(|name| (name, Checkpoint::AtTimestamp));
        let start = StartPosition::AtTimestamp(Timestamp(1));
        assert_eq!(starts(&created(&shards, &rows, start)), expected);
    }

    #[test]
    fn a_hole_at_latest_is_read_from_the_time_at_which_the_fleet_began() {
        let (shards, mut rows) = example();
        for (row, at) in rows.iter_mut().zip([5, 4, 6]) {
            row.start_at = Some(Timestamp(at));
        }
        let leases = created(&shards, &rows, StartPosition::Latest);
        assert_eq!(
            starts(&leases),
            ["00", "01"].map(|name| (name, Checkpoint::Latest))
        );
        assert!(
            leases
                .iter()
                .all(|lease| lease.start_at == Some(Timestamp(4)))
        );
    }

    #[test]
    fn a_hole_at_latest_is_read_from_the_horizon_if_nobody_knows_when_the_fleet_began() {
        let (shards, rows) = example();
        let leases = created(&shards, &rows, StartPosition::Latest);
        assert_eq!(
            starts(&leases),
            ["00", "01"].map(|name| (name, Checkpoint::TrimHorizon))
        );
    }

    #[test]
    fn ancestors_of_what_was_open_when_the_fleet_began_are_not_read() {
        let shards = [
            shard(0, &[], false),
            shard(1, &[0], false),
            shard(2, &[0], false),
            shard(3, &[1], true),
            shard(4, &[2], true),
        ];
        let mut open = row(3, &[1], Checkpoint::Latest);
        open.start_at = Some(Timestamp(3));
        let leases = created(&shards, &[open], StartPosition::Latest);
        // Shard 2 may have taken in records since; shard 0 was closed when its other grandchild was open.
        assert_eq!(starts(&leases), [("02", Checkpoint::Latest)]);
    }

    #[test]
    fn a_first_start_at_latest_that_stopped_halfway_is_completed_at_latest() {
        let rows = [row(1, &[], Checkpoint::Latest)];
        let shards = [shard(1, &[], true), shard(2, &[], true)];
        let leases = created(&shards, &rows, StartPosition::Latest);
        assert_eq!(starts(&leases), [("02", Checkpoint::Latest)]);
        assert_eq!(leases[0].start_at, Some(Timestamp(9)));
    }

    #[test]
    fn a_table_emptied_by_hand_is_filled_from_what_is_remembered() {
        let none = BTreeMap::new();
        let (began, now) = (Some(Timestamp(2)), Timestamp(9));
        assert_eq!(pinned_start(&none, began, now), began);
        assert_eq!(pinned_start(&none, None, now), None);
        let leases = missing_leases(&[shard(1, &[], true)], &none, StartPosition::Latest, began);
        assert_eq!(
            (leases[0].checkpoint, leases[0].start_at),
            (Checkpoint::Latest, began)
        );
    }

    #[test]
    fn children_whose_parent_has_ended_are_created_because_nobody_else_will() {
        // Listed or not: the service forgets a closed shard before its children are read.
        for listed in [true, false] {
            let shards: Vec<Shard> = [
                shard(5, &[], false),
                shard(9, &[5], true),
                shard(10, &[5], true),
            ]
            .into_iter()
            .skip(usize::from(!listed))
            .collect();
            let mut ended = row(5, &[], Checkpoint::ShardEnd);
            ended.start_at = Some(Timestamp(3));
            let leases = created(&shards, &[ended], StartPosition::Latest);
            assert_eq!(
                starts(&leases),
                ["09", "10"].map(|name| (name, Checkpoint::TrimHorizon))
            );
            assert!(
                leases
                    .iter()
                    .all(|lease| lease.start_at == Some(Timestamp(3)))
            );
        }
    }

    #[test]
    fn a_parent_that_was_read_and_cleaned_up_is_not_read_again() {
        let shards = [
            shard(5, &[], false),
            shard(9, &[5], true),
            shard(10, &[5], true),
        ];
        let rows = [row(9, &[5], Checkpoint::at(7.into()))];
        let leases = created(&shards, &rows, StartPosition::TrimHorizon);
        assert_eq!(starts(&leases), [("10", Checkpoint::TrimHorizon)]);
    }

    #[test]
    fn the_first_uncovered_hash_key_is_the_hole() {
        let range = |start, end| HashRange::new(start, end).expect("range");
        assert_eq!(
            hole([range(0, 9), range(5, 20), range(21, u128::MAX)].into_iter()),
            None
        );
        assert_eq!(
            hole([range(0, 9), range(11, u128::MAX)].into_iter()),
            Some(10)
        );
        assert_eq!(hole([range(0, 9)].into_iter()), Some(10));
        assert_eq!(hole([range(3, u128::MAX)].into_iter()), Some(0));
        assert_eq!(hole(std::iter::empty()), Some(0));
    }
}
