//! A worker that follows the taker and renewer of KCL 1.x and 2.x, holding time counted from answers and all.

use std::collections::BTreeMap;

use forebay_lease::{
    Changes, Checkpoint, Condition, Lease, LeaseCounter, LeaseKey, OwnerChange, SwitchesChange,
    Update, WorkerId,
};

use crate::faults::Millis;
use crate::table::Written;
use crate::world::{Ev, World};

pub(crate) struct Java {
    pub(crate) id: WorkerId,
    held: BTreeMap<LeaseKey, Held>,
    seen: BTreeMap<LeaseKey, (LeaseCounter, Millis)>,
    pub(crate) is_alive: bool,
    pub(crate) paused_until: Millis,
    pub(crate) writes: u64,
}

struct Held {
    counter: LeaseCounter,
    renewed_at: Millis,
    next: usize,
    is_started: bool,
    is_done: bool,
    stored: usize,
}

impl Java {
    pub(crate) fn new(name: &str) -> Self {
        let id = name.parse().expect("id");
        Self {
            id,
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
            is_alive: true,
            paused_until: 0,
            writes: 0,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.held.len()
    }

    /// Whether it believes to hold the lease. Java believes as long as the others: with clocks that run at different
    /// rates it has no margin, so the model leaves it the rate of the fastest observer.
    pub(crate) fn holds(&self, key: &LeaseKey, now: Millis) -> bool {
        let held = self.held.get(key).filter(|_| self.is_alive);
        held.is_some_and(|held| held.renewed_at + 9_500 > now)
    }
}

impl World {
    fn java_write(&mut self, at: usize, update: &Update) -> bool {
        self.java[at].writes += 1;
        let written = self
            .table
            .update(update, false, self.now, &mut self.inv, &self.stream);
        matches!(written, Written::Applied)
    }

    pub(crate) fn java_take(&mut self, at: usize) {
        let until = self.java[at].paused_until;
        if until > self.now {
            self.push(until, Ev::JavaTake(at));
            return;
        }
        self.push(self.now + 20_050, Ev::JavaTake(at));
        if !self.java[at].is_alive {
            return;
        }
        let now = self.now;
        let rows: Vec<Lease> = self.table.leases().cloned().collect();
        let java = &mut self.java[at];
        let mut counts: BTreeMap<WorkerId, usize> = BTreeMap::from([(java.id.clone(), 0)]);
        let (mut available, mut very_old) = (Vec::new(), Vec::new());
        for row in &rows {
            let free = row.owner.is_none();
            let first = if free { 0 } else { now };
            let (counter, since) = java
                .seen
                .entry(row.key.clone())
                .or_insert((row.counter, first));
            if *counter != row.counter {
                (*counter, *since) = (row.counter, now);
            }
            let idle = now - *since;
            if idle > 10_000 || free {
                available.push(row.clone());
                if idle > 30_000 || *since == 0 {
                    very_old.push(row.clone());
                }
            } else if let Some(owner) = &row.owner {
                *counts.entry(owner.clone()).or_default() += 1;
            }
        }
        let mine = counts[&java.id];
        let target = if counts.len() >= rows.len() {
            1
        } else {
            rows.len().div_ceil(counts.len())
        };
        let need = target.saturating_sub(mine);
        let me = java.id.clone();
        let is_theft = very_old.is_empty() && available.is_empty();
        let mut chosen = if !very_old.is_empty() {
            very_old
        } else if need == 0 {
            Vec::new()
        } else if !available.is_empty() {
            self.random.shuffle(&mut available);
            available.truncate(need);
            available
        } else {
            let victim = counts
                .iter()
                .max_by_key(|(_, count)| **count)
                .map(|(owner, count)| (owner.clone(), *count));
            let Some((victim, count)) = victim else {
                return;
            };
            if count < target || (count == target && need <= 1) {
                return;
            }
            rows.into_iter()
                .filter(|row| row.owner.as_ref() == Some(&victim))
                .take(1)
                .collect()
        };
        self.random.shuffle(&mut chosen);
        for row in chosen {
            let switched = row.owner.as_ref().is_some_and(|owner| *owner != me);
            let update = Update {
                key: row.key.clone(),
                condition: Condition {
                    counter: Some(row.counter),
                    ..Condition::default()
                },
                changes: Changes {
                    counter: Some(row.counter.next()),
                    owner: Some(OwnerChange::Set(me.clone())),
                    owner_switches: switched.then_some(SwitchesChange::Increment),
                    ..Changes::default()
                },
            };
            if self.java_write(at, &update) {
                if is_theft {
                    self.note_steal(&row.key);
                } else {
                    self.check_holders(&row.key, Some((usize::MAX, 0)));
                }
                let shard = self.stream.index(&row.key);
                let next = match row.checkpoint {
                    Checkpoint::Sequence { .. } => self.stream.after(shard, row.checkpoint),
                    _ => self.stream.horizon(shard, now),
                };
                let is_done = row.checkpoint.is_shard_end();
                if row.checkpoint.is_start() {
                    self.inv.gap(shard, next);
                }
                let held = Held {
                    counter: row.counter.next(),
                    renewed_at: now,
                    next,
                    is_started: false,
                    is_done,
                    stored: next,
                };
                self.java[at].held.insert(row.key, held);
            }
        }
    }

