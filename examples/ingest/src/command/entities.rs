//! `forebay entities`: what the translator of addresses knows.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use forebay_entity::{Entity, FieldSet, Lookup, Scope, Table};

use super::{ConfigArguments, note, say};
use crate::{clock, config::Config, exit::Exit, pipeline};

#[derive(Debug, Args)]
pub(super) struct EntitiesArguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// All addresses and their names.
    Ls,
    /// Who has an address, and what decides if several do.
    Lookup {
        /// The address.
        address: IpAddr,
        /// As if the record came from this VPC.
        #[arg(long)]
        vpc: Option<String>,
        /// As if this interface had recorded it.
        #[arg(long)]
        interface: Option<String>,
        /// As if it came from this account.
        #[arg(long)]
        account: Option<String>,
    },
}

pub(super) async fn entities(arguments: &EntitiesArguments) -> anyhow::Result<Exit> {
    let config = arguments.config.load()?;
    let (table, failed) = refreshed(&config).await?;
    let index = table.load_full();
    match &arguments.what {
        What::Ls => {
            let mut addresses: Vec<(IpAddr, Entity<'_>)> = Vec::new();
            for part in index.parts() {
                addresses.extend(part.addresses());
            }
            addresses.sort_by_key(|(address, _)| *address);
            addresses.dedup_by(|a, b| {
                a.0 == b.0 && a.1.interface().is_some() && a.1.interface() == b.1.interface()
            });
            for (address, entity) in addresses {
                say(format_args!("{address:<40} {}", described(&entity)))?;
            }
            note(format_args!(
                "{} addresses, {} of them with several owners",
                index.len(),
                index.conflicts()
            ));
        }
        What::Lookup {
            address,
            vpc,
            interface,
            account,
        } => {
            let scope = Scope {
                vpc: vpc.as_deref(),
                interface: interface.as_deref(),
                account: account.as_deref(),
            };
            for candidate in index.candidates(*address).iter() {
                say(format_args!("{address} is {}", described(&candidate)))?;
            }
            match index.lookup(*address, &scope) {
                Lookup::Miss => say(format_args!("{address}: nobody known has it"))?,
                Lookup::Ambiguous(candidates) => say(format_args!(
                    "{} candidates, and nothing of the record decides: no name (on_conflict = \"{}\")",
                    candidates.len(),
                    index.policy().as_str()
                ))?,
                Lookup::Chosen(entity, by) => {
                    say(format_args!(
                        "chosen by {}: {}",
                        format!("{by:?}").to_lowercase(),
                        described(&entity)
                    ))?;
                    fields(&config, &entity)?;
                }
                found => {
                    if let Some(entity) = found.entity() {
                        fields(&config, &entity)?;
                    }
                }
            }
        }
    }
    Ok(if failed == 0 {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// A table filled by one refresh, as the running process would, and how many calls failed; each is told.
pub(super) async fn refreshed(config: &Config) -> anyhow::Result<(Table, usize)> {
    let accounts = pipeline::accounts(config).await?;
    let table = Table::default();
    let mut refresher = crate::entities::refresher(config, &accounts, table.clone())?;
    let summary = refresher.refresh_once(clock::wall(), &Failures).await;
    Ok((table, summary.failed))
}

struct Failures;

impl forebay_entity::Observer for Failures {
    fn failed(&self, failure: &forebay_entity::Failure) {
        note(format_args!("{failure}: {}", failure.cause()));
    }
}

fn described(entity: &Entity<'_>) -> String {
    let label = entity.label().map_or_else(
        || entity.kind().aws_type().to_owned(),
        |label| label.to_string(),
    );
    let parts = [
        Some(label),
        entity.name().map(|name| format!("\"{name}\"")),
        Some(entity.kind().to_string()),
        entity.vpc().map(str::to_owned),
        entity.interface().map(str::to_owned),
        entity.account().map(str::to_owned),
        entity.region().map(str::to_owned),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

fn fields(config: &Config, entity: &Entity<'_>) -> anyhow::Result<()> {
    let set = if config.entities.extended {
        FieldSet::Extended
    } else {
        FieldSet::Plugin
    };
    for field in entity.fields(set) {
        say(format_args!("  src_addr{} = {}", field.suffix, field.value))?;
    }
    Ok(())
}
