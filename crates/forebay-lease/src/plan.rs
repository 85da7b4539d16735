//! Which leases to take, from whom: the taker of KCL 2.x as a function of what was observed.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::config::Config;
use crate::decision::{IdleReason, TakeReason};
use crate::lease::{Lease, LeaseKey, Timestamp, WorkerId};
use crate::random::Random;

/// What this worker knows of one row, and since when it has not changed on its own clock.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) row: Lease,
    /// When this counter was first seen with this owner.
    pub(crate) since: Instant,
    /// Whether it was looked at again since then. What was seen once is not known to stand still.
    pub(crate) stands: bool,
    /// Time of day when the lease was first seen, whatever its counter. Never later than that.
    pub(crate) known: Option<Timestamp>,
}

impl Seen {
    pub(crate) fn is_expired(&self, config: &Config, now: Instant) -> bool {
        self.stands && now.saturating_duration_since(self.since) > config.failover
    }

    fn is_very_old(&self, config: &Config, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > config.failover * 3
    }
}

/// What a taking pass looks at.
pub(crate) struct View<'a> {
    pub(crate) config: &'a Config,
    pub(crate) me: &'a WorkerId,
    pub(crate) seen: &'a BTreeMap<LeaseKey, Seen>,
    /// Held or being taken, whatever the row says.
    pub(crate) mine: usize,
    pub(crate) is_mine: &'a dyn Fn(&LeaseKey) -> bool,
    /// Its last reader has not stopped yet.
    pub(crate) is_blocked: &'a dyn Fn(&LeaseKey) -> bool,
    pub(crate) may_steal: bool,
    pub(crate) now: Instant,
}

/// What a taking pass decided.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Plan {
    pub(crate) take: Vec<(LeaseKey, TakeReason)>,
    pub(crate) idle: Option<IdleReason>,
}

impl Plan {
    const fn none(why: IdleReason) -> Self {
        Self {
            take: Vec::new(),
            idle: Some(why),
        }
    }
}

pub(crate) fn plan(view: &View<'_>, random: &mut Random) -> Plan {
    let config = view.config;
    let mut counts: BTreeMap<&WorkerId, usize> = BTreeMap::from([(view.me, view.mine)]);
    let mut available: Vec<(&LeaseKey, TakeReason)> = Vec::new();
    let mut very_old: Vec<(&LeaseKey, TakeReason)> = Vec::new();
    for (key, seen) in view.seen {
        if (view.is_mine)(key) {
            continue;
        }
        let why = match &seen.row.owner {
            None => TakeReason::Free,
            // Ours in the table but not held: regained apart from the plan.
            Some(owner) if owner == view.me => continue,
            Some(_) if seen.is_expired(config, view.now) => TakeReason::Expired,
            Some(owner) => {
                *counts.entry(owner).or_default() += 1;
                continue;
            }
        };
        if (view.is_blocked)(key) {
            continue;
        }
        available.push((key, why));
        if seen.is_very_old(config, view.now) {
            very_old.push((key, why));
        }
    }
    let room = config.max_leases.get().saturating_sub(view.mine);
    if room == 0 {
        return Plan::none(IdleReason::Limit);
    }
    // Leases nobody took for long: somebody must, balance or not.
    if !very_old.is_empty() {
        return choose(very_old, room, random);
    }
    let target = target(view.seen.len(), counts.len()).min(config.max_leases.get());
    let need = target.saturating_sub(view.mine);
    if need == 0 {
        return Plan::none(IdleReason::Balanced);
    }
    if !available.is_empty() {
        return choose(available, need.min(room), random);
    }
    let victim = counts
        .iter()
        .filter(|(owner, _)| **owner != view.me)
        .max_by_key(|(_, count)| **count);
    let Some((victim, count)) = victim.map(|(victim, count)| (*victim, *count)) else {
        return Plan::none(IdleReason::Balanced);
    };
    // A victim at its target gives only to somebody who is short of two: otherwise leases would go round for ever.
    let worthwhile = count > target || (count == target && need > 1);
    if !worthwhile || !view.may_steal {
        let why = if worthwhile {
            IdleReason::StealInterval
        } else {
            IdleReason::Balanced
        };
        return Plan::none(why);
    }
    let loot = view
        .seen
        .iter()
        .filter(|(key, seen)| {
            seen.row.owner.as_ref() == Some(victim)
                && !(view.is_mine)(key)
                && !(view.is_blocked)(key)
        })
        .map(|(key, _)| (key, TakeReason::Stolen))
        .collect();
    choose(loot, 1, random)
}

