//! Waits between attempts: exponential, capped, with full jitter from a given seed.

use std::time::Duration;

use crate::sink::SinkConfig;

/// A source of waits and of other numbers that only have to differ between senders.
#[derive(Debug)]
pub(crate) struct Retry {
    first: Duration,
    cap: Duration,
    failures: u32,
    state: u64,
}

impl Retry {
    pub(crate) fn new(config: &SinkConfig) -> Self {
        Self {
            first: config.retry_first,
            cap: config.retry_cap,
            failures: 0,
            state: config.seed,
        }
    }

    /// The wait after one more failure: anything up to `first` doubled with each failure, at most `cap`.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let ceiling = self
            .first
            .saturating_mul(1 << self.failures.min(20))
            .min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        // At least a tenth: a draw near zero would be no wait at all.
        Duration::from_nanos(nanos / 10 + self.next_number() % (nanos - nanos / 10).max(1))
    }

    /// Something worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// SplitMix64: each number once in 2^64, so ids made of it do not repeat.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_differ() {
        let config = SinkConfig {
            retry_first: Duration::from_millis(100),
            retry_cap: Duration::from_secs(20),
            seed: 7,
            ..SinkConfig::default()
        };
        let mut retry = Retry::new(&config);
        for failure in 0..100_u32 {
            let ceiling = Duration::from_millis(100)
                .saturating_mul(1 << failure.min(20))
                .min(config.retry_cap);
            let wait = retry.next_wait();
            assert!(
                wait >= ceiling / 10 && wait <= ceiling,
                "{failure}: {wait:?}"
            );
        }
        assert_ne!(retry.next_wait(), retry.next_wait());
        retry.reset();
        assert!(retry.next_wait() <= config.retry_first);
    }
}
