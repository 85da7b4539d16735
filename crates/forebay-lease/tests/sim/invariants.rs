//! I1 to I20 of the protocol, checked as the model changes. A violation is kept, the first one fails the seed.

use std::collections::{BTreeMap, BTreeSet};

use forebay_lease::{Checkpoint, Lease, LeaseKey, Timestamp, Update};

use crate::faults::Millis;
use crate::stream::Stream;
use crate::table::{Row, Table};

#[derive(Default)]
pub(crate) struct Invariants {
    pub(crate) violation: Option<String>,
    /// Per shard: first record that has to be delivered, and what the sink accepted.
    shards: BTreeMap<usize, Progress>,
    ended: BTreeSet<usize>,
    /// Rows deleted by hand: their history is no longer the protocol's.
    pub(crate) tampered: BTreeSet<usize>,
    pub(crate) tampered_at: Millis,
    /// The row that is created now comes from a worker younger than the deletion of all rows: it cannot know where its
    /// fleet began, and whoever deleted them gave the positions up.
    pub(crate) is_ignorant: bool,
    /// When the number of leases last changed.
    pub(crate) changed_at: Millis,
    /// Which worker, in which life, last wrote each row.
    writers: BTreeMap<LeaseKey, (usize, u64)>,
    pub(crate) accepted: u64,
    pub(crate) repeats: u64,
    pub(crate) has_java: bool,
}

#[derive(Default)]
struct Progress {
    first: usize,
    accepted: Vec<bool>,
    /// Everything below is accepted.
    prefix: usize,
    /// Reported as trimmed.
    gap_below: usize,
}

