//! Which leases are missing: on an empty table, and when the audit finds a hole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::action::Request;
use crate::call::Purpose;
use crate::checkpoint::Checkpoint;
use crate::coordinator::Coordinator;
use crate::decision::Decision;
use crate::event::Outcome;
use crate::leader::is_leader;
use crate::lease::{HashRange, Lease, LeaseKey, ShardId, Timestamp};
use crate::shard::{Shard, ShardFilter, StartPosition};
use crate::update::{Changes, Condition, Update};

/// The state of audit and sync.
#[derive(Debug)]
pub(crate) struct Sync {
    pub(crate) audit_at: Instant,
    pub(crate) is_listing: bool,
    /// The hole last seen, and how often in a row.
    hole: Option<(u128, u32)>,
    /// Leases to create, in order.
    queue: VecDeque<Lease>,
    creating: usize,
    leads: Option<bool>,
}

impl Sync {
    pub(crate) const fn new(audit_at: Instant) -> Self {
        Self {
            audit_at,
            is_listing: false,
            hole: None,
            queue: VecDeque::new(),
            creating: 0,
            leads: None,
        }
    }

    /// A creation was withdrawn because nothing may be taken: forget the rest.
    pub(crate) fn abandon(&mut self) {
        self.creating = self.creating.saturating_sub(1);
        self.queue.clear();
    }

    fn is_busy(&self) -> bool {
        self.is_listing || self.creating > 0
    }
}

impl Coordinator {
    pub(crate) fn sync_empty_table(&mut self) {
        if self.forbidden().is_some() || self.sync.is_busy() {
            return;
        }
        self.sync.is_listing = true;
        self.report(Decision::Syncing);
        self.call(
            Purpose::EmptyTable,
            Request::ListShards {
                filter: self.start.filter(),
            },
        );
    }

    pub(crate) fn listed_for_empty_table(&mut self, outcome: Outcome, now: Instant) {
        self.sync.is_listing = false;
        let Outcome::Shards { shards, asked_at } = outcome else {
            return;
        };
        self.wall = self.wall.max(Some(asked_at));
        if hole(shards.iter().map(|shard| shard.hash_range)).is_some() {
            // Not a whole listing: the reshard under way will be over soon.
            self.sync.is_listing = true;
            let request = Request::ListShards {
                filter: self.start.filter(),
            };
            self.call_later(now + LIST_AGAIN, Purpose::EmptyTable, request);
            return;
        }
        let mut leases: Vec<(&Shard, Lease)> = shards
            .iter()
            .map(|shard| {
                (
                    shard,
                    new_lease(shard, self.start.checkpoint(), self.start, asked_at),
                )
            })
            .collect();
        leases
            .sort_by(|(left, _), (right, _)| (left.first, &left.id).cmp(&(right.first, &right.id)));
        self.sync.queue = leases.into_iter().map(|(_, lease)| lease).collect();
        self.create_missing();
    }

    fn create_missing(&mut self) {
        while self.sync.creating < SIDE_BY_SIDE
            && let Some(lease) = self.sync.queue.pop_front()
        {
            self.sync.creating += 1;
            self.call(
                Purpose::CreateMissing {
                    key: lease.key.clone(),
                },
                Request::Create(Box::new(lease)),
            );
        }
    }

    pub(crate) fn missing_created(
        &mut self,
        key: &LeaseKey,
        request: Request,
        outcome: &Outcome,
        now: Instant,
    ) {
        self.sync.creating = self.sync.creating.saturating_sub(1);
        if let (Request::Create(lease), Outcome::Applied) = (request, outcome) {
            self.report(Decision::Created {
                key: key.clone(),
                checkpoint: lease.checkpoint,
            });
            self.note(*lease, now);
        }
        self.create_missing();
        if !self.sync.is_busy() {
            // What others created meanwhile is in the table only.
            self.scan_soon(now);
            self.take_pass(now);
        }
    }

