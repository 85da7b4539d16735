//! A reader of one shard, as the driver has one per tenure: delivers, settles out of order, reports the end.

use forebay_lease::{Checkpoint, Event, Grant, LeaseKey, StopReason, Ticket, Token, Tracker};

use crate::defects::Defect;
use crate::world::{Ev, World};

pub(crate) struct Reader {
    grant: Grant,
    shard: usize,
    next: usize,
    tracker: Tracker,
    open: usize,
    stop: Option<StopReason>,
    has_ended: bool,
    has_started: bool,
}

impl World {
    pub(crate) fn start_reader(&mut self, at: usize, grant: Grant) {
        let shard = self.stream.index(&grant.key);
        let row = self.table.read(&grant.key);
        let is_owner = row.is_some_and(|row| row.owner.as_ref() == Some(&self.workers[at].id));
        let stored = row.map(|row| row.checkpoint);
        // Who was robbed while it waited for parents may still begin: it does not know yet.
        if is_owner && stored == Some(Checkpoint::ShardEnd) {
            self.violate(|| format!("I2 shard {shard} is read again after its end"));
        }
        let is_position = matches!(grant.from, Checkpoint::Sequence { .. });
        if is_position && is_owner && stored != Some(grant.from) {
            let from = grant.from;
            self.violate(|| format!("I4 shard {shard} is read from {from}, stored is {stored:?}"));
        }
        let next = self.position(shard, &grant);
        if grant.from == Checkpoint::TrimHorizon {
            // What was trimmed before the first read was never asked for.
            self.inv.gap(shard, next);
        }
        let (key, token, from) = (grant.key.clone(), grant.token, grant.from);
        let reader = Reader {
            grant,
            shard,
            next,
            tracker: Tracker::new(from),
            open: 0,
            stop: None,
            has_ended: false,
            has_started: false,
        };
        let last = self.workers[at].readers.insert(key.clone(), reader);
        if last.is_some() {
            self.violate(|| format!("{key} is started while its last reader runs"));
        }
        let life = self.workers[at].life;
        let first = self.now + 5 + self.random.below(300);
        self.push(first, Ev::Read(at, life, key.clone(), token));
        self.skip_trimmed(at, &key);
    }

    /// The first record to read under a grant.
    fn position(&self, shard: usize, grant: &Grant) -> usize {
        match (grant.from, grant.start_at) {
            (Checkpoint::Latest, _) if self.defect == Some(Defect::LatestAgain) => {
                self.stream.count(shard, self.now)
            }
            (Checkpoint::Latest | Checkpoint::AtTimestamp, Some(time)) => {
                self.stream.since(shard, time.0.max(0) as u64)
            }
            (Checkpoint::Latest, None) => self.stream.count(shard, self.now),
            (Checkpoint::Sequence { .. }, _) => self.stream.after(shard, grant.from),
            _ => self.stream.horizon(shard, self.now),
        }
    }

    /// The service has trimmed what comes next: the reader goes on at the oldest record.
    fn skip_trimmed(&mut self, at: usize, key: &LeaseKey) {
        let Some(reader) = self.workers[at].readers.get_mut(key) else {
            return;
        };
        let shard = reader.shard;
        let horizon = self.stream.horizon(shard, self.now);
        if reader.next < horizon {
            reader.next = horizon;
            self.inv.gap(shard, horizon);
        }
    }

    pub(crate) fn read(&mut self, at: usize, key: LeaseKey, token: Token) {
        let (now, life) = (self.now, self.workers[at].life);
        let pause = 300 + self.random.below(700);
        let is_cut = self.workers[at].cut_until > now;
        let is_bad = is_cut || self.hits(self.faults.bad_read);
        let kind = if is_cut { 0 } else { self.random.below(3) };
        let Some(reader) = self.workers[at].readers.get_mut(&key) else {
            return;
        };
        if reader.grant.token != token || reader.stop.is_some() || reader.has_ended {
            return;
        }
        self.push(now + pause, Ev::Read(at, life, key.clone(), token));
        let reader = self.workers[at].readers.get(&key).expect("just seen");
        let (shard, next) = (reader.shard, reader.next);
        let first = self.position(shard, &reader.grant);
        let has_read = reader.open > 0 || !reader.tracker.watermark().is_start();
        let again = self.defect == Some(Defect::LatestAgain) && !has_read;
        let next = match (is_bad, kind) {
            (true, 0) => return,
            // An iterator that expired is renewed after the last record, or where the grant said.
            (true, 1) if again => first,
            (true, 2) => next.saturating_sub(5).max(first.min(next)),
            _ => next,
        };
        let reader = self.workers[at].readers.get_mut(&key).expect("just seen");
        reader.next = next;
        if !std::mem::replace(&mut reader.has_started, true) {
            self.inv.started(shard, &self.table, now, &self.stream);
        }
        self.skip_trimmed(at, &key);
        let count = self.stream.count(shard, now);
        let skips = self.defect == Some(Defect::SkippedBatch) && self.random.chance(50);
        let reader = self.workers[at].readers.get_mut(&key).expect("just seen");
        let until = count.min(reader.next + 40);
        let delivered: Vec<(usize, Ticket)> = (reader.next..until)
            .map(|record| {
                let position = Checkpoint::at(self.stream.number(shard, record));
                (record, reader.tracker.open(position))
            })
            .collect();
        reader.next = reader.next.max(until);
        reader.open += delivered.len();
        let last = delivered.last().map(|(record, _)| *record);
        for (record, ticket) in delivered {
            let settled = now + 5 + self.random.below(1500);
            let event = Ev::Settle(at, life, key.clone(), token, ticket, record, !skips);
            self.push(settled, event);
        }
        if let (Some(Defect::AcknowledgedOnDelivery), Some(last)) = (self.defect, last) {
            let upto = Checkpoint::at(self.stream.number(shard, last));
            self.acknowledge(at, &key, token, upto);
        }
        self.finish(at, &key);
    }

