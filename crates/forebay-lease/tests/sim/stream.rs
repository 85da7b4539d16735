//! A modelled Kinesis stream. Records are a function of time: shard `n` gets one each `period`.

use forebay_lease::{
    Checkpoint, ChildShard, HashRange, LeaseKey, SequenceNumber, Shard, ShardFilter, ShardId,
};

use crate::faults::Millis;
use crate::world::Random;

pub(crate) struct Stream {
    pub(crate) shards: Vec<ShardModel>,
    pub(crate) period: Millis,
    pub(crate) retention: Millis,
}

pub(crate) struct ShardModel {
    pub(crate) id: ShardId,
    pub(crate) parents: Vec<usize>,
    pub(crate) children: Vec<usize>,
    pub(crate) range: HashRange,
    pub(crate) opened: Millis,
    pub(crate) closed: Option<Millis>,
}

impl Stream {
    pub(crate) fn new(count: usize, period: Millis) -> Self {
        let width = u128::MAX / count as u128;
        let mut stream = Self {
            shards: Vec::new(),
            period,
            retention: 86_400_000,
        };
        for at in 0..count {
            let start = width * at as u128;
            let end = if at + 1 == count {
                u128::MAX
            } else {
                start + width - 1
            };
            stream.open(Vec::new(), HashRange::new(start, end).expect("in order"), 0);
        }
        stream
    }

    /// Splits and merges before the run begins, some of them long ago.
    pub(crate) fn live_before(&mut self, epoch: Millis, random: &mut Random) {
        for step in 1..6 {
            self.reshard(epoch * step / 6, random);
        }
    }

    /// Splits or merges one open shard.
    pub(crate) fn reshard(&mut self, now: Millis, random: &mut Random) {
        let open: Vec<usize> = (0..self.shards.len())
            .filter(|at| self.shards[*at].closed.is_none())
            .collect();
        let at = open[random.below(open.len() as u64) as usize];
        if open.len() < 12 && (open.len() < 3 || random.chance(500)) {
            self.split(at, now);
        } else {
            self.merge(at, now);
        }
    }

    fn open(&mut self, parents: Vec<usize>, range: HashRange, now: Millis) -> usize {
        let at = self.shards.len();
        for parent in &parents {
            self.shards[*parent].children.push(at);
            self.shards[*parent].closed = Some(now);
        }
        let id = format!("shardId-{at:012}").parse().expect("id");
        self.shards.push(ShardModel {
            id,
            parents,
            children: Vec::new(),
            range,
            opened: now,
            closed: None,
        });
        at
    }

    fn split(&mut self, at: usize, now: Millis) {
        let range = self.shards[at].range;
        let middle = range.start() + (range.end() - range.start()) / 2;
        if middle >= range.end() {
            return;
        }
        self.open(
            vec![at],
            HashRange::new(range.start(), middle).expect("in order"),
            now,
        );
        self.open(
            vec![at],
            HashRange::new(middle + 1, range.end()).expect("in order"),
            now,
        );
    }

    fn merge(&mut self, at: usize, now: Millis) {
        let range = self.shards[at].range;
        let next = self.shards.iter().position(|shard| {
            shard.closed.is_none() && range.end().checked_add(1) == Some(shard.range.start())
        });
        if let Some(next) = next {
            let merged =
                HashRange::new(range.start(), self.shards[next].range.end()).expect("in order");
            self.open(vec![at, next], merged, now);
        }
    }

    pub(crate) fn index(&self, key: &LeaseKey) -> usize {
        self.shards
            .iter()
            .position(|shard| shard.id.as_str() == key.as_str())
            .expect("a shard of the stream")
    }

    /// How many records the shard has by now.
    pub(crate) fn count(&self, at: usize, now: Millis) -> usize {
        let shard = &self.shards[at];
        let until = shard.closed.unwrap_or(now).min(now);
        (until.saturating_sub(shard.opened) / self.period) as usize
    }

    pub(crate) fn time(&self, at: usize, record: usize) -> Millis {
        self.shards[at].opened + (record as u64 + 1) * self.period
    }

    pub(crate) fn number(&self, at: usize, record: usize) -> SequenceNumber {
        SequenceNumber::from(u128::from(self.time(at, record)) * 1000 + 1)
    }

    /// The first record that is not done at this checkpoint.
    pub(crate) fn after(&self, at: usize, checkpoint: Checkpoint) -> usize {
        match checkpoint {
            Checkpoint::Sequence { number, .. } => {
                let time: u64 = number.as_str().parse::<u64>().expect("our own number") / 1000;
                (time.saturating_sub(self.shards[at].opened) / self.period) as usize
            }
            _ => 0,
        }
    }

    /// The first record at or after a time.
    pub(crate) fn since(&self, at: usize, time: Millis) -> usize {
        let elapsed = time.saturating_sub(self.shards[at].opened);
        (elapsed.div_ceil(self.period) as usize).saturating_sub(1)
    }

    /// The first record that is not trimmed.
    pub(crate) fn horizon(&self, at: usize, now: Millis) -> usize {
        self.since(at, now.saturating_sub(self.retention))
            .min(self.count(at, now))
    }

    pub(crate) fn is_listed(&self, at: usize, now: Millis) -> bool {
        self.shards[at]
            .closed
            .is_none_or(|closed| closed + self.retention > now)
    }

    pub(crate) fn list(&self, filter: ShardFilter, now: Millis) -> Vec<Shard> {
        let horizon = now.saturating_sub(self.retention);
        let at_time = |shard: &ShardModel, time: Millis| {
            shard.opened <= time && shard.closed.is_none_or(|closed| closed > time)
        };
        self.shards
            .iter()
            .enumerate()
            .filter(|(at, shard)| match filter {
                ShardFilter::All => self.is_listed(*at, now),
                ShardFilter::Latest => shard.closed.is_none(),
                ShardFilter::TrimHorizon => at_time(shard, horizon),
                ShardFilter::AtTimestamp(time) => at_time(shard, time.0.max(0) as u64),
            })
            .map(|(at, shard)| Shard {
                id: shard.id.clone(),
                parents: shard
                    .parents
                    .iter()
                    .map(|parent| self.shards[*parent].id.clone())
                    .collect(),
                hash_range: shard.range,
                first: SequenceNumber::from(shard.opened as u128 * 1000 + at as u128),
                is_open: shard.closed.is_none(),
            })
            .collect()
    }

    pub(crate) fn children(&self, at: usize) -> Vec<ChildShard> {
        let describe = |child: &usize| {
            let child = &self.shards[*child];
            ChildShard {
                id: child.id.clone(),
                parents: child
                    .parents
                    .iter()
                    .map(|parent| self.shards[*parent].id.clone())
                    .collect(),
                hash_range: child.range,
            }
        };
        self.shards[at].children.iter().map(describe).collect()
    }
}
