//! Observing peers and taking leases.

use std::time::{Duration, Instant};

use crate::action::Request;
use crate::call::Purpose;
use crate::checkpoint::Checkpoint;
use crate::coordinator::Coordinator;
use crate::decision::{Decision, TakeReason};
use crate::event::{Failure, Outcome};
use crate::lease::{Lease, LeaseKey};
use crate::plan::{Seen, View, plan};
use crate::update::{Changes, Condition, OwnerChange, SwitchesChange, Update};

/// A take under way.
#[derive(Clone, Debug)]
pub(crate) struct Taking {
    why: TakeReason,
    /// The row as last read; the condition of the take.
    row: Lease,
    /// The write, once sent.
    update: Option<Update>,
}

impl Coordinator {
    /// Notes a row of a scan.
    pub(crate) fn observe(&mut self, row: Lease, now: Instant) {
        // A scan may lag: an older counter is an older copy. A row written anew is found by the consistent read that
        // comes before each take.
        let is_older = |seen: &Seen| row.counter < seen.row.counter;
        if !self.seen.get(&row.key).is_some_and(is_older) {
            self.note(row, now);
        }
    }

    /// Notes a row of a consistent read: the truth at that time.
    pub(crate) fn note(&mut self, row: Lease, now: Instant) {
        let last = self.seen.get(&row.key);
        let known = last.map_or(self.wall, |seen| seen.known);
        // A row that was deleted and made anew may come to the same counter under another owner.
        let same = |seen: &&Seen| seen.row.counter == row.counter && seen.row.owner == row.owner;
        let last = last.filter(same);
        let seen = Seen {
            since: last.map_or(now, |seen| seen.since),
            stands: last.is_some(),
            known,
            row,
        };
        self.seen.insert(seen.row.key.clone(), seen);
    }

