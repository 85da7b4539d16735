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
    let table = DynamoLeaseTable::new(client, TABLE).with_billing(Billing::Provisioned { reads: 10, writes: 10 });
    lease_table_suite(&table).await;
}
