//! What became of a batch.

use crate::batch::Batch;

/// What became of one batch. Every message that is not in `refused` was accepted.
#[non_exhaustive]
#[derive(Debug)]
pub struct Acceptance {
    /// The batch, handed back: to find refused messages in it, or to clear and fill it again.
    pub batch: Batch,
    /// How much the acceptance is worth.
    pub grade: Grade,
    /// Messages that the receiver or the transport will never take, by rising index.
    pub refused: Vec<Refusal>,
}

impl Acceptance {
    /// Number of accepted messages.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.batch.len() - self.refused.len()
    }
}

/// One message that no retry can deliver.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Index of the message in its batch.
    pub index: usize,
    /// Why.
    pub reason: RefusalReason,
}

/// Why a message can never be delivered over this transport.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusalReason {
    /// Longer than the transport or the receiver takes.
    TooLong {
        /// Its length, compressed if the transport compresses.
        bytes: usize,
        /// The limit, if it is known.
        limit: Option<usize>,
    },
    /// The HTTP receiver answered with a status that means this message, not this sender: 400, 413, 415, 431.
    Status(u16),
}

/// What "accepted" means.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Grade {
    /// The bytes left this process (UDP, TCP with [`Proof::Kernel`](crate::Proof::Kernel), a writer). What the
    /// receiver had not read when it failed is lost.
    Kernel,
    /// The receiving process had to read the bytes, because so many followed that no buffer could hold them.
    Overrun,
    /// The receiving process read to the end: it answered an orderly close with its own.
    Closed,
    /// The receiver answered with 2xx. Graylog does so before it parses the message.
    Status,
}

/// Sums over the life of a sink.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Messages accepted.
    pub accepted: u64,
    /// Messages refused for good.
    pub refused: u64,
    /// Messages inside when the sink ended: not known to be accepted.
    pub unsettled: u64,
}
