//! `forebay leases`, and lease tables as others write them.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::bed::{Aws, Bed, command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_seen_and_mended_but_not_under_a_live_owner() {
    let bed = Bed::new("[kinesis.flow.lease]\nfailover = \"3s\"\n").await;
    lease_rows(
        &bed.aws,
        Some(OWNER),
        [
            "49590338271490256608559692538361571095921575989136588898",
            "LATEST",
        ],
    )
    .await;
    let ls = command(&bed.config, &["leases", "ls"]).await;
    assert!(
        ls.out.contains("shardId-000000000000   graylog-node-5f"),
        "{ls:?}"
    );
    let show = command(&bed.config, &["leases", "show", "shardId-000000000001"]).await;
    assert!(show.out.contains("LATEST"), "{show:?}");

    let alive = tokio::select! {
        ended = command(&bed.config, &["leases", "release", "shardId-000000000000", "--yes"]) => ended,
        () = renewing(&bed.aws) => unreachable!("renews for ever"),
    };
    assert_eq!(alive.code, Some(1), "{alive:?}");
    assert!(alive.err.contains("is alive"), "{alive:?}");

    let told = command(
        &bed.config,
        &["leases", "seek", "shardId-000000000000", "TRIM_HORIZON"],
    )
    .await;
    assert!(told.out.contains("add --yes"), "{told:?}");
    assert!(
        bed.aws
            .leases()
            .await
            .iter()
            .all(|(owner, _)| owner.as_deref() == Some(OWNER)),
        "nothing was done"
    );

    let seek = command(
        &bed.config,
        &[
            "leases",
            "seek",
            "shardId-000000000000",
            "TRIM_HORIZON",
            "--yes",
        ],
    )
    .await;
    assert_eq!(seek.code, Some(0), "{seek:?}");
    let release = command(
        &bed.config,
        &["leases", "release", "shardId-000000000001", "--yes"],
    )
    .await;
    assert_eq!(release.code, Some(0), "{release:?}");
    let mut leases = bed.aws.leases().await;
    leases.sort();
    assert_eq!(
        leases,
        [
            (None, "LATEST".to_owned()),
            (None, "TRIM_HORIZON".to_owned())
        ]
    );

    let copy = command(&bed.config, &["leases", "copy", "elsewhere", "--yes"]).await;
    assert!(copy.out.contains("2 leases copied"), "{copy:?}");
    let again = command(
        &bed.config,
        &[
            "leases",
            "ls",
            "--set",
            "kinesis.flow.lease.table=elsewhere",
        ],
    )
    .await;
    assert!(
        again.out.contains("TRIM_HORIZON") && again.out.contains("LATEST"),
        "{again:?}"
    );
    let wrong = command(
        &bed.config,
        &["leases", "seek", "shardId-000000000000", "yesterday"],
    )
    .await;
    assert!(wrong.err.contains("`yesterday` is none of"), "{wrong:?}");
}

/// A lease table of the stream, with this owner and checkpoint in each row.
pub(crate) async fn lease_rows(aws: &Aws, owner: Option<&str>, checkpoints: [&str; 2]) {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    };
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws.sdk);
    let made = dynamodb
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name("leaseKey")
                .attribute_type(ScalarAttributeType::S)
                .build()
                .expect("complete"),
        )
        .key_schema(
            KeySchemaElement::builder()
                .attribute_name("leaseKey")
                .key_type(KeyType::Hash)
                .build()
                .expect("complete"),
        );
    made.send().await.expect("the table is made");
    for (number, checkpoint) in checkpoints.into_iter().enumerate() {
        // Exactly the attributes that KCL 1.x writes.
        let mut row = HashMap::from([
            (
                "leaseKey".to_owned(),
                AttributeValue::S(format!("shardId-00000000000{number}")),
            ),
            (
                "leaseCounter".to_owned(),
                AttributeValue::N("17".to_owned()),
            ),
            (
                "checkpoint".to_owned(),
                AttributeValue::S(checkpoint.to_owned()),
            ),
            (
                "checkpointSubSequenceNumber".to_owned(),
                AttributeValue::N("0".to_owned()),
            ),
            (
                "ownerSwitchesSinceCheckpoint".to_owned(),
                AttributeValue::N("0".to_owned()),
            ),
        ]);
        if let Some(owner) = owner {
            row.insert("leaseOwner".to_owned(), AttributeValue::S(owner.to_owned()));
        }
        dynamodb
            .put_item()
            .table_name(TABLE)
            .set_item(Some(row))
            .send()
            .await
            .expect("the row is put");
    }
}

/// Renews all leases for ever.
pub(crate) async fn renewing(aws: &Aws) {
    loop {
        renew(aws).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Moves the counters of all leases, as a live owner does.
async fn renew(aws: &Aws) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws.sdk);
    for number in 0..2 {
        let request = dynamodb
            .update_item()
            .table_name(TABLE)
            .key(
                "leaseKey",
                AttributeValue::S(format!("shardId-00000000000{number}")),
            )
            .update_expression("ADD leaseCounter :one")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        request.send().await.expect("the row is there");
    }
}

const TABLE: &str = "graylog-aws-plugin-flow";

/// The worker id of a Graylog node.
pub(crate) const OWNER: &str = "graylog-node-5f";
