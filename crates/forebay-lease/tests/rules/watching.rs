//! Rules of watching: who scans the table often, and who need not.

use std::num::NonZeroUsize;

use forebay_lease::{ClientVersion, Config, Event, LeaseCounter, Request, StartPosition};

use crate::bed::{Bed, lease, reading};

/// Scans in ten minutes.
fn scans(bed: &mut Bed) -> usize {
    let before = bed.sent.len();
    bed.pass(600_000);
    let sent = &bed.sent[before..];
    sent.iter()
        .filter(|request| **request == Request::Scan)
        .count()
}

/// `lease(1)` of a peer that renews every three seconds.
fn with_a_peer(config: Config) -> Bed {
    let mut row = lease(1);
    row.owner = Some("peer".parse().expect("id"));
    Bed::with(config, vec![row, lease(2)], StartPosition::TrimHorizon)
}

fn pass_with_renewals(bed: &mut Bed, seconds: u64) -> usize {
    let before = bed.sent.len();
    for _ in 0..seconds / 3 {
        let row = bed.rows.get_mut(&lease(1).key).expect("the row");
        row.counter = row.counter.next();
        bed.pass(3000);
    }
    let sent = &bed.sent[before..];
    sent.iter()
        .filter(|request| **request == Request::Scan)
        .count()
}

#[test]
fn who_holds_every_lease_scans_no_more_often_than_the_kcl() {
    let mut bed = reading();
    let scans = scans(&mut bed);
    assert!((25..=29).contains(&scans), "{scans}, the KCL 29");
}

#[test]
fn who_has_a_peer_scans_each_watch_interval() {
    let mut bed = with_a_peer(Config::default());
    let scans = pass_with_renewals(&mut bed, 600);
    assert_eq!(bed.holds(), 1);
    assert!((400..=445).contains(&scans), "{scans}");
}

#[test]
fn a_steal_by_a_newcomer_wakes_who_held_everything() {
    let mut bed = reading();
    bed.pass(60_000);
    let row = bed.rows.values_mut().next().expect("a row");
    row.owner = Some("newcomer".parse().expect("id"));
    row.counter = LeaseCounter(row.counter.0 + 1);
    // It dies at once: its lease is ours again a failover time after the renewal that was refused.
    bed.pass(3_400);
    assert_eq!(bed.holds(), 0);
    let (key, token) = (bed.grants[0].key.clone(), bed.grants[0].token);
    bed.tell(Event::Stopped { key, token });
    bed.pass(10_200);
    assert_eq!(bed.holds(), 1);
}

#[test]
fn who_may_take_nothing_does_not_hurry() {
    let config = Config {
        max_leases: NonZeroUsize::MIN,
        ..Config::default()
    };
    let mut bed = with_a_peer(config);
    let scans = pass_with_renewals(&mut bed, 600);
    assert_eq!(bed.holds(), 1);
    assert!((25..=29).contains(&scans), "{scans} at the limit");
    let mut bed = with_a_peer(Config::default());
    bed.mode = ClientVersion::ThreeX;
    let scans = pass_with_renewals(&mut bed, 600);
    assert_eq!(bed.holds(), 0);
    assert!((25..=29).contains(&scans), "{scans} while others assign");
}

#[test]
fn a_mode_that_allows_taking_again_is_followed_by_a_scan() {
    let mut bed = with_a_peer(Config::default());
    bed.mode = ClientVersion::ThreeX;
    bed.pass(110_000);
    bed.mode = ClientVersion::Absent;
    bed.pass(10_100);
    assert_eq!(bed.holds(), 2, "the free one, and the one nobody renews");
}

/// An operator deletes a row, and another worker makes it anew.
#[test]
fn the_same_counter_under_another_owner_is_a_sign_of_life() {
    let mut bed = with_a_peer(Config::default());
    bed.pass(9_000);
    let row = bed.rows.get_mut(&lease(1).key).expect("the row");
    row.owner = Some("other".parse().expect("id"));
    bed.pass(9_000);
    assert_eq!(bed.holds(), 1, "taken 9 s after its owner began");
    bed.pass(4_000);
    assert_eq!(bed.holds(), 2, "it has not renewed for a failover time");
}
