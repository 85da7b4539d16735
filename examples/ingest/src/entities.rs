//! The entity table: who refreshes it, and how messages get names from it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use forebay_entity::{FieldSet, Index, Lookup, Scope, Snapshot, Table};
use forebay_gelf::{FieldName, MessageWriter};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    aws::Account,
    config::{Config, Entities},
    stats::Stats,
};

/// Names for addresses: the table, which fields get them, and how lookups ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    table: Table,
    fields: Arc<[String]>,
    set: FieldSet,
    counts: Arc<LookupCounts>,
}

/// How lookups ended, since the start.
#[derive(Debug, Default)]
pub(crate) struct LookupCounts {
    /// One entity has the address.
    pub(crate) hit: AtomicU64,
    /// Several have it, and the record's interface, VPC or account decided.
    pub(crate) chosen: AtomicU64,
    /// Several have it, and nothing decided: the message gets no name.
    pub(crate) ambiguous: AtomicU64,
    /// Nobody known has it.
    pub(crate) miss: AtomicU64,
}

impl Names {
    pub(crate) fn new(table: Table, settings: &Entities) -> Self {
        Self {
            table,
            fields: settings.fields.clone().into(),
            set: if settings.extended {
                FieldSet::Extended
            } else {
                FieldSet::Plugin
            },
            counts: Arc::default(),
        }
    }

    /// The current snapshot, to be held for a batch of records.
    pub(crate) fn load(&self) -> Snapshot {
        self.table.load()
    }

    /// Whether the address in the message field `field` is to be translated.
    pub(crate) fn wants(&self, field: &str) -> bool {
        self.fields.iter().any(|wanted| wanted == field)
    }

    /// The fields that a translated address in `field` gives.
    pub(crate) fn target(&self, field: &str) -> NamedField {
        let name =
            |suffix: &'static str| (suffix, FieldName::repaired(&format!("{field}{suffix}")));
        NamedField {
            set: self.set,
            names: SUFFIXES.map(name).into(),
        }
    }

    pub(crate) fn counts(&self) -> &Arc<LookupCounts> {
        &self.counts
    }
}

/// A message field with an address, and the names of the fields that its entity gives.
#[derive(Debug)]
pub(crate) struct NamedField {
    set: FieldSet,
    names: Box<[(&'static str, FieldName)]>,
}

impl NamedField {
    /// Looks `address` up and writes what is known. `text` is a buffer.
    pub(crate) fn write(
        &self,
        message: &mut MessageWriter<'_>,
        names: &Index,
        address: IpAddr,
        scope: &Scope<'_>,
        text: &mut String,
        tally: &mut Tally,
    ) {
        let found = names.lookup(address, scope);
        tally.count(&found);
        let Some(entity) = found.entity() else { return };
        for field in entity.fields(self.set) {
            if let Some((_, name)) = self
                .names
                .iter()
                .find(|(suffix, _)| *suffix == field.suffix)
            {
                text.clear();
                text.extend(field.value.pieces());
                message.text(name, text.as_bytes());
            }
        }
    }
}

/// Counts lookups without touching what other tasks write, until it is flushed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    hit: u64,
    chosen: u64,
    ambiguous: u64,
    miss: u64,
    shared: Arc<LookupCounts>,
}

impl Tally {
    pub(crate) fn new(shared: Arc<LookupCounts>) -> Self {
        Self {
            shared,
            ..Self::default()
        }
    }

    fn count(&mut self, found: &Lookup<'_>) {
        let counter = match found {
            Lookup::Hit(_) => &mut self.hit,
            Lookup::Chosen(..) => &mut self.chosen,
            Lookup::Ambiguous(_) => &mut self.ambiguous,
            _ => &mut self.miss,
        };
        *counter += 1;
    }

