use std::time::Duration;

use tokio::time::Instant;

/// When the next read of one shard may start, within the limits the service sets per shard.
///
/// Pure: times come in as arguments. The limits are those of the page "Quotas and limits" of the Kinesis Data
/// Streams guide: 5 GetRecords calls and 2 MB per second and shard, shared by all readers, and no call for five
/// seconds after an answer of 10 MB (which the byte rate alone already implies).
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    call_gap: Duration,
    idle: Duration,
    next: Option<Instant>,
}

/// Bytes per second the service lets all readers of a shard have together.
const BYTES_PER_SECOND: u64 = 2_000_000;

impl Pacer {
    /// `calls_per_second` is this reader's share of the five; `idle` the pause once the tip is reached.
    pub(crate) fn new(calls_per_second: u32, idle: Duration) -> Self {
        Self {
            call_gap: Duration::from_secs(1) / calls_per_second.max(1),
            idle,
            next: None,
        }
    }

    /// The earliest time of the next read; `None` means at once.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Takes note of an answer to a call that started at `started`.
    ///
    /// While `behind`, the next read starts as soon as the limits allow. Empty answers are normal then: each covers
    /// a slice of the shard's time.
    pub(crate) fn answered(&mut self, started: Instant, bytes: usize, behind: bool) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let transfer = Duration::from_micros(bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND);
        let pause = if behind {
            self.call_gap
        } else {
            self.call_gap.max(self.idle)
        };
        self.next = Some(started + pause.max(transfer));
    }

    /// Takes note of a failed call; `delay` counts from `now`.
    pub(crate) fn failed(&mut self, started: Instant, now: Instant, delay: Duration) {
        self.next = Some((now + delay).max(started + self.call_gap));
    }
}

/// How many bytes to reserve before a read.
///
/// A read far from the tip may bring the largest answer there is (10 MB of records, which exist as base64 text and
/// as bytes while they are decoded). At the tip a shard cannot have taken in more than 1 MB for each second since the
/// last read.
pub(crate) fn reservation(behind: bool, since_last_read: Duration) -> usize {
    if behind {
        return LARGEST_ANSWER;
    }
    let seconds = usize::try_from(since_last_read.as_secs())
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    seconds
        .saturating_mul(1_000_000)
        .saturating_mul(5)
        .div_ceil(2)
        .clamp(SMALLEST_RESERVATION, LARGEST_ANSWER)
}

/// How many bytes to have room for before an event of a subscription.
///
/// A consumer is sent 2 MB of a shard in a second, and an event exists as base64 text while it is decoded.
pub(crate) fn push_reservation(behind: bool) -> usize {
    if behind {
        2_000_000 * 5 / 2
    } else {
        SMALLEST_RESERVATION
    }
}

/// A second subscription of one consumer to one shard is refused for this long after the first one.
pub(crate) const RESUBSCRIBE_GAP: Duration = Duration::from_secs(5);

const SMALLEST_RESERVATION: usize = 256 * 1024;
const LARGEST_ANSWER: usize = 25 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(bytes: usize, behind: bool) -> Duration {
        let mut pacer = Pacer::new(5, Duration::from_secs(1));
        let start = Instant::now();
        assert_eq!(pacer.next(), None);
        pacer.answered(start, bytes, behind);
        pacer.next().map_or(Duration::ZERO, |next| next - start)
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_read_waits_for_the_tightest_limit() {
        assert_eq!(gap(0, false), Duration::from_secs(1));
        assert_eq!(gap(1_000, true), Duration::from_millis(200));
        assert_eq!(gap(1_000_000, true), Duration::from_millis(500));
        assert_eq!(gap(10_000_000, true), Duration::from_secs(5));
        assert_eq!(gap(10_000_000, false), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_never_shortens_the_gap_between_calls() {
        let mut pacer = Pacer::new(5, Duration::from_secs(1));
        let start = Instant::now();
        pacer.failed(start, start, Duration::from_millis(1));
        assert_eq!(pacer.next(), Some(start + Duration::from_millis(200)));
        pacer.failed(start, start, Duration::from_secs(3));
        assert_eq!(pacer.next(), Some(start + Duration::from_secs(3)));
    }

    #[test]
    fn a_reservation_covers_what_the_shard_can_have_taken_in() {
        assert_eq!(reservation(true, Duration::ZERO), LARGEST_ANSWER);
        assert_eq!(reservation(false, Duration::from_millis(900)), 2_500_000);
        assert_eq!(reservation(false, Duration::from_secs(1)), 5_000_000);
        assert_eq!(
            reservation(false, Duration::from_secs(3_600)),
            LARGEST_ANSWER
        );
    }
}
