//! The entity table and who refreshes it.

use std::{collections::BTreeMap, time::Duration};

use forebay_entity::Table;
use tokio::{sync::watch, task::JoinSet};

use crate::{aws::Account, config::Config, stats::Stats};

/// Waits until the table knows something, at most [`FIRST_NAMES`].
pub(crate) async fn first_names(table: &Table) {
    let known = async {
        while table.load().is_empty() {
            tokio::time::sleep(FIRST_NAMES / 100).await;
        }
    };
    if tokio::time::timeout(FIRST_NAMES, known).await.is_err() {
        tracing::info!("reading starts before the first names are known");
    }
}

/// How long reading waits for the first names.
const FIRST_NAMES: Duration = Duration::from_secs(1);

/// Starts the refresher, if the configuration asks for one, and gives the table that it fills. Without one the table
/// stays empty, and every lookup misses.
///
/// # Errors
///
/// A setting is out of its bounds.
#[cfg(feature = "entities")]
pub(crate) fn start(
    config: &Config,
    accounts: &BTreeMap<String, Account>,
    stats: &Stats,
    tasks: &mut JoinSet<()>,
    mut stopping: watch::Receiver<bool>,
) -> anyhow::Result<Table> {
    use std::{
        hash::{BuildHasher, Hasher, RandomState},
        sync::{Arc, Mutex},
    };

    use anyhow::Context;
    use forebay_entity::{Config as RefreshConfig, Origin, Refresher, Target};

    use crate::clock;

    let table = Table::default();
    if !config.entities.enabled {
        return Ok(table);
    }
    let mut targets = Vec::new();
    for name in &config.entities.accounts {
        let account = accounts
            .get(name)
            .with_context(|| format!("no credentials set is called `{name}`"))?;
        let own = [account.region().to_owned()];
        let regions = if config.entities.regions.is_empty() {
            own.as_slice()
        } else {
            &config.entities.regions
        };
        for region in regions {
            let origin = Origin::new(name.as_str(), region.as_str());
            let balancers = account.elasticloadbalancing(Some(region));
            targets.push(
                Target::new(origin, account.ec2(Some(region))).with_load_balancers(balancers),
            );
        }
    }
    let settings = RefreshConfig {
        interval: config.entities.refresh,
        ..RefreshConfig::default()
    };
    let seed = RandomState::new().build_hasher().finish();
    let refresher = Refresher::new(targets, settings, table.clone(), seed).context("[entities]")?;
    let refreshed = Arc::new(Mutex::new(None));
    stats.watch_entities(table.clone(), Arc::clone(&refreshed));
    let observer = Tell {
        refreshed,
        repeats: crate::repeats::Repeats::default(),
    };
    tasks.spawn(async move {
        let stopped = async move {
            // A sender that is gone means the same.
            let _ = stopping.wait_for(|&stopped| stopped).await;
        };
        refresher.run(clock::wall, stopped, &observer).await;
    });
    Ok(table)
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
) -> anyhow::Result<Table> {
    anyhow::ensure!(
        !config.entities.enabled,
        "`[entities] enabled = true`, but this program was built without the feature `entities`"
    );
    Ok(Table::default())
}
