//! The rights on a lease table, and who else uses it.

use std::future::Future;

use forebay_kinesis::{DynamoLeaseTable, Error, ErrorKind, LeaseTable};
use forebay_lease::{Changes, Checkpoint, Condition, Lease, LeaseCounter, LeaseKey, Update};
use tokio::time::timeout;

use super::{Findings, Level, NOBODY, PATIENCE, ask, within};
use crate::{aws::Account, command::leases::moving, config::Kinesis};

/// The rights on the lease table, and who else uses it.
pub(super) async fn table(
    name: &str,
    input: &Kinesis,
    account: &Account,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let table_name = input.table();
    let client = account.dynamodb();
    let described = client.describe_table().table_name(&table_name).send();
    let described = ask(described, "dynamodb:DescribeTable", &table_name)
        .await
        .map(drop);
    let exists = described
        .as_ref()
        .err()
        .is_none_or(|error| !error.contains("ResourceNotFoundException"));
    let table = DynamoLeaseTable::new(client, &table_name);
    if !exists {
        return findings.tell(
            name,
            Level::Note,
            format!("lease table {table_name} does not exist: the first start makes it (`dynamodb:CreateTable`) and reads from `start`"),
        );
    }
    findings.right(
        name,
        described,
        Some("a table that is just being made is not waited for"),
    )?;
    let leases = match timeout(PATIENCE, table.scan()).await {
        Ok(Ok(scan)) => scan.leases,
        Ok(Err(error)) => return findings.right(name, Err(error.to_string()), None),
        Err(_) => {
            return findings.tell(
                name,
                Level::Fail,
                format!("Scan of {table_name}: no answer within 5 s"),
            );
        }
    };
    let nobody: LeaseKey = NOBODY.parse()?;
    let read = within(async { table.read(&nobody).await.map(drop) }).await;
    findings.right(name, read, None)?;
    // Conditions that cannot hold: what is allowed is refused by them, and nothing is written.
    let never = Update {
        key: nobody.clone(),
        condition: Condition {
            counter: Some(LeaseCounter(u64::MAX)),
            ..Condition::default()
        },
        changes: Changes {
            counter: Some(LeaseCounter(0)),
            ..Changes::default()
        },
    };
    findings.right(name, denied(table.update(&never)).await, None)?;
    if let Some(lease) = leases.first() {
        let again = Lease {
            key: lease.key.clone(),
            ..Lease::new(lease.shard(), Checkpoint::TrimHorizon)
        };
        findings.right(name, denied(table.create(&again)).await, None)?;
    }
    let delete = denied(table.delete(&nobody, LeaseCounter(u64::MAX))).await;
    findings.right(name, delete, Some("leases of finished shards stay"))?;

    let numbered = leases
        .iter()
        .filter(|lease| !lease.checkpoint.is_start())
        .count();
    findings.tell(
        name,
        Level::Ok,
        format!(
            "lease table {table_name}: {} leases, {numbered} with a position",
            leases.len()
        ),
    )?;
    let owned: Vec<Lease> = leases
        .into_iter()
        .filter(|lease| lease.owner.is_some())
        .collect();
    if owned.is_empty() {
        return Ok(());
    }
    let moved = match timeout(PATIENCE * 2, moving(&table, &owned, PATIENCE)).await {
        Ok(Ok(moved)) => moved,
        _ => Vec::new(),
    };
    let mut owners: Vec<&str> = moved
        .iter()
        .filter_map(|lease| Some(lease.owner.as_ref()?.as_str()))
        .collect();
    owners.sort_unstable();
    owners.dedup();
    if owners.is_empty() {
        return findings.tell(
            name,
            Level::Note,
            format!(
                "{} leases have an owner that is silent: they are taken after `failover`",
                owned.len()
            ),
        );
    }
    findings.tell_with(
        name,
        Level::Warn,
        format!(
            "lease table {table_name} is in use by {}: shards would be shared with it",
            owners.join(", ")
        ),
        "stop that input first, if this is to replace it; its position is kept",
    )
}

/// Whether a write that cannot succeed is refused for its condition, which the right allows, or for the right.
async fn denied<T>(write: impl Future<Output = Result<T, Error>>) -> Result<(), String> {
    match timeout(PATIENCE, write).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.kind() == ErrorKind::Denied => Err(error.to_string()),
        // Whatever else it is, the read of the same table has told it.
        Ok(Err(_)) => Ok(()),
        Err(_) => Err("no answer within 5 s".to_owned()),
    }
}
