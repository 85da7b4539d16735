//! Deleting the leases of ended shards, oldest generation first.

use std::time::{Duration, Instant};

use crate::action::{LIST_ALL, Request, Token};
use crate::call::Purpose;
use crate::coordinator::Coordinator;
use crate::event::Outcome;
use crate::lease::{LeaseKey, ShardId};
use crate::lineage::Phase;

#[derive(Clone, Debug)]
pub(crate) struct Cleanup {
    pub(crate) at: Instant,
}

impl Cleanup {
    pub(crate) fn new(now: Instant) -> Self {
        Self { at: now + INTERVAL }
    }
}

impl Coordinator {
    pub(crate) fn clean(&mut self, now: Instant) {
        if now < self.cleanup.at {
            return;
        }
        self.cleanup.at = now + INTERVAL;
        if self.config.cleanup_ended && !self.candidates(now).is_empty() {
            self.call(Purpose::CleanList, LIST_ALL);
        }
    }

    fn candidates(&self, now: Instant) -> Vec<LeaseKey> {
        let wait = self.config.cleanup_after;
        self.held
            .iter()
            .filter(
                |(_, held)| matches!(held.phase, Phase::Completed { since } if since + wait <= now),
            )
            .filter(|(_, held)| held.cleaning.is_none() && !held.is_obsolete)
            .map(|(key, _)| key.clone())
            .collect()
    }

    pub(crate) fn listed_for_cleanup(&mut self, outcome: Outcome, now: Instant) {
        let Outcome::Shards { shards, .. } = outcome else {
            return;
        };
        // A stream always has shards: an empty answer is about something else.
        if shards.is_empty() {
            return;
        }
        for key in self.candidates(now) {
            let Some(held) = self.held.get_mut(&key) else {
                continue;
            };
            let own = held.row.shard();
            if shards.iter().all(|shard| shard.id != own) {
                held.is_obsolete = true;
                continue;
            }
            let mut children: Vec<ShardId> = held.row.children.clone();
            if children.is_empty() {
                children = shards
                    .iter()
                    .filter(|shard| shard.parents.contains(&own))
                    .map(|shard| shard.id.clone())
                    .collect();
            }
            if children.is_empty() {
                continue;
            }
            let relatives: Vec<LeaseKey> = children
                .iter()
                .chain(&held.row.parents)
                .map(|shard| key.relative(shard))
                .collect();
            held.cleaning = Some(relatives.len());
            let token = held.token;
            for relative in relatives {
                let purpose = Purpose::CleanRead {
                    key: key.clone(),
                    token,
                    relative: relative.clone(),
                };
                self.call(purpose, Request::Read { key: relative });
            }
        }
    }

    pub(crate) fn cleanup_read(
        &mut self,
        (key, token): (&LeaseKey, Token),
        relative: &LeaseKey,
        outcome: Outcome,
        _now: Instant,
    ) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let Some(outstanding) = held.cleaning.filter(|_| held.token == token) else {
            return;
        };
        let is_parent = held
            .row
            .parents
            .iter()
            .any(|parent| key.relative(parent) == *relative);
        let lets_go = match (outcome, is_parent) {
            (Outcome::Row(row), true) => row.is_none(),
            // Stricter than the KCL, which lets LATEST pass: a child that has not begun needs to see its parent.
            (Outcome::Row(Some(row)), false) => !row.checkpoint.is_start(),
            _ => false,
        };
        // One row that holds it back is enough; the next round asks again.
        held.cleaning = (lets_go && outstanding > 1).then(|| outstanding - 1);
        held.is_obsolete |= lets_go && outstanding == 1;
    }
}

/// KCL looks each minute.
const INTERVAL: Duration = Duration::from_secs(60);
