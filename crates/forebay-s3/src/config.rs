//! Settings of a reader, checked once on entry.

use std::{num::NonZeroUsize, time::Duration};

use crate::{allow::AllowList, error::ConfigError};

/// Settings of a [`Reader`](crate::Reader). Clients, processor and observer are arguments, not settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Most objects read at once. 1 to 1,000; 8 unless set. As long as the sink accepts, up to 16 times as many notices are
    /// open: those that are read wait for acceptance meanwhile.
    pub concurrency: NonZeroUsize,
    /// Most bytes of records handed to the processor and not yet accepted, over all objects. At least 2 MiB;
    /// 32 MiB unless set. A batch above the rest of the budget waits, which stops the download.
    pub bytes_in_flight: NonZeroUsize,
    /// How long a received notice stays hidden from other readers. It is extended while its objects are being
    /// read, when a third of it is left. 30 s to 12 h; 5 minutes unless set.
    pub visibility: Duration,
    /// Longest wait of one receive call. 0 to 20 s; 10 s unless set, because a stop lets the call run out: a
    /// cancelled long poll hides the notices that it would have brought.
    pub wait: Duration,
    /// Full reads of an object whose content is broken before it goes to the dead letter. 3 unless set.
    pub object_attempts: u32,
    /// Pause between two reads of a broken object. 10 s unless set.
    pub object_retry: Duration,
    /// Receives of a notice whose object does not exist before it goes to the dead letter. 3 unless set.
    pub missing_receives: u32,
    /// What becomes of an object that cannot be read, and of its notice, after the tries above.
    pub on_object_error: OnObjectError,
    /// Longest object in bytes, as stored. 256 MiB unless set. Inflated, 8 GiB are read.
    pub object_bytes: u64,
    /// Pause of receiving after a failure that no notice has caused (denied, throttled, unreachable). Doubles from
    /// a sixty-fourth of this value up to it. 60 s unless set.
    pub pause: Duration,
    /// How long a stop waits for running work. What is not finished then is handed back at once. 20 s unless set.
    pub stop_grace: Duration,
    /// What notices may make us read. Must be given.
    pub allow: AllowList,
}

/// What becomes of an object that is missing, archived, changed or broken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnObjectError {
    /// It goes to [`Processor::reject`](crate::Processor::reject), and the notice is deleted.
    #[default]
    DeadLetter,
    /// The notice stays in the queue, whose own redrive policy must take it: without one it comes back until its retention ends.
    Leave,
    /// The notice is deleted, and [`Observer::dropped`](crate::Observer::dropped) is told.
    Delete,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrency: NonZeroUsize::MIN.saturating_add(7),
            bytes_in_flight: NonZeroUsize::MIN.saturating_add((32 << 20) - 1),
            visibility: Duration::from_secs(300),
            wait: Duration::from_secs(10),
            object_attempts: 3,
            object_retry: Duration::from_secs(10),
            missing_receives: 3,
            on_object_error: OnObjectError::DeadLetter,
            object_bytes: 256 << 20,
            stop_grace: Duration::from_secs(20),
            pause: Duration::from_secs(60),
            allow: AllowList::default(),
        }
    }
}

impl Config {
    /// Checks every setting against its range.
    ///
    /// # Errors
    ///
    /// The first setting out of range, with the range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let seconds = self.visibility.as_secs();
        if self.concurrency.get() > 1_000 {
            return Err(ConfigError::new("concurrency", "1 to 1,000"));
        }
        if self.bytes_in_flight.get() < 2 << 20 || self.bytes_in_flight.get() > u32::MAX as usize {
            return Err(ConfigError::new("bytes_in_flight", "2 MiB to 4 GiB"));
        }
        if !(30..=43_200).contains(&seconds) {
            return Err(ConfigError::new("visibility", "30 s to 12 h"));
        }
        if self.wait > Duration::from_secs(20) {
            return Err(ConfigError::new("wait", "0 to 20 s"));
        }
        if !self.allow.is_limited() {
            return Err(ConfigError::new(
                "allow",
                "given: an owner, or a list of buckets",
            ));
        }
        if self.object_attempts == 0 || self.missing_receives == 0 {
            return Err(ConfigError::new(
                "object_attempts and missing_receives",
                "at least 1",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_need_only_to_be_told_whose_buckets_may_be_read() {
        assert_eq!(
            Config::default().validate().unwrap_err().to_string(),
            "`allow` must be given: an owner, or a list of buckets"
        );
        let allow = AllowList {
            owner: Some("111122223333".into()),
            buckets: Vec::new(),
        };
        let config = Config {
            allow,
            ..Config::default()
        };
        assert!(config.validate().is_ok());
    }

    #[test]
    fn a_value_out_of_range_names_its_range() {
        let config = Config {
            visibility: Duration::from_secs(5),
            ..Config::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "`visibility` must be 30 s to 12 h"
        );
    }
}
