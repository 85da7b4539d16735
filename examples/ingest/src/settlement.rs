//! From accepted messages back to the records they came from.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Whoever wants to know that a record of a batch is settled.
#[derive(Clone, Debug)]
pub(crate) enum Acknowledge {
    /// A batch of Kinesis records; the checkpoint follows.
    Kinesis(forebay_kinesis::Acknowledger),
    /// A batch of records of one S3 object; the delete follows.
    S3(forebay_s3::Acknowledger),
    /// Nobody: captured files.
    #[cfg(test)]
    Count(Arc<AtomicU32>),
}

impl Acknowledge {
    fn settled(&self, record: usize) {
        match self {
            Self::Kinesis(acknowledger) => acknowledger.accept(record..=record),
            Self::S3(acknowledger) => acknowledger.accept(1),
            #[cfg(test)]
            Self::Count(count) => {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// How many messages of each record of one source batch are still on their way.
///
/// A record is settled when its reading is over and every message that it gave is accepted, or kept as a dead letter.
#[derive(Debug)]
pub(crate) struct Settlement {
    /// Messages under way, plus one while the record is being read.
    open: Box<[AtomicU32]>,
    acknowledge: Acknowledge,
}

impl Settlement {
    /// For a batch of `records` records, all of them being read.
    pub(crate) fn new(records: usize, acknowledge: Acknowledge) -> Arc<Self> {
        let open = (0..records).map(|_| AtomicU32::new(1)).collect();
        Arc::new(Self { open, acknowledge })
    }

    /// `messages` more messages of `record` are under way.
    pub(crate) fn opened(&self, record: u32, messages: u32) {
        if let Some(open) = self.open.get(record as usize) {
            open.fetch_add(messages, Ordering::Relaxed);
        }
    }

    /// One message of `record` is accepted or kept, or the reading of `record` is over.
    pub(crate) fn closed(&self, record: u32) {
        let Some(open) = self.open.get(record as usize) else {
            return;
        };
        // Whoever closes last must see what the others did before: their dead letters are on disk.
        if open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.acknowledge.settled(record as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_settled_when_it_is_read_and_all_its_messages_are_accepted() {
        let count = Arc::new(AtomicU32::new(0));
        let settlement = Settlement::new(2, Acknowledge::Count(Arc::clone(&count)));
        settlement.opened(0, 2);
        settlement.closed(0);
        settlement.closed(0);
        assert_eq!(count.load(Ordering::Relaxed), 0);
        settlement.closed(0);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        // A record without messages is settled once it is read.
        settlement.closed(1);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
