use std::time::Duration;

use crate::timestamp::Timestamp;

/// The capture window of a record: `start` and `end`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Window {
    start: Timestamp,
    end: Timestamp,
}

impl Window {
    /// Joins the two ends.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Time of the first packet.
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// Time of the last packet.
    pub const fn end(&self) -> Timestamp {
        self.end
    }

    /// From start to end; zero for a reversed window.
    pub const fn duration(&self) -> Duration {
        Duration::from_millis(
            self.end
                .unix_millis()
                .saturating_sub(self.start.unix_millis()),
        )
    }

    /// Whether the end lies before the start, as bad clocks produce it.
    pub fn is_reversed(&self) -> bool {
        self.end < self.start
    }

    /// Whole seconds from start to end, negative for a reversed window.
    pub const fn signed_seconds(&self) -> i64 {
        // Seconds come from at most 64 bits of milliseconds, so that both fit `i64` and so does the difference.
        self.end.unix_seconds() as i64 - self.start.unix_seconds() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: u64, end: u64) -> Window {
        Window::new(Timestamp::from_logged(start), Timestamp::from_logged(end))
    }

    #[test]
    fn a_reversed_window_lasts_no_time() {
        let reversed = window(1_712_345_658, 1_712_345_600);
        assert!(reversed.is_reversed());
        assert_eq!(
            (reversed.duration(), reversed.signed_seconds()),
            (Duration::ZERO, -58)
        );
        let forward = window(1_712_345_600, 1_712_345_658_500);
        assert!(!forward.is_reversed());
        assert_eq!(
            (forward.duration(), forward.signed_seconds()),
            (Duration::from_millis(58_500), 58)
        );
    }
}
