//! What the embedder implements.

use std::future::Future;

use crate::{batch::Batch, error::Error, source::ObjectId};

/// Takes records, and what could not be read.
pub trait Processor: Send + Sync + 'static {
    /// Takes a batch. Batches of one object come in order, one at a time; several objects are read at once.
    ///
    /// Returning is not accepting: that is told by [`Batch::acknowledger`], now or later. A call that waits stops
    /// the download of this object.
    fn process(&self, batch: Batch) -> impl Future<Output = ()> + Send;

    /// Takes what cannot be read: a notice that is none or that is refused, an object that is missing or broken, a
    /// record that is none. Must be durable when it returns `Ok`, because what it describes is then settled.
    ///
    /// # Errors
    ///
    /// It could not be kept. It is handed over again, and nothing is received until it is kept.
    fn reject(&self, rejected: Rejected<'_>) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Something that cannot be read, with its origin.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rejected<'a> {
    /// What it is.
    pub what: RejectedKind,
    /// The object, unless the notice itself is at fault.
    pub object: Option<&'a ObjectId>,
    /// Where inside the object: record index and byte offset of the inflated content.
    pub position: Option<(u64, u64)>,
    /// What is wrong, for people.
    pub reason: &'a str,
    /// The notice's body, or the bytes of the record. Empty for an object: its identity is the pointer.
    pub payload: &'a [u8],
}

/// What kind of thing was rejected.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RejectedKind {
    /// A message that is no notice, or that names what it may not.
    Notice,
    /// An object that is missing, archived or broken.
    Object,
    /// One record of an object that was read otherwise.
    Record,
}

impl<'a> Rejected<'a> {
    pub(crate) fn notice(reason: &'a str, body: &'a [u8]) -> Self {
        Self {
            what: RejectedKind::Notice,
            object: None,
            position: None,
            reason,
            payload: body,
        }
    }

    pub(crate) fn object(object: &'a ObjectId, reason: &'a str) -> Self {
        Self {
            what: RejectedKind::Object,
            object: Some(object),
            position: None,
            reason,
            payload: &[],
        }
    }

    pub(crate) fn record(
        object: &'a ObjectId,
        position: (u64, u64),
        reason: &'a str,
        record: &'a [u8],
    ) -> Self {
        Self {
            what: RejectedKind::Record,
            object: Some(object),
            position: Some(position),
            reason,
            payload: record,
        }
    }
}
