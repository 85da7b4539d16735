//! The entity table and who refreshes it.

use std::{collections::BTreeMap, time::Duration};

use forebay_entity::{FieldSet, Table};
use tokio::{sync::watch, task::JoinSet};

use crate::{aws::Account, config::Config, names::Names, stats::Stats};

/// Names from `table`, as configured.
fn names_of(config: &Config, table: &Table) -> Names {
    let set = if config.entities.extended {
        FieldSet::Extended
    } else {
        FieldSet::Plugin
    };
    Names::new(table.clone(), &config.entities.fields, set)
}

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
    let table = Table::default();
    let names = names_of(config, &table);
    if !config.entities.enabled {
        return Ok(names);
    }
    let refresher = refresher(config, accounts, table.clone())?;
    let refreshed = std::sync::Arc::default();
    let counts = names.counts().clone();
    stats.watch_entities(table, std::sync::Arc::clone(&refreshed), counts);
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
    refreshed: std::sync::Arc<std::sync::Mutex<Option<tokio::time::Instant>>>,
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
    Ok(names_of(config, &Table::default()))
}
