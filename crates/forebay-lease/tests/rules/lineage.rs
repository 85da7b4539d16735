//! Rules of lineage: parents before children, ends, holes, cleanup.

use forebay_lease::{
    Checkpoint, ChildShard, Decision, Event, HashRange, Request, StartPosition, StopReason,
    Timestamp,
};

use crate::bed::{Bed, at, child, lease, reading, shard};

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
    // An empty listing proves nothing.
    bed.pass(5000);
    assert_eq!((bed.holds(), bed.grants.len()), (1, 0));
    bed.shards = vec![shard(2, &[1], true)];
    bed.pass(2500);
    assert_eq!(bed.grants.len(), 1);
}

#[test]
fn a_parent_that_is_listed_and_lost_its_lease_is_read_first() {
    let mut child = lease(2);
    child.parents = vec![lease(1).shard()];
    let mut bed = Bed::new(vec![child], StartPosition::TrimHorizon);
    bed.shards = vec![shard(1, &[], false)];
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
fn a_shard_the_service_forgot_is_reported_and_its_children_are_found_in_a_listing() {
    let mut bed = reading();
    let grant = bed.grants[0].clone();
    bed.shards = vec![shard(2, &[1], true), shard(3, &[1], true)];
    bed.tell(Event::ShardGone {
        key: grant.key.clone(),
        token: grant.token,
    });
    let row = &bed.rows[&grant.key];
    assert_eq!(
        (row.checkpoint, row.children.len()),
        (Checkpoint::ShardEnd, 2)
    );
    assert_eq!(bed.rows[&lease(2).key].checkpoint, Checkpoint::TrimHorizon);
    assert!(bed.decisions.contains(&Decision::Gap {
        key: grant.key,
        from: Checkpoint::TrimHorizon,
    }));
}

#[test]
fn children_remember_when_the_fleet_began() {
    let mut row = lease(1);
    row.checkpoint = Checkpoint::Latest;
    let mut bed = Bed::new(vec![row], StartPosition::Latest);
    bed.pump();
    let grant = bed.grants[0].clone();
    let children = [2].map(|number| ChildShard {
        id: lease(number).shard(),
        parents: vec![grant.shard.clone()],
        hash_range: HashRange::FULL,
    });
    bed.tell(Event::ShardEnded {
        key: grant.key,
        token: grant.token,
        children: children.to_vec(),
    });
    let child = &bed.rows[&lease(2).key];
    assert_eq!(
        (child.checkpoint, child.start_at),
        (Checkpoint::TrimHorizon, Some(Timestamp(5)))
    );
    assert_eq!(bed.grants[1].start_at, None);
}

#[test]
fn an_ended_lease_is_deleted_once_its_children_have_begun_and_not_before() {
    let mut bed = reading();
    let grant = bed.grants[0].clone();
    let parents = vec![grant.shard.clone()];
    bed.shards = vec![shard(1, &[], false)];
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

#[test]
fn the_end_is_stored_even_if_the_last_number_is_stored_already() {
    let mut bed = reading();
    bed.acknowledge(7);
    bed.pass(3400);
    assert_eq!(bed.row().checkpoint, at(7));
    let grant = bed.grants[0].clone();
    bed.tell(Event::ShardEnded {
        key: grant.key.clone(),
        token: grant.token,
        children: vec![child(2, &[1])],
    });
    assert_eq!(bed.rows[&grant.key].checkpoint, Checkpoint::ShardEnd);
}

#[test]
fn a_merge_waits_until_its_other_parent_has_a_lease() {
    let mut bed = reading();
    let grant = bed.grants[0].clone();
    bed.shards = vec![
        shard(1, &[], false),
        shard(2, &[], false),
        shard(3, &[1, 2], true),
    ];
    bed.tell(Event::ShardEnded {
        key: grant.key,
        token: grant.token,
        children: vec![child(3, &[1, 2])],
    });
    let created: Vec<&str> = bed
        .sent
        .iter()
        .filter_map(|request| match request {
            Request::Create(lease) => Some(lease.key.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(created, ["shardId-000000000002", "shardId-000000000003"]);
}

/// Half of the hash range has no lease; how long until it has one.
fn until_closed(owner: &str) -> u64 {
    let half = HashRange::new(0, u128::MAX / 2).expect("range");
    let mut row = lease(1);
    row.hash_range = Some(half);
    row.owner = Some(owner.parse().expect("id"));
    let mut bed = Bed::new(vec![row], StartPosition::TrimHorizon);
    let mut other = shard(2, &[], true);
    other.hash_range = HashRange::new(u128::MAX / 2 + 1, u128::MAX).expect("range");
    bed.shards = vec![shard(1, &[], true), other];
    for seconds in 1..2000 {
        bed.pass(1000);
        // A peer that leads renews its lease and does nothing else.
        let peer = bed.rows.get_mut(&lease(1).key).expect("a row");
        if owner != "me" {
            peer.counter.0 += 1;
        }
        if bed.rows.contains_key(&lease(2).key) {
            return seconds;
        }
    }
    panic!("the hole is still there");
}

#[test]
fn the_leader_closes_a_hole_it_has_seen_three_times_and_others_after_twice_as_many() {
    // Seen after 60 s and then each 120 s. The only owner in the table is the leader.
    assert_eq!(until_closed("me"), 60 + 2 * 120);
    assert_eq!(until_closed("peer"), 60 + 5 * 120);
}

#[test]
fn the_oldest_generation_is_deleted_first() {
    let mut parent = lease(1);
    parent.checkpoint = Checkpoint::ShardEnd;
    parent.children = vec![lease(2).shard()];
    let mut middle = parent.clone();
    middle.key = lease(2).key;
    middle.parents = vec![lease(1).shard()];
    middle.children = vec![lease(3).shard()];
    let mut last = lease(3);
    last.parents = vec![lease(2).shard()];
    last.checkpoint = at(5);
    let mut bed = Bed::new(vec![parent, middle, last], StartPosition::TrimHorizon);
    bed.shards = vec![
        shard(1, &[], false),
        shard(2, &[1], false),
        shard(3, &[2], true),
    ];
    bed.pass(900_000);
    let deleted: Vec<&str> = bed
        .decisions
        .iter()
        .filter_map(|decision| match decision {
            Decision::Deleted { key } => Some(key.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(deleted, ["shardId-000000000001", "shardId-000000000002"]);
}

#[test]
fn the_lease_of_an_ended_shard_that_the_service_forgot_is_deleted() {
    let mut row = lease(1);
    row.checkpoint = Checkpoint::ShardEnd;
    let mut other = lease(2);
    other.checkpoint = at(3);
    let mut bed = Bed::new(vec![row, other], StartPosition::TrimHorizon);
    bed.pass(600_000);
    // An empty listing is about something else.
    assert!(bed.rows.contains_key(&lease(1).key));
    bed.shards = vec![shard(2, &[1], true)];
    bed.pass(120_000);
    assert!(!bed.rows.contains_key(&lease(1).key));
}