    /// The duty of the shard-sync leader: are all hash keys covered? Looking costs nothing, so everybody looks.
    pub(crate) fn audit(&mut self, now: Instant) {
        if now < self.sync.audit_at {
            return;
        }
        self.sync.audit_at = now + self.config.audit_interval;
        let leads = is_leader(
            &self.me,
            self.seen
                .values()
                .filter_map(|seen| seen.row.owner.as_ref()),
        );
        if self.sync.leads != Some(leads) {
            self.sync.leads = Some(leads);
            self.report(Decision::Leader { me: leads });
        }
        if !self.knows_table()
            || self.seen.is_empty()
            || self.sync.is_busy()
            || self.forbidden().is_some()
        {
            self.sync.hole = None;
            return;
        }
        let open = || {
            self.seen
                .values()
                .map(|seen| &seen.row)
                .filter(|row| !row.checkpoint.is_shard_end())
        };
        if open().any(|row| row.hash_range.is_none()) {
            self.call(
                Purpose::FillRanges,
                Request::ListShards {
                    filter: ShardFilter::All,
                },
            );
            return;
        }
        let Some(at) = hole(open().filter_map(|row| row.hash_range)) else {
            self.sync.hole = None;
            return;
        };
        let count = match self.sync.hole {
            Some((before, count)) if before == at => count + 1,
            _ => 1,
        };
        self.sync.hole = Some((at, count));
        self.report(Decision::Hole { at, seen: count });
        // The others wait twice as long: the leader may be a worker that does not do its duty.
        let enough = self
            .config
            .audit_confidence
            .saturating_mul(if leads { 1 } else { 2 });
        if count >= enough {
            self.sync.hole = None;
            self.sync.is_listing = true;
            self.report(Decision::Syncing);
            self.call(
                Purpose::Hole,
                Request::ListShards {
                    filter: ShardFilter::All,
                },
            );
        }
    }

    pub(crate) fn listed_for_hole(&mut self, outcome: Outcome, _now: Instant) {
        self.sync.is_listing = false;
        let Outcome::Shards { shards, asked_at } = outcome else {
            return;
        };
        let leases: BTreeMap<ShardId, &Lease> = self
            .seen
            .values()
            .map(|seen| (seen.row.shard(), &seen.row))
            .collect();
        // A fleet that crashed halfway through its first sync goes on from the time at which it began.
        let first = leases.values().filter_map(|lease| lease.start_at).min();
        let asked_at = first.map_or(asked_at, |first| first.min(asked_at));
        self.sync.queue = missing_leases(&shards, &leases, self.start, asked_at).into();
        self.create_missing();
    }

    /// Leases written by old versions lack their hash range; the audit needs it.
    pub(crate) fn listed_for_ranges(&mut self, outcome: Outcome) {
        let Outcome::Shards { shards, .. } = outcome else {
            return;
        };
        for shard in shards {
            let key = LeaseKey::from(&shard.id);
            let lacks = |row: &Lease| row.hash_range.is_none() && !row.checkpoint.is_shard_end();
            if self.seen.get(&key).is_some_and(|seen| lacks(&seen.row)) {
                let changes = Changes {
                    hash_range: Some(shard.hash_range),
                    ..Changes::default()
                };
                let update = Update {
                    key: key.clone(),
                    condition: Condition::default(),
                    changes,
                };
                self.call(
                    Purpose::FillRange { key },
                    Request::Update(Box::new(update)),
                );
            }
        }
    }
}

/// The first hash key that no range covers.
fn hole(ranges: impl Iterator<Item = HashRange>) -> Option<u128> {
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

fn new_lease(
    shard: &Shard,
    checkpoint: Checkpoint,
    start: StartPosition,
    asked_at: Timestamp,
) -> Lease {
    let mut lease = Lease::new(shard.id.clone(), checkpoint);
    lease.parents.clone_from(&shard.parents);
    lease.hash_range = Some(shard.hash_range);
    lease.start_at = match (checkpoint, start) {
        (Checkpoint::Latest, _) => Some(asked_at),
        (Checkpoint::AtTimestamp, StartPosition::AtTimestamp(at)) => Some(at),
        _ => None,
    };
    lease
}

/// The leases that a sync of a non-empty table creates, in the order of creation.
fn missing_leases(
    shards: &[Shard],
    leases: &BTreeMap<ShardId, &Lease>,
    start: StartPosition,
    asked_at: Timestamp,
) -> Vec<Lease> {
    let mut lineage = Lineage {
        listed: shards.iter().map(|shard| (&shard.id, shard)).collect(),
        leases,
        start,
        known: BTreeMap::new(),
        create: BTreeMap::new(),
    };
    for shard in shards.iter().filter(|shard| shard.is_open) {
        if !lineage.is_covered(shard) {
            lineage.create.insert(&shard.id, start.checkpoint());
        }
    }
    let mut create: Vec<(&Shard, Checkpoint)> = lineage
        .create
        .iter()
        .filter_map(|(id, checkpoint)| lineage.listed.get(id).map(|shard| (*shard, *checkpoint)))
        .collect();
    create.sort_by(|(left, _), (right, _)| (left.first, &left.id).cmp(&(right.first, &right.id)));
    create
        .into_iter()
        .map(|(shard, checkpoint)| new_lease(shard, checkpoint, start, asked_at))
        .collect()
}

struct Lineage<'a> {
    listed: BTreeMap<&'a ShardId, &'a Shard>,
    leases: &'a BTreeMap<ShardId, &'a Lease>,
    start: StartPosition,
    known: BTreeMap<&'a ShardId, bool>,
    create: BTreeMap<&'a ShardId, Checkpoint>,
}

