use std::time::Duration;

use forebay_lease::ShardId;

use crate::batch::Batch;

/// What to do with the records of all shards: the part you write.
///
/// One processor serves all shards of a worker; calls for different shards run at the same time, calls for one shard
/// never do. The next batch of a shard is handed over when the future of the one before has ended, whether that one
/// is accepted yet or not, as long as the [byte budget](crate::Config::bytes_in_flight) lasts.
///
/// ```
/// use forebay_kinesis::{Batch, Outcome, Processor};
///
/// struct Count;
///
/// impl Processor for Count {
///     async fn process(&self, batch: Batch) -> Outcome {
///         println!("{} records of {}", batch.records().len(), batch.shard());
///         Outcome::Accepted
///     }
/// }
/// ```
pub trait Processor: Send + Sync + 'static {
    /// Takes one batch.
    ///
    /// # Cancel safety
    /// The future is dropped without notice when the lease is lost: what it had not accepted then reaches another
    /// worker. It is not dropped by a graceful stop before [`crate::Config::stop_grace`] is over.
    fn process(&self, batch: Batch) -> impl Future<Output = Outcome> + Send;

    /// Is told that this worker reads a shard from now on.
    fn shard_started(&self, shard: &ShardId) -> impl Future<Output = ()> + Send {
        let _ = shard;
        async {}
    }

    /// Is told that nothing more will be read from a shard.
    ///
    /// Flush what is held back, so that its acceptance can still be stored, unless `reason` is
    /// [`Stopping::Lost`]: then nothing can be stored any more and this call must not wait.
    fn shard_stopping(&self, shard: &ShardId, reason: Stopping) -> impl Future<Output = ()> + Send {
        let _ = (shard, reason);
        async {}
    }
}

/// What a processor answers to a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the worker must know every answer; a new one is a breaking change"
)]
pub enum Outcome {
    /// The batch was taken over; its [`Acknowledger`](crate::Acknowledger) will tell what becomes of it.
    Pending,
    /// Every record is done for good.
    Accepted,
    /// The processor cannot go on now. The same batch is handed over again after the delay, before any later one.
    Retry {
        /// How long to wait; a stop does not wait for it.
        after: Duration,
    },
}

/// Why nothing more is read from a shard.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stopping {
    /// The last record of the shard was handed over. Acceptance of everything ends the shard.
    Ended,
    /// The worker stops, parks, or hands the shard to a peer. Acceptance within the grace period is stored.
    Released,
    /// Another worker may hold the shard already.
    Lost,
}
