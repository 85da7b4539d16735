use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::error::{Error, ErrorKind};
use crate::table::Written;
use crate::table::lease_row::key_of;
use crate::table::row::{Change, Row};
use crate::table::row_bytes;
use crate::table::store::RowStore;

/// Leases in a local file (a redb database), for a single node without DynamoDB.
///
/// The file belongs to one process at a time; redb refuses a second one. Every write is on disk when it returns, so a
/// restart continues at the last checkpoint, also after a power cut. Clones share the file.
#[derive(Clone, Debug)]
pub struct FileLeaseTable {
    name: Arc<str>,
    database: Arc<Database>,
}

impl FileLeaseTable {
    /// Opens the file, or creates it. The folder must exist. Blocks on the file system for a moment.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be opened, is no lease file, or belongs to another process.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let name: Arc<str> = path.to_string_lossy().into();
        let refuse = |error: redb::Error| {
            Error::new(ErrorKind::Config, &*name, "the lease file cannot be opened")
                .with_source(error)
        };
        let database = Database::create(path).map_err(|error| refuse(error.into()))?;
        // The table must exist before the first read.
        let transaction = database
            .begin_write()
            .map_err(|error| refuse(error.into()))?;
        transaction
            .open_table(LEASES)
            .map_err(|error| refuse(error.into()))?;
        transaction.commit().map_err(|error| refuse(error.into()))?;
        Ok(Self {
            name,
            database: Arc::new(database),
        })
    }

    /// Runs one transaction where blocking is allowed.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let database = Arc::clone(&self.database);
        let failed = |source| {
            Error::new(
                ErrorKind::Unavailable,
                &*self.name,
                "the lease file cannot be read or written",
            )
            .with_source(source)
        };
        match tokio::task::spawn_blocking(move || work(&database)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(failed(Box::<dyn std::error::Error + Send + Sync>::from(
                error,
            ))),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Reads a row, decides, and stores what the decision left of it, in one transaction.
    async fn revise(
        &self,
        key: String,
        decide: impl FnOnce(Option<Row>) -> Option<Option<Row>> + Send + 'static,
    ) -> Result<Written, Error> {
        self.run(move |database| {
            let transaction = database.begin_write()?;
            let written = {
                let mut table = transaction.open_table(LEASES)?;
                let old = table
                    .get(key.as_str())?
                    .and_then(|bytes| row_bytes::decode(bytes.value()));
                match decide(old) {
                    None => Written::Refused,
                    Some(Some(row)) => {
                        table.insert(key.as_str(), row_bytes::encode(&row).as_slice())?;
                        Written::Applied
                    }
                    Some(None) => {
                        table.remove(key.as_str())?;
                        Written::Applied
                    }
                }
            };
            transaction.commit()?;
            Ok(written)
        })
        .await
    }
}

impl RowStore for FileLeaseTable {
    async fn make_usable(&self) -> Result<Vec<Error>, Error> {
        Ok(Vec::new())
    }

    async fn rows(&self) -> Result<Vec<Row>, Error> {
        self.run(|database| {
            let table = database.begin_read()?.open_table(LEASES)?;
            let mut rows = Vec::new();
            for entry in table.iter()? {
                let (key, bytes) = entry?;
                // A row that does not decode is shown by its key alone, so that it is reported and not overwritten.
                rows.push(
                    row_bytes::decode(bytes.value())
                        .unwrap_or_else(|| crate::table::lease_row::bare(key.value())),
                );
            }
            Ok(rows)
        })
        .await
    }

    async fn row(&self, key: &str) -> Result<Option<Row>, Error> {
        let key = key.to_owned();
        self.run(move |database| {
            let table = database.begin_read()?.open_table(LEASES)?;
            Ok(table
                .get(key.as_str())?
                .and_then(|bytes| row_bytes::decode(bytes.value())))
        })
        .await
    }

    async fn insert(&self, row: &Row) -> Result<Written, Error> {
        let key = key_of(row, &self.name)?;
        let row = row.clone();
        self.revise(key, |old| old.is_none().then_some(Some(row)))
            .await
    }

    async fn change(&self, key: &str, change: &Change) -> Result<Written, Error> {
        let change = change.clone();
        let bare = crate::table::lease_row::bare(key);
        self.revise(key.to_owned(), move |old| {
            change.is_met(old.as_ref()).then(|| {
                let mut row = old.unwrap_or(bare);
                change.apply(&mut row);
                Some(row)
            })
        })
        .await
    }

    async fn remove(&self, key: &str, condition: &Change) -> Result<Written, Error> {
        let condition = condition.clone();
        self.revise(key.to_owned(), move |old| {
            condition.is_met(old.as_ref()).then_some(None)
        })
        .await
    }

    fn name(&self) -> &str {
        &self.name
    }
}

const LEASES: TableDefinition<'static, &'static str, &'static [u8]> =
    TableDefinition::new("leases");
