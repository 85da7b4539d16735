use std::num::NonZeroUsize;
use std::time::Duration;

use crate::error::ConfigError;

/// Settings of a [`Coordinator`](crate::Coordinator). The defaults are those of KCL 2.x.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "settings are data, built with struct update syntax"
)]
pub struct Config {
    /// After how long without a renewal others may take a lease. The same in the whole fleet. 10 s; at least 1 s.
    pub failover: Duration,
    /// How often the table is looked at while there are peers; 1.5 s makes a crash cost `failover` and this, 20 s (KCL)
    /// up to 40 s. An eventually consistent scan each time: raise it for large tables. Who holds every lease, or may
    /// take none, scans as often as the KCL. From 100 ms to 2 × (`failover` + 25 ms).
    pub watch_interval: Duration,
    /// Shortest time between two steals. 5 s (KCL: 20 s). At least `watch_interval`.
    pub steal_interval: Duration,
    /// Shortest time between two stored positions of a shard; zero stores with every renewal, at no extra write.
    pub checkpoint_interval: Duration,
    /// Most leases this worker takes. Unlimited.
    pub max_leases: NonZeroUsize,
    /// Whether leases of ended shards are deleted once their children have begun. Yes.
    pub cleanup_ended: bool,
    /// How long after its end a lease may be deleted. 5 min.
    pub cleanup_after: Duration,
    /// How often the leader looks for holes. 2 min, first after half of it. At least 1 s.
    pub audit_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            failover: Duration::from_secs(10),
            watch_interval: Duration::from_millis(1500),
            steal_interval: Duration::from_secs(5),
            checkpoint_interval: Duration::ZERO,
            max_leases: NonZeroUsize::MAX,
            cleanup_ended: true,
            cleanup_after: Duration::from_secs(300),
            audit_interval: Duration::from_secs(120),
        }
    }
}

impl Config {
    /// Checks every limit.
    ///
    /// # Errors
    /// [`ConfigError`] with the name of the first setting that cannot work.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check =
            |holds: bool, setting: &'static str, found: Duration, expected: &'static str| {
                if holds {
                    Ok(())
                } else {
                    Err(ConfigError::OutOfRange {
                        setting,
                        found: format!("{found:?}"),
                        expected,
                    })
                }
            };
        let hour = Duration::from_secs(3600);
        let tick = Duration::from_millis(100);
        let failover = self.failover >= Duration::from_secs(1) && self.failover <= hour;
        check(failover, "failover", self.failover, "1 s to 1 h")?;
        let watch = self.watch_interval >= tick && self.watch_interval <= self.take_interval();
        check(
            watch,
            "watch_interval",
            self.watch_interval,
            "100 ms to 2 x (failover + 25 ms)",
        )?;
        let steal = self.steal_interval >= self.watch_interval;
        check(
            steal,
            "steal_interval",
            self.steal_interval,
            "at least watch_interval",
        )?;
        check(
            self.audit_interval >= tick * 10,
            "audit_interval",
            self.audit_interval,
            "at least 1 s",
        )
    }

    /// Time between two renewals: `failover` / 3 − 25 ms.
    pub fn renew_interval(&self) -> Duration {
        (self.failover / 3).saturating_sub(EPSILON)
    }

    /// Time between two taking passes of the KCL: 2 × (`failover` + 25 ms).
    pub fn take_interval(&self) -> Duration {
        (self.failover + EPSILON) * 2
    }

    /// How long we believe in a renewal, counted from when it was sent: 90 % of `failover`, so that we let go before
    /// anybody may take.
    pub fn hold(&self) -> Duration {
        self.failover * 9 / 10
    }
}

/// The margin of the KCL's schedule.
const EPSILON: Duration = Duration::from_millis(25);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_give_the_schedule_of_the_kcl() {
        let config = Config::default();
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.renew_interval().as_millis(), 3308);
        assert_eq!(config.take_interval().as_millis(), 20_050);
    }

    #[test]
    fn a_setting_out_of_its_limits_is_named() {
        let config = Config {
            failover: Duration::ZERO,
            ..Config::default()
        };
        assert!(
            config
                .validate()
                .is_err_and(|error| error.to_string().starts_with("failover is 0ns"))
        );
        let config = Config {
            audit_interval: Duration::ZERO,
            ..Config::default()
        };
        assert!(config.validate().is_err());
    }
}
