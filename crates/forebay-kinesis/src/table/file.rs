use std::path::Path;
use std::sync::Arc;

use forebay_lease::{Lease, LeaseCounter, LeaseKey, Update};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::error::{Error, ErrorKind};
use crate::table::{LeaseTable, Scan, Written, lease_row, row_bytes};

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

    /// Reads a lease, decides, and stores what the decision left of it, in one transaction. A row that cannot be read
    /// is never overwritten.
    async fn revise(
        &self,
        key: &LeaseKey,
        decide: impl FnOnce(Option<Lease>) -> Option<Option<Lease>> + Send + 'static,
    ) -> Result<Written, Error> {
        let (name, key) = (Arc::clone(&self.name), key.to_string());
        self.run(move |database| {
            let transaction = database.begin_write()?;
            let written = {
                let mut table = transaction.open_table(LEASES)?;
                let old = table
                    .get(key.as_str())?
                    .map(|bytes| read(bytes.value(), &key, &name));
                match old.transpose().map(decide) {
                    Err(error) => Err(error),
                    Ok(None) => Ok(Written::Refused),
                    Ok(Some(Some(lease))) => {
                        let bytes = row_bytes::encode(&lease_row::row(&lease));
                        table.insert(key.as_str(), bytes.as_slice())?;
                        Ok(Written::Applied)
                    }
                    Ok(Some(None)) => {
                        table.remove(key.as_str())?;
                        Ok(Written::Applied)
                    }
                }
            };
            transaction.commit()?;
            Ok(written)
        })
        .await?
    }
}

impl LeaseTable for FileLeaseTable {
    async fn open(&self) -> Result<Vec<Error>, Error> {
        Ok(Vec::new())
    }

    async fn scan(&self) -> Result<Scan, Error> {
        let name = Arc::clone(&self.name);
        self.run(move |database| {
            let table = database.begin_read()?.open_table(LEASES)?;
            let mut scan = Scan::default();
            for entry in table.iter()? {
                let (key, bytes) = entry?;
                match read(bytes.value(), key.value(), &name) {
                    Ok(lease) => scan.leases.push(lease),
                    Err(error) => scan.skipped.push(error),
                }
            }
            Ok(scan)
        })
        .await
    }

    async fn read(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        let (name, key) = (Arc::clone(&self.name), key.to_string());
        self.run(move |database| {
            let table = database.begin_read()?.open_table(LEASES)?;
            let found = table.get(key.as_str())?;
            Ok(found
                .map(|bytes| read(bytes.value(), &key, &name))
                .transpose())
        })
        .await?
    }

    async fn create(&self, lease: &Lease) -> Result<Written, Error> {
        let new = lease.clone();
        self.revise(&lease.key, |old| old.is_none().then_some(Some(new)))
            .await
    }

    async fn update(&self, update: &Update) -> Result<Written, Error> {
        let change = update.clone();
        self.revise(&update.key, move |old| {
            let mut lease = old.filter(|old| change.condition.allows(Some(old)))?;
            change.apply(&mut lease);
            Some(Some(lease))
        })
        .await
    }

    async fn delete(&self, key: &LeaseKey, counter: LeaseCounter) -> Result<Written, Error> {
        self.revise(key, move |old| {
            old.is_some_and(|old| old.counter == counter)
                .then_some(None)
        })
        .await
    }
}

fn read(bytes: &[u8], key: &str, name: &str) -> Result<Lease, Error> {
    let row = row_bytes::decode(bytes);
    let lease = row.map_or(Ok(None), |row| lease_row::lease(&row, name))?;
    lease.ok_or_else(|| {
        let why = format!("the row `{key}` is not a lease; it is left as it is");
        Error::new(ErrorKind::Corrupt, name, why)
    })
}

const LEASES: TableDefinition<'static, &'static str, &'static [u8]> =
    TableDefinition::new("leases");
