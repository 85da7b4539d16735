//! Pure: how long to keep still after failures that no input has caused.

use std::time::{Duration, Instant};

/// Back-off that doubles from a sixty-fourth of the longest pause up to it, so that a failing environment is not flooded
/// and no receive is burnt.
#[derive(Debug)]
pub(crate) struct Pause {
    longest: Duration,
    current: Duration,
    until: Option<Instant>,
}

impl Pause {
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            longest,
            current: Duration::ZERO,
            until: None,
        }
    }

    /// Something failed at `now`; returns when to try again. Several failures within one pause count as one.
    pub(crate) fn failed(&mut self, now: Instant) -> Instant {
        if let Some(until) = self.until(now) {
            return until;
        }
        let first = (self.longest / 64).max(SHORTEST);
        self.current = if self.current.is_zero() {
            first
        } else {
            (self.current * 2).min(self.longest)
        };
        let until = now + self.current;
        self.until = Some(until);
        until
    }

    pub(crate) fn succeeded(&mut self) {
        self.current = Duration::ZERO;
        self.until = None;
    }

    /// The present length; `None` if the last thing that was told is a success.
    pub(crate) fn length(&self) -> Option<Duration> {
        (!self.current.is_zero()).then_some(self.current)
    }

    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|&until| until > now)
    }
}

const SHORTEST: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over_after_a_success() {
        let start = crate::message::now();
        let mut pause = Pause::new(Duration::from_secs(64));
        let mut now = start;
        let mut lengths = Vec::new();
        for _ in 0..8 {
            let until = pause.failed(now);
            assert_eq!(pause.failed(now + (until - now) / 2), until, "one failure");
            lengths.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(pause.length(), Some(Duration::from_secs(64)));
        pause.succeeded();
        assert_eq!(pause.length(), None);
        assert_eq!(pause.failed(now) - now, Duration::from_secs(1));
    }
}
