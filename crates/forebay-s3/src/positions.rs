//! How far prefixes are read, in a local file.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, backends::InMemoryBackend};

use crate::error::{Error, ErrorKind};

/// Positions of a [`Poller`](crate::Poller) in a local file (a redb database). Clones share the file.
///
/// The file belongs to one process at a time; redb refuses a second one. What is recorded is on disk when that returns, so a
/// restart goes on where it was, also after a power cut.
#[derive(Clone, Debug)]
pub struct Positions {
    name: Arc<str>,
    database: Arc<Database>,
}

/// How far one prefix is read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Position {
    /// Objects written before this time, in milliseconds since 1970, were there before the first start and are not read.
    pub(crate) since: i64,
    /// Every key up to this one is settled, and no new one is expected there. Empty at the beginning.
    pub(crate) after: String,
    /// Settled keys behind `after`, with the time they were written.
    pub(crate) settled: BTreeMap<String, i64>,
}

impl Positions {
    /// Opens the file, or creates it. The folder must exist. Blocks on the file system for a moment.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is no such file, or belongs to another process.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::over(&path.to_string_lossy(), Database::create(path))
    }

    /// Positions that end with the process, for tests.
    ///
    /// # Errors
    ///
    /// None is known.
    pub fn in_memory() -> Result<Self, Error> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        Self::over("memory", database)
    }

    fn over(name: &str, database: Result<Database, redb::DatabaseError>) -> Result<Self, Error> {
        let opened = database.map_err(redb::Error::from).and_then(|database| {
            // The tables must exist before the first read.
            let transaction = database.begin_write()?;
            transaction.open_table(PREFIXES)?;
            transaction.open_table(SETTLED)?;
            transaction.commit()?;
            Ok(database)
        });
        match opened {
            Ok(database) => Ok(Self {
                name: name.into(),
                database: Arc::new(database),
            }),
            Err(error) => Err(failed(name, error)),
        }
    }

    /// The position of `prefix`. One that was never recorded begins `since`, and is recorded so.
    pub(crate) async fn load(&self, prefix: &str, since: i64) -> Result<Position, Error> {
        let prefix = prefix.to_owned();
        self.run(move |database| {
            let transaction = database.begin_write()?;
            let position = {
                let mut prefixes = transaction.open_table(PREFIXES)?;
                let found = prefixes.get(prefix.as_str())?;
                let found = found.map(|found| {
                    let (since, after) = found.value();
                    (since, after.to_owned())
                });
                let (since, after) = match found {
                    Some(found) => found,
                    None => {
                        prefixes.insert(prefix.as_str(), (since, ""))?;
                        (since, String::new())
                    }
                };
                Position {
                    since,
                    after,
                    settled: BTreeMap::new(),
                }
            };
            transaction.commit()?;
            let table = database.begin_read()?.open_table(SETTLED)?;
            let mut settled = BTreeMap::new();
            for entry in table.range((prefix.as_str(), "")..)? {
                let (key, modified) = entry?;
                let (of, key) = key.value();
                if of != prefix {
                    break;
                }
                settled.insert(key.to_owned(), modified.value());
            }
            Ok(Position {
                settled,
                ..position
            })
        })
        .await
    }

    /// Adds settled keys, and moves the position to `after`, which forgets the keys up to there.
    pub(crate) async fn record(
        &self,
        prefix: &str,
        since: i64,
        settled: Vec<(String, i64)>,
        after: String,
    ) -> Result<(), Error> {
        let prefix = prefix.to_owned();
        self.run(move |database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(SETTLED)?;
                for (key, modified) in &settled {
                    table.insert((prefix.as_str(), key.as_str()), modified)?;
                }
                let passed = (prefix.as_str(), "")..=(prefix.as_str(), after.as_str());
                table.retain_in(passed, |_, _| false)?;
                let mut prefixes = transaction.open_table(PREFIXES)?;
                prefixes.insert(prefix.as_str(), (since, after.as_str()))?;
            }
            transaction.commit()?;
            Ok(())
        })
        .await
    }

    /// Runs one transaction where blocking is allowed.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let database = Arc::clone(&self.database);
        match tokio::task::spawn_blocking(move || work(&database)).await {
            Ok(done) => done.map_err(|error| failed(&self.name, error)),
            Err(error) => Err(failed(&self.name, error)),
        }
    }
}

