//! Every lease table under one suite.

use forebay_kinesis::{Billing, DynamoLeaseTable, MemoryLeaseTable, lease_table_suite};
use forebay_localaws::Settings;

use crate::bed::{Bed, TABLE};

#[tokio::test(start_paused = true)]
async fn the_memory_table_keeps_the_contract() {
    lease_table_suite(&MemoryLeaseTable::new()).await;
}

#[tokio::test(start_paused = true)]
async fn the_dynamodb_table_keeps_the_contract() {
    // Creation takes its time, as it does on AWS.
    let bed = Bed::with(1, Settings::default());
    lease_table_suite(&bed.table("one").await).await;
}

#[tokio::test(start_paused = true)]
async fn a_provisioned_table_keeps_the_contract() {
    let bed = Bed::with(1, Settings::default());
    let client = aws_sdk_dynamodb::Client::new(&bed.sdk("one").await);
    let table = DynamoLeaseTable::new(client, TABLE).with_billing(Billing::Provisioned {
        reads: 10,
        writes: 10,
    });
    lease_table_suite(&table).await;
}

#[tokio::test]
async fn the_file_table_keeps_the_contract_and_its_rows_across_a_restart() {
    use forebay_kinesis::{FileLeaseTable, LeaseTable};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("leases.redb");
    let table = FileLeaseTable::open(&path).expect("a new file");
    lease_table_suite(&table).await;
    let before = table.scan().await.expect("a scan").leases;
    assert!(
        FileLeaseTable::open(&path).is_err(),
        "the file belongs to one holder"
    );
    drop(table);
    let table = FileLeaseTable::open(&path).expect("the same file");
    assert_eq!(table.scan().await.expect("a scan").leases, before);
}
