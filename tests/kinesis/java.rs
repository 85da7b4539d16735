//! Lease tables as the Java KCL leaves them behind.

use std::time::Duration;

use forebay_localaws::{AttributeValue, Service};
use serde_json::{Value, json};

use crate::bed::{Bed, Sink, TABLE};

/// A call of DynamoDB as Java makes it.
fn dynamodb(bed: &Bed, operation: &str, input: Value) -> Value {
    let answer = bed
        .aws
        .with(|cloud, now| cloud.dynamodb().call(operation, &input, now));
    answer.expect("a known operation").expect("an answer")
}

fn create_table(bed: &Bed, rest: Value) {
    let mut input = json!({
        "TableName": TABLE,
        "AttributeDefinitions": [{"AttributeName": "leaseKey", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "leaseKey", "KeyType": "HASH"}],
    });
    let members = rest.as_object().expect("members").clone();
    input.as_object_mut().expect("members").extend(members);
    dynamodb(bed, "CreateTable", input);
}

fn put_item(bed: &Bed, item: Value) {
    dynamodb(bed, "PutItem", json!({"TableName": TABLE, "Item": item}));
}

/// The row of the first shard, held by a Java worker that has just died at record 5 of 10.
fn row_of_a_dead_worker(bed: &Bed, rest: Value) -> Value {
    let records = bed
        .aws
        .with(|cloud, now| {
            cloud
                .kinesis()
                .records(crate::bed::STREAM, "shardId-000000000000", now)
        })
        .expect("the stream");
    let mut row = json!({
        "leaseKey": {"S": "shardId-000000000000"},
        "leaseOwner": {"S": "graylog-node-java"},
        "leaseCounter": {"N": "812"},
        "ownerSwitchesSinceCheckpoint": {"N": "0"},
        "checkpoint": {"S": records[4].sequence.to_string()},
        "checkpointSubSequenceNumber": {"N": "0"},
    });
    let members = rest.as_object().expect("members").clone();
    row.as_object_mut().expect("members").extend(members);
    row
}

/// Takes the table over: the second half of the records comes, once, and what is not ours stays.
async fn take_over(bed: &Bed, untouched: &[(&str, &str)]) {
    let described = |bed: &Bed| dynamodb(bed, "DescribeTable", json!({"TableName": TABLE}));
    let strip = |mut table: Value| {
        let table = table["Table"].as_object_mut().expect("a table");
        table.retain(|name, _| name != "ItemCount" && name != "TableSizeBytes");
        table.clone()
    };
    let before = strip(described(bed));
    let sink = Sink::default();
    let worker = bed.start("one", &sink).await;
    sink.wait_for(5).await;
    bed.put_numbers(10..12);
    sink.wait_for(7).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let texts: Vec<_> = sink.delivered().into_iter().map(|d| d.text).collect();
    assert_eq!(texts, ["5", "6", "7", "8", "9", "10", "11"]);
    worker.stop().await;
    assert_eq!(strip(described(bed)), before, "the table is as it was");
    let made = bed
        .aws
        .with(|cloud, _| cloud.calls().count(Service::DynamoDb, "CreateTable"));
    assert_eq!(made, 0);
    for (key, attribute) in untouched {
        let item = bed.aws.with(|cloud, _| cloud.dynamodb().item(TABLE, key));
        let item = item.unwrap_or_else(|| panic!("the item `{key}` is gone"));
        assert!(item.contains_key(*attribute), "{attribute}: {item:?}");
    }
}

fn bed() -> Bed {
    let bed = Bed::new(1);
    bed.put_numbers(0..10);
    bed
}

