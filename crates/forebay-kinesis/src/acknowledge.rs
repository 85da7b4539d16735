use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

/// Accepts the records of one batch. Cheap to clone, usable from any task, in any order, at any time.
///
/// A record is accepted when it needs no delivery any more. The position stored for the shard is the highest one below
/// which every record is accepted; it reaches the table with the next renewal of the lease, at the end of the shard and
/// on a stop. When the lease is lost meanwhile, accepting does nothing: the records reach another worker.
#[derive(Clone, Debug)]
pub struct Acknowledger {
    acknowledgement: Arc<Acknowledgement>,
}

impl Acknowledger {
    pub(crate) fn new(acknowledgement: Arc<Acknowledgement>) -> Self {
        Self { acknowledgement }
    }

    /// Accepts the records at these indices of [`Batch::records`](crate::Batch::records). Indices past the end are
    /// ignored; accepting twice does nothing.
    pub fn accept(&self, indices: impl RangeBounds<usize>) {
        let start = match indices.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match indices.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => usize::MAX,
        };
        self.acknowledgement.accept(start..end);
    }
}