    /// Adds what was counted to the shared counters.
    pub(crate) fn flush(&mut self) {
        let shared = &self.shared;
        for (counted, total) in [
            (&mut self.hit, &shared.hit),
            (&mut self.chosen, &shared.chosen),
            (&mut self.ambiguous, &shared.ambiguous),
            (&mut self.miss, &shared.miss),
        ] {
            if *counted > 0 {
                total.fetch_add(std::mem::take(counted), Ordering::Relaxed);
            }
        }
    }
}

/// All suffixes that an entity's fields have; `forebay_entity::FieldSet` says which are given.
const SUFFIXES: [&str; 11] = [
    "_entity",
    "_entity_description",
    "_entity_aws_type",
    "_entity_kind",
    "_entity_name",
    "_entity_detail",
    "_entity_account",
    "_entity_region",
    "_entity_vpc",
    "_entity_subnet",
    "_entity_interface",
];

/// Waits until the table knows something, at most [`FIRST_NAMES`].
pub(crate) async fn first_names(names: &Names) {
    let known = async {
        while names.load().is_empty() {
            tokio::time::sleep(FIRST_NAMES / 100).await;
        }
    };
    if tokio::time::timeout(FIRST_NAMES, known).await.is_err() {
        tracing::info!("reading starts before the first names are known");
    }
}

/// How long reading waits for the first names.
const FIRST_NAMES: Duration = Duration::from_secs(1);

/// Starts the refresher, if the configuration asks for one, and gives the names that it fills. Without one the table
/// stays empty, and every lookup misses.
///
/// # Errors
///
/// A setting is out of its bounds, or the ranges file cannot be read.
#[cfg(feature = "entities")]
pub(crate) fn start(
    config: &Config,
    accounts: &BTreeMap<String, Account>,
    stats: &Stats,
    tasks: &mut JoinSet<()>,
    mut stopping: watch::Receiver<bool>,
) -> anyhow::Result<Names> {
    let names = Names::new(Table::default(), &config.entities);
    if !config.entities.enabled {
        return Ok(names);
    }
    let refresher = refresher(config, accounts, names.table.clone())?;
    let refreshed = Arc::default();
    stats.watch_entities(names.table.clone(), Arc::clone(&refreshed));
    let observer = Tell {
        refreshed,
        repeats: crate::repeats::Repeats::default(),
    };
    tasks.spawn(async move {
        let stopped = async move {
            // A sender that is gone means the same.
            let _ = stopping.wait_for(|&stopped| stopped).await;
        };
        refresher.run(crate::clock::wall, stopped, &observer).await;
    });
    Ok(names)
}

/// The refresher that the configuration describes.
///
/// # Errors
///
/// As [`start`].
#[cfg(feature = "entities")]
pub(crate) fn refresher(
    config: &Config,
    accounts: &BTreeMap<String, Account>,
    table: Table,
) -> anyhow::Result<forebay_entity::Refresher> {
    use std::hash::{BuildHasher, Hasher, RandomState};

    use anyhow::Context;
    use forebay_entity::{Config as RefreshConfig, OnConflict, Origin, Refresher, Target};

    let settings = &config.entities;
    let mut targets = Vec::new();
    for name in &settings.accounts {
        let account = accounts
            .get(name)
            .with_context(|| format!("no credentials set is called `{name}`"))?;
        let own = [account.region().to_owned()];
        let regions = if settings.regions.is_empty() {
            own.as_slice()
        } else {
            &settings.regions
        };
        for region in regions {
            let origin = Origin::new(name.as_str(), region.as_str());
            let mut target = Target::new(origin, account.ec2(Some(region)));
            if settings.load_balancers {
                target = target.with_load_balancers(account.elasticloadbalancing(Some(region)));
            }
            targets.push(target);
        }
    }
    let refresh = RefreshConfig {
        interval: settings.refresh,
        stale_after: settings.stale_after,
        tags: settings.tags.clone(),
        on_conflict: match settings.on_conflict {
            crate::config::OnConflict::ByInterface => OnConflict::ByInterface,
            crate::config::OnConflict::ByAccount => OnConflict::ByAccount,
            crate::config::OnConflict::First => OnConflict::First,
            crate::config::OnConflict::Skip => OnConflict::Skip,
        },
        snapshot_file: settings.snapshot_file.clone(),
        ..RefreshConfig::default()
    };
    let seed = RandomState::new().build_hasher().finish();
    let mut refresher = Refresher::new(targets, refresh, table, seed).context("[entities]")?;
    if let Some(path) = &settings.ranges_file {
        let file = std::fs::read(path)
            .with_context(|| format!("`ranges_file` {} of [entities]", path.display()))?;
        let ranges = forebay_entity::service_ranges(&file)
            .with_context(|| format!("`ranges_file` {} of [entities]", path.display()))?;
        refresher = refresher.with_part(ranges);
    }
    Ok(refresher)
}

/// Notes when the table was built, and tells what goes wrong.
#[cfg(feature = "entities")]
#[derive(Debug)]
struct Tell {
    refreshed: Arc<std::sync::Mutex<Option<tokio::time::Instant>>>,
    repeats: crate::repeats::Repeats,
}

#[cfg(feature = "entities")]
impl forebay_entity::Observer for Tell {
    fn failed(&self, failure: &forebay_entity::Failure) {
        let text = failure.to_string();
        if let Some(suppressed) = self.repeats.tell(&text) {
            tracing::warn!(suppressed, "{text}; the names known before stay");
        }
    }

