//! Rules of held leases: renewals, checkpoints, doubt, release.

use std::time::Duration;

use forebay_lease::{
    Checkpoint, Config, Decision, Event, Failure, LeaseCounter, LossReason, Outcome, OwnerChange,
    Request, StartPosition, StopReason,
};

use crate::bed::{Bed, at, lease, reading};

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
fn a_lease_counts_as_given_back_from_the_first_release_that_left() {
    let mut bed = reading();
    let grant = bed.grants[0].clone();
    bed.coordinator.park(bed.now);
    bed.pump();
    bed.holds_updates = true;
    bed.tell(Event::Stopped {
        key: grant.key,
        token: grant.token,
    });
    let (id, late) = bed.updates.remove(0);
    bed.answer(id, Outcome::Failed(Failure::Unknown));
    bed.pump();
    // The read shows the row as it was, but the release may still be on its way.
    assert_eq!((bed.row().owner.is_some(), bed.holds()), (true, 0));
    bed.apply(&late);
    assert_eq!(bed.row().owner, None);
    bed.holds_updates = false;
    bed.pass(1000);
    assert!(bed.coordinator.is_drained());
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
fn a_checkpoint_without_an_answer_is_recognised_and_not_a_lost_lease() {
    let mut bed = reading();
    bed.acknowledge(7);
    bed.holds_updates = true;
    bed.pass(3400);
    let (id, update) = bed.updates.remove(0);
    bed.apply(&update);
    bed.holds_updates = false;
    bed.answer(id, Outcome::Failed(Failure::Unknown));
    bed.pump();
    let stored = Decision::Checkpointed {
        key: lease(1).key,
        checkpoint: at(7),
    };
    assert!(bed.decisions.contains(&stored));
    assert_eq!((bed.holds(), bed.stops.len()), (1, 0));
}

#[test]
fn positions_are_stored_no_more_often_than_the_setting_says() {
    let config = Config {
        checkpoint_interval: Duration::from_secs(30),
        ..Config::default()
    };
    let mut bed = Bed::with(config, vec![lease(1)], StartPosition::TrimHorizon);
    bed.pump();
    for second in 1..=100 {
        bed.acknowledge(second);
        bed.pass(1000);
    }
    let stored = |decision: &&Decision| matches!(decision, Decision::Checkpointed { .. });
    assert_eq!(bed.decisions.iter().filter(stored).count(), 3);
    // The renewals go on in between, and a release stores the last position whenever it comes.
    assert_eq!(bed.row().counter, LeaseCounter(31));
    bed.coordinator.park(bed.now);
    bed.pump();
    let grant = bed.grants[0].clone();
    bed.tell(Event::Stopped {
        key: grant.key,
        token: grant.token,
    });
    assert_eq!((bed.row().checkpoint, &bed.row().owner), (at(100), &None));
}

#[test]
fn a_position_inside_an_aggregated_record_keeps_its_sub_sequence() {
    let mut bed = reading();
    let grant = bed.grants[0].clone();
    let upto = Checkpoint::Sequence {
        number: 7.into(),
        sub_sequence: 3,
    };
    bed.tell(Event::Acknowledged {
        key: grant.key,
        token: grant.token,
        upto,
    });
    bed.pass(3400);
    assert_eq!(bed.row().checkpoint, upto);
}

#[test]
fn a_refused_checkpoint_leaves_memory_where_the_table_is() {
    let mut bed = reading();
    bed.acknowledge(7);
    bed.holds_updates = true;
    bed.pass(3400);
    let (id, _) = bed.updates.remove(0);
    bed.holds_updates = false;
    bed.answer(id, Outcome::Failed(Failure::Throttled));
    let stored = |decision: &Decision| matches!(decision, Decision::Checkpointed { .. });
    assert!(!bed.decisions.iter().any(stored));
    bed.pass(300);
    assert_eq!(bed.row().checkpoint, at(7));
}