    /// The first time at which a lease of a peer runs out, if taking makes sense at all.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        if !self.may_take() {
            return None;
        }
        let open = self.seen.iter().filter(|(key, seen)| {
            let owner = seen.row.owner.as_ref();
            seen.stands && owner.is_some_and(|owner| *owner != self.me) && !self.is_busy(key)
        });
        open.map(|(_, seen)| seen.since + self.config.failover + Duration::from_millis(1))
            .filter(|at| *at > self.pass_at)
            .min()
    }

    /// Whether there is room for one more lease and nothing forbids to take it.
    pub(crate) fn may_take(&self) -> bool {
        let room = self.held.len() + self.taking.len() < self.config.max_leases.get();
        room && self.forbidden().is_none()
    }

    fn is_busy(&self, key: &LeaseKey) -> bool {
        self.held.contains_key(key)
            || self.taking.contains_key(key)
            || self.stopping.contains_key(key)
    }

    pub(crate) fn take_pass(&mut self, now: Instant) {
        self.pass_at = now;
        if !self.knows_table() {
            return;
        }
        if let Some(why) = self.forbidden() {
            self.set_idle(why);
            return;
        }
        let (held, taking, stopping) = (&self.held, &self.taking, &self.stopping);
        let view = View {
            config: &self.config,
            me: &self.me,
            seen: &self.seen,
            mine: held.len() + taking.len(),
            is_mine: &|key| held.contains_key(key) || taking.contains_key(key),
            is_blocked: &|key| stopping.contains_key(key),
            may_steal: now >= self.steal_at && taking.is_empty(),
            now,
        };
        let plan = plan(&view, &mut self.random);
        match plan.idle {
            Some(why) => self.set_idle(why),
            None => self.clear_idle(),
        }
        for (key, why) in plan.take {
            if why == TakeReason::Stolen {
                self.steal_at = now + self.config.steal_interval;
            }
            self.begin_take(key, why);
        }
    }

    /// Leases that the table says are ours although we do not hold them: an earlier run with this id, or a take or
    /// renewal that landed after we had given it up.
    pub(crate) fn regain(&mut self) {
        if self.forbidden().is_some() {
            return;
        }
        let keys: Vec<LeaseKey> = self
            .seen
            .iter()
            .filter(|(key, seen)| seen.row.owner.as_ref() == Some(&self.me) && !self.is_busy(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.begin_take(key, TakeReason::Regained);
        }
    }

    fn begin_take(&mut self, key: LeaseKey, why: TakeReason) {
        let Some(seen) = self.seen.get(&key) else {
            return;
        };
        let row = seen.row.clone();
        self.report(Decision::Taking {
            key: key.clone(),
            from: row.owner.clone(),
            why,
        });
        let update = None;
        self.taking.insert(key.clone(), Taking { why, row, update });
        if why == TakeReason::Free {
            self.send_take(&key);
        } else {
            self.call(Purpose::Look { key: key.clone() }, Request::Read { key });
        }
    }

    fn send_take(&mut self, key: &LeaseKey) {
        // An owner that stored nothing may have left unread whatever came since then, also while it was dead.
        let known = self.seen.get(key).map_or(self.wall, |seen| seen.known);
        let me = self.me.clone();
        let Some(taking) = self.taking.get_mut(key) else {
            return;
        };
        let row = &taking.row;
        let switches = row.owner.as_ref().is_some_and(|owner| *owner != me);
        let pins = row.checkpoint == Checkpoint::Latest && row.start_at.is_none();
        let update = Update {
            key: key.clone(),
            condition: Condition {
                counter: Some(row.counter),
                ..Condition::default()
            },
            changes: Changes {
                counter: Some(row.counter.next()),
                owner: Some(OwnerChange::Set(me)),
                owner_switches: switches.then_some(SwitchesChange::Increment),
                remove_checkpoint_owner: true,
                start_at: known.filter(|_| pins),
                ..Changes::default()
            },
        };
        taking.update = Some(update.clone());
        self.call(
            Purpose::Take { key: key.clone() },
            Request::Update(Box::new(update)),
        );
    }

    /// The consistent read before a take: is what we saw still so?
    pub(crate) fn looked(&mut self, key: LeaseKey, outcome: Outcome, now: Instant) {
        let Some(taking) = self.taking.get_mut(&key) else {
            return;
        };
        let Outcome::Row(found) = outcome else {
            self.taking.remove(&key);
            return;
        };
        let Some(found) = found else {
            self.taking.remove(&key);
            self.seen.remove(&key);
            return;
        };
        let same_owner = found.owner == taking.row.owner;
        let go = match taking.why {
            TakeReason::Stolen | TakeReason::Regained => same_owner,
            _ => same_owner && found.counter == taking.row.counter,
        };
        let found = *found;
        self.note(found.clone(), now);
        if let Some(taking) = self.taking.get_mut(&key) {
            taking.row = found;
        }
        if go {
            self.send_take(&key);
        } else {
            self.taking.remove(&key);
            // There may be others left; waiting for the next scan would cost time without an owner.
            self.take_pass(now);
        }
    }

    pub(crate) fn took(&mut self, key: LeaseKey, sent: Instant, outcome: Outcome, now: Instant) {
        if !self.taking.contains_key(&key) {
            return;
        }
        match outcome {
            Outcome::Applied => self.take_landed(&key, sent, now),
            Outcome::Refused(Some(row)) => self.settle_take(key, Some(*row), now),
            Outcome::Refused(None) | Outcome::Failed(Failure::Unknown) => {
                self.call(
                    Purpose::LookAgain { key: key.clone() },
                    Request::Read { key },
                );
            }
            _ => {
                self.taking.remove(&key);
            }
        }
    }

    pub(crate) fn looked_again(&mut self, key: LeaseKey, outcome: Outcome, now: Instant) {
        if let Outcome::Row(row) = outcome {
            self.settle_take(key, row.map(|row| *row), now);
        }
    }

    /// Decides from the row whether a take landed.
    fn settle_take(&mut self, key: LeaseKey, row: Option<Lease>, now: Instant) {
        if !self.taking.contains_key(&key) {
            return;
        }
        let Some(row) = row else {
            self.taking.remove(&key);
            self.seen.remove(&key);
            return;
        };
        if row.owner.as_ref() == Some(&self.me) {
            // Ours, but by which write? An older one of ours may have landed late, before this one was sent, and peers
            // count from then. So the take is written once more from this row, and only its own answer is believed.
            self.note(row.clone(), now);
            if let Some(taking) = self.taking.get_mut(&key) {
                taking.row = row;
            }
            self.send_take(&key);
        } else {
            self.taking.remove(&key);
            self.note(row, now);
            self.report(Decision::TakeRefused { key });
            self.take_pass(now);
        }
    }

    fn take_landed(&mut self, key: &LeaseKey, sent: Instant, now: Instant) {
        let Some(Taking {
            why,
            mut row,
            update: Some(update),
        }) = self.taking.remove(key)
        else {
            return;
        };
        let from = row.owner.clone();
        update.apply(&mut row);
        self.note(row.clone(), now);
        self.hold(row, sent, (from, why), now);
    }
}
