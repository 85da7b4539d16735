use forebay_lease::{
    Changes, Checkpoint, Condition, HashRange, Lease, LeaseCounter, LeaseKey, OwnerChange,
    SwitchesChange, Timestamp, Update,
};

use crate::table::{LeaseTable, Written};

/// Checks that a table keeps the contract of [`LeaseTable`]. It must be empty; a few rows remain.
///
/// # Panics
/// With a sentence, at the first promise the table breaks.
pub async fn lease_table_suite<T: LeaseTable>(table: &T) {
    let degraded = table.open().await.expect("the table opens");
    assert!(
        degraded.is_empty(),
        "the suite needs all rights: {degraded:?}"
    );
    table.open().await.expect("opening again changes nothing");
    assert!(
        table.scan().await.expect("a scan").leases.is_empty(),
        "the suite needs an empty table"
    );
    creates_once(table).await;
    keeps_every_attribute(table).await;
    updates_under_conditions(table).await;
    tells_conditions_apart(table).await;
    never_creates_by_update(table).await;
    deletes_at_the_counter(table).await;
    scans_everything(table).await;
}

async fn creates_once<T: LeaseTable>(table: &T) {
    let lease = fresh(1);
    assert_eq!(
        table.read(&lease.key).await.expect("a read"),
        None,
        "nothing is there yet"
    );
    assert_eq!(
        table.create(&lease).await.expect("a write"),
        Written::Applied
    );
    assert_eq!(
        table.read(&lease.key).await.expect("a read"),
        Some(lease.clone())
    );
    let mut other = fresh(1);
    other.checkpoint = Checkpoint::Latest;
    assert_eq!(
        table.create(&other).await.expect("an answer"),
        Written::Refused,
        "a lease is created once"
    );
    assert_eq!(
        table.read(&lease.key).await.expect("a read"),
        Some(lease),
        "a refused creation changes nothing"
    );
}

async fn keeps_every_attribute<T: LeaseTable>(table: &T) {
    let mut lease = fresh(2);
    lease.owner = Some("worker".parse().expect("an id"));
    lease.counter = LeaseCounter(41);
    lease.owner_switches = 3;
    lease.checkpoint = Checkpoint::Sequence {
        number: "49590338271490256608559692538361571095921575989136588898"
            .parse()
            .expect("a number"),
        sub_sequence: 7,
    };
    lease.pending_checkpoint = Some(Checkpoint::ShardEnd);
    lease.pending_state = Some(vec![0, 255, 7]);
    lease.parents = vec![
        "shardId-000000000000".parse().expect("an id"),
        "shardId-000000000001".parse().expect("an id"),
    ];
    lease.children = vec!["shardId-000000000009".parse().expect("an id")];
    lease.hash_range = HashRange::new(0, u128::MAX);
    lease.throughput = Some("12.5".to_owned());
    lease.checkpoint_owner = Some("other".parse().expect("an id"));
    lease.start_at = Some(Timestamp(1_700_000_000_123));
    assert_eq!(
        table.create(&lease).await.expect("a write"),
        Written::Applied
    );
    assert_eq!(table.read(&lease.key).await.expect("a read"), Some(lease));
}

async fn updates_under_conditions<T: LeaseTable>(table: &T) {
    let lease = fresh(3);
    table.create(&lease).await.expect("a write");
    let mut believed = lease.clone();
    let update = |condition: Condition, changes: Changes| Update {
        key: lease.key.clone(),
        condition,
        changes,
    };
    let at = |counter| Condition {
        counter: Some(LeaseCounter(counter)),
        ..Condition::default()
    };
    let steps = [
        (
            "a take",
            at(0),
            Changes {
                counter: Some(LeaseCounter(1)),
                owner: Some(OwnerChange::Set("me".parse().expect("an id"))),
                owner_switches: Some(SwitchesChange::Increment),
                remove_checkpoint_owner: true,
                ..Changes::default()
            },
        ),
        (
            "a renewal",
            Condition {
                owner: Some("me".parse().expect("an id")),
                no_checkpoint_owner: true,
                ..at(1)
            },
            Changes {
                counter: Some(LeaseCounter(2)),
                ..Changes::default()
            },
        ),
        (
            "a checkpoint",
            Condition {
                not_shard_end: true,
                ..at(2)
            },
            Changes {
                counter: Some(LeaseCounter(3)),
                checkpoint: Some(Checkpoint::at("5".parse().expect("a number"))),
                owner_switches: Some(SwitchesChange::Reset),
                clear_pending: true,
                hash_range: HashRange::new(3, 9),
                ..Changes::default()
            },
        ),
        (
            "the end of the shard",
            Condition {
                not_shard_end: true,
                ..at(3)
            },
            Changes {
                counter: Some(LeaseCounter(4)),
                checkpoint: Some(Checkpoint::ShardEnd),
                children: Some(vec!["shardId-000000000009".parse().expect("an id")]),
                ..Changes::default()
            },
        ),
        (
            "a release",
            at(4),
            Changes {
                counter: Some(LeaseCounter(5)),
                owner: Some(OwnerChange::Remove),
                ..Changes::default()
            },
        ),
    ];
    for (what, condition, changes) in steps {
        let update = update(condition, changes);
        assert_eq!(
            table.update(&update).await.expect("an answer"),
            Written::Applied,
            "{what}"
        );
        update.apply(&mut believed);
        assert_eq!(
            table.read(&lease.key).await.expect("a read").as_ref(),
            Some(&believed),
            "{what}"
        );
        assert_eq!(
            table.update(&update).await.expect("an answer"),
            Written::Refused,
            "{what} happens once"
        );
    }
    let over_the_end = update(
        Condition {
            not_shard_end: true,
            ..at(5)
        },
        Changes {
            checkpoint: Some(Checkpoint::TrimHorizon),
            ..Changes::default()
        },
    );
    assert_eq!(
        table.update(&over_the_end).await.expect("an answer"),
        Written::Refused,
        "nothing is written over the end of a shard"
    );
    assert_eq!(
        table.read(&lease.key).await.expect("a read"),
        Some(believed)
    );
}

