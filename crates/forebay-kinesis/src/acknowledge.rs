use std::ops::{Bound, Range, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_lease::{Checkpoint, Ticket, Tracker};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::budget::Grant;
use crate::progress::Progress;

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

/// What is still open of one batch. Shared by the batch and its acknowledgers; the last one to go gives the bytes back.
#[derive(Debug)]
pub(crate) struct Acknowledgement {
    ledger: Arc<Ledger>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The ticket of each record that is not accepted.
    tickets: Vec<Option<Ticket>>,
    open: usize,
    grant: Option<Grant>,
}

impl Acknowledgement {
    pub(crate) fn accept(&self, indices: Range<usize>) {
        let released;
        {
            let mut state = lock(&self.state);
            let end = indices.end.min(state.tickets.len());
            let Some(slots) = state.tickets.get_mut(indices.start.min(end)..end) else {
                return;
            };
            let newly = self
                .ledger
                .accepted(slots.iter_mut().filter_map(Option::take));
            state.open -= newly;
            released = if state.open == 0 {
                state.grant.take()
            } else {
                None
            };
        }
        // Giving bytes back can wake readers; nobody needs the lock for that.
        drop(released);
    }
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        let open = lock(&self.state).open;
        if open > 0 {
            self.ledger.abandoned(open);
        }
    }
}

/// What is accepted of one shard, for one reading of it.
#[derive(Debug)]
pub(crate) struct Ledger {
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
    progress: Progress,
}

#[derive(Debug)]
struct Inner {
    tracker: Tracker,
    /// Whether the watermark moved since it was taken.
    moved: bool,
    open: usize,
    abandoned: usize,
    /// The lease is gone, or the shard is read again: nothing may move any more.
    retired: bool,
}

