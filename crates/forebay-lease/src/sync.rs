//! Which leases are missing: on an empty table, and when the audit finds a hole.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::action::{LIST_ALL, Request};
use crate::call::Purpose;
use crate::coordinator::Coordinator;
use crate::decision::Decision;
use crate::event::Outcome;
use crate::hole::{hole, missing_leases, new_lease, pinned_start};
use crate::leader::is_leader;
use crate::lease::{Lease, LeaseKey, ShardId, Timestamp};
use crate::shard::Shard;
use crate::update::{Changes, Condition, Update};

/// The state of audit and sync.
#[derive(Clone, Debug)]
pub(crate) struct Sync {
    pub(crate) audit_at: Instant,
    pub(crate) is_listing: bool,
    /// The hole last seen, and how often in a row.
    hole: Option<(u128, u32)>,
    /// Leases to create, in order.
    queue: VecDeque<Lease>,
    creating: usize,
    leads: Option<bool>,
    /// Whether the table ever had leases, to our knowledge.
    pub(crate) had_leases: bool,
    /// Since when scans show no lease.
    pub(crate) empty_since: Option<Instant>,
    /// When the fleet began, as the rows once told.
    pub(crate) began: Option<Timestamp>,
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
            had_leases: false,
            empty_since: None,
            began: None,
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
    /// The table has no leases: a first start, or somebody deleted them by hand. In the second case whoever holds one
    /// writes it again with its position at the next renewal, and must not find a row that begins anew.
    pub(crate) fn sync_empty_table(&mut self, now: Instant) {
        let since = *self.sync.empty_since.get_or_insert(now);
        let is_too_early = self.sync.had_leases && now < since + self.config.failover;
        if is_too_early || self.forbidden().is_some() || self.sync.is_busy() {
            return;
        }
        self.sync.is_listing = true;
        self.report(Decision::Syncing);
        if self.sync.had_leases {
            self.call(Purpose::Hole, LIST_ALL);
        } else {
            let filter = self.start.filter();
            self.call(Purpose::EmptyTable, Request::ListShards { filter });
        }
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
                    new_lease(shard, self.start.checkpoint(), self.start, Some(asked_at)),
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
            self.call(Purpose::FillRanges, LIST_ALL);
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
        let enough = if leads { CONFIDENCE } else { CONFIDENCE * 2 };
        if count >= enough {
            self.sync.hole = None;
            self.sync.is_listing = true;
            self.report(Decision::Syncing);
            self.call(Purpose::Hole, LIST_ALL);
        }
    }

    pub(crate) fn listed_for_hole(&mut self, outcome: Outcome) {
        self.sync.is_listing = false;
        let Outcome::Shards { shards, asked_at } = outcome else {
            return;
        };
        let leases = self.leases();
        let began = pinned_start(&leases, self.sync.began, asked_at);
        self.sync.queue = missing_leases(&shards, &leases, self.start, began).into();
        self.create_missing();
    }

    /// The rows by shard, as last seen.
    pub(crate) fn leases(&self) -> BTreeMap<ShardId, &Lease> {
        let rows = self.seen.values().map(|seen| &seen.row);
        rows.map(|row| (row.shard(), row)).collect()
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

/// How often the leader sees a hole in a row before it creates leases for it.
const CONFIDENCE: u32 = 3;
/// Creations under way at the same time.
const SIDE_BY_SIDE: usize = 8;
const LIST_AGAIN: Duration = Duration::from_secs(1);
