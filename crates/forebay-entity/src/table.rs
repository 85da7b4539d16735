//! The handle through which everybody sees the newest snapshot.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::Index;

/// A shared slot for the current [`Index`]. Clones share the slot.
///
/// Readers take the snapshot once per batch with [`Table::load`]; a writer replaces it whole. Neither
/// waits for the other.
///
/// ```
/// use forebay_entity::{Index, Scope, Table};
///
/// let table = Table::new(Index::empty());
/// let snapshot = table.load();
/// assert!(snapshot.lookup("10.0.0.1".parse()?, &Scope::default()).entity().is_none());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Table {
    current: Arc<ArcSwap<Index>>,
}

impl Table {
    /// A slot that holds this snapshot.
    #[must_use]
    pub fn new(index: impl Into<Arc<Index>>) -> Self {
        Self {
            current: Arc::new(ArcSwap::new(index.into())),
        }
    }

    /// The current snapshot. Costs some nanoseconds; hold it for a batch of records, not for minutes,
    /// because it keeps its memory alive.
    #[must_use]
    pub fn load(&self) -> Snapshot {
        Snapshot(self.current.load())
    }

    /// The current snapshot as a counted pointer, to keep across tasks.
    #[must_use]
    pub fn load_full(&self) -> Arc<Index> {
        self.current.load_full()
    }

    /// Replaces the snapshot. Readers that hold the old one keep it.
    pub fn store(&self, index: impl Into<Arc<Index>>) {
        self.current.store(index.into());
    }
}

/// A borrowed snapshot; reads like an [`Index`].
#[derive(Debug)]
pub struct Snapshot(Guard<Arc<Index>>);

impl Deref for Snapshot {
    type Target = Index;

    fn deref(&self) -> &Index {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnConflict;

    #[test]
    fn a_reader_keeps_the_snapshot_it_took() {
        let table = Table::default();
        let before = table.load();
        let shared = table.clone();
        shared.store(Index::new([] as [crate::Part; 0], OnConflict::Skip).unwrap());
        assert_eq!(before.policy(), OnConflict::ByInterface);
        assert_eq!(table.load().policy(), OnConflict::Skip);
        assert_eq!(table.load_full().policy(), OnConflict::Skip);
    }
}