impl Ledger {
    /// A ledger for a reading that starts at this position.
    pub(crate) fn new(from: Checkpoint, progress: Progress) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                tracker: Tracker::new(from),
                moved: false,
                open: 0,
                abandoned: 0,
                retired: false,
            }),
            changed: watch::Sender::new(()),
            progress,
        })
    }

    /// Takes note of a batch that is about to be handed over. Positions must follow those of the batch before.
    pub(crate) fn deliver(
        self: &Arc<Self>,
        positions: impl Iterator<Item = Checkpoint>,
        grant: Grant,
    ) -> Arc<Acknowledgement> {
        let mut inner = lock(&self.inner);
        let tickets: Vec<Option<Ticket>> = positions
            .map(|position| Some(inner.tracker.open(position)))
            .collect();
        let open = tickets.len();
        inner.open += open;
        drop(inner);
        self.progress.handed_over(open, Instant::now());
        Arc::new(Acknowledgement {
            ledger: Arc::clone(self),
            state: Mutex::new(State {
                tickets,
                open,
                grant: Some(grant),
            }),
        })
    }

    /// Moves past a position that needs no processor, in its order.
    pub(crate) fn pass(&self, position: Checkpoint) {
        let mut inner = lock(&self.inner);
        let ticket = inner.tracker.open(position);
        inner.moved |= inner.tracker.close(ticket).is_some();
        drop(inner);
        self.changed.send_replace(());
    }

    fn accepted(&self, tickets: impl Iterator<Item = Ticket>) -> usize {
        let mut inner = lock(&self.inner);
        let mut newly = 0;
        for ticket in tickets {
            newly += 1;
            if !inner.retired {
                inner.moved |= inner.tracker.close(ticket).is_some();
            }
        }
        if newly == 0 || inner.retired {
            return newly;
        }
        inner.open = inner.open.saturating_sub(newly);
        drop(inner);
        self.progress.accepted(newly, Instant::now());
        self.changed.send_replace(());
        newly
    }

    fn abandoned(&self, records: usize) {
        let mut inner = lock(&self.inner);
        if !inner.retired {
            inner.abandoned += records;
            drop(inner);
            self.changed.send_replace(());
        }
    }

    /// The position below and at which everything is accepted, if it moved since it was last taken.
    pub(crate) fn take_watermark(&self) -> Option<Checkpoint> {
        let mut inner = lock(&self.inner);
        std::mem::take(&mut inner.moved).then(|| inner.tracker.watermark())
    }

    /// Records handed over and not accepted.
    pub(crate) fn open(&self) -> usize {
        lock(&self.inner).open
    }

    /// Records whose batch was dropped unaccepted: they can never be accepted any more.
    pub(crate) fn abandoned_records(&self) -> usize {
        lock(&self.inner).abandoned
    }

    /// From now on nothing that is accepted counts. Returns how many records were open.
    pub(crate) fn retire(&self) -> usize {
        let mut inner = lock(&self.inner);
        if inner.retired {
            return 0;
        }
        inner.retired = true;
        let open = inner.open;
        drop(inner);
        self.progress.forgotten(open);
        open
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// The guarded values are valid after every statement, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::budget::Budget;

    fn position(number: usize) -> Checkpoint {
        Checkpoint::Sequence {
            number: number.to_string().parse().expect("a number"),
            sub_sequence: 0,
        }
    }

    struct Fixture {
        budget: Budget,
        ledger: Arc<Ledger>,
        next: usize,
    }

    impl Fixture {
        fn new() -> Self {
            let progress = Progress::new(Instant::now());
            Self {
                budget: Budget::new(1 << 20),
                ledger: Ledger::new(Checkpoint::TrimHorizon, progress),
                next: 1,
            }
        }

        async fn deliver(&mut self, records: usize) -> Acknowledger {
            let positions = (self.next..self.next + records).map(position);
            self.next += records;
            let grant = self.budget.reserve(records * 10).await;
            Acknowledger::new(self.ledger.deliver(positions, grant))
        }
    }

    #[tokio::test]
    async fn the_watermark_waits_for_the_first_open_record() {
        let mut fixture = Fixture::new();
        let (first, second) = (fixture.deliver(3).await, fixture.deliver(2).await);
        second.accept(..);
        assert_eq!(fixture.ledger.take_watermark(), None);
        first.accept(1..=1);
        assert_eq!(fixture.ledger.take_watermark(), None);
        first.accept(0..1);
        assert_eq!(fixture.ledger.take_watermark(), Some(position(2)));
        assert_eq!(fixture.ledger.take_watermark(), None);
        first.accept(2..100);
        assert_eq!(fixture.ledger.take_watermark(), Some(position(5)));
        assert_eq!(fixture.ledger.open(), 0);
    }

    #[tokio::test]
    async fn bytes_come_back_with_the_last_acceptance_or_the_last_handle() {
        let mut fixture = Fixture::new();
        let (first, second) = (fixture.deliver(2).await, fixture.deliver(3).await);
        let copy = first.clone();
        assert_eq!(fixture.budget.in_flight(), 50);
        first.accept(0..1);
        drop(first);
        assert_eq!(fixture.budget.in_flight(), 50);
        copy.accept(1..);
        assert_eq!(fixture.budget.in_flight(), 30);
        drop(second);
        assert_eq!(fixture.budget.in_flight(), 0);
        assert_eq!(fixture.ledger.abandoned_records(), 3);
    }

    #[tokio::test]
    async fn a_passed_position_counts_in_its_order() {
        let mut fixture = Fixture::new();
        let first = fixture.deliver(1).await;
        fixture.ledger.pass(position(2));
        assert_eq!(fixture.ledger.take_watermark(), None);
        first.accept(..);
        assert_eq!(fixture.ledger.take_watermark(), Some(position(2)));
    }

    #[tokio::test]
    async fn nothing_moves_after_retiring() {
        let mut fixture = Fixture::new();
        let first = fixture.deliver(4).await;
        first.accept(..1);
        assert_eq!(fixture.ledger.retire(), 3);
        assert_eq!(fixture.ledger.retire(), 0);
        fixture.ledger.take_watermark();
        first.accept(..);
        assert_eq!(fixture.ledger.take_watermark(), None);
        assert_eq!(
            fixture.budget.in_flight(),
            0,
            "late acceptance still gives bytes back"
        );
    }

    proptest! {
        #[test]
        fn the_watermark_equals_the_naive_one(
            sizes in prop::collection::vec(1_usize..6, 1..8),
            picks in prop::collection::vec((0_usize..8, 0_usize..6, 0_usize..6), 0..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let mut fixture = Fixture::new();
                let mut handles = Vec::new();
                let mut starts = Vec::new();
                for size in &sizes {
                    starts.push(fixture.next);
                    handles.push(fixture.deliver(*size).await);
                }
                let total: usize = sizes.iter().sum();
                let mut naive = vec![false; total];
                let mut watermark = None;
                for (batch, from, to) in picks {
                    let batch = batch % sizes.len();
                    handles[batch].accept(from..to);
                    for at in from..to.min(sizes[batch]) {
                        naive[starts[batch] - 1 + at] = true;
                    }
                    watermark = fixture.ledger.take_watermark().or(watermark);
                    let expected = naive.iter().take_while(|accepted| **accepted).count();
                    assert_eq!(watermark, (expected > 0).then(|| position(expected)));
                    assert_eq!(fixture.ledger.open(), naive.iter().filter(|accepted| !**accepted).count());
                }
                for handle in &handles {
                    handle.accept(..);
                }
                assert_eq!(fixture.budget.in_flight(), 0);
            });
        }
    }
}
