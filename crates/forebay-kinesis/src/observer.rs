use std::sync::Arc;
use std::time::Duration;

use forebay_lease::{Checkpoint, Lease, SequenceNumber, ShardId, WorkerId};

use crate::call::Call;
use crate::error::Error;
use crate::processor::Stopping;

/// What a worker reports while it runs, for counters and dashboards.
///
/// Every method has an empty default, and `()` observes nothing. The methods are called on the data path: they must
/// return at once and must not block.
#[expect(unused_variables, reason = "the defaults observe nothing")]
pub trait Observer: Send + Sync + 'static {
    /// A lease was taken, from a dead or slow owner if `from` is there.
    fn lease_taken(&self, shard: &ShardId, from: Option<&WorkerId>) {}

    /// A lease is no longer held.
    fn lease_stopped(&self, shard: &ShardId, reason: Stopping) {}

    /// How many leases this worker holds now.
    fn leases_held(&self, count: usize) {}

    /// The lease table was read: every lease of the stream, those of peers too.
    fn leases_seen(&self, leases: &[Lease]) {}

    /// The lease table holds this position now.
    fn checkpoint_written(&self, shard: &ShardId, checkpoint: &Checkpoint) {}

    /// A read came back: user records handed over and bytes of the answer, both possibly 0.
    fn records_read(&self, shard: &ShardId, records: usize, bytes: usize) {}

    /// How far behind the newest record a shard is read.
    fn lag(&self, shard: &ShardId, behind: Duration) {}

    /// Bytes in flight over all shards, after a read.
    fn bytes_in_flight(&self, bytes: usize) {}

    /// Records ended in a reported way other than in the processor. Called exactly once for each such record.
    fn records_dropped(&self, shard: &ShardId, count: usize, why: Dropped) {}

    /// The stored position was older than what the stream still keeps: records are lost for good.
    fn gap(&self, gap: &Gap) {}

    /// A batch and all its acknowledgers were dropped with records not accepted; the shard is read again from there.
    fn batch_abandoned(&self, shard: &ShardId, records: usize) {}

    /// An attempt of a call came back or timed out.
    fn call(&self, call: Call, took: Duration, failed: bool) {}

    /// The service asked for fewer calls. Also reported as an [`Observer::error`].
    fn throttled(&self, call: Option<Call>) {}

    /// Something failed. Retried or not, it is reported once per attempt.
    fn error(&self, error: &Error) {}

    /// The worker gave its leases back because the processor made no progress, or took up work again.
    fn parked(&self, parked: bool) {}
}

impl Observer for () {}

/// Makes pairs and shared observers observers: they pass on every one of these calls.
macro_rules! pass_on {
    ($($call:ident($($name:ident: $kind:ty),+);)+) => {
        /// Both are told, the left one first.
        impl<A: Observer, B: Observer> Observer for (A, B) {
            $(fn $call(&self, $($name: $kind),+) {
                self.0.$call($($name),+);
                self.1.$call($($name),+);
            })+
        }

        impl<O: Observer + ?Sized> Observer for Arc<O> {
            $(fn $call(&self, $($name: $kind),+) {
                (**self).$call($($name),+);
            })+
        }
    };
}

pass_on! {
    lease_taken(shard: &ShardId, from: Option<&WorkerId>);
    lease_stopped(shard: &ShardId, reason: Stopping);
    leases_held(count: usize);
    leases_seen(leases: &[Lease]);
    checkpoint_written(shard: &ShardId, checkpoint: &Checkpoint);
    records_read(shard: &ShardId, records: usize, bytes: usize);
    lag(shard: &ShardId, behind: Duration);
    bytes_in_flight(bytes: usize);
    records_dropped(shard: &ShardId, count: usize, why: Dropped);
    gap(gap: &Gap);
    batch_abandoned(shard: &ShardId, records: usize);
    call(call: Call, took: Duration, failed: bool);
    throttled(call: Option<Call>);
    error(error: &Error);
    parked(parked: bool);
}

/// Why a record never reached the processor.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dropped {
    /// It belongs to another shard's hash range: its producer sent it there again after a resharding.
    OtherShard,
}

/// Records that the stream no longer had when they were asked for.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gap {
    /// The shard.
    pub shard: ShardId,
    /// The stored checkpoint; everything up to it was processed.
    pub stored: Checkpoint,
    /// The first number that was still there; `None` if the whole shard was gone.
    pub found: Option<SequenceNumber>,
    /// The time that is missing at most, if both ends are known.
    pub missing: Option<Duration>,
}
