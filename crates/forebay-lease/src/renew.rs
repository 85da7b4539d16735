//! Held leases: renewals, checkpoints, releases, and what to believe when an answer is missing.

use std::time::{Duration, Instant};

use crate::action::{Action, Request, StopReason, Token};
use crate::call::Purpose;
use crate::checkpoint::Checkpoint;
use crate::coordinator::Coordinator;
use crate::decision::{Decision, LossReason, TakeReason};
use crate::event::{Failure, Outcome};
use crate::lease::{Lease, LeaseCounter, LeaseKey, WorkerId};
use crate::lineage::Phase;
use crate::update::{Changes, Condition, OwnerChange, SwitchesChange, Update};

/// A lease this worker believes to hold.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// The row as the table last confirmed it: memory never runs ahead of the table.
    pub(crate) row: Lease,
    pub(crate) token: Token,
    pub(crate) held_until: Instant,
    /// When the first unresolved write on this counter left.
    pub(crate) first_sent: Option<Instant>,
    /// What the sink accepted; goes out with the next write.
    pub(crate) acknowledged: Checkpoint,
    pub(crate) phase: Phase,
    /// Whether a reader was started and has not reported its end.
    pub(crate) has_reader: bool,
    /// Give it back once the reader is gone.
    pub(crate) is_leaving: bool,
    /// A write that gives it back was made; it may land at any time, even if a read does not show it.
    pub(crate) is_released: bool,
    /// Delete it: cleanup has proven that nobody needs it.
    pub(crate) is_obsolete: bool,
    /// Rows that cleanup is still waiting for.
    pub(crate) cleaning: Option<usize>,
    renew_at: Instant,
    /// Not before this time, after a refusal or a throttle.
    write_after: Instant,
    stored_at: Option<Instant>,
    write: Option<Write>,
}

/// The one write under way. A second one never starts before the first is resolved.
#[derive(Clone, Debug)]
struct Write {
    kind: WriteKind,
    update: Option<Update>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum WriteKind {
    Renew,
    Release,
    End,
    Delete,
}

impl Held {
    /// When this lease wants attention.
    pub(crate) fn wake_at(&self) -> Instant {
        let mut at = self.held_until;
        if self.write.is_none() {
            let next = if self.next_write(self.write_after).is_some() {
                self.write_after
            } else {
                self.renew_at
            };
            at = at.min(next.max(self.write_after));
        }
        if let Phase::Waiting(waiting) = &self.phase
            && waiting.outstanding == 0
            && !self.is_leaving
        {
            at = at.min(waiting.poll_at);
        }
        at
    }

    fn next_write(&self, now: Instant) -> Option<WriteKind> {
        if now < self.write_after {
            None
        } else if matches!(&self.phase, Phase::Ending(ending) if ending.is_ready()) {
            Some(WriteKind::End)
        } else if self.is_leaving && !self.has_reader && !matches!(self.phase, Phase::Ending(_)) {
            Some(WriteKind::Release)
        } else if self.is_obsolete {
            Some(WriteKind::Delete)
        } else {
            (now >= self.renew_at).then_some(WriteKind::Renew)
        }
    }
}

impl Coordinator {
    /// A take landed: the lease is ours, counted from when the take was sent.
    pub(crate) fn hold(
        &mut self,
        row: Lease,
        sent: Instant,
        why: (Option<WorkerId>, TakeReason),
        now: Instant,
    ) {
        let held_until = sent + self.config.hold();
        if now >= held_until {
            // Too late to believe in; the table says it is ours, so the next scan regains it.
            return;
        }
        let key = row.key.clone();
        let token = self.next_token();
        let phase = Phase::of(&row, now);
        let held = Held {
            token,
            held_until,
            first_sent: None,
            acknowledged: row.checkpoint,
            phase,
            has_reader: false,
            is_leaving: self.is_leaving(),
            is_released: false,
            is_obsolete: false,
            cleaning: None,
            renew_at: sent + self.config.renew_interval(),
            write_after: now,
            stored_at: None,
            write: None,
            row,
        };
        let starts = matches!(held.phase, Phase::Reading) && !held.is_leaving;
        self.held.insert(key.clone(), held);
        self.report(Decision::Taken {
            key: key.clone(),
            token,
            from: why.0,
            why: why.1,
        });
        if starts {
            self.start_reading(&key);
        }
    }

    /// Lets go without writing anything.
    pub(crate) fn lose(&mut self, key: &LeaseKey, why: LossReason) {
        let Some(held) = self.held.remove(key) else {
            return;
        };
        if held.has_reader {
            self.stopping.insert(key.clone(), held.token);
            self.actions.push_back(Action::Stop {
                key: key.clone(),
                token: held.token,
                reason: StopReason::Lost,
            });
        }
        self.report(Decision::Lost {
            key: key.clone(),
            token: held.token,
            why,
        });
    }

