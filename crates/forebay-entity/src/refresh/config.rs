//! What to ask, where and how often.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Error, OnConflict, Origin};

/// One account and region to ask, with the clients to do it. For another account, hand in clients that assumed a role there.
#[derive(Clone, Debug)]
pub struct Target {
    origin: Origin,
    pub(super) ec2: aws_sdk_ec2::Client,
    pub(super) balancers: Option<aws_sdk_elasticloadbalancing::Client>,
}

impl Target {
    /// A target. The origin's account may be a label; entities carry the account AWS tells.
    #[must_use]
    pub fn new(origin: Origin, ec2: aws_sdk_ec2::Client) -> Self {
        Self {
            origin,
            ec2,
            balancers: None,
        }
    }

    /// Also asks for classic load balancers, to know their DNS names.
    #[must_use]
    pub fn with_load_balancers(mut self, client: aws_sdk_elasticloadbalancing::Client) -> Self {
        self.balancers = Some(client);
        self
    }

    /// The account and region.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// Settings of a [`crate::Refresher`].
#[expect(
    clippy::exhaustive_structs,
    reason = "settings that callers fill with `..Default::default()`"
)]
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// From the start of one refresh to the start of the next. At least 10 s; 60 s unless set, as in the plugin.
    pub interval: Duration,
    /// Up to this much is added to each interval, by chance. 6 s unless set.
    pub jitter: Duration,
    /// From this age on a source is reported as stale; its entities are still used. 15 min unless set.
    pub stale_after: Duration,
    /// Time for one call with all its pages. At least 1 s; 60 s unless set.
    pub call_timeout: Duration,
    /// Entries per page, 5 to 1000. 1000 unless set, the most EC2 gives; load balancers get at most 400.
    pub page_size: u16,
    /// Calls under way at a time, over all targets. 4 unless set.
    pub concurrency: NonZeroUsize,
    /// Tags that name an entity; the first one present counts. `Name` unless set.
    pub tags: Vec<String>,
    /// Whether to call `DescribeInstances`.
    pub instances: bool,
    /// Whether to call `DescribeNetworkInterfaces`.
    pub interfaces: bool,
    /// What a lookup does with an address of several entities.
    pub on_conflict: OnConflict,
    /// Where to keep the last snapshot for the next start. None unless set. Written with mode 0600.
    pub snapshot_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            jitter: Duration::from_secs(6),
            stale_after: Duration::from_secs(15 * 60),
            call_timeout: Duration::from_secs(60),
            page_size: 1000,
            concurrency: NonZeroUsize::MIN.saturating_add(3),
            tags: vec!["Name".to_owned()],
            instances: true,
            interfaces: true,
            on_conflict: OnConflict::ByInterface,
            snapshot_file: None,
        }
    }
}

impl Config {
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |name, reason| Err(Error::Setting { name, reason });
        if self.interval < Duration::from_secs(10) {
            return refuse(
                "interval",
                "must be at least 10 s: EC2 throttles its describe calls per account",
            );
        }
        if self.jitter > self.interval {
            return refuse("jitter", "must be at most the interval");
        }
        if self.call_timeout < Duration::from_secs(1) {
            return refuse("call_timeout", "must be at least 1 s");
        }
        if !(5..=1000).contains(&self.page_size) {
            return refuse("page_size", "must be from 5 to 1000, the bounds of EC2");
        }
        if !self.instances && !self.interfaces {
            return refuse(
                "interfaces",
                "must be on when `instances` is off: nothing would be asked",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_bounds_are_refused_by_name() {
        let check = |change: fn(&mut Config), expected: Option<&str>| {
            let mut config = Config::default();
            change(&mut config);
            let refused = config.check().err().map(|error| error.to_string());
            match (refused, expected) {
                (None, None) => {}
                (Some(text), Some(name)) => {
                    assert!(text.starts_with(&format!("`{name}` must be")), "{text}")
                }
                (refused, expected) => panic!("{refused:?} instead of {expected:?}"),
            }
        };
        check(|_| {}, None);
        check(
            |config| config.interval = Duration::from_secs(9),
            Some("interval"),
        );
        check(
            |config| config.jitter = Duration::from_secs(61),
            Some("jitter"),
        );
        check(
            |config| config.call_timeout = Duration::ZERO,
            Some("call_timeout"),
        );
        check(|config| config.page_size = 4, Some("page_size"));
        check(|config| config.page_size = 1001, Some("page_size"));
        check(
            |config| {
                config.instances = false;
                config.interfaces = false;
            },
            Some("interfaces"),
        );
    }
}