    pub(crate) fn java_renew(&mut self, at: usize) {
        let until = self.java[at].paused_until;
        if until > self.now {
            self.push(until, Ev::JavaRenew(at));
            return;
        }
        self.push(self.now + 3308, Ev::JavaRenew(at));
        if !self.java[at].is_alive {
            return;
        }
        let now = self.now;
        self.java[at]
            .held
            .retain(|_, held| held.renewed_at + 10_000 >= now);
        let keys: Vec<LeaseKey> = self.java[at].held.keys().cloned().collect();
        for key in keys {
            self.java_work(at, &key);
            let Some(held) = self.java[at].held.get(&key) else {
                continue;
            };
            let (counter, stored, next) = (held.counter, held.stored, held.next);
            let shard = self.stream.index(&key);
            let moved = next > stored && !held.is_done;
            let ended = !held.is_done
                && held.is_started
                && self.stream.shards[shard].closed.is_some()
                && next >= self.stream.count(shard, self.now)
                && self.java_may_end(shard);
            let mut changes = Changes {
                counter: Some(counter.next()),
                ..Changes::default()
            };
            if ended {
                for child in self.stream.children(shard) {
                    let mut lease = Lease::new(child.id, Checkpoint::TrimHorizon);
                    (lease.parents, lease.hash_range) = (child.parents, Some(child.hash_range));
                    self.table
                        .create(lease, self.now, &mut self.inv, &self.stream);
                }
                changes.children = Some(
                    self.stream
                        .children(shard)
                        .into_iter()
                        .map(|child| child.id)
                        .collect(),
                );
                changes.checkpoint = Some(Checkpoint::ShardEnd);
            } else if moved {
                changes.checkpoint = Some(Checkpoint::at(self.stream.number(shard, next - 1)));
            }
            if changes.checkpoint.is_some() {
                changes.owner_switches = Some(SwitchesChange::Reset);
                changes.clear_pending = true;
            }
            let condition = Condition {
                counter: Some(counter),
                ..Condition::default()
            };
            if self.java_write(
                at,
                &Update {
                    key: key.clone(),
                    condition,
                    changes,
                },
            ) {
                if let Some(held) = self.java[at].held.get_mut(&key) {
                    held.counter = counter.next();
                    held.renewed_at = now;
                    held.stored = next;
                    held.is_done |= ended;
                }
            } else {
                self.java[at].held.remove(&key);
            }
        }
    }

    /// The child of a merge is created only if both parents have leases or neither has.
    fn java_may_end(&self, shard: usize) -> bool {
        let has_lease = |at: &usize| {
            let key = LeaseKey::from(&self.stream.shards[*at].id);
            self.table.read(&key).is_some()
        };
        match self.stream.shards[shard].children.as_slice() {
            [child] => {
                let parents = &self.stream.shards[*child].parents;
                parents.iter().all(has_lease) || !parents.iter().any(has_lease)
            }
            _ => true,
        }
    }

    fn java_work(&mut self, at: usize, key: &LeaseKey) {
        let shard = self.stream.index(key);
        let parents: Vec<LeaseKey> = self.stream.shards[shard]
            .parents
            .iter()
            .map(|parent| (&self.stream.shards[*parent].id).into())
            .collect();
        let waits = parents.iter().any(|parent| {
            self.table
                .read(parent)
                .is_some_and(|row| !row.checkpoint.is_shard_end())
        });
        let (count, horizon) = (
            self.stream.count(shard, self.now),
            self.stream.horizon(shard, self.now),
        );
        let Some(held) = self.java[at].held.get_mut(key) else {
            return;
        };
        if held.is_done || (waits && !held.is_started) {
            return;
        }
        held.is_started = true;
        if held.next < horizon {
            held.next = horizon;
            self.inv.gap(shard, horizon);
        }
        for record in held.next..count {
            self.inv.accept(shard, record);
        }
        held.next = held.next.max(count);
    }

    pub(crate) fn java_crash(&mut self, at: usize, is_alive: bool) {
        let java = &mut self.java[at];
        java.is_alive = is_alive;
        java.held.clear();
        java.seen.clear();
    }
}
