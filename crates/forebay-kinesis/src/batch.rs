use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use forebay_lease::{SequenceNumber, ShardId, Token};

use crate::acknowledge::{Acknowledgement, Acknowledger};

/// Records of one shard, in order. Cheap to clone.
///
/// The bytes of a batch count against [`Config::bytes_in_flight`](crate::Config::bytes_in_flight) until every record
/// is accepted, or until the batch and all its acknowledgers are dropped.
#[derive(Clone, Debug)]
pub struct Batch {
    content: Arc<Content>,
    acknowledgement: Arc<Acknowledgement>,
}

#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) stream: Arc<str>,
    pub(crate) shard: ShardId,
    pub(crate) token: LeaseToken,
    pub(crate) records: Vec<Record>,
    pub(crate) millis_behind_latest: Option<u64>,
}

impl Batch {
    pub(crate) fn new(content: Content, acknowledgement: Arc<Acknowledgement>) -> Self {
        Self {
            content: Arc::new(content),
            acknowledgement,
        }
    }

    /// The name of the stream.
    pub fn stream(&self) -> &str {
        &self.content.stream
    }

    /// The shard all records are from.
    pub fn shard(&self) -> &ShardId {
        &self.content.shard
    }

    /// The time of holding the lease this batch was read in.
    ///
    /// It changes when the worker loses the shard and takes it again: then the same records can come twice.
    pub fn token(&self) -> LeaseToken {
        self.content.token
    }

    /// The records: already de-aggregated, in the order of the shard, never empty.
    pub fn records(&self) -> &[Record] {
        &self.content.records
    }

    /// How far this read was from the newest record of the shard, as the service sees it.
    pub fn behind_latest(&self) -> Option<Duration> {
        self.content.millis_behind_latest.map(Duration::from_millis)
    }

    /// A handle to accept records later, from any task, in any order.
    pub fn acknowledger(&self) -> Acknowledger {
        Acknowledger::new(Arc::clone(&self.acknowledgement))
    }

    /// Accepts every record of the batch.
    pub fn accept_all(&self) {
        self.acknowledgement.accept(0..self.content.records.len());
    }

    /// Accepts the records at these indices of [`Batch::records`]; indices past the end are ignored.
    pub fn accept(&self, indices: impl RangeBounds<usize>) {
        self.acknowledger().accept(indices);
    }
}

/// One user record.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The payload. A clone shares the memory; the records of one aggregate share one allocation.
    pub data: Bytes,
    /// The number of the Kinesis record this record came in.
    pub sequence_number: SequenceNumber,
    /// The index within a KPL aggregate; 0 for a plain record.
    pub sub_sequence: u64,
    /// The producer's partition key.
    pub partition_key: Arc<str>,
    /// The producer's explicit hash key, known for aggregated records only.
    pub explicit_hash_key: Option<Arc<str>>,
    /// Why the record is not what its producer put. `None` for a sound record; else [`Record::data`] is a part of a KPL
    /// aggregate that could not be read, for your dead letters. It has to be accepted like any other.
    pub damage: Option<Arc<str>>,
    /// Milliseconds since 1970 at which the stream took the record in, roughly, if the service said so.
    pub approximate_arrival: Option<i64>,
}

impl Record {
    /// [`Record::approximate_arrival`] as a time.
    pub fn arrived_at(&self) -> Option<SystemTime> {
        let millis = u64::try_from(self.approximate_arrival?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    }
}

/// One time of holding a lease, unique within a worker.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LeaseToken(pub(crate) Token);
