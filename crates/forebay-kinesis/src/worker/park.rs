use std::time::Duration;

use tokio::time::Instant;

use crate::progress::Progress;

/// When to give the leases back because the processor is stalled, and when to try again.
#[derive(Debug)]
pub(crate) struct Parking {
    patience: Option<Duration>,
    state: State,
    /// The next pause after a stall.
    pause: Duration,
}

#[derive(Debug)]
enum State {
    Working,
    Parked,
    /// Parked by a stall, until this moment.
    Stalled(Instant),
}

impl Parking {
    pub(crate) fn new(patience: Option<Duration>) -> Self {
        Self {
            patience,
            state: State::Working,
            pause: SHORTEST,
        }
    }

    /// When something has to change without anyone asking for it.
    pub(crate) fn due(&self, progress: &Progress) -> Option<Instant> {
        match self.state {
            State::Working => progress.stalled_at(self.patience?),
            State::Parked => None,
            State::Stalled(until) => Some(until),
        }
    }

    pub(crate) fn is_parked(&self) -> bool {
        !matches!(self.state, State::Working)
    }

    pub(crate) fn park_by_hand(&mut self) {
        self.state = State::Parked;
    }

    pub(crate) fn park_stalled(&mut self, now: Instant) {
        self.state = State::Stalled(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST);
    }

    pub(crate) fn unpark(&mut self) {
        self.state = State::Working;
    }

    /// The processor accepted something: the next stall is a new one.
    pub(crate) fn progressed(&mut self) {
        self.pause = SHORTEST;
    }
}

const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stall_parks_for_longer_each_time_until_something_is_accepted() {
        let now = Instant::now();
        let patience = Duration::from_secs(60);
        let progress = Progress::new(now);
        let mut parking = Parking::new(Some(patience));
        assert_eq!(parking.due(&progress), None);
        progress.handed_over(1, now);
        assert_eq!(parking.due(&progress), Some(now + patience));
        parking.park_stalled(now);
        assert_eq!(parking.due(&progress), Some(now + Duration::from_secs(5)));
        parking.unpark();
        parking.park_stalled(now);
        assert_eq!(parking.due(&progress), Some(now + Duration::from_secs(10)));
        parking.progressed();
        parking.park_stalled(now);
        assert_eq!(parking.due(&progress), Some(now + Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn parked_by_hand_waits_for_the_hand() {
        let now = Instant::now();
        let progress = Progress::new(now);
        progress.handed_over(1, now);
        let mut parking = Parking::new(None);
        assert_eq!(parking.due(&progress), None, "no patience, no stall");
        parking.park_by_hand();
        assert!(parking.is_parked());
        assert_eq!(parking.due(&progress), None);
        parking.unpark();
        assert!(!parking.is_parked());
    }
}
