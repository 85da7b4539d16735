//! What happens to the processes, the network, the stream and the table while a run is not healed.

use forebay_lease::LeaseKey;

use crate::faults::{Faults, Millis};
use crate::world::{Ev, World};

impl World {
    fn again(&mut self, mean: Millis, event: Ev) {
        if mean > 0 && self.faults.heal_at > 0 {
            let at = self.now + 1 + self.random.below(mean * 2);
            self.push(at, event);
        }
    }

    pub(crate) fn crash(&mut self) {
        self.again(self.faults.crash_every, Ev::Crash);
        let all = (self.workers.len() + self.java.len()) as u64;
        let at = self.random.below(all) as usize;
        let back = self.now + 100 + self.random.below(40_000);
        if let Some(worker) = self.workers.get_mut(at) {
            worker.is_alive = false;
        } else {
            self.java_crash(at - self.workers.len(), false);
        }
        self.push(back, Ev::Restart(at));
    }

    /// A worker is asked to stop, and killed if it has not ended within 25 s.
    pub(crate) fn stop(&mut self) {
        self.again(self.faults.stop_every, Ev::Stop);
        let at = self.random.below(self.workers.len() as u64) as usize;
        let back = self.now + 26_000 + self.random.below(20_000);
        let worker = &mut self.workers[at];
        if !worker.is_alive || worker.is_stopping || worker.paused_until > self.now {
            return;
        }
        worker.is_stopping = true;
        let (now, life) = (worker.instant(self.now), worker.life);
        worker.coordinator.begin_shutdown(now);
        self.pump(at);
        self.push(self.now + 25_000, Ev::Kill(at, life));
        self.push(back, Ev::Restart(at));
    }

    /// A worker loses the network: both ways, or (at an odd end) only the answers.
    pub(crate) fn cut(&mut self) {
        self.again(self.faults.cut_every, Ev::Cut);
        let at = self.random.below(self.workers.len() as u64) as usize;
        let until = self.now + 1000 + self.random.below(40_000);
        self.workers[at].cut_until = until.min(self.healed_at);
    }

    pub(crate) fn restart(&mut self, at: usize) {
        if at >= self.workers.len() {
            self.java_crash(at - self.workers.len(), true);
            return;
        }
        if self.workers[at].is_alive {
            return;
        }
        let life = self.random.next();
        let same = self.random.chance(500);
        let id = self.workers[at].id.clone();
        let id = if same {
            id
        } else {
            format!("worker-{at}-{}", life % 1000).parse().expect("id")
        };
        let worker = self.workers[at].restart(id, life, self);
        self.workers[at] = worker;
        self.pump(at);
    }

    pub(crate) fn pause(&mut self) {
        self.again(self.faults.pause_every, Ev::Pause);
        let all = (self.workers.len() + self.java.len()) as u64;
        let at = self.random.below(all) as usize;
        let length = [5_000, 10_000, 20_000, 100_000][self.random.below(4) as usize];
        let until = (self.now + length).min(self.healed_at);
        if let Some(worker) = self.workers.get_mut(at) {
            worker.paused_until = until;
            worker.resumed_at = until;
        } else {
            let at = at - self.workers.len();
            self.java[at].paused_until = until;
        }
    }

    pub(crate) fn park(&mut self) {
        self.again(self.faults.park_every, Ev::Park);
        let at = self.random.below(self.workers.len() as u64) as usize;
        if self.workers[at].is_alive && self.workers[at].paused_until <= self.now {
            let now = self.workers[at].instant(self.now);
            self.workers[at].is_parked = true;
            self.workers[at].coordinator.park(now);
            self.pump(at);
            let (life, back) = (
                self.workers[at].life,
                self.now + 1000 + self.random.below(60_000),
            );
            self.push(back, Ev::Unpark(at, life));
        }
    }

    pub(crate) fn reshard(&mut self) {
        self.again(self.faults.reshard_every, Ev::Reshard);
        self.stream.reshard(self.now, &mut self.random);
    }

    pub(crate) fn delete_by_hand(&mut self) {
        // An open shard that somebody is reading: the hard case of a lease that vanishes.
        let held: Vec<LeaseKey> = self
            .table
            .leases()
            .filter(|row| {
                self.workers
                    .iter()
                    .any(|worker| worker.holds(&row.key, self.now))
            })
            .map(|row| row.key.clone())
            .collect();
        if let Some(key) = held.first() {
            let shard = self.stream.index(key);
            self.inv.tampered.insert(shard);
            self.inv.tampered_at = self.now;
            // Its holder cannot know before its next write.
            self.note_steal(key);
            self.table.remove(key, self.now);
            for at in 0..self.workers.len() {
                if self.faults.deletes_unseen && self.workers[at].holds(key, self.now) {
                    self.workers[at].is_alive = false;
                    let back = self.now + 1000 + self.random.below(60_000);
                    self.push(back, Ev::Restart(at));
                }
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.faults = Faults {
            drift: self.faults.drift,
            ..Faults::default()
        };
        self.three_x_since = None;
        for at in 0..self.workers.len() {
            self.push(self.now + 2, Ev::Restart(at));
        }
        for at in 0..self.java.len() {
            if !self.java[at].is_alive {
                self.java_crash(at, true);
            }
        }
    }
}