impl Position {
    /// Moves `after` over settled keys that were written before `horizon`, but over none from `open` on, the first key that is not
    /// settled. Beyond [`WINDOW`] keys the oldest are passed whenever they were written.
    pub(crate) fn advance(&mut self, horizon: i64, open: Option<&str>) {
        let surplus = self.settled.len().saturating_sub(WINDOW);
        let passed = self
            .settled
            .iter()
            .enumerate()
            .take_while(|(index, (key, modified))| {
                open.is_none_or(|open| key.as_str() < open)
                    && (**modified < horizon || *index < surplus)
            })
            .last()
            .map(|(_, (key, _))| key.clone());
        if let Some(after) = passed {
            self.settled = self.settled.split_off(&after);
            self.settled.remove(&after);
            self.after = after;
        }
    }
}

fn failed(name: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the position file {name}")).caused_by(error)
}

const PREFIXES: TableDefinition<'static, &'static str, (i64, &'static str)> =
    TableDefinition::new("prefixes");

const SETTLED: TableDefinition<'static, (&'static str, &'static str), i64> =
    TableDefinition::new("settled");

/// Most settled keys that are remembered behind a position; about 20 MiB.
const WINDOW: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn position(settled: &[(&str, i64)]) -> Position {
        Position {
            settled: settled
                .iter()
                .map(|&(key, modified)| (key.to_owned(), modified))
                .collect(),
            ..Position::default()
        }
    }

    #[test]
    fn a_position_moves_over_what_is_settled_and_old_enough() {
        for (horizon, open, after, left) in [
            (10, None, "c", 1),
            (3, None, "b", 2),
            (10, Some("b"), "a", 3),
            (10, Some("a"), "", 4),
            (0, None, "", 4),
            (99, None, "d", 0),
        ] {
            let mut position = position(&[("a", 1), ("b", 2), ("c", 3), ("d", 50)]);
            position.advance(horizon, open);
            assert_eq!(
                (position.after.as_str(), position.settled.len()),
                (after, left),
                "{horizon} {open:?}"
            );
        }
    }

    #[test]
    fn the_window_is_bounded() {
        let mut position = Position::default();
        for number in 0..WINDOW + 7 {
            position.settled.insert(format!("{number:09}"), 50);
        }
        position.advance(0, None);
        assert_eq!(
            (position.settled.len(), position.after.as_str()),
            (WINDOW, "000000006")
        );
    }

    #[tokio::test]
    async fn what_is_recorded_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("positions.redb");
        let positions = Positions::open(&path).unwrap();
        assert_eq!(positions.load("b/p/", 7).await.unwrap().since, 7);
        let settled = vec![
            ("a".to_owned(), 1),
            ("b".to_owned(), 2),
            ("c".to_owned(), 3),
        ];
        positions
            .record("b/p/", 7, settled, String::new())
            .await
            .unwrap();
        positions
            .record("b/p/", 7, Vec::new(), "b".to_owned())
            .await
            .unwrap();
        let error = Positions::open(&path).unwrap_err();
        assert!(error.to_string().contains("positions.redb"), "{error}");
        drop(positions);
        let positions = Positions::open(&path).unwrap();
        let expected = Position {
            since: 7,
            after: "b".to_owned(),
            settled: BTreeMap::from([("c".to_owned(), 3)]),
        };
        assert_eq!(positions.load("b/p/", 99).await.unwrap(), expected);
        assert_eq!(
            positions.load("b/other/", 8).await.unwrap().settled.len(),
            0
        );
    }
}