    pub(crate) fn release_all(&mut self, reason: StopReason, now: Instant) {
        for (key, held) in &mut self.held {
            held.is_leaving = true;
            if held.has_reader {
                self.actions.push_back(Action::Stop {
                    key: key.clone(),
                    token: held.token,
                    reason,
                });
            }
        }
        self.drive_held(now);
    }

    pub(crate) fn reader_stopped(&mut self, key: &LeaseKey, token: Token, now: Instant) {
        if self.stopping.get(key) == Some(&token) {
            self.stopping.remove(key);
            self.scan_soon(now);
        }
        if let Some(held) = self.held.get_mut(key)
            && held.token == token
        {
            held.has_reader = false;
            // A reader that ended unasked: somebody else, or we ourselves, may have better luck.
            held.is_leaving |= !matches!(held.phase, Phase::Completed { .. });
        }
    }

    /// Does for every held lease what is due.
    pub(crate) fn drive_held(&mut self, now: Instant) {
        let due: Vec<LeaseKey> = self
            .held
            .iter()
            .filter(|(_, held)| held.wake_at() <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.drive(&key, now);
        }
    }

    fn drive(&mut self, key: &LeaseKey, now: Instant) {
        let Some(held) = self.held.get(key) else {
            return;
        };
        if now >= held.held_until {
            self.lose(key, LossReason::Expired);
            return;
        }
        if let Phase::Waiting(waiting) = &held.phase
            && waiting.outstanding == 0
            && now >= waiting.poll_at
            && !held.is_leaving
        {
            self.ask_parents(key);
        }
        let Some(held) = self.held.get(key) else {
            return;
        };
        if held.write.is_none()
            && let Some(kind) = held.next_write(now)
        {
            self.write(key, kind, now);
        }
    }

    fn write(&mut self, key: &LeaseKey, kind: WriteKind, now: Instant) {
        let interval = self.config.checkpoint_interval;
        let me = self.me.clone();
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let purpose = Purpose::Write {
            key: key.clone(),
            token: held.token,
        };
        let counter = held.row.counter;
        if kind == WriteKind::Delete {
            held.write = Some(Write { kind, update: None });
            self.call(
                purpose,
                Request::Delete {
                    key: key.clone(),
                    counter,
                },
            );
            return;
        }
        let mut condition = Condition {
            counter: Some(counter),
            ..Condition::default()
        };
        let mut changes = Changes {
            counter: Some(counter.next()),
            ..Changes::default()
        };
        let may_store =
            kind == WriteKind::Release || held.stored_at.is_none_or(|at| now >= at + interval);
        if kind == WriteKind::End {
            let children: Vec<_> = held
                .phase
                .children()
                .map(|child| child.id.clone())
                .collect();
            changes.checkpoint = Some(Checkpoint::ShardEnd);
            changes.children = (!children.is_empty()).then_some(children);
        } else if held.acknowledged > held.row.checkpoint && may_store {
            changes.checkpoint = Some(held.acknowledged);
            condition.not_shard_end = true;
        }
        if changes.checkpoint.is_some() {
            changes.owner_switches = Some(SwitchesChange::Reset);
            changes.clear_pending = true;
        }
        if kind == WriteKind::Release {
            held.is_released = true;
            condition.owner = Some(me);
            condition.no_checkpoint_owner = true;
            changes.owner = Some(OwnerChange::Remove);
        }
        let update = Update {
            key: key.clone(),
            condition,
            changes,
        };
        held.write = Some(Write {
            kind,
            update: Some(update.clone()),
        });
        self.call(purpose, Request::Update(Box::new(update)));
    }

    /// The answer to a write of a held lease.
    pub(crate) fn written(
        &mut self,
        (key, token): (&LeaseKey, Token),
        sent: Instant,
        outcome: Outcome,
        now: Instant,
    ) {
        if self.held_as(key, token).is_none() {
            return;
        }
        match outcome {
            Outcome::Applied => self.landed(key, None, sent, now),
            Outcome::Refused(Some(row)) => self.reconcile(key, Some(*row), now),
            Outcome::Failed(Failure::Unknown) => {
                self.report(Decision::Uncertain { key: key.clone() });
                self.call(
                    Purpose::Recheck {
                        key: key.clone(),
                        token,
                    },
                    Request::Read { key: key.clone() },
                );
            }
            Outcome::Failed(_) => {
                // Not applied: once more, until the hold time ends.
                self.write_again(key, now);
                self.yield_to_renewals(now);
            }
            _ => self.call(
                Purpose::Recheck {
                    key: key.clone(),
                    token,
                },
                Request::Read { key: key.clone() },
            ),
        }
    }

