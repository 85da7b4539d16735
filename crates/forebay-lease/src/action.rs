use crate::checkpoint::Checkpoint;
use crate::decision::Decision;
use crate::lease::{HashRange, Lease, LeaseCounter, LeaseKey, ShardId, Timestamp};
use crate::shard::ShardFilter;
use crate::update::Update;

/// What the driver has to do. Take them with [`Coordinator::poll_action`](crate::Coordinator::poll_action) until there
/// is none.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send a request and give back one [`Event::Answer`](crate::Event::Answer) with the same id. Requests may run side
    /// by side and be answered in any order. One attempt each, with a timeout: the coordinator owns the retries.
    Call {
        /// Names the call in its answer.
        id: CallId,
        /// What to send.
        request: Request,
    },
    /// Start reading a shard.
    Start(Grant),
    /// Stop the reader of this token and answer with [`Event::Stopped`](crate::Event::Stopped).
    Stop {
        /// The lease.
        key: LeaseKey,
        /// The reader.
        token: Token,
        /// Whether there is time to finish what is under way.
        reason: StopReason,
    },
    /// Tell whoever wants to know.
    Report(Decision),
}

/// A request to the lease table or the stream.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Read all leases; may be eventually consistent. Answer: [`Outcome::Scanned`](crate::Outcome::Scanned).
    Scan,
    /// Read one row with a strongly consistent read. Answer: [`Outcome::Row`](crate::Outcome::Row).
    Read {
        /// The row.
        key: LeaseKey,
    },
    /// Write a whole new row if the key does not exist. Answer: applied or refused.
    Create(Box<Lease>),
    /// Change a row under a condition. Answer: applied or refused.
    Update(Box<Update>),
    /// Delete a row if its counter is still this one. Answer: applied or refused.
    Delete {
        /// The row.
        key: LeaseKey,
        /// `leaseCounter` must equal this.
        counter: LeaseCounter,
    },
    /// List shards, all pages. Answer: [`Outcome::Shards`](crate::Outcome::Shards).
    ListShards {
        /// Which.
        filter: ShardFilter,
    },
    /// Read the item `Migration3.0` of KCL 3.x with a consistent read: from the coordinator table if that exists, else
    /// from the lease table. Answer: [`Outcome::ClientVersion`](crate::Outcome::ClientVersion).
    ReadClientVersion,
}

pub(crate) const LIST_ALL: Request = Request::ListShards {
    filter: ShardFilter::All,
};

/// Names one call of one coordinator.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CallId(pub(crate) u64);

/// Names one tenure of one lease: a lease lost and regained has a new one, and nothing of the old tenure counts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub(crate) u64);

/// A lease that was taken and may be read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Grant {
    /// The lease.
    pub key: LeaseKey,
    /// The bare shard id.
    pub shard: ShardId,
    /// The tenure; goes into every event about it.
    pub token: Token,
    /// Start at this position: at a number inclusively, then drop what is not above it.
    pub from: Checkpoint,
    /// For `Latest` and `AtTimestamp`: read from this time (iterator AT_TIMESTAMP), also after an expired iterator,
    /// until a number is known.
    pub start_at: Option<Timestamp>,
    /// Hash keys of the shard, for the filter of aggregated records.
    pub hash_range: Option<HashRange>,
    /// Parents, all done or gone.
    pub parents: Vec<ShardId>,
}

/// Why a reader has to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StopReason {
    /// The lease is lost: drop everything at once, acknowledge nothing.
    Lost,
    /// The worker stops: finish what is under way, acknowledge it, then report `Stopped`.
    Shutdown,
    /// The sink is down: drop what is not accepted, acknowledge what is, then report `Stopped`.
    Parked,
    /// The end of the shard is stored: nothing is left to do.
    ShardEnd,
}
