use forebay_lease::{ClientVersion, Lease, LeaseCounter, LeaseKey, Update};

use crate::error::{Error, ErrorKind};

mod dynamo;
mod expression;
mod file;
mod lease_row;
mod memory;
mod row;
mod row_bytes;
#[cfg(feature = "testing")]
mod suite;

pub use dynamo::{Billing, DynamoLeaseTable};
pub use file::FileLeaseTable;
pub use memory::MemoryLeaseTable;
#[cfg(feature = "testing")]
pub use suite::lease_table_suite;

/// Where leases and checkpoints are kept, shared by all workers of a stream.
///
/// Every call is one attempt and answers within seconds; the worker owns the retries, because a write without an answer
/// must be read back before it may be repeated. The `testing` feature has the suite that a table must pass.
///
/// # Errors
/// Of every call: [`ErrorKind::Unknown`](crate::ErrorKind::Unknown) if a write may have happened; any other kind
/// promises that it has not.
///
/// # Cancel safety
/// Dropping a future of a write leaves it open whether the write happens.
pub trait LeaseTable: Send + Sync + 'static {
    /// Makes the table usable, creating it if need be. Returns what will not work, each naming the missing right.
    fn open(&self) -> impl Future<Output = Result<Vec<Error>, Error>> + Send;

    /// Reads all leases. May show a state of a moment ago.
    fn scan(&self) -> impl Future<Output = Result<Scan, Error>> + Send;

    /// Reads one lease as it is now.
    fn read(&self, key: &LeaseKey) -> impl Future<Output = Result<Option<Lease>, Error>> + Send;

    /// Adds a lease unless its key exists.
    fn create(&self, lease: &Lease) -> impl Future<Output = Result<Written, Error>> + Send;

    /// Changes one existing lease if the condition holds, and leaves everything not named as it is.
    fn update(&self, update: &Update) -> impl Future<Output = Result<Written, Error>> + Send;

    /// Deletes a lease if its counter is still this one.
    fn delete(
        &self,
        key: &LeaseKey,
        counter: LeaseCounter,
    ) -> impl Future<Output = Result<Written, Error>> + Send;

    /// Reads the mode of a KCL 3.x fleet; [`ClientVersion::Absent`] for tables that no such fleet uses.
    fn client_version(&self) -> impl Future<Output = Result<ClientVersion, Error>> + Send {
        async { Ok(ClientVersion::Absent) }
    }
}

/// All leases of a table.
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct Scan {
    /// The leases.
    pub leases: Vec<Lease>,
    /// Rows that are meant to be leases and cannot be read.
    pub skipped: Vec<Error>,
}

impl Scan {
    /// A scan for a table of your own.
    pub fn new(leases: Vec<Lease>, skipped: Vec<Error>) -> Self {
        Self { leases, skipped }
    }
}

/// How a write ended that got an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a condition holds or it does not")]
pub enum Written {
    /// The write was made.
    Applied,
    /// The condition did not hold; nothing changed.
    Refused,
}

impl Written {
    /// Takes the refusal out of the errors: it is an answer, not a failure.
    fn of<T>(written: Result<T, Error>) -> Result<Self, Error> {
        match written {
            Ok(_) => Ok(Self::Applied),
            Err(error) if error.kind() == ErrorKind::Fenced => Ok(Self::Refused),
            Err(error) => Err(error),
        }
    }
}
