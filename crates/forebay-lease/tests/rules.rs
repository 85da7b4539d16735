//! One test for each rule the coordinator owns, against a table of one test's making.
#![expect(
    clippy::disallowed_methods,
    reason = "an Instant has to come from somewhere; only differences count"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use forebay_lease::{
    Action, CallId, Checkpoint, ChildShard, ClientVersion, Config, Coordinator, Decision, Event,
    Failure, Grant, HashRange, Identity, Lease, LeaseCounter, LeaseKey, LossReason, Outcome,
    OwnerChange, Request, Shard, ShardFilter, StartPosition, StopReason, Timestamp, Update,
};

/// A coordinator with a table that answers at once, unless the test takes a call out of its hands.
struct Bed {
    coordinator: Coordinator,
    now: Instant,
    rows: BTreeMap<LeaseKey, Lease>,
    shards: Vec<Shard>,
    mode: ClientVersion,
    /// Time of day of a scan.
    wall: i64,
    /// Updates go here instead of being answered.
    holds_updates: bool,
    updates: Vec<(CallId, Update)>,
    sent: Vec<Request>,
    grants: Vec<Grant>,
    stops: Vec<StopReason>,
    decisions: Vec<Decision>,
}

impl Bed {
    fn new(rows: Vec<Lease>, start: StartPosition) -> Self {
        let now = Instant::now();
        let identity = Identity {
            worker: "me".parse().expect("id"),
            start,
            seed: 1,
        };
        let coordinator = Coordinator::new(Config::default(), identity, now).expect("valid");
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

    fn pump(&mut self) {
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

    fn serve(&mut self, request: Request) -> Outcome {
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

    fn apply(&mut self, update: &Update) -> Outcome {
        match self.rows.get_mut(&update.key) {
            Some(row) if update.condition.allows(Some(row)) => {
                update.apply(row);
                Outcome::Applied
            }
            row => Outcome::Refused(row.map(|row| Box::new(row.clone()))),
        }
    }

    fn answer(&mut self, id: CallId, outcome: Outcome) {
        self.coordinator
            .handle(Event::Answer { id, outcome }, self.now);
    }

    fn tell(&mut self, event: Event) {
        self.coordinator.handle(event, self.now);
        self.pump();
    }

    /// Lets time pass, waking the coordinator whenever it wants.
    fn pass(&mut self, millis: u64) {
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

    fn holds(&self) -> usize {
        self.coordinator.holds(self.now).count()
    }

    fn acknowledge(&mut self, number: u128) {
        let grant = self.grants.last().expect("a grant").clone();
        self.tell(Event::Acknowledged {
            key: grant.key,
            token: grant.token,
            upto: at(number),
        });
    }

    fn row(&self) -> &Lease {
        self.rows.values().next().expect("a row")
    }
}

fn at(number: u128) -> Checkpoint {
    Checkpoint::at(number.into())
}

fn lease(number: u32) -> Lease {
    let mut lease = Lease::new(
        format!("shardId-{number:012}").parse().expect("id"),
        Checkpoint::TrimHorizon,
    );
    lease.hash_range = Some(HashRange::FULL);
    lease
}

fn reading() -> Bed {
    let mut bed = Bed::new(vec![lease(1)], StartPosition::TrimHorizon);
    bed.pump();
    assert_eq!((bed.holds(), bed.grants.len()), (1, 1));
    bed
}

#[test]
fn an_empty_table_is_filled_and_taken_at_once_with_latest_pinned_to_its_time() {
    let mut bed = Bed::new(Vec::new(), StartPosition::Latest);
    let id = "shardId-000000000000".parse().expect("id");
    bed.shards = vec![Shard {
        id,
        parents: Vec::new(),
        hash_range: HashRange::FULL,
        first: 1.into(),
        is_open: true,
    }];
    bed.pump();
    assert!(bed.sent.contains(&Request::ListShards {
        filter: ShardFilter::Latest
    }));
    assert_eq!(bed.grants[0].from, Checkpoint::Latest);
    assert_eq!(bed.grants[0].start_at, Some(Timestamp(77)));
}

#[test]
fn a_lease_at_latest_that_java_created_is_pinned_when_it_is_taken() {
    let mut row = lease(1);
    row.checkpoint = Checkpoint::Latest;
    let mut bed = Bed::new(vec![row], StartPosition::Latest);
    bed.pump();
    assert_eq!(bed.row().start_at, Some(Timestamp(5)));
}

/// What a Java owner stored nothing for it may have left unread since any time: the earliest one known is right.
#[test]
fn a_lease_at_latest_is_pinned_to_when_it_was_first_seen_not_to_when_its_owner_had_died() {
    let mut row = lease(1);
    row.checkpoint = Checkpoint::Latest;
    row.owner = Some("java".parse().expect("id"));
    let key = row.key.clone();
    let mut bed = Bed::new(vec![row], StartPosition::Latest);
    bed.pass(1000);
    for renewal in 1..=5 {
        bed.wall = 5 + renewal * 3000;
        bed.rows.get_mut(&key).expect("the row").counter = LeaseCounter(renewal.unsigned_abs());
        bed.pass(3000);
    }
    assert_eq!(bed.holds(), 0);
    bed.pass(12_000);
    assert_eq!(bed.holds(), 1);
    assert_eq!(bed.row().start_at, Some(Timestamp(5)));
}

#[test]
fn hold_time_counts_from_when_the_renewal_left_not_from_its_answer() {
    let mut bed = reading();
    bed.holds_updates = true;
    bed.pass(4000);
    let (id, update) = bed.updates.remove(0);
    bed.pass(3000);
    let outcome = bed.apply(&update);
    bed.answer(id, outcome);
    // Sent at 3308 ms, so believed until 12308 ms whatever the time of the answer.
    bed.pass(5200);
    assert_eq!(bed.holds(), 1);
    bed.pass(200);
    assert_eq!(
        (bed.holds(), bed.stops.as_slice()),
        (0, [StopReason::Lost].as_slice())
    );
}

#[test]
fn a_renewal_without_an_answer_is_recognised_by_owner_and_counter() {
    let mut bed = reading();
    bed.holds_updates = true;
    bed.pass(3400);
    let (id, update) = bed.updates.remove(0);
    bed.apply(&update);
    bed.answer(id, Outcome::Failed(Failure::Unknown));
    bed.pump();
    assert!(
        bed.decisions
            .iter()
            .any(|decision| matches!(decision, Decision::Uncertain { .. }))
    );
    assert!(
        bed.sent
            .iter()
            .any(|request| matches!(request, Request::Read { .. }))
    );
    bed.holds_updates = false;
    bed.pass(60_000);
    assert_eq!((bed.holds(), bed.stops.len()), (1, 0));
}

#[test]
fn a_renewal_that_did_not_land_is_written_again() {
    let mut bed = reading();
    bed.holds_updates = true;
    bed.pass(3400);
    let (id, _) = bed.updates.remove(0);
    bed.holds_updates = false;
    bed.answer(id, Outcome::Failed(Failure::Unknown));
    let before = bed.row().counter;
    bed.pass(300);
    assert_eq!(bed.row().counter, before.next());
}

#[test]
fn a_lease_another_worker_took_is_lost_and_its_reader_stops() {
    let mut bed = reading();
    let row = bed.rows.values_mut().next().expect("a row");
    row.owner = Some("peer".parse().expect("id"));
    row.counter = LeaseCounter(9);
    bed.pass(3400);
    assert_eq!(bed.stops, [StopReason::Lost]);
    let is_taken = |decision: &Decision| {
        matches!(
            decision,
            Decision::Lost {
                why: LossReason::TakenAway,
                ..
            }
        )
    };
    assert!(bed.decisions.iter().any(is_taken));
}

#[test]
fn the_checkpoint_rides_on_the_renewal() {
    let mut bed = reading();
    bed.acknowledge(7);
    assert_eq!(bed.row().checkpoint, Checkpoint::TrimHorizon);
    bed.pass(3400);
    assert_eq!(
        (bed.row().checkpoint, bed.row().counter),
        (at(7), LeaseCounter(2))
    );
}

#[test]
fn a_lower_acknowledgement_never_moves_the_checkpoint_back() {
    let mut bed = reading();
    bed.acknowledge(7);
    bed.acknowledge(3);
    bed.pass(8000);
    assert_eq!(bed.row().checkpoint, at(7));
}

#[test]
fn an_acknowledgement_of_an_old_tenure_counts_for_nothing() {
    let mut bed = reading();
    let old = bed.grants[0].clone();
    bed.tell(Event::Suspended);
    bed.tell(Event::Stopped {
        key: old.key.clone(),
        token: old.token,
    });
    bed.pass(3000);
    assert_eq!(bed.grants.len(), 2);
    bed.tell(Event::Acknowledged {
        key: old.key,
        token: old.token,
        upto: at(99),
    });
    bed.pass(8000);
    assert_eq!(bed.row().checkpoint, Checkpoint::TrimHorizon);
}

#[test]
fn a_throttled_renewal_is_repeated_until_the_hold_time_ends() {
    let mut bed = reading();
    bed.holds_updates = true;
    let mut tries = 0;
    for _ in 0..100 {
        bed.pass(100);
        for (id, _) in std::mem::take(&mut bed.updates) {
            tries += 1;
            bed.answer(id, Outcome::Failed(Failure::Throttled));
        }
    }
    assert!(tries > 10, "{tries}");
    assert_eq!(
        (bed.holds(), bed.stops.as_slice()),
        (0, [StopReason::Lost].as_slice())
    );
}

#[test]
fn a_take_without_an_answer_is_confirmed_by_a_write_whose_time_is_known() {
    let mut bed = Bed::new(vec![lease(1)], StartPosition::TrimHorizon);
    bed.holds_updates = true;
    bed.pump();
    let (id, update) = bed.updates.remove(0);
    bed.apply(&update);
    bed.holds_updates = false;
    bed.answer(id, Outcome::Failed(Failure::Unknown));
    bed.pump();
    assert_eq!(bed.row().counter, LeaseCounter(2));
    assert_eq!((bed.holds(), bed.grants.len()), (1, 1));
}

#[test]
fn an_expired_lease_is_read_consistently_before_it_is_taken() {
    let mut row = lease(1);
    row.owner = Some("peer".parse().expect("id"));
    let mut bed = Bed::new(vec![row], StartPosition::TrimHorizon);
    bed.pass(9900);
    assert_eq!(bed.holds(), 0);
    bed.pass(200);
    assert_eq!((bed.holds(), bed.row().owner_switches), (1, 1));
    assert!(
        bed.sent
            .iter()
            .any(|request| matches!(request, Request::Read { .. }))
    );
}

#[test]
fn shutdown_gives_the_lease_back_with_its_last_position_in_one_write() {
    let mut bed = reading();
    let grant = bed.grants[0].clone();
    bed.coordinator.begin_shutdown(bed.now);
    bed.pump();
    assert_eq!(
        (bed.stops.as_slice(), bed.holds()),
        ([StopReason::Shutdown].as_slice(), 1)
    );
    bed.acknowledge(4);
    let before = bed.sent.len();
    bed.tell(Event::Stopped {
        key: grant.key,
        token: grant.token,
    });
    let Some(Request::Update(update)) = bed.sent.get(before) else {
        panic!("no write")
    };
    assert_eq!(update.changes.owner, Some(OwnerChange::Remove));
    assert_eq!(update.condition.owner, Some("me".parse().expect("id")));
    assert_eq!((bed.row().checkpoint, &bed.row().owner), (at(4), &None));
    assert!(bed.coordinator.is_drained());
    bed.pass(60_000);
    assert_eq!(bed.holds(), 0);
}

#[test]
fn a_parked_worker_takes_nothing_until_it_is_unparked() {
    let mut bed = reading();
    let grant = bed.grants[0].clone();
    bed.coordinator.park(bed.now);
    bed.pump();
    bed.tell(Event::Stopped {
        key: grant.key,
        token: grant.token,
    });
    bed.pass(60_000);
    assert_eq!((bed.holds(), &bed.row().owner), (0, &None));
    bed.coordinator.unpark(bed.now);
    bed.pass(100);
    assert_eq!(bed.holds(), 1);
}

#[test]
fn a_mode_that_is_unknown_freezes_taking_and_nothing_else() {
    for mode in [
        ClientVersion::Other("CLIENT_VERSION_9X".to_owned()),
        ClientVersion::ThreeX,
    ] {
        let mut bed = reading();
        bed.mode = mode.clone();
        bed.pass(61_000);
        bed.rows.insert(lease(2).key, lease(2));
        let counter = bed.rows[&lease(1).key].counter;
        bed.pass(60_000);
        assert_eq!((bed.holds(), &bed.rows[&lease(2).key].owner), (1, &None));
        assert!(bed.rows[&lease(1).key].counter > counter);
        assert!(bed.decisions.contains(&Decision::Mode(mode)));
    }
}

#[test]
fn a_child_is_started_only_when_its_parent_is_done() {
    let mut parent = lease(1);
    parent.owner = Some("peer".parse().expect("id"));
    let mut child = lease(2);
    child.parents = vec![parent.shard()];
    let mut bed = Bed::new(vec![parent.clone(), child], StartPosition::TrimHorizon);
    bed.pass(5000);
    assert_eq!((bed.holds(), bed.grants.len()), (1, 0));
    bed.rows.get_mut(&parent.key).expect("a row").checkpoint = Checkpoint::ShardEnd;
    bed.pass(2500);
    assert_eq!(bed.grants.len(), 1);
}

#[test]
fn a_parent_that_is_neither_leased_nor_listed_does_not_block() {
    let mut child = lease(2);
    child.parents = vec![lease(1).shard()];
    let mut bed = Bed::new(vec![child], StartPosition::TrimHorizon);
    bed.pass(100);
    assert_eq!(bed.grants.len(), 1);
}

#[test]
fn a_parent_that_is_listed_and_lost_its_lease_is_read_first() {
    let mut child = lease(2);
    child.parents = vec![lease(1).shard()];
    let mut bed = Bed::new(vec![child], StartPosition::TrimHorizon);
    let shard = Shard {
        id: lease(1).shard(),
        parents: Vec::new(),
        hash_range: HashRange::FULL,
        first: 1.into(),
        is_open: false,
    };
    bed.shards = vec![shard];
    bed.pass(5000);
    assert_eq!(
        bed.grants
            .iter()
            .map(|grant| grant.key.clone())
            .collect::<Vec<_>>(),
        [lease(1).key]
    );
}

#[test]
fn children_have_leases_before_the_end_of_the_parent_is_stored() {
    let mut bed = reading();
    let grant = bed.grants[0].clone();
    let before = bed.sent.len();
    let children = [2, 3].map(|number| ChildShard {
        id: lease(number).shard(),
        parents: vec![grant.shard.clone()],
        hash_range: HashRange::FULL,
    });
    bed.tell(Event::ShardEnded {
        key: grant.key.clone(),
        token: grant.token,
        children: children.to_vec(),
    });
    assert!(matches!(
        &bed.sent[before..before + 2],
        [Request::Create(_), Request::Create(_)]
    ));
    let row = &bed.rows[&grant.key];
    assert_eq!(
        (row.checkpoint, row.children.len()),
        (Checkpoint::ShardEnd, 2)
    );
    assert!(bed.stops.contains(&StopReason::ShardEnd));
}

#[test]
fn a_row_deleted_by_hand_is_written_again_with_its_position() {
    let mut bed = reading();
    bed.acknowledge(7);
    bed.pass(3400);
    let counter = bed.row().counter;
    bed.rows.clear();
    bed.pass(3400);
    assert_eq!(bed.row().checkpoint, at(7));
    assert!(bed.row().counter > counter);
}

#[test]
fn a_machine_that_slept_drops_every_hold() {
    let mut bed = reading();
    bed.tell(Event::Suspended);
    assert_eq!(
        (bed.holds(), bed.stops.as_slice()),
        (0, [StopReason::Lost].as_slice())
    );
}

#[test]
fn an_ended_lease_is_deleted_once_its_children_have_begun_and_not_before() {
    let mut bed = reading();
    let grant = bed.grants[0].clone();
    let parents = vec![grant.shard.clone()];
    bed.shards = vec![Shard {
        id: grant.shard.clone(),
        parents: Vec::new(),
        hash_range: HashRange::FULL,
        first: 1.into(),
        is_open: false,
    }];
    let children = vec![ChildShard {
        id: lease(2).shard(),
        parents,
        hash_range: HashRange::FULL,
    }];
    bed.tell(Event::ShardEnded {
        key: grant.key.clone(),
        token: grant.token,
        children,
    });
    bed.tell(Event::Stopped {
        key: grant.key.clone(),
        token: grant.token,
    });
    bed.pass(600_000);
    assert!(bed.rows.contains_key(&grant.key));
    bed.acknowledge(50);
    bed.pass(70_000);
    assert!(!bed.rows.contains_key(&grant.key));
    assert!(
        bed.decisions
            .contains(&Decision::Deleted { key: grant.key })
    );
}