impl<'a> Lineage<'a> {
    /// Whether this shard has a lease, or will get one from the lineage it belongs to. Notes the leases needed for that.
    fn is_covered(&mut self, shard: &'a Shard) -> bool {
        if self.leases.contains_key(&shard.id) {
            return true;
        }
        if let Some(known) = self.known.get(&shard.id) {
            return *known;
        }
        // A listing with a circle must not hang us.
        self.known.insert(&shard.id, false);
        let parents: Vec<&'a Shard> = shard
            .parents
            .iter()
            .filter_map(|parent| self.listed.get(parent).copied())
            .collect();
        let covered: BTreeSet<&ShardId> = parents
            .iter()
            .filter(|parent| self.is_covered(parent))
            .map(|parent| &parent.id)
            .collect();
        let is_covered = if covered.is_empty() {
            let from_oldest = self.start != StartPosition::Latest;
            if from_oldest {
                self.create.insert(&shard.id, self.start.checkpoint());
            }
            from_oldest
        } else {
            for parent in &parents {
                if !covered.contains(&parent.id) {
                    self.create.insert(&parent.id, self.start.checkpoint());
                }
            }
            let has_ended = |parent: &&Shard| {
                self.leases
                    .get(&parent.id)
                    .is_some_and(|lease| lease.checkpoint.is_shard_end())
            };
            if parents.iter().all(has_ended) {
                // Nobody is left who would create it.
                self.create.insert(&shard.id, Checkpoint::TrimHorizon);
            }
            true
        };
        self.known.insert(&shard.id, is_covered);
        is_covered
    }
}

/// Creations under way at the same time.
const SIDE_BY_SIDE: usize = 8;
const LIST_AGAIN: Duration = Duration::from_secs(1);

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

    /// The example of the KCL's documentation of its syncer: 0+1→6, 2+3→7, 6+7→8, 5→9+10; leases for 4, 5, 7.
    fn created(start: StartPosition, ended: &[u32]) -> Vec<(String, Checkpoint)> {
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
        let rows: Vec<Lease> = [4, 5, 7]
            .map(|number| {
                let checkpoint = if ended.contains(&number) {
                    Checkpoint::ShardEnd
                } else {
                    Checkpoint::TrimHorizon
                };
                Lease::new(id(number), checkpoint)
            })
            .into();
        let leases = rows.iter().map(|row| (row.shard(), row)).collect();
        missing_leases(&shards, &leases, start, Timestamp(9))
            .into_iter()
            .map(|lease| {
                (
                    lease
                        .key
                        .as_str()
                        .trim_start_matches("shardId-")
                        .trim_start_matches('0')
                        .to_owned(),
                    lease.checkpoint,
                )
            })
            .collect()
    }

    #[test]
    fn a_sync_at_latest_completes_the_ancestry_only() {
        assert_eq!(
            created(StartPosition::Latest, &[]),
            [("6".to_owned(), Checkpoint::Latest)]
        );
    }

    #[test]
    fn a_sync_from_the_horizon_starts_with_the_oldest_ancestors() {
        let expected = ["", "1"].map(|name| (name.to_owned(), Checkpoint::TrimHorizon));
        assert_eq!(created(StartPosition::TrimHorizon, &[]), expected);
        let expected = ["", "1"].map(|name| (name.to_owned(), Checkpoint::AtTimestamp));
        assert_eq!(
            created(StartPosition::AtTimestamp(Timestamp(1)), &[]),
            expected
        );
    }

    #[test]
    fn children_whose_parents_have_ended_are_created_because_nobody_else_will() {
        let created = created(StartPosition::Latest, &[5]);
        assert!(created.contains(&("9".to_owned(), Checkpoint::TrimHorizon)));
        assert!(created.contains(&("10".to_owned(), Checkpoint::TrimHorizon)));
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
