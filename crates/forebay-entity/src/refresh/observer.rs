//! What the refresher tells about itself.

use std::time::Duration;

use super::{Call, Failure};
use crate::{Error, Origin};

/// Hears what a [`crate::Refresher`] does, to count it or show it. Every method does nothing unless written.
///
/// Methods are called on the refresher's task and must not block.
pub trait Observer: Sync {
    /// A source answered with that many entities.
    fn answered(&self, _origin: &Origin, _call: Call, _entities: usize) {}
    /// A source failed and keeps its old answer. Called at every refresh as long as it fails.
    fn failed(&self, _failure: &Failure) {}
    /// The oldest answer of an account and region is older than the limit.
    fn stale(&self, _origin: &Origin, _age: Duration) {}
    /// A refresh came to its end and the snapshot, if one could be built, is published.
    fn refreshed(&self, _summary: &Summary) {}
    /// The snapshot could not be built; the table keeps the one before.
    fn not_built(&self, _error: &Error) {}
    /// The snapshot file could not be read or written. Names come from AWS alone then.
    fn snapshot_file_failed(&self, _error: &std::io::Error) {}
}

impl Observer for () {}

/// One refresh in figures.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Sources that answered.
    pub answered: usize,
    /// Calls that failed.
    pub failed: usize,
    /// Different addresses in the snapshot.
    pub addresses: usize,
    /// Addresses that several entities have.
    pub conflicts: usize,
}
