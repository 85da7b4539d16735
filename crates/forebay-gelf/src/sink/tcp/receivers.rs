//! Which of several receivers is next.

use std::time::Duration;

use tokio::time::Instant;

use crate::sink::tcp::Balance;

/// The receivers of one sink and when each failed last.
#[derive(Debug)]
pub(crate) struct Receivers {
    failed: Vec<Option<Instant>>,
    balance: Balance,
    last: Option<usize>,
}

impl Receivers {
    pub(crate) fn new(count: usize, balance: Balance) -> Self {
        Self {
            failed: vec![None; count],
            balance,
            last: None,
        }
    }

    /// The receiver for the next connection.
    pub(crate) fn choose(&mut self, now: Instant) -> usize {
        let count = self.failed.len().max(1);
        let first = match (self.balance, self.last) {
            (Balance::RoundRobin, Some(last)) => last + 1,
            _ => 0,
        };
        let order = (0..count).map(|step| (first + step) % count);
        let choice = order
            .clone()
            .find(|index| self.is_well(*index, now))
            // All failed: the one whose failure is longest ago.
            .or_else(|| order.min_by_key(|index| self.failed.get(*index).copied().flatten()))
            .unwrap_or(0);
        self.last = Some(choice);
        choice
    }

    /// Notes a failure.
    pub(crate) fn failed(&mut self, receiver: usize, now: Instant) {
        if let Some(failed) = self.failed.get_mut(receiver) {
            *failed = Some(now);
        }
    }

    /// Notes that a receiver has proven to take data.
    pub(crate) fn works(&mut self, receiver: usize) {
        if let Some(failed) = self.failed.get_mut(receiver) {
            *failed = None;
        }
    }

    /// Whether some receiver did not fail lately.
    pub(crate) fn has_other(&self, now: Instant) -> bool {
        (0..self.failed.len()).any(|index| self.is_well(index, now))
    }

    fn is_well(&self, receiver: usize, now: Instant) -> bool {
        match self.failed.get(receiver) {
            Some(Some(failed)) => now.duration_since(*failed) >= PASS_OVER,
            _ => true,
        }
    }
}

/// How long a receiver that failed is passed over while others work.
const PASS_OVER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failover_prefers_the_first_that_works() {
        let mut receivers = Receivers::new(3, Balance::Failover);
        let now = Instant::now();
        assert_eq!(receivers.choose(now), 0);
        receivers.failed(0, now);
        assert_eq!(receivers.choose(now), 1);
        assert_eq!(receivers.choose(now), 1);
        assert_eq!(receivers.choose(now + PASS_OVER), 0);
        receivers.works(0);
        assert_eq!(receivers.choose(now), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_oldest_failure_goes_first() {
        let mut receivers = Receivers::new(2, Balance::Failover);
        let now = Instant::now();
        receivers.failed(0, now + Duration::from_secs(1));
        receivers.failed(1, now);
        assert!(!receivers.has_other(now + Duration::from_secs(2)));
        assert_eq!(receivers.choose(now + Duration::from_secs(2)), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn round_robin_takes_each_in_turn() {
        let mut receivers = Receivers::new(3, Balance::RoundRobin);
        let now = Instant::now();
        receivers.failed(1, now);
        assert_eq!(
            [
                receivers.choose(now),
                receivers.choose(now),
                receivers.choose(now)
            ],
            [0, 2, 0]
        );
    }
}
