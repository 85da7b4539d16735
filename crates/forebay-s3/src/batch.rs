//! Records on their way to the processor, and the way back: acceptance.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use forebay_cloudtrail::{Event, Events};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::{content::Found, source::ObjectId};

/// Some consecutive records of one object, in one buffer.
#[derive(Debug)]
pub struct Batch {
    object: Arc<ObjectId>,
    rule: Option<usize>,
    header: Option<Arc<[u8]>>,
    records: Records,
    acknowledger: Acknowledger,
}

impl Batch {
    pub(crate) fn new(
        (object, rule, header): (Arc<ObjectId>, Option<usize>, Option<Arc<[u8]>>),
        records: Records,
        progress: Arc<Progress>,
        budget: OwnedSemaphorePermit,
    ) -> Self {
        let ordinal = progress.open(records.len() as u64);
        let acknowledger = Acknowledger {
            inner: Arc::new(Inner {
                open: AtomicUsize::new(records.len()),
                ordinal,
                progress,
                _budget: budget,
            }),
        };
        Self {
            object,
            rule,
            header,
            records,
            acknowledger,
        }
    }

    /// The object that the records come from.
    #[must_use]
    pub fn object(&self) -> &Arc<ObjectId> {
        &self.object
    }

    /// Which entry of [`AllowList::buckets`](crate::AllowList::buckets) allowed the object; `None` without a list.
    #[must_use]
    pub fn rule(&self) -> Option<usize> {
        self.rule
    }

    /// The header line that the records are to be read with; see [`Lines::is_header`](crate::Lines::is_header).
    #[must_use]
    pub fn header(&self) -> Option<&[u8]> {
        self.header.as_deref()
    }

    /// Index of the first record within its object, from 0.
    #[must_use]
    pub fn first_index(&self) -> u64 {
        self.records.first
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record; a reader never hands out such a batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records in order, each the bytes of one JSON object or one line.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        let Records { lines, ends, .. } = &self.records;
        let mut start = 0;
        let lines = ends.iter().map(move |&end| {
            let line = lines.get(start..end).unwrap_or_default();
            start = end;
            line
        });
        self.events()
            .map(|event| event.raw().as_bytes())
            .chain(lines)
    }

    /// The records of a CloudTrail log file, which were read already when they were told apart. None of lines.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.records.events.iter()
    }

    /// The handle by which acceptance is told. It may be cloned, moved to other tasks and used out of order.
    #[must_use]
    pub fn acknowledger(&self) -> Acknowledger {
        self.acknowledger.clone()
    }
}

/// Tells a reader which records were accepted.
///
/// The notice of an object is deleted only when every record of every batch was accepted. Dropping the last handle
/// of a batch before that is no loss: the object's attempt fails, and its notice comes back.
#[derive(Clone)]
pub struct Acknowledger {
    inner: Arc<Inner>,
}

struct Inner {
    open: AtomicUsize,
    /// Which batch of its attempt this is.
    ordinal: u64,
    progress: Arc<Progress>,
    /// The batch's share of the byte budget; returned when the last handle is gone.
    _budget: OwnedSemaphorePermit,
}

impl Acknowledger {
    /// Accepts `count` more records of the batch. Which ones does not matter: a batch is settled as a whole.
    pub fn accept(&self, count: usize) {
        let before = self
            .inner
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                Some(open.saturating_sub(count))
            })
            .unwrap_or(0);
        if before > 0 && before <= count {
            self.inner.progress.close(self.inner.ordinal, true);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if *self.open.get_mut() > 0 {
            self.progress.close(self.ordinal, false);
        }
    }
}

impl fmt::Debug for Acknowledger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Acknowledger")
            .field("open", &self.inner.open)
            .finish_non_exhaustive()
    }
}

/// How far one attempt at an object is settled: a queue of batches in the order of their records.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    ledger: Mutex<Ledger>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Records of the batches that have left `batches` at the front: settled without a gap.
    settled: u64,
    /// Ordinal of the front of `batches`.
    front: u64,
    /// Records and state of each batch that is not part of the settled prefix.
    batches: VecDeque<(u64, State)>,
    open: u64,
    abandoned: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    Accepted,
    Abandoned,
}

impl Progress {
    /// An attempt that begins after `settled` records of an earlier one.
    pub(crate) fn resumed(settled: u64) -> Self {
        Self {
            ledger: Mutex::new(Ledger {
                settled,
                ..Ledger::default()
            }),
            changed: Notify::new(),
        }
    }

    /// Counts `records` that need no acceptance by the processor, such as rejected ones: they were settled already.
    pub(crate) fn settle_at_once(&self, records: u64) {
        let ordinal = self.open(records);
        self.close(ordinal, true);
    }

    fn open(&self, records: u64) -> u64 {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.batches.push_back((records, State::Open));
        ledger.open += 1;
        ledger.front + ledger.batches.len() as u64 - 1
    }

