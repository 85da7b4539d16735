use crate::error::Error;
use crate::table::Written;
use crate::table::row::{Change, Row};

/// Something that keeps rows and changes one of them in one step: what the lease tables of this crate share.
pub(crate) trait RowStore: Send + Sync + 'static {
    /// Makes the store usable. Returns what will not work, each naming the missing right.
    fn make_usable(&self) -> impl Future<Output = Result<Vec<Error>, Error>> + Send;

    /// All rows; a change made meanwhile may or may not show.
    fn rows(&self) -> impl Future<Output = Result<Vec<Row>, Error>> + Send;

    /// One row as it is now.
    fn row(&self, key: &str) -> impl Future<Output = Result<Option<Row>, Error>> + Send;

    /// Adds a row unless one with its key exists.
    fn insert(&self, row: &Row) -> impl Future<Output = Result<Written, Error>> + Send;

    /// Changes a row if its conditions are met. Without a `Present` condition it may create one.
    fn change(
        &self,
        key: &str,
        change: &Change,
    ) -> impl Future<Output = Result<Written, Error>> + Send;

    /// Removes a row if the conditions are met; an absent row is removed already.
    fn remove(
        &self,
        key: &str,
        condition: &Change,
    ) -> impl Future<Output = Result<Written, Error>> + Send;

    /// The item that names the mode of a KCL 3.x fleet, if this store can hold one.
    fn client_version_item(&self) -> impl Future<Output = Result<Option<Row>, Error>> + Send {
        async { Ok(None) }
    }

    /// The name for messages.
    fn name(&self) -> &str;
}
