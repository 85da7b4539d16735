//! `forebay leases`: the lease table, seen and mended by hand.
//!
//! Every change is one conditional write on the counter that was seen, and none is made to a lease whose owner is alive:
//! the counter of a live owner moves several times per failover time.

use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use forebay_kinesis::{DynamoLeaseTable, LeaseTable, Written};
use forebay_lease::{
    Changes, Checkpoint, Condition, Lease, LeaseKey, OwnerChange, SwitchesChange, Update,
};

use super::{ConfigArguments, kinesis_input, note, say};
use crate::{aws::Account, config::Config, exit::Exit};

#[derive(Debug, Args)]
pub(super) struct LeasesArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Which [kinesis.NAME]; needed if there are several.
    #[arg(long, global = true, value_name = "NAME")]
    input: Option<String>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// All leases: shard, owner, checkpoint.
    Ls,
    /// Everything that the row of one shard says.
    Show {
        /// The shard, as `shardId-000000000000`.
        shard: LeaseKey,
    },
    /// Take the owner out of a lease, so that a worker takes it at once. Refused while the owner is alive.
    Release {
        /// The shard.
        shard: LeaseKey,
        #[command(flatten)]
        sure: Sure,
    },
    /// Move the checkpoint of a lease nobody holds. What lies between is read again, or never.
    Seek {
        /// The shard.
        shard: LeaseKey,
        /// TRIM_HORIZON, LATEST, or a sequence number: reading goes on behind it.
        to: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Copy all leases, without owners, to another table that has none of them.
    Copy {
        /// The other table; it is created if it does not exist.
        to: String,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(Debug, Args)]
struct Sure {
    /// Make the change; without it, it is only told.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn leases(arguments: &LeasesArguments) -> anyhow::Result<Exit> {
    let config = arguments.config.load()?;
    let (name, input) = kinesis_input(&config, arguments.input.as_deref())?;
    let account = account(&config, &input.aws).await?;
    let table = DynamoLeaseTable::new(account.dynamodb(), input.table());
    let failover = input.lease.failover;
    match &arguments.what {
        What::Ls => {
            let scan = table
                .scan()
                .await
                .with_context(|| format!("the lease table of [kinesis.{name}]"))?;
            let mut leases = scan.leases;
            leases.sort_by(|a, b| a.key.cmp(&b.key));
            say(format_args!(
                "{:<22} {:<34} {:>9}  CHECKPOINT",
                "SHARD", "OWNER", "COUNTER"
            ))?;
            for lease in &leases {
                let owner = lease.owner.as_ref().map_or("-", |owner| owner.as_str());
                say(format_args!(
                    "{:<22} {owner:<34} {:>9}  {}",
                    lease.key.as_str(),
                    lease.counter,
                    lease.checkpoint
                ))?;
            }
            for skipped in &scan.skipped {
                note(format_args!("not readable: {skipped}"));
            }
        }
        What::Show { shard } => show(&read(&table, shard).await?)?,
        What::Release { shard, sure } => {
            let lease = read(&table, shard).await?;
            let Some(owner) = &lease.owner else {
                say(format_args!("{shard} has no owner"))?;
                return Ok(Exit::Done);
            };
            let changes = Changes {
                owner: Some(OwnerChange::Remove),
                ..Changes::default()
            };
            let checkpoint = lease.checkpoint;
            let what = format!(
                "{shard}: take out the owner {owner}; the checkpoint stays at {checkpoint}"
            );
            change(&table, &lease, changes, &what, sure, failover).await?;
        }
        What::Seek { shard, to, sure } => {
            let checkpoint = Checkpoint::parse(to, 0)
                .ok()
                .filter(|to| !to.is_shard_end() && *to != Checkpoint::AtTimestamp)
                .with_context(|| {
                    format!("`{to}` is none of TRIM_HORIZON, LATEST and a sequence number")
                })?;
            let lease = read(&table, shard).await?;
            let from = lease.checkpoint;
            anyhow::ensure!(
                !from.is_shard_end(),
                "{shard} has ended and its children have begun: its position cannot be moved any more"
            );
            let changes = Changes {
                owner: lease.owner.as_ref().map(|_| OwnerChange::Remove),
                owner_switches: Some(SwitchesChange::Reset),
                checkpoint: Some(checkpoint),
                clear_pending: lease.pending_checkpoint.is_some(),
                ..Changes::default()
            };
            let what = format!("{shard}: move the checkpoint from {from} to {checkpoint}");
            change(&table, &lease, changes, &what, sure, failover).await?;
        }
        What::Copy { to, sure } => {
            anyhow::ensure!(*to != input.table(), "`{to}` is the table itself");
            let other = DynamoLeaseTable::new(account.dynamodb(), to);
            copy(&table, &other, to, sure).await?;
        }
    }
    Ok(Exit::Done)
}

/// The account of a credentials set.
pub(super) async fn account(config: &Config, name: &str) -> anyhow::Result<Account> {
    Account::load(name, config.aws(name).unwrap_or_default()).await
}

async fn read(table: &DynamoLeaseTable, shard: &LeaseKey) -> anyhow::Result<Lease> {
    let lease = table.read(shard).await?;
    lease
        .with_context(|| format!("the table has no lease `{shard}`: `forebay leases ls` shows all"))
}

fn show(lease: &Lease) -> anyhow::Result<()> {
    let list = |shards: &[forebay_lease::ShardId]| {
        shards
            .iter()
            .map(|shard| shard.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let rows = [
        ("shard", lease.key.to_string()),
        ("owner", text(lease.owner.as_ref().map(ToString::to_string))),
        ("counter", lease.counter.to_string()),
        ("checkpoint", lease.checkpoint.to_string()),
        (
            "pending checkpoint",
            text(lease.pending_checkpoint.map(|pending| pending.to_string())),
        ),
        ("switches of owner since", lease.owner_switches.to_string()),
        ("parents", list(&lease.parents)),
        ("children", list(&lease.children)),
        (
            "hash keys",
            text(lease.hash_range.map(|range| range.to_string())),
        ),
        (
            "handoff from",
            text(lease.checkpoint_owner.as_ref().map(ToString::to_string)),
        ),
        (
            "first start",
            text(lease.start_at.map(|at| at.0.to_string())),
        ),
    ];
    for (name, value) in rows {
        say(format_args!("{name:<24} {value}").to_string().trim_end())?;
    }
    Ok(())
}

/// Makes one change, unless the owner is alive or the row has moved on.
async fn change(
    table: &DynamoLeaseTable,
    lease: &Lease,
    changes: Changes,
    what: &str,
    sure: &Sure,
    failover: Duration,
) -> anyhow::Result<()> {
    if let Some(owner) = &lease.owner {
        note(format_args!(
            "watching for {} s whether {owner} is alive",
            failover.as_secs()
        ));
        let moved = moving(table, std::slice::from_ref(lease), failover).await?;
        anyhow::ensure!(
            moved.is_empty(),
            "{owner} is alive and renews {}: stop it first",
            lease.key
        );
    }
    if !sure.yes {
        say(format_args!("would do: {what}\nadd --yes to do it"))?;
        return Ok(());
    }
    let update = Update {
        key: lease.key.clone(),
        condition: Condition {
            counter: Some(lease.counter),
            owner: lease.owner.clone(),
            ..Condition::default()
        },
        changes: Changes {
            counter: Some(lease.counter.next()),
            ..changes
        },
    };
    match table.update(&update).await? {
        Written::Applied => say(format_args!("done: {what}")),
        Written::Refused => anyhow::bail!(
            "{} has changed meanwhile: nothing was done, look again",
            lease.key
        ),
    }
}

/// Those of `leases` whose counter moves within `patience`: their owners are alive.
pub(super) async fn moving(
    table: &impl LeaseTable,
    leases: &[Lease],
    patience: Duration,
) -> anyhow::Result<Vec<Lease>> {
    let deadline = tokio::time::Instant::now() + patience;
    while tokio::time::Instant::now() < deadline {
        tokio::time::sleep(WATCH.min(patience)).await;
        let now = table.scan().await?.leases;
        let moved = |before: &&Lease| {
            now.iter()
                .any(|lease| lease.key == before.key && lease.counter != before.counter)
        };
        let moved: Vec<Lease> = leases.iter().filter(moved).cloned().collect();
        if !moved.is_empty() {
            return Ok(moved);
        }
    }
    Ok(Vec::new())
}

async fn copy(
    from: &DynamoLeaseTable,
    to: &DynamoLeaseTable,
    name: &str,
    sure: &Sure,
) -> anyhow::Result<()> {
    let leases = from.scan().await?.leases;
    if !sure.yes {
        say(format_args!(
            "would do: copy {} leases, without owners, to {name}\nadd --yes to do it",
            leases.len()
        ))?;
        return Ok(());
    }
    to.open().await?;
    let mut copied = 0;
    for mut lease in leases {
        lease.owner = None;
        lease.checkpoint_owner = None;
        lease.owner_switches = 0;
        match to.create(&lease).await? {
            Written::Applied => copied += 1,
            Written::Refused => note(format_args!(
                "{} is in {name} already and stays as it is",
                lease.key
            )),
        }
    }
    say(format_args!("done: {copied} leases copied to {name}"))
}

/// A live owner renews every third of its failover time; a look each second misses nothing.
const WATCH: Duration = Duration::from_secs(1);