#[tokio::test(start_paused = true)]
async fn a_table_of_kcl_1_is_taken_over_at_its_checkpoint() {
    let bed = bed();
    create_table(
        &bed,
        json!({"ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 10}}),
    );
    put_item(&bed, row_of_a_dead_worker(&bed, json!({})));
    take_over(&bed, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_table_of_kcl_2_is_taken_over_at_its_checkpoint() {
    let bed = bed();
    create_table(&bed, json!({"BillingMode": "PAY_PER_REQUEST"}));
    let rest = json!({
        "startingHashKey": {"S": "0"},
        "endingHashKey": {"S": u128::MAX.to_string()},
        "pendingCheckpointState": {"N": "0"},
    });
    put_item(&bed, row_of_a_dead_worker(&bed, rest));
    take_over(&bed, &[("shardId-000000000000", "startingHashKey")]).await;
}

/// A table of KCL 3.5 with its index and everything else it keeps in there.
fn table_of_kcl_3(bed: &Bed, client_version: &str) {
    create_table(
        bed,
        json!({
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "leaseKey", "AttributeType": "S"},
                {"AttributeName": "leaseOwner", "AttributeType": "S"},
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "LeaseOwnerToLeaseKeyIndex",
                "KeySchema": [
                    {"AttributeName": "leaseOwner", "KeyType": "HASH"},
                    {"AttributeName": "leaseKey", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }],
        }),
    );
    let rest = json!({
        "startingHashKey": {"S": "0"},
        "endingHashKey": {"S": u128::MAX.to_string()},
        "throughputKBps": {"N": "12.500000"},
        "entityType": {"S": "LEASE"},
    });
    put_item(bed, row_of_a_dead_worker(bed, rest));
    put_item(
        bed,
        json!({"leaseKey": {"S": "Leader"}, "entityType": {"S": "LEADER"}, "ownerName": {"S": "graylog-node-java"}}),
    );
    put_item(
        bed,
        json!({
            "leaseKey": {"S": "graylog-node-java"}, "entityType": {"S": "WORKER_METRIC_STATS"},
            "lut": {"N": "1795564800"}, "opr": {"M": {"C": {"L": [{"N": "80"}]}}},
        }),
    );
    put_item(
        bed,
        json!({
            "leaseKey": {"S": "Migration3.0"}, "entityType": {"S": "CLIENT_VERSION_MIGRATION"},
            "cv": {"S": client_version}, "mb": {"S": "graylog-node-java"}, "mts": {"N": "1795564800000"},
        }),
    );
}

#[tokio::test(start_paused = true)]
async fn a_table_of_kcl_3_in_its_compatible_mode_is_taken_over_at_its_checkpoint() {
    let bed = bed();
    table_of_kcl_3(&bed, "CLIENT_VERSION_UPGRADE_FROM_2X");
    let untouched = [
        ("shardId-000000000000", "throughputKBps"),
        ("shardId-000000000000", "entityType"),
        ("Leader", "ownerName"),
        ("graylog-node-java", "opr"),
        ("Migration3.0", "cv"),
    ];
    take_over(&bed, &untouched).await;
}

#[tokio::test(start_paused = true)]
async fn a_fleet_of_kcl_3_that_assigns_by_its_leader_is_left_alone() {
    let bed = bed();
    table_of_kcl_3(&bed, "CLIENT_VERSION_3X");
    let row = |bed: &Bed| {
        bed.aws
            .with(|cloud, _| cloud.dynamodb().item(TABLE, "shardId-000000000000"))
            .expect("the lease")
    };
    let before = row(&bed);
    let sink = Sink::default();
    let worker = bed.start("one", &sink).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!((sink.len(), row(&bed)), (0, before));
    // The operator rolls the fleet back.
    put_item(
        &bed,
        json!({
            "leaseKey": {"S": "Migration3.0"}, "entityType": {"S": "CLIENT_VERSION_MIGRATION"},
            "cv": {"S": "CLIENT_VERSION_2X"}, "mb": {"S": "an operator"}, "mts": {"N": "1795564900000"},
        }),
    );
    sink.wait_for(5).await;
    worker.stop().await;
    let owner = row(&bed).get("leaseOwner").cloned();
    assert_eq!(owner, None::<AttributeValue>, "released");
}