    fn stale(&self, origin: &forebay_entity::Origin, age: Duration) {
        let text = format!("names of {origin:?} are old");
        if let Some(suppressed) = self.repeats.tell(&text) {
            tracing::warn!(suppressed, ?age, "{text}");
        }
    }

    fn refreshed(&self, summary: &forebay_entity::Summary) {
        *crate::stats::lock(&self.refreshed) = Some(tokio::time::Instant::now());
        tracing::debug!(?summary, "entity table built");
    }

    fn not_built(&self, error: &forebay_entity::Error) {
        tracing::warn!(%error, "entity table not built, the one before stays");
    }

    fn snapshot_file_failed(&self, error: &std::io::Error) {
        tracing::warn!(%error, "entity snapshot file not usable, names come from AWS alone");
    }
}

/// Built without the feature `entities`: a configuration that asks for names is refused instead of ignored.
///
/// # Errors
///
/// The configuration asks for entities.
#[cfg(not(feature = "entities"))]
pub(crate) fn start(
    config: &Config,
    _accounts: &BTreeMap<String, Account>,
    _stats: &Stats,
    _tasks: &mut JoinSet<()>,
    _stopping: watch::Receiver<bool>,
) -> anyhow::Result<Names> {
    anyhow::ensure!(
        !config.entities.enabled,
        "`[entities] enabled = true`, but this program was built without the feature `entities`"
    );
    Ok(Names::new(Table::default(), &config.entities))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_an_entity_has_a_name() {
        let mut part = forebay_entity::PartBuilder::new(
            forebay_entity::Origin::new("123456789012", "eu-west-1"),
            forebay_entity::Source::Manual,
        );
        let address = [IpAddr::from([10, 0, 0, 1])];
        part.entity(&forebay_entity::EntityDescription {
            kind: forebay_entity::Kind::FileSystem,
            id: "fs-1",
            name: "home",
            detail: "fsmt-1",
            vpc: "vpc-1",
            subnet: "subnet-1",
            interface: "eni-1",
            addresses: &address,
            ..Default::default()
        });
        let index = Index::new([part.finish().unwrap()], forebay_entity::OnConflict::Skip).unwrap();
        let found = index.lookup(address[0], &Scope::default());
        let suffixes: Vec<&str> = found
            .entity()
            .unwrap()
            .fields(FieldSet::Extended)
            .map(|field| field.suffix)
            .collect();
        assert_eq!(suffixes, SUFFIXES);
    }
}
