//! Parents before children, and the steps at the end of a shard.

use std::time::Instant;

use crate::action::{Action, Grant, Request, StopReason, Token};
use crate::call::Purpose;
use crate::checkpoint::Checkpoint;
use crate::coordinator::Coordinator;
use crate::decision::Decision;
use crate::event::Outcome;
use crate::lease::{Lease, LeaseKey};
use crate::shard::{ChildShard, ShardFilter, StartPosition};

/// Where a held lease stands in the life of its shard.
#[derive(Debug)]
pub(crate) enum Phase {
    Waiting(Waiting),
    Reading,
    Ending(Ending),
    Completed { since: Instant },
}

impl Phase {
    /// The phase in which a lease with this row begins.
    pub(crate) fn of(row: &Lease, now: Instant) -> Self {
        if row.checkpoint.is_shard_end() {
            Self::Completed { since: now }
        } else if row.checkpoint.is_start() && !row.parents.is_empty() {
            Self::Waiting(Waiting {
                poll_at: now,
                outstanding: 0,
                answers: Vec::new(),
                is_reported: false,
            })
        } else {
            Self::Reading
        }
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = &ChildShard> {
        match self {
            Self::Ending(ending) => ending.children.iter(),
            _ => [].iter(),
        }
    }
}

/// Parents are read until all are done.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) poll_at: Instant,
    /// Answers still missing.
    pub(crate) outstanding: usize,
    answers: Vec<(LeaseKey, Option<Lease>)>,
    is_reported: bool,
}

/// The end was read: children's leases first, then SHARD_END.
#[derive(Debug)]
pub(crate) struct Ending {
    children: Vec<ChildShard>,
    /// Answers still missing.
    outstanding: usize,
    /// Rows of a merge: the other parent and the child.
    answers: Vec<(LeaseKey, bool)>,
    is_ready: bool,
}

impl Ending {
    /// Whether every child has a lease.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_ready
    }
}

impl Coordinator {
    pub(crate) fn start_reading(&mut self, key: &LeaseKey, has_parent_lease: bool) {
        let start = self.start;
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if held.is_leaving {
            return;
        }
        held.phase = Phase::Reading;
        held.has_reader = true;
        let row = &held.row;
        let (from, start_at) = match (row.checkpoint, start) {
            // Its parents were read, so it has to be read from its beginning: another worker has listed the shards
            // after the reshard and taken it for a first start.
            (Checkpoint::Latest, _) if has_parent_lease => (Checkpoint::TrimHorizon, None),
            (Checkpoint::AtTimestamp, StartPosition::AtTimestamp(at)) => {
                (Checkpoint::AtTimestamp, Some(row.start_at.unwrap_or(at)))
            }
            (from, _) => (from, row.start_at),
        };
        let grant = Grant {
            key: key.clone(),
            shard: row.shard(),
            token: held.token,
            from,
            start_at,
            hash_range: row.hash_range,
            parents: row.parents.clone(),
        };
        self.actions.push_back(Action::Start(grant));
    }