    fn acknowledge(&mut self, at: usize, key: &LeaseKey, token: Token, upto: Checkpoint) {
        let event = Event::Acknowledged {
            key: key.clone(),
            token,
            upto,
        };
        self.tell(at, event);
    }

    pub(crate) fn settle(
        &mut self,
        at: usize,
        key: LeaseKey,
        token: Token,
        ticket: Ticket,
        record: usize,
        accepted: bool,
    ) {
        let highest = self.workers[at].highest;
        let tenure = self.workers[at].tenures.get(&key).copied();
        let reader = self.workers[at].readers.get_mut(&key);
        let Some(reader) = reader.filter(|reader| reader.grant.token == token) else {
            // The tenure is over. The defect: what it says late passes for a word of the new one.
            if let (Some(Defect::StaleTenure), Some(tenure)) = (self.defect, tenure) {
                let number = self.stream.number(self.stream.index(&key), record);
                self.acknowledge(at, &key, tenure, Checkpoint::at(number));
            }
            return;
        };
        let shard = reader.shard;
        if accepted {
            self.inv.accept(shard, record);
        }
        reader.open = reader.open.saturating_sub(1);
        let delta = reader.tracker.close(ticket);
        let said = reader.tracker.watermark();
        self.workers[at].said.insert(key.clone(), (token, said));
        let own = u128::from(self.stream.time(shard, record)) * 1000 + 1;
        let upto = match self.defect {
            Some(Defect::HighestPosition) => Some(Checkpoint::at(own.into())),
            Some(Defect::SharedPosition) => Some(Checkpoint::at(own.max(highest).into())),
            _ => delta.map(|delta| delta.to),
        };
        self.workers[at].highest = highest.max(own);
        if let Some(upto) = upto {
            self.acknowledge(at, &key, token, upto);
        }
        self.finish(at, &key);
    }

    /// Reports the end of the shard or of the reader once everything is settled.
    fn finish(&mut self, at: usize, key: &LeaseKey) {
        let (now, life) = (self.now, self.workers[at].life);
        let early = self.defect == Some(Defect::EarlyEnd);
        let Some(reader) = self.workers[at].readers.get_mut(key) else {
            return;
        };
        let (shard, token) = (reader.shard, reader.grant.token);
        let at_end = self.stream.shards[shard].closed.is_some()
            && reader.next >= self.stream.count(shard, now);
        if reader.stop.is_none() && !reader.has_ended && at_end && (reader.open == 0 || early) {
            reader.has_ended = true;
            let key = key.clone();
            let event = if self.stream.is_listed(shard, now) {
                let children = self.stream.children(shard);
                Event::ShardEnded {
                    key,
                    token,
                    children,
                }
            } else {
                Event::ShardGone { key, token }
            };
            self.push(now, Ev::Tell(at, life, event));
        }
        let Some(reader) = self.workers[at].readers.get(key) else {
            return;
        };
        let keeps = self.defect == Some(Defect::HandoverNeverDone)
            && reader.stop == Some(StopReason::Parked);
        if reader.stop.is_some() && reader.open == 0 && !keeps {
            self.workers[at].readers.remove(key);
            let key = key.clone();
            self.push(now + 1, Ev::Tell(at, life, Event::Stopped { key, token }));
        }
    }

    /// A worker was asked a while ago to give everything back.
    pub(crate) fn check_stopped(&mut self, at: usize) {
        let mut readers = self.workers[at].readers.iter();
        let running = readers.find(|(_, reader)| reader.stop.is_none() && !reader.has_ended);
        if let Some(key) = running.map(|(key, _)| key.clone()) {
            self.violate(|| format!("P11 {key} is read on after a stop"));
        }
    }

    pub(crate) fn stop_reader(
        &mut self,
        at: usize,
        key: LeaseKey,
        token: Token,
        reason: StopReason,
    ) {
        let defect = self.defect;
        let Some(reader) = self.workers[at].readers.get_mut(&key) else {
            return;
        };
        let is_early = !reader.has_started && defect == Some(Defect::StopRacesStart);
        if reader.grant.token != token || is_early {
            return;
        }
        let (shard, next) = (reader.shard, reader.next);
        reader.stop = Some(reason);
        if reason != StopReason::Shutdown {
            // Nothing is waited for: what is open is dropped.
            reader.open = 0;
        }
        if defect == Some(Defect::StopAcknowledgesAll) && next > 0 {
            reader.open = 0;
            let upto = Checkpoint::at(self.stream.number(shard, next - 1));
            self.acknowledge(at, &key, token, upto);
        }
        self.finish(at, &key);
    }
}
