//! What must be true once everything has been calm for a while: I3, I15 and I16.

use forebay_lease::LeaseKey;

use crate::faults::Millis;
use crate::java::Java;
use crate::world::World;

impl World {
    /// (I15) Two minutes after the faults, each lease with work has one holder.
    pub(crate) fn check_held(&mut self) {
        let now = self.now;
        let open: Vec<LeaseKey> = self
            .table
            .leases()
            .filter(|row| !row.checkpoint.is_shard_end())
            .map(|row| row.key.clone())
            .collect();
        for key in open {
            self.check_holders(&key, None);
            let is_held = self.workers.iter().any(|worker| worker.holds(&key, now))
                || self.java.iter().any(|java| java.holds(&key, now));
            if !is_held && !self.is_limited() {
                let row = self.table.read(&key).cloned();
                self.violate(|| format!("I15 nobody holds {key}: {row:?}"));
            }
        }
    }

    pub(crate) fn check_healed(&mut self, calm_since: Millis) {
        let now = self.now;
        self.check_held();
        let is_limited = self.is_limited();
        for shard in 0..self.stream.shards.len() {
            let expected = self.stream.count(shard, now.saturating_sub(60_000));
            let done = self.inv.done(shard);
            // A row that somebody deleted may come back too late: the stream no longer keeps the shard.
            let is_lost = !self.inv.is_leased(shard) || self.inv.tampered.contains(&shard);
            let is_forgotten =
                self.inv.is_given_up() || is_lost && !self.stream.is_listed(shard, now);
            if done < expected && self.is_wanted(shard) && !is_forgotten && !is_limited {
                self.violate(|| {
                    format!("I15 shard {shard}: {done} of {expected} records accepted")
                });
            }
        }
        if self.inv.changed_at + 180_000 > now || is_limited {
            // Leases of ended shards are still going; each one moves the balance.
            return;
        }
        let counts: Vec<usize> = self
            .workers
            .iter()
            .map(|worker| worker.count(now))
            .chain(self.java.iter().map(Java::count))
            .collect();
        let spread = counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0);
        if spread > 1 {
            self.violate(|| format!("I15 loads are {counts:?}"));
        }
        for at in 0..self.workers.len() {
            let taken = &self.workers[at].taken;
            if let Some((time, key, why)) = taken.iter().find(|(time, ..)| *time > calm_since) {
                let text = format!("I16 {at} takes {key} at {time}: {why:?}");
                self.violate(|| text);
            }
        }
    }

    /// Whether the workers may be too few for the leases.
    fn is_limited(&self) -> bool {
        let mut limits = self
            .workers
            .iter()
            .map(|worker| worker.config.max_leases.get());
        limits.any(|limit| limit < 100)
    }

    /// Whether somebody asked for this shard: it is open or leased, or descends from a shard that is. What was closed
    /// before the first start has nobody who wants it.
    fn is_wanted(&self, shard: usize) -> bool {
        let model = &self.stream.shards[shard];
        let mut parents = model.parents.iter();
        self.inv.is_leased(shard)
            || model.closed.is_none()
            || parents.any(|parent| self.inv.is_leased(*parent) || self.is_wanted(*parent))
    }
}
