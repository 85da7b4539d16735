use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// A time as flow logs write it: Unix seconds and, in some `SKIPDATA` records, milliseconds.
///
/// A number above 10<sup>11</sup> is taken for milliseconds: as seconds it would lie beyond the year 5000. Times
/// compare by the moment they mean, whatever unit they were written in.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    logged: u64,
}

impl Timestamp {
    /// Takes the number that stands in the log.
    #[inline]
    pub const fn from_logged(logged: u64) -> Self {
        Self { logged }
    }

    /// The number that stands in the log.
    #[inline]
    pub const fn logged(self) -> u64 {
        self.logged
    }

    /// Whether the log gave milliseconds.
    #[inline]
    pub const fn is_milliseconds(self) -> bool {
        self.logged > LAST_SECONDS
    }

    /// Whole Unix seconds.
    #[inline]
    pub const fn unix_seconds(self) -> u64 {
        if self.is_milliseconds() {
            self.logged / 1000
        } else {
            self.logged
        }
    }

    /// Milliseconds within the second; 0 where the log gave seconds.
    #[inline]
    pub const fn subsec_millis(self) -> u32 {
        if self.is_milliseconds() {
            (self.logged % 1000) as u32
        } else {
            0
        }
    }

    /// Unix milliseconds.
    #[inline]
    pub const fn unix_millis(self) -> u64 {
        // Seconds are at most 10^11 here, far from overflow.
        if self.is_milliseconds() {
            self.logged
        } else {
            self.logged * 1000
        }
    }

    /// Time since the Unix epoch.
    pub const fn since_epoch(self) -> Duration {
        Duration::from_millis(self.unix_millis())
    }
}

impl fmt::Display for Timestamp {
    /// Prints the number that stands in the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.logged.fmt(f)
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.unix_millis() == other.unix_millis()
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.unix_millis().cmp(&other.unix_millis())
    }
}

impl Hash for Timestamp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.unix_millis().hash(state);
    }
}

const LAST_SECONDS: u64 = 100_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_milliseconds_are_told_apart() {
        let cases = [
            (0, false, 0, 0),
            (1_439_387_263, false, 1_439_387_263, 0),
            (100_000_000_000, false, 100_000_000_000, 0),
            (100_000_000_001, true, 100_000_000, 1),
            (1_439_387_263_250, true, 1_439_387_263, 250),
            (u64::MAX, true, u64::MAX / 1000, 615),
        ];
        for (logged, milliseconds, seconds, rest) in cases {
            let time = Timestamp::from_logged(logged);
            assert_eq!(
                (
                    time.is_milliseconds(),
                    time.unix_seconds(),
                    time.subsec_millis(),
                    time.logged()
                ),
                (milliseconds, seconds, rest, logged)
            );
            assert_eq!(
                time.since_epoch(),
                Duration::from_secs(seconds) + Duration::from_millis(rest.into())
            );
        }
    }

    #[test]
    fn times_compare_by_moment() {
        let [seconds, same, later] =
            [1_439_387_263, 1_439_387_263_000, 1_439_387_263_001].map(Timestamp::from_logged);
        assert_eq!(seconds, same);
        assert!(seconds < later);
    }
}
