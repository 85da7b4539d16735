//! How fast a counter grows.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Growth per second of a counter over its last samples.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Oldest first.
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    pub(super) fn sample(&mut self, now: Instant, count: u64) {
        if self.samples.len() > WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back((now, count));
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(super) fn per_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return 0.0;
        };
        let seconds = (last.0 - first.0).as_secs_f64();
        if seconds > 0.0 {
            (last.1 - first.1) as f64 / seconds
        } else {
            0.0
        }
    }
}

/// Steps between samples that a rate is made of.
const WINDOW: usize = 5;