/// Leases per worker, rounded up.
fn target(leases: usize, workers: usize) -> usize {
    if workers >= leases {
        1
    } else {
        leases.div_ceil(workers.max(1))
    }
}

fn choose(mut from: Vec<(&LeaseKey, TakeReason)>, count: usize, random: &mut Random) -> Plan {
    random.shuffle(&mut from);
    let take = from
        .into_iter()
        .take(count)
        .map(|(key, why)| (key.clone(), why))
        .collect();
    Plan { take, idle: None }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::*;
    use crate::checkpoint::Checkpoint;

    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant has to come from somewhere"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    /// Rows as (owner, age in seconds); "me" marks what this worker holds.
    fn pass(rows: &[(Option<&str>, u64)], config: &Config) -> Plan {
        let me: WorkerId = "me".parse().expect("id");
        let now = start() + Duration::from_secs(1000);
        let mut seen = BTreeMap::new();
        for (at, (owner, age)) in rows.iter().enumerate() {
            let mut row = Lease::new(
                format!("shardId-{at:012}").parse().expect("id"),
                Checkpoint::TrimHorizon,
            );
            row.owner = owner.map(|name| name.parse().expect("id"));
            seen.insert(
                row.key.clone(),
                Seen {
                    row,
                    since: now - Duration::from_secs(*age),
                    stands: true,
                    known: None,
                },
            );
        }
        let held: Vec<LeaseKey> = seen
            .iter()
            .filter(|(_, seen)| seen.row.owner.as_ref() == Some(&me))
            .map(|(key, _)| key.clone())
            .collect();
        let view = View {
            config,
            me: &me,
            seen: &seen,
            mine: held.len(),
            is_mine: &|key| held.contains(key),
            is_blocked: &|_| false,
            may_steal: true,
            now,
        };
        plan(&view, &mut Random::new(7))
    }

    #[test]
    fn a_worker_alone_takes_everything_free_at_once() {
        assert_eq!(pass(&[(None, 0); 5], &Config::default()).take.len(), 5);
    }

    #[test]
    fn free_leases_are_taken_up_to_the_fair_share() {
        let rows = [(Some("peer"), 1), (None, 0), (None, 0), (None, 0)];
        assert_eq!(pass(&rows, &Config::default()).take.len(), 2);
    }

    #[test]
    fn very_old_leases_are_taken_beyond_the_fair_share() {
        let rows = [
            (Some("me"), 1),
            (Some("me"), 1),
            (Some("peer"), 1),
            (Some("gone"), 31),
        ];
        assert_eq!(pass(&rows, &Config::default()).take.len(), 1);
    }

    #[test]
    fn an_owner_is_alive_until_the_failover_time_has_passed() {
        let config = Config::default();
        assert_eq!(pass(&[(Some("peer"), 10)], &config).take.len(), 0);
        assert_eq!(
            pass(&[(Some("peer"), 11)], &config).take[0].1,
            TakeReason::Expired
        );
    }

    #[test]
    fn one_lease_at_a_time_is_stolen_from_the_most_loaded() {
        let rows = [
            (Some("a"), 1),
            (Some("a"), 1),
            (Some("a"), 1),
            (Some("b"), 1),
        ];
        let plan = pass(&rows, &Config::default());
        assert_eq!(plan.take.len(), 1);
        assert_eq!(plan.take[0].1, TakeReason::Stolen);
        assert!(plan.take[0].0.as_str() < "shardId-000000000003");
    }

    #[test]
    fn nothing_is_stolen_when_loads_differ_by_one() {
        let rows = [(Some("a"), 1), (Some("a"), 1), (Some("me"), 1)];
        assert_eq!(
            pass(&rows, &Config::default()).idle,
            Some(IdleReason::Balanced)
        );
    }

    #[test]
    fn the_limit_of_a_worker_holds_even_for_very_old_leases() {
        let config = Config {
            max_leases: NonZeroUsize::MIN,
            ..Config::default()
        };
        assert_eq!(
            pass(&[(Some("me"), 1), (None, 99)], &config).idle,
            Some(IdleReason::Limit)
        );
        assert_eq!(pass(&[(None, 99), (None, 99)], &config).take.len(), 1);
    }
}
