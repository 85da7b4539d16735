//! Who holds what: I5, I6, I7, I14, I18 and I20, checked as requests leave, as takes land and as workers decide.

use forebay_lease::{
    CallId, Checkpoint, Decision, Event, Failure, LeaseKey, LossReason, Outcome, TakeReason, Update,
};

use crate::faults::Millis;
use crate::world::{Ev, World};

impl World {
    pub(crate) fn violate(&mut self, text: impl FnOnce() -> String) {
        self.inv.violate(self.now, text);
    }

    /// A write of a held lease, or a take, is about to leave.
    pub(crate) fn check_write(&mut self, at: usize, update: &Update) {
        let key = &update.key;
        if update.changes.counter.is_none() {
            return;
        }
        // (I20) An unanswered write is looked up before the next one.
        if self.workers[at].unsure.contains(key) {
            self.violate(|| format!("I20 {key} is written again before it is read"));
        }
        // (I6) Only a take may be written without holding; a release ends the holding as it leaves.
        if update.changes.owner.is_none() && !self.workers[at].holds(key, self.now) {
            self.violate(|| format!("I6 {key} is written without being held"));
        }
        // (I7) Only what this tenure's reader has said to be done is stored.
        if let Some(stored @ Checkpoint::Sequence { .. }) = update.changes.checkpoint {
            let worker = &self.workers[at];
            let tenure = worker.tenures.get(key).copied();
            let said = worker.said.get(key).copied();
            if !said.is_some_and(|(token, upto)| Some(token) == tenure && stored <= upto) {
                self.violate(|| format!("I7 {key} stores {stored}, this tenure said {said:?}"));
            }
        }
    }

    /// A take has landed. The last holder may go on until its hold time ends if, and only if, the lease was stolen from
    /// it: it learns of that with its next write, as in the KCL. Nothing else lets two hold one lease (I5).
    pub(crate) fn check_take(&mut self, key: &LeaseKey, at: usize, life: u64) {
        let why = self.intents.get(&(at, life, key.clone())).copied();
        if why == Some(TakeReason::Stolen) {
            self.note_steal(key);
        } else {
            self.check_holders(key, Some((at, life)));
        }
        self.took.insert((at, life, key.clone()), self.events);
        let since = self.three_x_since;
        let is_fresh = self.workers[at].resumed_at + 90_000 > self.now
            || self.workers[at].cut_until + 90_000 > self.now;
        if since.is_some_and(|since| since + 90_000 < self.now) && !is_fresh {
            self.violate(|| format!("I18 {key} is taken in mode 3.x"));
        }
    }

    /// Whoever has taken the lease before may believe in it until its hold time is over, and not longer.
    pub(crate) fn note_steal(&mut self, key: &LeaseKey) {
        let steals = self.steals.entry(key.clone()).or_default();
        steals.push((self.events, self.now));
        self.push(self.now + LONGEST_HOLD + 1, Ev::Check(key.clone()));
    }

    /// (I5) At most one worker holds the lease, those apart from whom it was stolen a moment ago. A take that has landed
    /// counts as a holder, although its worker does not know yet.
    pub(crate) fn check_holders(&mut self, key: &LeaseKey, taker: Option<(usize, u64)>) {
        let now = self.now;
        let steals = self.steals.get(key).map_or(&[][..], Vec::as_slice);
        let mut holders: Vec<usize> = taker.into_iter().map(|(at, _)| at).collect();
        for (at, worker) in self.workers.iter().enumerate() {
            if taker == Some((at, worker.life)) || !worker.holds(key, now) {
                continue;
            }
            let took = self.took.get(&(at, worker.life, key.clone())).unwrap_or(&0);
            let robbed = steals.iter().find(|(event, _)| event > took);
            if robbed.is_none_or(|(_, at)| at + LONGEST_HOLD < now) {
                holders.push(at);
            }
        }
        let is_robbed = steals
            .last()
            .is_some_and(|(_, at)| at + LONGEST_HOLD >= now);
        let is_java = !is_robbed && self.java.iter().any(|java| java.holds(key, now));
        if holders.len() + usize::from(is_java) > 1 {
            self.violate(|| format!("I5 {key} is held by {holders:?}, by Java: {is_java}"));
        }
    }

    /// An answer is handed to a coordinator.
    pub(crate) fn answered(&mut self, at: usize, id: CallId, outcome: Outcome) {
        let worker = &mut self.workers[at];
        if let Some(asked) = worker.asked.remove(&id)
            && asked.tenure == worker.tenures.get(&asked.key).copied()
        {
            match outcome {
                Outcome::Failed(Failure::Unknown) if asked.is_write => {
                    worker.unsure.insert(asked.key);
                }
                Outcome::Failed(_) => {}
                _ => {
                    worker.unsure.remove(&asked.key);
                }
            }
        }
        self.tell(at, Event::Answer { id, outcome });
    }

    pub(crate) fn learn(&mut self, at: usize, decision: Decision) {
        self.trace(at as u64, std::mem::discriminant(&decision));
        if self.is_verbose {
            println!("{} ms, worker {at}: {decision:?}", self.now);
        }
        let life = self.workers[at].life;
        match decision {
            Decision::Taking { key, why, .. } => {
                self.intents.insert((at, life, key), why);
            }
            Decision::Taken {
                key, token, why, ..
            } => {
                self.workers[at].tenures.insert(key.clone(), token);
                self.workers[at].unsure.remove(&key);
                self.workers[at].taken.push((self.now, key.clone(), why));
                self.check_holders(&key, None);
                self.check_limit(at, why);
            }
            Decision::Released { key, .. } | Decision::Deleted { key } => self.forget(at, &key),
            Decision::Lost { key, why, .. } => {
                self.forget(at, &key);
                let is_ours = self.inv.last_writer(&key) == Some((at, life));
                let row = self.table.read(&key);
                let is_owner =
                    row.is_some_and(|row| row.owner.as_ref() == Some(&self.workers[at].id));
                let is_taken = matches!(why, LossReason::TakenAway | LossReason::Evicted);
                if is_taken && is_ours && is_owner {
                    self.violate(|| {
                        format!("I20 {key} is given up as {why:?}, but nobody took it")
                    });
                }
            }
            Decision::Syncing if self.table.leases().next().is_some() => {
                self.workers[at].syncing_until = self.now + 10_000;
            }
            _ => {}
        }
    }

    /// A tenure is over: what is still under way for it means nothing any more.
    fn forget(&mut self, at: usize, key: &LeaseKey) {
        self.workers[at].unsure.remove(key);
        self.workers[at].tenures.remove(key);
    }

    /// (I14) What is regained does not count: it was ours.
    fn check_limit(&mut self, at: usize, why: TakeReason) {
        let worker = &self.workers[at];
        let is_taken = |key: &LeaseKey| {
            let last = worker.taken.iter().rev().find(|(_, taken, _)| taken == key);
            last.is_none_or(|(.., why)| *why != TakeReason::Regained)
        };
        let held = worker.coordinator.holds(worker.instant(self.now));
        let count = held.filter(|(key, _)| is_taken(key)).count();
        if why != TakeReason::Regained && count > worker.config.max_leases.get() {
            self.violate(|| format!("I14 {at} holds {count}"));
        }
    }
}

/// The hold time by the slowest clock.
const LONGEST_HOLD: Millis = 9_000 * 100 / 95 + 50;
