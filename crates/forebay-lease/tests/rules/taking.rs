//! Rules of taking: from whom, when, and when not.

use forebay_lease::{
    Checkpoint, ClientVersion, Decision, Event, Failure, IdleReason, LeaseCounter, Outcome,
    Request, ShardFilter, StartPosition, TakeReason, Timestamp,
};

use crate::bed::{Bed, lease, reading, shard};

#[test]
fn an_empty_table_is_filled_and_taken_at_once_with_latest_pinned_to_its_time() {
    let mut bed = Bed::new(Vec::new(), StartPosition::Latest);
    bed.shards = vec![shard(0, &[], true)];
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
fn every_take_is_told_with_its_reason_before_it_is_made() {
    let mut bed = Bed::new(vec![lease(1)], StartPosition::TrimHorizon);
    bed.pump();
    let taking = Decision::Taking {
        key: lease(1).key,
        from: None,
        why: TakeReason::Free,
    };
    let told = bed
        .decisions
        .iter()
        .position(|decision| *decision == taking);
    let taken = |decision: &Decision| matches!(decision, Decision::Taken { .. });
    assert!(told < bed.decisions.iter().position(taken) && told.is_some());
    let balanced = Decision::NotTaking {
        why: IdleReason::Balanced,
    };
    bed.pass(23_000);
    assert!(bed.decisions.contains(&balanced));
}

#[test]
fn a_handoff_left_behind_by_another_version_ends_with_the_take() {
    let mut row = lease(1);
    row.owner = Some("peer".parse().expect("id"));
    row.checkpoint_owner = Some("gone".parse().expect("id"));
    row.throughput = Some("1.000000".to_owned());
    let mut bed = Bed::new(vec![row], StartPosition::TrimHorizon);
    bed.pass(11_000);
    assert_eq!(bed.holds(), 1);
    assert_eq!(bed.row().checkpoint_owner, None);
    assert_eq!(bed.row().throughput.as_deref(), Some("1.000000"));
}

#[test]
fn an_older_copy_of_a_row_does_not_make_its_owner_look_alive() {
    let mut row = lease(1);
    row.owner = Some("peer".parse().expect("id"));
    row.counter = LeaseCounter(9);
    let mut bed = Bed::new(vec![row], StartPosition::TrimHorizon);
    bed.pass(6000);
    // A scan that lags shows the counter of a while ago, the next one the present again.
    bed.rows
        .values_mut()
        .for_each(|row| row.counter = LeaseCounter(8));
    bed.pass(2000);
    bed.rows
        .values_mut()
        .for_each(|row| row.counter = LeaseCounter(9));
    bed.pass(2500);
    assert_eq!(bed.holds(), 1);
}

#[test]
fn a_start_at_a_time_that_only_java_knew_begins_at_the_horizon() {
    let mut row = lease(1);
    row.checkpoint = Checkpoint::AtTimestamp;
    let mut bed = Bed::new(vec![row], StartPosition::Latest);
    bed.pump();
    assert_eq!(bed.grants[0].from, Checkpoint::TrimHorizon);
}
