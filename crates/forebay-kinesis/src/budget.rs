use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Bytes that may be in flight over all shards.
///
/// Room is reserved before a read, first come first served, so that one loud shard cannot starve another. An answer
/// larger than its reservation is kept and counted as debt: it is paid back before anyone else gets room.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total: usize,
    free: Semaphore,
    debt: Mutex<usize>,
}

impl Budget {
    pub(crate) fn new(total: usize) -> Self {
        let total = total.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                total,
                free: Semaphore::new(total),
                debt: Mutex::new(0),
            }),
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.shared.total
    }

    /// Waits for room. A request above the whole budget gets the whole budget, so it cannot wait for ever.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue and takes nothing.
    pub(crate) async fn reserve(&self, bytes: usize) -> Grant {
        let bytes = bytes.min(self.shared.total).min(u32::MAX as usize);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = self
            .shared
            .free
            .acquire_many(permits)
            .await
            .expect("the semaphore is never closed");
        permit.forget();
        Grant {
            shared: Arc::clone(&self.shared),
            bytes,
        }
    }

    /// Bytes held at this moment, debt included.
    pub(crate) fn in_flight(&self) -> usize {
        let debt = *self.shared.debt();
        self.shared
            .total
            .saturating_sub(self.shared.free.available_permits())
            + debt
    }
}

impl Shared {
    fn debt(&self) -> std::sync::MutexGuard<'_, usize> {
        // A number is valid whoever panicked while holding it.
        self.debt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, bytes: usize) {
        let mut debt = self.debt();
        let paid = bytes.min(*debt);
        *debt -= paid;
        self.free.add_permits(bytes - paid);
    }
}

/// Room in a [`Budget`], given back on drop.
#[derive(Debug)]
pub(crate) struct Grant {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Grant {
    /// Sets the room to what is really held.
    pub(crate) fn resize(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.shared.give_back(self.bytes - bytes);
        } else {
            let more = bytes - self.bytes;
            let mut debt = self.shared.debt();
            let taken = self.shared.free.forget_permits(more);
            *debt += more - taken;
        }
        self.bytes = bytes;
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.shared.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn would_wait(budget: &Budget, bytes: usize) -> bool {
        tokio::time::timeout(Duration::from_millis(1), budget.reserve(bytes))
            .await
            .is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_budget_makes_the_next_reservation_wait() {
        let budget = Budget::new(100);
        let first = budget.reserve(80).await;
        assert!(would_wait(&budget, 30).await);
        drop(first);
        assert!(!would_wait(&budget, 30).await);
        assert_eq!(budget.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_above_the_budget_gets_all_of_it() {
        let budget = Budget::new(100);
        let all = budget.reserve(10_000).await;
        assert_eq!(budget.in_flight(), 100);
        drop(all);
        assert_eq!(budget.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_above_its_reservation_is_paid_back_first() {
        let budget = Budget::new(100);
        let mut first = budget.reserve(10).await;
        first.resize(150);
        assert_eq!(budget.in_flight(), 150);
        first.resize(120);
        assert!(would_wait(&budget, 1).await, "still 20 over");
        first.resize(90);
        assert!(!would_wait(&budget, 10).await);
        drop(first);
        assert_eq!(budget.in_flight(), 0);
        assert!(!would_wait(&budget, 100).await);
    }
}
