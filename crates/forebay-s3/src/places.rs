//! How much may be worked on at once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// Places for reading. Work that has read its object to the end and waits for acceptance gives its place to other work, as
/// long as the sink accepts: a receiver whose proof takes seconds holds up nothing. While the sink accepts nothing, what
/// waits keeps its place, so that no more than these are held (docs/decisions/0030).
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    reading: Semaphore,
    state: Mutex<State>,
    /// Work gave its place up.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Pieces of work that wait for acceptance.
    waiting: usize,
    /// When an object was accepted last.
    accepted: Option<Instant>,
}

/// Work that waits for acceptance, until dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Places);

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            reading: Semaphore::new(most),
            state: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// How many pieces of work may be begun beside `open` others that are not done.
    pub(crate) fn free(&self, open: usize, now: Instant) -> usize {
        let state = self.state();
        let accepts = state.accepted.is_some_and(|at| now - at < STUCK);
        let waiting = if accepts { state.waiting } else { 0 };
        let reading = open.saturating_sub(waiting);
        let free = self.most.saturating_sub(reading);
        free.min((self.most * AHEAD).saturating_sub(open))
    }

    /// Waits until [`Self::free`] may have grown without any work being done.
    ///
    /// # Cancel safety
    ///
    /// Safe: the next call then returns at once.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// A place to read an object in.
    pub(crate) async fn read(&self) -> SemaphorePermit<'_> {
        let place = self.reading.acquire().await;
        place.expect("the semaphore is never closed")
    }

    /// Leaves the place: the object is read, and waits for acceptance.
    pub(crate) fn wait(&self, place: SemaphorePermit<'_>) -> Waiting<'_> {
        drop(place);
        self.state().waiting += 1;
        self.freed.notify_one();
        Waiting(self)
    }

    /// The sink has accepted an object.
    pub(crate) fn accepted(&self, now: Instant) {
        self.state().accepted = Some(now);
        self.freed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

/// For each place to read in, this many pieces of work may be open.
const AHEAD: usize = 16;

/// A sink that has accepted no object for so long counts as stuck: the slowest proof of acceptance takes 5 s.
const STUCK: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::now;

    #[tokio::test]
    async fn work_that_waits_gives_its_place_up_while_the_sink_accepts() {
        let places = Places::new(2);
        let start = now();
        assert_eq!((places.free(0, start), places.free(2, start)), (2, 0));
        let first = places.wait(places.read().await);
        let _second = places.wait(places.read().await);
        assert_eq!(places.free(2, start), 0, "nothing was ever accepted");
        places.accepted(start);
        places.freed().await;
        assert_eq!(places.free(2, start), 2);
        assert_eq!(places.free(3, start), 1, "one of them reads");
        drop(first);
        assert_eq!(places.free(2, start), 1);
        assert_eq!(places.free(2, start + STUCK), 0, "it is stuck");
        assert_eq!(places.free(2 * AHEAD, start), 0, "enough are open");
    }
}