impl Invariants {
    pub(crate) fn violate(&mut self, now: Millis, text: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(format!("at {} ms: {}", now, text()));
        }
    }

    pub(crate) fn accept(&mut self, shard: usize, record: usize) {
        self.accepted += 1;
        let progress = self.shards.entry(shard).or_default();
        if progress.accepted.len() <= record {
            progress.accepted.resize(record + 1, false);
        }
        if std::mem::replace(&mut progress.accepted[record], true) {
            self.repeats += 1;
        }
        progress.prefix = progress.prefix.max(progress.first);
        while progress.accepted.get(progress.prefix) == Some(&true) {
            progress.prefix += 1;
        }
    }

    pub(crate) fn gap(&mut self, shard: usize, below: usize) {
        let progress = self.shards.entry(shard).or_default();
        progress.gap_below = progress.gap_below.max(below);
    }

    /// Everything below this record is accepted, not asked for, or reported as gone.
    pub(crate) fn done(&self, shard: usize) -> usize {
        let Some(progress) = self.shards.get(&shard) else {
            return 0;
        };
        let mut at = progress.prefix.max(progress.first).max(progress.gap_below);
        while progress.accepted.get(at) == Some(&true) {
            at += 1;
        }
        at
    }

    pub(crate) fn wrote(&mut self, key: &LeaseKey, writer: (usize, u64)) {
        self.writers.insert(key.clone(), writer);
    }

    pub(crate) fn last_writer(&self, key: &LeaseKey) -> Option<(usize, u64)> {
        self.writers.get(key).copied()
    }

    /// Whether the shard ever had a lease.
    pub(crate) fn is_leased(&self, shard: usize) -> bool {
        self.shards.contains_key(&shard)
    }

    pub(crate) fn created(&mut self, lease: &Lease, now: Millis, stream: &Stream) {
        self.changed_at = now;
        let shard = stream.index(&lease.key);
        let parents_leased = stream.shards[shard]
            .parents
            .iter()
            .any(|parent| self.shards.contains_key(parent));
        let first = match (lease.checkpoint, lease.start_at) {
            (Checkpoint::Latest | Checkpoint::AtTimestamp, Some(Timestamp(at)))
                if !parents_leased =>
            {
                stream.since(shard, at.max(0) as u64)
            }
            _ => stream.horizon(shard, now),
        };
        if self.is_ignorant && lease.checkpoint.is_start() {
            let progress = self.shards.entry(shard).or_default();
            progress.first = progress.first.max(first);
        }
        self.shards.entry(shard).or_insert_with(|| Progress {
            first,
            prefix: first,
            ..Progress::default()
        });
    }

    pub(crate) fn updated(
        &mut self,
        before: &Row,
        after: &Row,
        update: &Update,
        table: &Table,
        now: Millis,
        stream: &Stream,
    ) {
        let key = &update.key;
        if !Lease::is_entity_type(before.entity_type) {
            self.violate(now, || format!("I13 {key} is not a lease and was written"));
            return;
        }
        let (old, new) = (&before.lease, &after.lease);
        if new.checkpoint < old.checkpoint {
            self.violate(now, || {
                format!(
                    "I2 {key} goes back from {} to {}",
                    old.checkpoint, new.checkpoint
                )
            });
        }
        let is_metadata = update.changes.counter.is_none();
        if !is_metadata && new.counter <= old.counter {
            self.violate(now, || {
                format!("I11 {key} counter {} after {}", new.counter, old.counter)
            });
        }
        if before.unknown != after.unknown || !is_narrow(old, new, is_metadata) {
            self.violate(now, || format!("I12 {key} from {old:?} to {new:?}"));
        }
        if new.checkpoint == old.checkpoint {
            return;
        }
        let shard = stream.index(key);
        let done = self.done(shard);
        let claimed = match new.checkpoint {
            Checkpoint::ShardEnd => stream.count(shard, now),
            checkpoint => stream.after(shard, checkpoint),
        };
        let is_gone = !stream.is_listed(shard, now);
        if claimed > done && !is_gone {
            self.violate(now, || {
                format!("I1 {key} claims {claimed} records, {done} are accepted")
            });
        }
        if new.checkpoint.is_shard_end() {
            if stream.shards[shard].closed.is_none() {
                self.violate(now, || format!("I9 {key} ended while open"));
            }
            self.ended.insert(shard);
            self.check_coverage(shard, shard, table, now, stream);
        }
    }

    pub(crate) fn deleted(&mut self, key: &LeaseKey, table: &Table, now: Millis, stream: &Stream) {
        self.changed_at = now;
        let shard = stream.index(key);
        if !stream.is_listed(shard, now) {
            return;
        }
        let row = |at: &usize| table.read(&LeaseKey::from(&stream.shards[*at].id));
        let model = &stream.shards[shard];
        let children_begun = model.children.iter().all(|child| {
            row(child).map_or_else(
                || self.ended.contains(child),
                |row| {
                    !matches!(
                        row.checkpoint,
                        Checkpoint::TrimHorizon | Checkpoint::AtTimestamp
                    )
                },
            )
        });
        let has_parent = model.parents.iter().any(|parent| row(parent).is_some());
        self.check_coverage(shard, shard, table, now, stream);
        if !children_begun || has_parent || model.children.is_empty() {
            self.violate(now, || format!("I10 {key} deleted too early"));
        }
    }

    /// (I9) Every listed descendant of an ended or deleted shard has a lease, has had one, or descends from a lease that is
    /// not done.
    fn check_coverage(
        &mut self,
        ended: usize,
        shard: usize,
        table: &Table,
        now: Millis,
        stream: &Stream,
    ) {
        for child in &stream.shards[shard].children {
            let row = table.read(&LeaseKey::from(&stream.shards[*child].id));
            let is_known = self.ended.contains(child) || self.tampered.contains(child);
            let has_other = stream.shards[*child]
                .parents
                .iter()
                .any(|parent| *parent != ended && *parent != shard && !self.ended.contains(parent));
            if row.is_some() || has_other || !stream.is_listed(*child, now) {
                continue;
            }
            if is_known {
                self.check_coverage(ended, *child, table, now, stream);
            } else {
                self.violate(now, || {
                    format!("I9 nobody will read shard {child} after {ended}")
                });
            }
        }
    }

    /// Beside Java, a row deleted by hand may take its records and those of its descendants with it: Java begins a child
    /// whose parent has no lease, and nobody can tell that from a parent that was read.
    pub(crate) fn is_given_up(&self) -> bool {
        self.has_java && !self.tampered.is_empty()
    }

    /// A reader begins to deliver. A row past its start was begun by somebody who knew, or by Java, which does not wait for
    /// parents without a lease.
    pub(crate) fn started(&mut self, shard: usize, table: &Table, now: Millis, stream: &Stream) {
        let own = table.read(&LeaseKey::from(&stream.shards[shard].id));
        if self.has_java && own.is_some_and(|row| !row.checkpoint.is_start()) {
            return;
        }
        for parent in &stream.shards[shard].parents {
            let row = table.read(&LeaseKey::from(&stream.shards[*parent].id));
            let is_done = match row {
                Some(row) => row.checkpoint.is_shard_end(),
                None if self.is_given_up() => true,
                None => {
                    self.ended.contains(parent)
                        || !self.shards.contains_key(parent)
                        || !stream.is_listed(*parent, now)
                }
            };
            if !is_done {
                self.violate(now, || {
                    format!("I8 shard {shard} is read before its parent {parent} is done")
                });
            }
        }
    }
}

/// Whether a write of ours or of Java touches only what it may: each attribute has its own occasion.
fn is_narrow(old: &Lease, new: &Lease, is_metadata: bool) -> bool {
    let is_taken = new.owner != old.owner && new.owner.is_some();
    let has_moved = new.checkpoint != old.checkpoint;
    (new.children == old.children || new.checkpoint.is_shard_end())
        && (new.hash_range == old.hash_range || is_metadata)
        && (new.pending_checkpoint == old.pending_checkpoint || has_moved)
        && (new.pending_state == old.pending_state || has_moved)
        && (new.checkpoint_owner == old.checkpoint_owner || is_taken || new.owner == old.owner)
        && (new.start_at == old.start_at || old.start_at.is_none())
        && new.throughput == old.throughput
        && new.parents == old.parents
        && (!has_moved || new.owner_switches == 0)
        && (new.owner_switches <= old.owner_switches + 1)
}