/// Each part of a condition, met and not met.
async fn tells_conditions_apart<T: LeaseTable>(table: &T) {
    let mut lease = fresh(6);
    lease.owner = Some("me".parse().expect("an id"));
    lease.counter = LeaseCounter(17);
    lease.checkpoint_owner = Some("other".parse().expect("an id"));
    table.create(&lease).await.expect("a write");
    let part = Condition::default;
    let conditions = [
        part(),
        Condition {
            counter: Some(LeaseCounter(17)),
            ..part()
        },
        Condition {
            counter: Some(LeaseCounter(1)),
            ..part()
        },
        Condition {
            owner: lease.owner.clone(),
            ..part()
        },
        Condition {
            owner: lease.checkpoint_owner.clone(),
            ..part()
        },
        Condition {
            no_checkpoint_owner: true,
            ..part()
        },
        Condition {
            not_shard_end: true,
            ..part()
        },
    ];
    for condition in conditions {
        let expected = match condition.allows(Some(&lease)) {
            true => Written::Applied,
            false => Written::Refused,
        };
        let update = Update {
            key: lease.key.clone(),
            condition,
            changes: Changes {
                start_at: Some(Timestamp(5)),
                ..Changes::default()
            },
        };
        let written = table.update(&update).await.expect("an answer");
        assert_eq!(written, expected, "{:?}", update.condition);
    }
}

async fn never_creates_by_update<T: LeaseTable>(table: &T) {
    let key: LeaseKey = fresh(4).key;
    let update = Update {
        key: key.clone(),
        condition: Condition::default(),
        changes: Changes {
            counter: Some(LeaseCounter(1)),
            ..Changes::default()
        },
    };
    assert_eq!(
        table.update(&update).await.expect("an answer"),
        Written::Refused
    );
    assert_eq!(
        table.read(&key).await.expect("a read"),
        None,
        "an update creates no row"
    );
}

async fn deletes_at_the_counter<T: LeaseTable>(table: &T) {
    let mut lease = fresh(5);
    lease.counter = LeaseCounter(8);
    table.create(&lease).await.expect("a write");
    assert_eq!(
        table
            .delete(&lease.key, LeaseCounter(7))
            .await
            .expect("an answer"),
        Written::Refused
    );
    assert!(table.read(&lease.key).await.expect("a read").is_some());
    assert_eq!(
        table
            .delete(&lease.key, LeaseCounter(8))
            .await
            .expect("an answer"),
        Written::Applied
    );
    assert_eq!(table.read(&lease.key).await.expect("a read"), None);
}

async fn scans_everything<T: LeaseTable>(table: &T) {
    for number in 100..160 {
        table.create(&fresh(number)).await.expect("a write");
    }
    let scan = table.scan().await.expect("a scan");
    assert!(scan.skipped.is_empty(), "{:?}", scan.skipped);
    let keys: std::collections::BTreeSet<LeaseKey> =
        scan.leases.into_iter().map(|lease| lease.key).collect();
    for number in 100..160 {
        assert!(
            keys.contains(&fresh(number).key),
            "shard {number} is in the scan"
        );
    }
}

fn fresh(number: u32) -> Lease {
    Lease::new(
        format!("shardId-{number:012}").parse().expect("an id"),
        Checkpoint::TrimHorizon,
    )
}