    fn close(&self, ordinal: u64, accepted: bool) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let index = usize::try_from(ordinal - ledger.front).unwrap_or(usize::MAX);
        if let Some((_, state)) = ledger.batches.get_mut(index) {
            *state = if accepted {
                State::Accepted
            } else {
                State::Abandoned
            };
        }
        ledger.open -= 1;
        ledger.abandoned |= !accepted;
        while let Some(&(records, State::Accepted)) = ledger.batches.front() {
            ledger.batches.pop_front();
            ledger.front += 1;
            ledger.settled += records;
        }
        drop(ledger);
        self.changed.notify_one();
    }

    /// Records from the start of the object that are settled without a gap.
    pub(crate) fn settled_prefix(&self) -> u64 {
        self.ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .settled
    }

    /// Waits until no batch is open; tells whether all were accepted.
    ///
    /// # Cancel safety
    ///
    /// Safe: the ledger stays.
    pub(crate) async fn settled(&self) -> bool {
        loop {
            {
                let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
                if ledger.open == 0 {
                    return !ledger.abandoned;
                }
            }
            self.changed.notified().await;
        }
    }
}

/// Records being collected for the next batch: events or lines, as the object has it.
#[derive(Debug, Default)]
pub(crate) struct Records {
    events: Events,
    lines: Vec<u8>,
    /// End of each line in `lines`.
    ends: Vec<usize>,
    first: u64,
}

impl Records {
    /// Starts a collection at record `first` of its object.
    pub(crate) fn starting_at(first: u64) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, record: Found<'_>) {
        match record {
            Found::Event(event) => self.events.push(&event),
            Found::Line(line) => {
                self.lines.extend_from_slice(line);
                self.ends.push(self.lines.len());
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len() + self.ends.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.events.text_bytes() + self.lines.len()
    }

    /// The collection behind this one, with room for as much.
    pub(crate) fn following(&self) -> Self {
        Self {
            events: self.events.following(),
            lines: Vec::with_capacity(self.lines.len()),
            ends: Vec::with_capacity(self.ends.len()),
            first: self.next(),
        }
    }

    /// Bytes of memory that the records use.
    pub(crate) fn used(&self) -> usize {
        self.events.used_bytes() + self.lines.len() + self.ends.len() * size_of::<usize>()
    }

    /// Bytes of memory that they hold.
    pub(crate) fn cost(&self) -> usize {
        self.events.memory_bytes()
            + self.lines.capacity()
            + self.ends.capacity() * size_of::<usize>()
    }

    /// Index of the record after the last one.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    async fn batch(progress: &Arc<Progress>, budget: &Arc<Semaphore>) -> Batch {
        let mut records = Records::starting_at(7);
        records.push(Found::Line(b"{}"));
        records.push(Found::Line(b"{\"a\":1}"));
        let permit = Arc::clone(budget).acquire_many_owned(9).await.unwrap();
        Batch::new(
            (Arc::new(ObjectId::new("b", "k")), None, None),
            records,
            Arc::clone(progress),
            permit,
        )
    }

    #[tokio::test]
    async fn an_object_is_settled_when_every_record_is_accepted() {
        let progress = Arc::new(Progress::default());
        let budget = Arc::new(Semaphore::new(9));
        let batch = batch(&progress, &budget).await;
        assert_eq!(batch.records().map(<[u8]>::len).collect::<Vec<_>>(), [2, 7]);
        assert_eq!((batch.first_index(), batch.len()), (7, 2));
        let handle = batch.acknowledger();
        drop(batch);
        handle.accept(1);
        assert_eq!(budget.available_permits(), 0);
        let other = handle.clone();
        let task = tokio::spawn(async move { other.accept(1) });
        assert!(progress.settled().await);
        task.await.unwrap();
        drop(handle);
        assert_eq!(budget.available_permits(), 9);
    }

    #[tokio::test]
    async fn a_dropped_batch_is_not_settled() {
        let progress = Arc::new(Progress::default());
        let budget = Arc::new(Semaphore::new(9));
        let batch = batch(&progress, &budget).await;
        batch.acknowledger().accept(1);
        drop(batch);
        assert!(!progress.settled().await);
        assert_eq!(budget.available_permits(), 9);
    }

    #[tokio::test]
    async fn a_later_attempt_resumes_after_the_settled_prefix() {
        let progress = Arc::new(Progress::resumed(7));
        let budget = Arc::new(Semaphore::new(27));
        let first = batch(&progress, &budget).await;
        let second = batch(&progress, &budget).await;
        let third = batch(&progress, &budget).await;
        third.acknowledger().accept(2);
        first.acknowledger().accept(2);
        assert_eq!(progress.settled_prefix(), 9);
        drop((first, second, third));
        assert!(!progress.settled().await);
        assert_eq!(progress.settled_prefix(), 9);
    }

    #[tokio::test]
    async fn accepting_too_often_does_no_harm() {
        let progress = Arc::new(Progress::default());
        let budget = Arc::new(Semaphore::new(9));
        let batch = batch(&progress, &budget).await;
        batch.acknowledger().accept(10);
        batch.acknowledger().accept(1);
        assert!(progress.settled().await);
    }
}
