//! What a reader tells about its work.

use std::time::Duration;

use crate::{error::ErrorKind, source::ObjectId};

/// Counters and events of a [`Reader`](crate::Reader). Every method does nothing unless implemented.
///
/// Methods are called on the data path: they must not block.
pub trait Observer: Send + Sync + 'static {
    /// A receive call brought this many messages.
    fn received(&self, _messages: usize) {}
    /// This many messages are being worked on now.
    fn in_flight(&self, _messages: usize) {}
    /// Messages were deleted, because all they announce is settled.
    fn deleted(&self, _messages: usize) {}
    /// A message was left in the queue; it comes back after its visibility timeout, or at once.
    fn returned(&self, _why: &ErrorKind) {}
    /// A message without work was recognised, for instance a test event.
    fn skipped(&self, _why: &str) {}
    /// A message's visibility timeout was extended.
    fn visibility_extended(&self) {}
    /// Records were handed to the processor.
    fn records(&self, _object: &ObjectId, _count: usize, _bytes: usize) {}
    /// An attempt at an object ended, after this many bytes as stored.
    fn downloaded(&self, _object: &ObjectId, _bytes: u64) {}
    /// An object is settled: all its records are accepted.
    fn object_settled(&self, _object: &ObjectId, _records: u64, _took: Duration) {}
    /// An object, record or message was handed to [`Processor::reject`](crate::Processor::reject).
    fn rejected(&self, _reason: &str) {}
    /// An object that cannot be read was dropped, as [`OnObjectError::Delete`](crate::OnObjectError::Delete) demands.
    fn dropped(&self, _object: &ObjectId, _reason: &str) {}
    /// A call failed; `detail` names resource and remedy.
    fn failed(&self, _kind: &ErrorKind, _detail: &str) {}
}

impl Observer for () {}
