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
pub trait Observer: Send + Sync + 'static {
    /// A lease was taken, from a dead or slow owner if `from` is there.
    fn lease_taken(&self, shard: &ShardId, from: Option<&WorkerId>) {
        let _ = (shard, from);
    }

    /// A lease is no longer held.
    fn lease_stopped(&self, shard: &ShardId, reason: Stopping) {
        let _ = (shard, reason);
    }

    /// How many leases this worker holds now.
    fn leases_held(&self, count: usize) {
        let _ = count;
    }

    /// The lease table was read: every lease of the stream, those of peers too.
    fn leases_seen(&self, leases: &[Lease]) {
        let _ = leases;
    }

    /// The lease table holds this position now.
    fn checkpoint_written(&self, shard: &ShardId, checkpoint: &Checkpoint) {
        let _ = (shard, checkpoint);
    }

    /// A read came back: user records handed over and bytes of the answer, both possibly 0.
    fn records_read(&self, shard: &ShardId, records: usize, bytes: usize) {
        let _ = (shard, records, bytes);
    }

    /// How far behind the newest record a shard is read.
    fn lag(&self, shard: &ShardId, behind: Duration) {
        let _ = (shard, behind);
    }

    /// Bytes in flight over all shards, after a read.
    fn bytes_in_flight(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Records ended in a reported way other than in the processor. Called exactly once for each such record.
    fn records_dropped(&self, shard: &ShardId, count: usize, why: Dropped) {
        let _ = (shard, count, why);
    }

    /// The stored position was older than what the stream still keeps: records are lost for good.
    fn gap(&self, gap: &Gap) {
        let _ = gap;
    }

    /// A batch and all its acknowledgers were dropped with records not accepted; the shard is read again from there.
    fn batch_abandoned(&self, shard: &ShardId, records: usize) {
        let _ = (shard, records);
    }

    /// An attempt of a call came back or timed out.
    fn call(&self, call: Call, took: Duration, failed: bool) {
        let _ = (call, took, failed);
    }

    /// The service asked for fewer calls. Also reported as an [`Observer::error`].
    fn throttled(&self, call: Option<Call>) {
        let _ = call;
    }

    /// Something failed. Retried or not, it is reported once per attempt.
    fn error(&self, error: &Error) {
        let _ = error;
    }

    /// The worker gave its leases back because the processor made no progress, or took up work again.
    fn parked(&self, parked: bool) {
        let _ = parked;
    }
}

impl Observer for () {}

/// Both are told, the left one first.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn lease_taken(&self, shard: &ShardId, from: Option<&WorkerId>) {
        self.0.lease_taken(shard, from);
        self.1.lease_taken(shard, from);
    }

    fn lease_stopped(&self, shard: &ShardId, reason: Stopping) {
        self.0.lease_stopped(shard, reason);
        self.1.lease_stopped(shard, reason);
    }

    fn leases_held(&self, count: usize) {
        self.0.leases_held(count);
        self.1.leases_held(count);
    }

    fn leases_seen(&self, leases: &[Lease]) {
        self.0.leases_seen(leases);
        self.1.leases_seen(leases);
    }

    fn checkpoint_written(&self, shard: &ShardId, checkpoint: &Checkpoint) {
        self.0.checkpoint_written(shard, checkpoint);
        self.1.checkpoint_written(shard, checkpoint);
    }

    fn records_read(&self, shard: &ShardId, records: usize, bytes: usize) {
        self.0.records_read(shard, records, bytes);
        self.1.records_read(shard, records, bytes);
    }

    fn lag(&self, shard: &ShardId, behind: Duration) {
        self.0.lag(shard, behind);
        self.1.lag(shard, behind);
    }

    fn bytes_in_flight(&self, bytes: usize) {
        self.0.bytes_in_flight(bytes);
        self.1.bytes_in_flight(bytes);
    }

    fn records_dropped(&self, shard: &ShardId, count: usize, why: Dropped) {
        self.0.records_dropped(shard, count, why);
        self.1.records_dropped(shard, count, why);
    }

    fn gap(&self, gap: &Gap) {
        self.0.gap(gap);
        self.1.gap(gap);
    }

    fn batch_abandoned(&self, shard: &ShardId, records: usize) {
        self.0.batch_abandoned(shard, records);
        self.1.batch_abandoned(shard, records);
    }

    fn call(&self, call: Call, took: Duration, failed: bool) {
        self.0.call(call, took, failed);
        self.1.call(call, took, failed);
    }

    fn throttled(&self, call: Option<Call>) {
        self.0.throttled(call);
        self.1.throttled(call);
    }

    fn error(&self, error: &Error) {
        self.0.error(error);
        self.1.error(error);
    }

    fn parked(&self, parked: bool) {
        self.0.parked(parked);
        self.1.parked(parked);
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn lease_taken(&self, shard: &ShardId, from: Option<&WorkerId>) {
        (**self).lease_taken(shard, from);
    }

    fn lease_stopped(&self, shard: &ShardId, reason: Stopping) {
        (**self).lease_stopped(shard, reason);
    }

    fn leases_held(&self, count: usize) {
        (**self).leases_held(count);
    }

    fn leases_seen(&self, leases: &[Lease]) {
        (**self).leases_seen(leases);
    }

    fn checkpoint_written(&self, shard: &ShardId, checkpoint: &Checkpoint) {
        (**self).checkpoint_written(shard, checkpoint);
    }

    fn records_read(&self, shard: &ShardId, records: usize, bytes: usize) {
        (**self).records_read(shard, records, bytes);
    }

    fn lag(&self, shard: &ShardId, behind: Duration) {
        (**self).lag(shard, behind);
    }

    fn bytes_in_flight(&self, bytes: usize) {
        (**self).bytes_in_flight(bytes);
    }

    fn records_dropped(&self, shard: &ShardId, count: usize, why: Dropped) {
        (**self).records_dropped(shard, count, why);
    }

    fn gap(&self, gap: &Gap) {
        (**self).gap(gap);
    }

    fn batch_abandoned(&self, shard: &ShardId, records: usize) {
        (**self).batch_abandoned(shard, records);
    }

    fn call(&self, call: Call, took: Duration, failed: bool) {
        (**self).call(call, took, failed);
    }

    fn throttled(&self, call: Option<Call>) {
        (**self).throttled(call);
    }

    fn error(&self, error: &Error) {
        (**self).error(error);
    }

    fn parked(&self, parked: bool) {
        (**self).parked(parked);
    }
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
