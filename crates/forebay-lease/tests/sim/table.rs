//! A modelled DynamoDB lease table. Writes are atomic; scans may lag and miss rows.

use std::collections::{BTreeMap, VecDeque};

use forebay_lease::{Checkpoint, Lease, LeaseCounter, LeaseKey, Update};

use crate::faults::Millis;
use crate::invariants::Invariants;
use crate::stream::Stream;
use crate::world::Random;

#[derive(Default)]
pub(crate) struct Table {
    pub(crate) rows: BTreeMap<LeaseKey, Row>,
    /// Earlier versions, for scans that lag.
    history: BTreeMap<LeaseKey, VecDeque<(Millis, Option<Lease>)>>,
    pub(crate) writes: u64,
}

#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) lease: Lease,
    /// An attribute that nobody but its writer knows.
    pub(crate) unknown: u64,
    pub(crate) entity_type: Option<&'static str>,
}

/// What a write came to.
pub(crate) enum Written {
    Applied,
    Refused(Option<Lease>),
}

impl Table {
    pub(crate) fn read(&self, key: &LeaseKey) -> Option<&Lease> {
        self.rows
            .get(key)
            .filter(|row| Lease::is_entity_type(row.entity_type))
            .map(|row| &row.lease)
    }

    /// Rows as they stood up to `lag` ago, each by itself, as an eventually consistent scan shows them.
    pub(crate) fn scan(
        &self,
        now: Millis,
        lag: Millis,
        miss: u64,
        random: &mut Random,
        foreign: bool,
    ) -> Vec<Lease> {
        let mut leases = Vec::new();
        let mut keys: Vec<&LeaseKey> = self.history.keys().collect();
        keys.retain(|_| !(miss > 0 && random.chance(miss)));
        for key in keys {
            let is_lease = self
                .rows
                .get(key)
                .is_none_or(|row| Lease::is_entity_type(row.entity_type));
            if !is_lease && !foreign {
                continue;
            }
            let time = if lag == 0 {
                now
            } else {
                now.saturating_sub(random.below(lag))
            };
            let versions = &self.history[key];
            let version = versions.iter().rev().find(|(at, _)| *at <= time);
            if let Some((_, Some(lease))) = version {
                leases.push(lease.clone());
            }
        }
        leases
    }

    pub(crate) fn create(
        &mut self,
        mut lease: Lease,
        now: Millis,
        inv: &mut Invariants,
        stream: &Stream,
    ) -> Written {
        if let Some(row) = self.rows.get(&lease.key) {
            return Written::Refused(Some(row.lease.clone()));
        }
        self.writes += 1;
        inv.created(&lease, now, stream);
        // What other versions leave in a row: it must survive, or go only when its time has come.
        if now.is_multiple_of(3) {
            lease.throughput = Some("12.500000".to_owned());
            lease.pending_checkpoint = Some(lease.checkpoint);
            lease.pending_state = Some(vec![7]);
            lease.checkpoint_owner = "a-handoff-long-dead".parse().ok();
        }
        let unknown = lease.key.as_str().len() as u64 + now;
        self.remember(&lease.key, Some(lease.clone()), now);
        self.rows.insert(
            lease.key.clone(),
            Row {
                lease,
                unknown,
                entity_type: None,
            },
        );
        Written::Applied
    }

    pub(crate) fn update(
        &mut self,
        update: &Update,
        whole: bool,
        now: Millis,
        inv: &mut Invariants,
        stream: &Stream,
    ) -> Written {
        let found = self.rows.get(&update.key).map(|row| row.lease.clone());
        self.writes += 1;
        if !update.condition.allows(found.as_ref()) {
            return Written::Refused(found);
        }
        let before = self.rows[&update.key].clone();
        let mut after = before.clone();
        update.apply(&mut after.lease);
        if whole {
            after.unknown = 0;
        }
        inv.updated(&before, &after, update, self, now, stream);
        self.remember(&update.key, Some(after.lease.clone()), now);
        self.rows.insert(update.key.clone(), after);
        Written::Applied
    }

    pub(crate) fn delete(
        &mut self,
        key: &LeaseKey,
        counter: LeaseCounter,
        now: Millis,
        inv: &mut Invariants,
        stream: &Stream,
    ) -> Written {
        self.writes += 1;
        match self.read(key) {
            Some(row) if row.counter == counter => {}
            other => return Written::Refused(other.cloned()),
        }
        inv.deleted(key, self, now, stream);
        self.remove(key, now);
        Written::Applied
    }

    /// Somebody deletes a row by hand, or cleanup does.
    pub(crate) fn remove(&mut self, key: &LeaseKey, now: Millis) {
        self.rows.remove(key);
        self.remember(key, None, now);
    }

    /// An item of KCL 3.5 that is not a lease.
    pub(crate) fn put_foreign(&mut self, key: &str) {
        let mut lease = Lease::new(
            "shardId-000000000000".parse().expect("id"),
            Checkpoint::TrimHorizon,
        );
        lease.key = key.parse().expect("key");
        self.remember(&lease.key.clone(), Some(lease.clone()), 0);
        self.rows.insert(
            lease.key.clone(),
            Row {
                lease,
                unknown: 1,
                entity_type: Some("STREAM"),
            },
        );
    }

    pub(crate) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.rows
            .values()
            .filter(|row| Lease::is_entity_type(row.entity_type))
            .map(|row| &row.lease)
    }

    fn remember(&mut self, key: &LeaseKey, lease: Option<Lease>, now: Millis) {
        let versions = self.history.entry(key.clone()).or_default();
        versions.push_back((now, lease));
        if versions.len() > 6 {
            versions.pop_front();
        }
    }
}
