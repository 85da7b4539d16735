//! Pure: when a received notice must be extended, and when it can no longer be.

use std::time::{Duration, Instant};

/// The time that is left to work on one received notice.
///
/// SQS hides a received message for the visibility timeout and hands it out again afterwards. The clock is ours and
/// counts from when the request left, so that we never believe in a message longer than the service does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visibility {
    /// When the first receive left: SQS hides a message for at most 12 hours in all.
    first: Instant,
    /// When the service may hand the message out again.
    until: Instant,
    length: Duration,
}

/// What is due for a notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// Nothing before this time.
    Wait(Instant),
    /// Ask for another visibility timeout now.
    Extend,
    /// The end of what the service allows, or of what we were granted: finish nothing more, forget the notice.
    GiveUp,
}

impl Visibility {
    /// A notice whose receive call left at `sent`.
    pub(crate) fn new(sent: Instant, length: Duration) -> Self {
        Self {
            first: sent,
            until: sent + length,
            length,
        }
    }

    /// What is due at `now`.
    pub(crate) fn due(&self, now: Instant) -> Due {
        if now + MARGIN.min(self.length / 6) >= self.until || now >= self.first + LONGEST {
            return Due::GiveUp;
        }
        let extend_at = self
            .until
            .checked_sub(self.length / 3)
            .unwrap_or(self.until);
        if now >= extend_at {
            Due::Extend
        } else {
            Due::Wait(extend_at)
        }
    }

    /// The timeout to ask for at `now`: SQS refuses one that would end later than 12 hours after the first receive.
    pub(crate) fn extension(&self, now: Instant) -> Duration {
        let left = (self.first + SERVICE_LIMIT).saturating_duration_since(now);
        self.length.min(left)
    }

    /// The service granted another visibility timeout of this length; the request left at `sent`.
    pub(crate) fn extended(&mut self, sent: Instant, length: Duration) {
        self.until = sent + length;
    }

    /// Extending failed: the next try comes soon, but not in a hot loop.
    pub(crate) fn retry_at(&self, now: Instant) -> Instant {
        (now + self.length / 20).min(self.until)
    }
}

/// Work that ends later than this before the deadline might meet the second delivery.
const MARGIN: Duration = Duration::from_secs(10);

/// Twelve hours, less what a request may take.
const SERVICE_LIMIT: Duration = Duration::from_secs(12 * 3_600 - 10);

/// SQS allows 12 hours from the first receive; stop a little earlier and hand back.
const LONGEST: Duration = Duration::from_secs(11 * 3_600 + 45 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_notice_is_extended_when_a_third_is_left() {
        let start = crate::message::now();
        let mut visibility = Visibility::new(start, seconds(300));
        assert_eq!(visibility.due(start), Due::Wait(start + seconds(200)));
        assert_eq!(visibility.due(start + seconds(200)), Due::Extend);
        visibility.extended(start + seconds(200), seconds(300));
        assert_eq!(
            visibility.due(start + seconds(201)),
            Due::Wait(start + seconds(400))
        );
    }

    #[test]
    fn a_short_visibility_is_extended_before_it_is_given_up() {
        let start = crate::message::now();
        let visibility = Visibility::new(start, seconds(30));
        assert_eq!(visibility.due(start + seconds(20)), Due::Extend);
        assert_eq!(visibility.due(start + seconds(25)), Due::GiveUp);
    }

    #[test]
    fn an_extension_never_passes_the_limit_of_the_service() {
        let start = crate::message::now();
        let visibility = Visibility::new(start, seconds(12 * 3_600));
        assert_eq!(
            visibility.extension(start + seconds(8 * 3_600)),
            seconds(4 * 3_600 - 10)
        );
    }

    #[test]
    fn without_an_extension_the_notice_is_given_up_before_its_deadline() {
        let start = crate::message::now();
        let visibility = Visibility::new(start, seconds(300));
        assert_eq!(visibility.due(start + seconds(289)), Due::Extend);
        assert_eq!(visibility.due(start + seconds(290)), Due::GiveUp);
    }

    #[test]
    fn no_notice_is_held_for_twelve_hours() {
        let start = crate::message::now();
        let mut visibility = Visibility::new(start, seconds(300));
        let late = start + seconds(11 * 3_600 + 45 * 60);
        visibility.extended(late, seconds(300));
        assert_eq!(visibility.due(late), Due::GiveUp);
    }

    #[test]
    fn a_failed_extension_is_tried_again_before_the_deadline() {
        let start = crate::message::now();
        let visibility = Visibility::new(start, seconds(300));
        let now = start + seconds(200);
        assert_eq!(visibility.retry_at(now), now + seconds(15));
    }
}