    pub(crate) fn rechecked(
        &mut self,
        key: &LeaseKey,
        token: Token,
        outcome: Outcome,
        now: Instant,
    ) {
        if self.held_as(key, token).is_some()
            && let Outcome::Row(row) = outcome
        {
            self.reconcile(key, row.map(|row| *row), now);
        }
    }

    /// Decides from the row what became of the write under way.
    fn reconcile(&mut self, key: &LeaseKey, row: Option<Lease>, now: Instant) {
        let Some(held) = self.held.get(key) else {
            return;
        };
        let Some(Write { kind, .. }) = held.write else {
            return;
        };
        let Some(row) = row else {
            self.row_is_gone(key, kind);
            return;
        };
        let before: LeaseCounter = held.row.counter;
        let ours = row.effective_owner() == Some(&self.me);
        let advanced = row.counter == before.next();
        // A write of ours may be recognised late: it counts from the first one that left.
        let sent = held.first_sent.unwrap_or(now);
        if advanced && (ours || (kind == WriteKind::Release && row.owner.is_none())) {
            self.landed(key, Some(row), sent, now);
        } else if ours && row.counter == before {
            if let Some(held) = self.held.get_mut(key) {
                held.row = row;
            }
            self.write_again(key, now);
        } else {
            let why = if row.owner.is_none() {
                LossReason::Evicted
            } else {
                LossReason::TakenAway
            };
            self.lose(key, why);
            self.note(row, now);
        }
    }

    /// A write landed. `row` as read from the table, or `None` to apply the write to what is known.
    fn landed(&mut self, key: &LeaseKey, row: Option<Lease>, sent: Instant, now: Instant) {
        let (hold, interval) = (self.config.hold(), self.config.renew_interval());
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let Some(Write { kind, update }) = held.write.take() else {
            return;
        };
        let before = held.row.checkpoint;
        match (row, update) {
            (Some(row), _) => held.row = row,
            (None, Some(update)) => update.apply(&mut held.row),
            (None, None) => {
                self.row_is_gone(key, kind);
                return;
            }
        }
        held.first_sent = None;
        held.held_until = held.held_until.max(sent + hold);
        held.renew_at = sent + interval;
        held.acknowledged = held.acknowledged.max(held.row.checkpoint);
        let row = held.row.clone();
        if row.checkpoint != before {
            held.stored_at = Some(now);
            self.report(Decision::Checkpointed {
                key: key.clone(),
                checkpoint: row.checkpoint,
            });
        }
        let (released, ended) = (row.owner.is_none(), row.checkpoint.is_shard_end());
        self.note(row, now);
        match kind {
            WriteKind::Release if released => {
                if let Some(held) = self.held.remove(key) {
                    self.report(Decision::Released {
                        key: key.clone(),
                        token: held.token,
                    });
                }
            }
            WriteKind::End if ended => self.end_stored(key, now),
            _ => {}
        }
        self.drive(key, now);
    }

    fn write_again(&mut self, key: &LeaseKey, now: Instant) {
        if let Some(held) = self.held.get_mut(key) {
            held.write = None;
            held.write_after = now + WRITE_AGAIN;
            held.renew_at = held.renew_at.min(held.write_after);
        }
    }

    fn row_is_gone(&mut self, key: &LeaseKey, kind: WriteKind) {
        self.seen.remove(key);
        if kind == WriteKind::Delete {
            self.held.remove(key);
            self.report(Decision::Deleted { key: key.clone() });
            return;
        }
        let row = self.held.get(key).map(|held| held.row.clone());
        self.lose(key, LossReason::Deleted);
        if let Some(mut row) = row
            && !row.checkpoint.is_shard_end()
        {
            // Written again with the position known, or the shard would begin anew or never. The counter goes on, so
            // that no write of the former life can pass for one of the new.
            row.owner = None;
            row.checkpoint_owner = None;
            row.counter = LeaseCounter(row.counter.0.saturating_add(2));
            self.call(
                Purpose::Recreate { key: key.clone() },
                Request::Create(Box::new(row)),
            );
        }
    }

    pub(crate) fn recreated(&mut self, key: &LeaseKey, outcome: &Outcome, now: Instant) {
        if *outcome == Outcome::Applied {
            self.report(Decision::Recreated { key: key.clone() });
        }
        self.scan_soon(now);
    }
}

/// Retry of a write that was not applied.
const WRITE_AGAIN: Duration = Duration::from_millis(250);
