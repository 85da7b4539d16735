use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::table::Written;
use crate::table::lease_row::key_of;
use crate::table::row::{Change, Row};
use crate::table::store::RowStore;

/// Leases in memory: for tests, and for a single process that may read from the start position after each restart.
///
/// Clones share the rows.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeaseTable {
    rows: Arc<Mutex<BTreeMap<String, Row>>>,
}

impl MemoryLeaseTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Row>> {
        // Every write is one insertion or removal, so the map is whole whoever panicked.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RowStore for MemoryLeaseTable {
    async fn make_usable(&self) -> Result<Vec<Error>, Error> {
        Ok(Vec::new())
    }

    async fn rows(&self) -> Result<Vec<Row>, Error> {
        Ok(self.lock().values().cloned().collect())
    }

    async fn row(&self, key: &str) -> Result<Option<Row>, Error> {
        Ok(self.lock().get(key).cloned())
    }

    async fn insert(&self, row: &Row) -> Result<Written, Error> {
        let key = key_of(row, self.name())?;
        let mut rows = self.lock();
        if rows.contains_key(&key) {
            return Ok(Written::Refused);
        }
        rows.insert(key, row.clone());
        Ok(Written::Applied)
    }

    async fn change(&self, key: &str, change: &Change) -> Result<Written, Error> {
        let mut rows = self.lock();
        Ok(change_row(&mut rows, key, change))
    }

    async fn remove(&self, key: &str, condition: &Change) -> Result<Written, Error> {
        let mut rows = self.lock();
        if !condition.is_met(rows.get(key)) {
            return Ok(Written::Refused);
        }
        rows.remove(key);
        Ok(Written::Applied)
    }

    fn name(&self) -> &str {
        "memory"
    }
}

fn change_row(rows: &mut BTreeMap<String, Row>, key: &str, change: &Change) -> Written {
    if !change.is_met(rows.get(key)) {
        return Written::Refused;
    }
    let row = rows
        .entry(key.to_owned())
        .or_insert_with(|| crate::table::lease_row::bare(key));
    change.apply(row);
    Written::Applied
}
