use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Whether the processor gets anywhere, over all shards.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    /// Records handed over and not accepted.
    open: usize,
    /// When something was accepted last, or when waiting began.
    last: Instant,
}

impl Progress {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner { open: 0, last: now })),
        }
    }

    pub(crate) fn handed_over(&self, records: usize, now: Instant) {
        let mut inner = self.lock();
        if inner.open == 0 {
            inner.last = now;
        }
        inner.open += records;
    }

    pub(crate) fn accepted(&self, records: usize, now: Instant) {
        let mut inner = self.lock();
        inner.open = inner.open.saturating_sub(records);
        inner.last = now;
    }

    /// Nobody waits for these records any more.
    pub(crate) fn forgotten(&self, records: usize) {
        let mut inner = self.lock();
        inner.open = inner.open.saturating_sub(records);
    }

    /// When the processor counts as stalled if nothing is accepted until then; `None` while it owes nothing.
    pub(crate) fn stalled_at(&self, patience: Duration) -> Option<Instant> {
        let inner = self.lock();
        (inner.open > 0).then(|| inner.last + patience)
    }

    pub(crate) fn open(&self) -> usize {
        self.lock().open
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Two numbers that are valid after every statement.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_counts_from_the_last_acceptance_or_from_the_first_record() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let progress = Progress::new(start);
        assert_eq!(progress.stalled_at(second), None);
        progress.handed_over(2, start + second);
        assert_eq!(progress.stalled_at(second), Some(start + 2 * second));
        progress.handed_over(1, start + 2 * second);
        assert_eq!(progress.stalled_at(second), Some(start + 2 * second));
        progress.accepted(2, start + 3 * second);
        assert_eq!(progress.stalled_at(second), Some(start + 4 * second));
        progress.forgotten(1);
        assert_eq!(progress.stalled_at(second), None);
    }
}
