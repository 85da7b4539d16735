//! A coordinator with a table of the test's making.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use forebay_lease::{
    Action, CallId, Checkpoint, ChildShard, ClientVersion, Config, Coordinator, Decision, Event,
    Failure, Grant, HashRange, Identity, Lease, LeaseKey, Outcome, Request, Shard, StartPosition,
    StopReason, Timestamp, Update,
};

/// A coordinator with a table that answers at once, unless the test takes a call out of its hands.
pub(crate) struct Bed {
    pub(crate) coordinator: Coordinator,
    pub(crate) now: Instant,
    pub(crate) rows: BTreeMap<LeaseKey, Lease>,
    pub(crate) shards: Vec<Shard>,
    pub(crate) mode: ClientVersion,
    /// Time of day of a scan.
    pub(crate) wall: i64,
    /// Updates go here instead of being answered.
    pub(crate) holds_updates: bool,
    pub(crate) updates: Vec<(CallId, Update)>,
    pub(crate) sent: Vec<Request>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) stops: Vec<StopReason>,
    pub(crate) decisions: Vec<Decision>,
}

impl Bed {
    pub(crate) fn new(rows: Vec<Lease>, start: StartPosition) -> Self {
        Self::with(Config::default(), rows, start)
    }

    pub(crate) fn with(config: Config, rows: Vec<Lease>, start: StartPosition) -> Self {
        let now = Instant::now();
        let identity = Identity {
            worker: "me".parse().expect("id"),
            start,
            seed: 1,
        };
        let coordinator = Coordinator::new(config, identity, now).expect("valid");
        Self {
            coordinator,
            now,
            rows: rows.into_iter().map(|row| (row.key.clone(), row)).collect(),
            shards: Vec::new(),
            mode: ClientVersion::Absent,
            wall: 5,
            holds_updates: false,
            updates: Vec::new(),
            sent: Vec::new(),
            grants: Vec::new(),
            stops: Vec::new(),
            decisions: Vec::new(),
        }
    }

    pub(crate) fn pump(&mut self) {
        while let Some(action) = self.coordinator.poll_action(self.now) {
            match action {
                Action::Call { id, request } => {
                    self.sent.push(request.clone());
                    match request {
                        Request::Update(update) if self.holds_updates => {
                            self.updates.push((id, *update))
                        }
                        request => {
                            let outcome = self.serve(request);
                            self.answer(id, outcome);
                        }
                    }
                }
                Action::Start(grant) => self.grants.push(grant),
                Action::Stop { reason, .. } => self.stops.push(reason),
                Action::Report(decision) => self.decisions.push(decision),
                other => panic!("unknown action {other:?}"),
            }
        }
    }

    pub(crate) fn serve(&mut self, request: Request) -> Outcome {
        match request {
            Request::Scan => Outcome::Scanned {
                leases: self.rows.values().cloned().collect(),
                asked_at: Timestamp(self.wall),
            },
            Request::Read { key } => Outcome::Row(self.rows.get(&key).cloned().map(Box::new)),
            Request::Create(lease) => match self.rows.get(&lease.key) {
                Some(row) => Outcome::Refused(Some(Box::new(row.clone()))),
                None => {
                    self.rows.insert(lease.key.clone(), *lease);
                    Outcome::Applied
                }
            },
            Request::Update(update) => self.apply(&update),
            Request::ListShards { .. } => Outcome::Shards {
                shards: self.shards.clone(),
                asked_at: Timestamp(77),
            },
            Request::Delete { key, counter }
                if self
                    .rows
                    .get(&key)
                    .is_some_and(|row| row.counter == counter) =>
            {
                self.rows.remove(&key);
                Outcome::Applied
            }
            Request::ReadClientVersion => Outcome::ClientVersion(self.mode.clone()),
            _ => Outcome::Failed(Failure::Unavailable),
        }
    }

    pub(crate) fn apply(&mut self, update: &Update) -> Outcome {
        match self.rows.get_mut(&update.key) {
            Some(row) if update.condition.allows(Some(row)) => {
                update.apply(row);
                Outcome::Applied
            }
            row => Outcome::Refused(row.map(|row| Box::new(row.clone()))),
        }
    }

    pub(crate) fn answer(&mut self, id: CallId, outcome: Outcome) {
        self.coordinator
            .handle(Event::Answer { id, outcome }, self.now);
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.coordinator.handle(event, self.now);
        self.pump();
    }

    /// Lets time pass, waking the coordinator whenever it wants.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        loop {
            self.pump();
            let next = self
                .coordinator
                .poll_timeout()
                .max(self.now + Duration::from_millis(1));
            if next > end {
                break;
            }
            self.now = next;
            self.coordinator.handle_timeout(next);
        }
        self.now = end;
    }

    pub(crate) fn holds(&self) -> usize {
        self.coordinator.holds(self.now).count()
    }

    pub(crate) fn acknowledge(&mut self, number: u128) {
        let grant = self.grants.last().expect("a grant").clone();
        self.tell(Event::Acknowledged {
            key: grant.key,
            token: grant.token,
            upto: at(number),
        });
    }

    pub(crate) fn row(&self) -> &Lease {
        self.rows.values().next().expect("a row")
    }
}

pub(crate) fn at(number: u128) -> Checkpoint {
    Checkpoint::at(number.into())
}

pub(crate) fn lease(number: u32) -> Lease {
    let mut lease = Lease::new(
        format!("shardId-{number:012}").parse().expect("id"),
        Checkpoint::TrimHorizon,
    );
    lease.hash_range = Some(HashRange::FULL);
    lease
}

pub(crate) fn shard(number: u32, parents: &[u32], is_open: bool) -> Shard {
    Shard {
        id: lease(number).shard(),
        parents: parents
            .iter()
            .map(|parent| lease(*parent).shard())
            .collect(),
        hash_range: HashRange::FULL,
        first: 1.into(),
        is_open,
    }
}

/// A child of these shards, as the service names it.
pub(crate) fn child(number: u32, parents: &[u32]) -> ChildShard {
    ChildShard::from(shard(number, parents, true))
}

pub(crate) fn reading() -> Bed {
    let mut bed = Bed::new(vec![lease(1)], StartPosition::TrimHorizon);
    bed.pump();
    assert_eq!((bed.holds(), bed.grants.len()), (1, 1));
    bed
}
