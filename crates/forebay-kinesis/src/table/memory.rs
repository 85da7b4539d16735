use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_lease::{Lease, LeaseCounter, LeaseKey, Update};

use crate::error::Error;
use crate::table::{LeaseTable, Scan, Written};

/// Leases in memory: for tests, and for a single process that may read from the start position after each restart.
///
/// Clones share the rows.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeaseTable {
    rows: Arc<Mutex<BTreeMap<LeaseKey, Lease>>>,
}

impl MemoryLeaseTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LeaseKey, Lease>> {
        // Every write is one insertion or removal, so the map is whole whoever panicked.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseTable for MemoryLeaseTable {
    async fn open(&self) -> Result<Vec<Error>, Error> {
        Ok(Vec::new())
    }

    async fn scan(&self) -> Result<Scan, Error> {
        Ok(Scan::new(
            self.lock().values().cloned().collect(),
            Vec::new(),
        ))
    }

    async fn read(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        Ok(self.lock().get(key).cloned())
    }

    async fn create(&self, lease: &Lease) -> Result<Written, Error> {
        let mut rows = self.lock();
        if rows.contains_key(&lease.key) {
            return Ok(Written::Refused);
        }
        rows.insert(lease.key.clone(), lease.clone());
        Ok(Written::Applied)
    }

    async fn update(&self, update: &Update) -> Result<Written, Error> {
        match self.lock().get_mut(&update.key) {
            Some(row) if update.condition.allows(Some(row)) => {
                update.apply(row);
                Ok(Written::Applied)
            }
            _ => Ok(Written::Refused),
        }
    }

    async fn delete(&self, key: &LeaseKey, counter: LeaseCounter) -> Result<Written, Error> {
        let mut rows = self.lock();
        if rows.get(key).is_none_or(|row| row.counter != counter) {
            return Ok(Written::Refused);
        }
        rows.remove(key);
        Ok(Written::Applied)
    }
}