    pub(crate) fn ask_parents(&mut self, key: &LeaseKey) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let token = held.token;
        let Phase::Waiting(waiting) = &mut held.phase else {
            return;
        };
        let parents: Vec<LeaseKey> = held
            .row
            .parents
            .iter()
            .map(|parent| key.relative(parent))
            .collect();
        waiting.answers.clear();
        waiting.outstanding = parents.len();
        self.read_relatives(key, token, parents);
    }

    fn read_relatives(&mut self, key: &LeaseKey, token: Token, relatives: Vec<LeaseKey>) {
        for relative in relatives {
            let purpose = Purpose::Relative {
                key: key.clone(),
                token,
                relative: relative.clone(),
            };
            self.call(purpose, Request::Read { key: relative });
        }
    }

    pub(crate) fn relative_read(
        &mut self,
        (key, token): (&LeaseKey, Token),
        relative: LeaseKey,
        outcome: Outcome,
        now: Instant,
    ) {
        let Outcome::Row(row) = outcome else { return };
        let row = row.map(|row| *row);
        if let Some(row) = &row {
            self.note(row.clone(), now);
        }
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if held.token != token {
            return;
        }
        match &mut held.phase {
            Phase::Waiting(waiting) => {
                waiting.answers.push((relative, row));
                waiting.outstanding = waiting.outstanding.saturating_sub(1);
                if waiting.outstanding == 0 {
                    self.parents_known(key, now);
                }
            }
            Phase::Ending(ending) => {
                ending.answers.push((relative, row.is_some()));
                ending.outstanding = ending.outstanding.saturating_sub(1);
                if ending.outstanding == 0 {
                    self.merge_known(key);
                }
            }
            _ => {}
        }
    }

    fn parents_known(&mut self, key: &LeaseKey, now: Instant) {
        let poll_at = now + self.config.parent_poll_interval;
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let (token, checkpoint) = (held.token, held.row.checkpoint);
        let Phase::Waiting(waiting) = &mut held.phase else {
            return;
        };
        let unfinished = waiting.answers.iter().find_map(|(_, row)| {
            row.as_ref()
                .filter(|row| !row.checkpoint.is_shard_end())
                .map(Lease::shard)
        });
        if let Some(parent) = unfinished {
            waiting.poll_at = poll_at;
            if !std::mem::replace(&mut waiting.is_reported, true) {
                self.report(Decision::WaitingForParent {
                    key: key.clone(),
                    parent,
                });
            }
            return;
        }
        let has_parent_lease = waiting.answers.iter().any(|(_, row)| row.is_some());
        let is_one_missing = waiting.answers.iter().any(|(_, row)| row.is_none());
        // A child past its start was begun by somebody who knew. One at TRIM_HORIZON was not: a parent without a lease
        // is done only if the service does not list it either.
        if is_one_missing && checkpoint == Checkpoint::TrimHorizon {
            waiting.outstanding = 1;
            self.list_readable(key, token);
        } else {
            self.start_reading(key, has_parent_lease);
        }
    }

    fn list_readable(&mut self, key: &LeaseKey, token: Token) {
        let purpose = Purpose::Readable {
            key: key.clone(),
            token,
        };
        self.call(
            purpose,
            Request::ListShards {
                filter: ShardFilter::All,
            },
        );
    }

    pub(crate) fn readable_listed(
        &mut self,
        key: &LeaseKey,
        token: Token,
        outcome: Outcome,
        now: Instant,
    ) {
        let Outcome::Shards { shards, .. } = outcome else {
            return;
        };
        let poll_at = now + self.config.parent_poll_interval;
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if held.token != token {
            return;
        }
        let missing: Vec<LeaseKey> = match &held.phase {
            Phase::Waiting(waiting) => waiting
                .answers
                .iter()
                .filter(|(_, row)| row.is_none())
                .map(|(key, _)| key.clone())
                .collect(),
            Phase::Ending(ending) => {
                // The child of the merge is missing as well, but its parents are what is in question.
                let is_child = |relative: &LeaseKey| {
                    ending
                        .children
                        .iter()
                        .any(|child| key.relative(&child.id) == *relative)
                };
                ending
                    .answers
                    .iter()
                    .filter(|(relative, exists)| !exists && !is_child(relative))
                    .map(|(key, _)| key.clone())
                    .collect()
            }
            _ => return,
        };
        let readable: Vec<Lease> = shards
            .into_iter()
            .filter(|shard| missing.contains(&key.relative(&shard.id)))
            .map(|shard| {
                let mut lease = held.row.relative(shard.id, Checkpoint::TrimHorizon);
                lease.parents = shard.parents;
                lease.hash_range = Some(shard.hash_range);
                lease
            })
            .collect();
        let count = readable.len();
        match &mut held.phase {
            Phase::Waiting(waiting) if count > 0 => {
                waiting.outstanding = count;
                waiting.poll_at = poll_at;
            }
            Phase::Ending(ending) if count > 0 => ending.outstanding = count,
            Phase::Waiting(waiting) => {
                let has_parent_lease = waiting.answers.iter().any(|(_, row)| row.is_some());
                self.start_reading(key, has_parent_lease);
            }
            _ => self.create_children(key),
        }
        for lease in readable {
            self.create_relative(key, token, lease);
        }
    }

    fn create_relative(&mut self, key: &LeaseKey, token: Token, lease: Lease) {
        let purpose = Purpose::CreateRelative {
            key: key.clone(),
            token,
            relative: lease.key.clone(),
        };
        self.call(purpose, Request::Create(Box::new(lease)));
    }

    pub(crate) fn relative_created(
        &mut self,
        (key, token): (&LeaseKey, Token),
        relative: &LeaseKey,
        request: Request,
        now: Instant,
    ) {
        if let Request::Create(lease) = request {
            self.report(Decision::Created {
                key: relative.clone(),
                checkpoint: lease.checkpoint,
            });
            if !self.seen.contains_key(relative) {
                self.note(*lease, now);
            }
            self.scan_soon(now);
        }
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if held.token != token {
            return;
        }
        match &mut held.phase {
            Phase::Waiting(waiting) => waiting.outstanding = waiting.outstanding.saturating_sub(1),
            Phase::Ending(ending) => {
                ending.outstanding = ending.outstanding.saturating_sub(1);
                let is_child = ending
                    .children
                    .iter()
                    .any(|child| key.relative(&child.id) == *relative);
                if ending.outstanding == 0 && is_child {
                    ending.is_ready = true;
                } else if ending.outstanding == 0 {
                    self.create_children(key);
                }
            }
            _ => {}
        }
    }

    /// The end of a shard was read and everything in it is accepted.
    pub(crate) fn shard_ended(
        &mut self,
        key: &LeaseKey,
        token: Token,
        children: Vec<ChildShard>,
        _now: Instant,
    ) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if held.token != token || !matches!(held.phase, Phase::Reading) {
            return;
        }
        let own = held.row.shard();
        let merged: Vec<LeaseKey> = match children.as_slice() {
            [child] => child
                .parents
                .iter()
                .filter(|parent| **parent != own)
                .map(|parent| key.relative(parent))
                .collect(),
            _ => Vec::new(),
        };
        let child_keys = children.iter().map(|child| key.relative(&child.id));
        let relatives: Vec<LeaseKey> = if merged.is_empty() {
            Vec::new()
        } else {
            merged.into_iter().chain(child_keys).collect()
        };
        let is_ready = children.is_empty();
        let outstanding = relatives.len();
        held.phase = Phase::Ending(Ending {
            children,
            outstanding,
            answers: Vec::new(),
            is_ready,
        });
        if outstanding > 0 {
            self.read_relatives(key, token, relatives);
        } else if !is_ready {
            self.create_children(key);
        }
    }

    /// A child of two parents must not be created while one parent was never leased and still has records.
    fn merge_known(&mut self, key: &LeaseKey) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let token = held.token;
        let Phase::Ending(ending) = &mut held.phase else {
            return;
        };
        let exists = |wanted_child: bool| {
            ending
                .answers
                .iter()
                .filter(|(relative, _)| {
                    ending
                        .children
                        .iter()
                        .any(|child| key.relative(&child.id) == *relative)
                        == wanted_child
                })
                .all(|(_, exists)| *exists)
        };
        if exists(true) {
            ending.is_ready = true;
        } else if exists(false) {
            self.create_children(key);
        } else {
            ending.outstanding = 1;
            self.list_readable(key, token);
        }
    }

    fn create_children(&mut self, key: &LeaseKey) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let token = held.token;
        let Phase::Ending(ending) = &mut held.phase else {
            return;
        };
        ending.outstanding = ending.children.len();
        let leases: Vec<Lease> = ending
            .children
            .iter()
            .map(|child| {
                let mut lease = held.row.relative(child.id.clone(), Checkpoint::TrimHorizon);
                lease.parents.clone_from(&child.parents);
                lease.hash_range = Some(child.hash_range);
                lease
            })
            .collect();
        for lease in leases {
            self.create_relative(key, token, lease);
        }
    }

    /// SHARD_END is in the table.
    pub(crate) fn end_stored(&mut self, key: &LeaseKey, now: Instant) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        held.phase = Phase::Completed { since: now };
        let (token, children) = (held.token, held.row.children.clone());
        if held.has_reader {
            self.actions.push_back(Action::Stop {
                key: key.clone(),
                token,
                reason: StopReason::ShardEnd,
            });
        }
        self.report(Decision::ShardEnded {
            key: key.clone(),
            children,
        });
        self.scan_soon(now);
    }
}
