//! Parents before children, and the steps at the end of a shard.

use std::time::{Duration, Instant};

use crate::action::{Action, Grant, LIST_ALL, Request, StopReason, Token};
use crate::call::Purpose;
use crate::checkpoint::Checkpoint;
use crate::coordinator::Coordinator;
use crate::decision::Decision;
use crate::event::Outcome;
use crate::hole::read_ancestors;
use crate::lease::{Lease, LeaseKey, ShardId};
use crate::shard::{ChildShard, StartPosition};

/// Where a held lease stands in the life of its shard.
#[derive(Clone, Debug)]
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
                missing: Vec::new(),
                unfinished: None,
                has_parent_lease: false,
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
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) poll_at: Instant,
    /// Answers still missing.
    pub(crate) outstanding: usize,
    /// Parents without a lease.
    missing: Vec<ShardId>,
    unfinished: Option<ShardId>,
    has_parent_lease: bool,
    is_reported: bool,
}

/// The end was read: children's leases first, then SHARD_END.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    children: Vec<ChildShard>,
    /// Answers still missing.
    outstanding: usize,
    /// Rows of a merge that do not exist: the other parent or the child.
    missing: Vec<ShardId>,
    is_ready: bool,
}

impl Ending {
    /// Whether every child has a lease.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn has_child(&self, shard: &ShardId) -> bool {
        self.children.iter().any(|child| child.id == *shard)
    }
}

impl Coordinator {
    pub(crate) fn start_reading(&mut self, key: &LeaseKey) {
        let start = self.start;
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if held.is_leaving {
            return;
        }
        let phase = std::mem::replace(&mut held.phase, Phase::Reading);
        let has_parent_lease =
            matches!(&phase, Phase::Waiting(parents) if parents.has_parent_lease);
        held.has_reader = true;
        let row = &held.row;
        let time = match start {
            StartPosition::AtTimestamp(at) => Some(row.start_at.unwrap_or(at)),
            _ => row.start_at,
        };
        let (from, start_at) = match (row.checkpoint, time) {
            // Its parents were read, so it has to be read from its beginning: another worker has listed the shards
            // after the reshard and taken it for a first start.
            (Checkpoint::Latest, _) if has_parent_lease => (Checkpoint::TrimHorizon, None),
            // Java keeps its time in its settings, which are not ours: the horizon loses nothing.
            (Checkpoint::AtTimestamp, None) => (Checkpoint::TrimHorizon, None),
            (from @ (Checkpoint::Latest | Checkpoint::AtTimestamp), time) => (from, time),
            (from, _) => (from, None),
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
        let (token, parents) = (held.token, held.row.parents.clone());
        let Phase::Waiting(waiting) = &mut held.phase else {
            return;
        };
        waiting.missing.clear();
        waiting.unfinished = None;
        waiting.outstanding = parents.len();
        self.read_relatives(key, token, parents);
    }

    fn read_relatives(&mut self, key: &LeaseKey, token: Token, relatives: Vec<ShardId>) {
        for relative in relatives {
            let request = Request::Read {
                key: key.relative(&relative),
            };
            let purpose = Purpose::Relative {
                key: key.clone(),
                token,
                relative,
            };
            self.call(purpose, request);
        }
    }

    pub(crate) fn relative_read(
        &mut self,
        (key, token): (&LeaseKey, Token),
        relative: ShardId,
        outcome: Outcome,
        now: Instant,
    ) {
        let Outcome::Row(row) = outcome else { return };
        if let Some(row) = &row {
            self.note((**row).clone(), now);
        }
        let Some(held) = self.held.get_mut(key).filter(|held| held.token == token) else {
            return;
        };
        match &mut held.phase {
            Phase::Waiting(waiting) => {
                match row {
                    None => waiting.missing.push(relative),
                    Some(row) => {
                        waiting.has_parent_lease = true;
                        if !row.checkpoint.is_shard_end() {
                            waiting.unfinished = Some(relative);
                        }
                    }
                }
                waiting.outstanding = waiting.outstanding.saturating_sub(1);
                if waiting.outstanding == 0 {
                    self.parents_known(key, now);
                }
            }
            Phase::Ending(ending) => {
                if row.is_none() {
                    ending.missing.push(relative);
                }
                ending.outstanding = ending.outstanding.saturating_sub(1);
                if ending.outstanding == 0 {
                    self.merge_known(key);
                }
            }
            _ => {}
        }
    }

    fn parents_known(&mut self, key: &LeaseKey, now: Instant) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let (token, checkpoint) = (held.token, held.row.checkpoint);
        let Phase::Waiting(waiting) = &mut held.phase else {
            return;
        };
        if let Some(parent) = waiting.unfinished.take() {
            waiting.poll_at = now + PARENT_POLL;
            if !std::mem::replace(&mut waiting.is_reported, true) {
                self.report(Decision::WaitingForParent {
                    key: key.clone(),
                    parent,
                });
            }
            return;
        }
        // A child past its start was begun by somebody who knew. One at TRIM_HORIZON was not: a parent without a lease
        // is done only if the service does not list it either.
        if !waiting.missing.is_empty() && checkpoint == Checkpoint::TrimHorizon {
            waiting.outstanding = 1;
            self.call(readable(key, token), LIST_ALL);
        } else {
            self.start_reading(key);
        }
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
        if shards.is_empty() {
            // A stream always has shards: an empty answer proves nothing.
            let at = now + PARENT_POLL;
            self.call_later(at, readable(key, token), LIST_ALL);
            return;
        }
        let read = read_ancestors(&shards, &self.leases());
        let Some(held) = self.held.get_mut(key).filter(|held| held.token == token) else {
            return;
        };
        let missing: Vec<&ShardId> = match &held.phase {
            Phase::Waiting(waiting) => {
                let is_unread = |shard: &&ShardId| !read.contains(*shard);
                waiting.missing.iter().filter(is_unread).collect()
            }
            Phase::Ending(ending) if ending.children.is_empty() => {
                // The shard is gone, and with it the answer that would have named its children.
                let own = held.row.shard();
                let children = shards
                    .into_iter()
                    .filter(|shard| shard.parents.contains(&own))
                    .map(ChildShard::from)
                    .collect();
                self.end_with(key, children);
                return;
            }
            // The child of the merge is missing as well, but its parents are what is in question.
            Phase::Ending(ending) => {
                let is_parent = |shard: &&ShardId| !ending.has_child(shard);
                ending.missing.iter().filter(is_parent).collect()
            }
            _ => return,
        };
        let leases: Vec<Lease> = shards
            .into_iter()
            .filter(|shard| missing.contains(&&shard.id))
            .map(|shard| held.row.child(&ChildShard::from(shard)))
            .collect();
        match &mut held.phase {
            Phase::Waiting(waiting) if !leases.is_empty() => {
                waiting.outstanding = leases.len();
                waiting.poll_at = now + PARENT_POLL;
            }
            Phase::Ending(ending) if !leases.is_empty() => ending.outstanding = leases.len(),
            Phase::Waiting(_) => self.start_reading(key),
            _ => self.create_children(key),
        }
        self.create_relatives(key, token, leases);
    }

    fn create_relatives(&mut self, key: &LeaseKey, token: Token, leases: Vec<Lease>) {
        for lease in leases {
            let purpose = Purpose::CreateRelative {
                key: key.clone(),
                token,
                relative: lease.shard(),
            };
            self.call(purpose, Request::Create(Box::new(lease)));
        }
    }

    pub(crate) fn relative_created(
        &mut self,
        (key, token): (&LeaseKey, Token),
        relative: &ShardId,
        (request, outcome): (Request, &Outcome),
        now: Instant,
    ) {
        if let (Request::Create(lease), Outcome::Applied) = (request, outcome) {
            self.report(Decision::Created {
                key: lease.key.clone(),
                checkpoint: lease.checkpoint,
            });
            if !self.seen.contains_key(&lease.key) {
                self.note(*lease, now);
            }
        }
        self.scan_soon(now);
        let Some(held) = self.held.get_mut(key).filter(|held| held.token == token) else {
            return;
        };
        match &mut held.phase {
            Phase::Waiting(waiting) => waiting.outstanding = waiting.outstanding.saturating_sub(1),
            Phase::Ending(ending) => {
                ending.outstanding = ending.outstanding.saturating_sub(1);
                if ending.outstanding == 0 && ending.has_child(relative) {
                    ending.is_ready = true;
                } else if ending.outstanding == 0 {
                    self.create_children(key);
                }
            }
            _ => {}
        }
    }

    /// The end of a shard was read and everything in it is accepted. Without children the service has forgotten the
    /// shard: a listing names those that are left.
    pub(crate) fn shard_ended(&mut self, key: &LeaseKey, token: Token, children: Vec<ChildShard>) {
        let Some(held) = self.held_as(key, token) else {
            return;
        };
        if !matches!(held.phase, Phase::Reading) {
            return;
        }
        if children.is_empty() {
            self.set_ending(key, Vec::new(), 1);
            self.call(readable(key, token), LIST_ALL);
        } else {
            self.end_with(key, children);
        }
    }

    fn set_ending(&mut self, key: &LeaseKey, children: Vec<ChildShard>, outstanding: usize) {
        if let Some(held) = self.held.get_mut(key) {
            held.phase = Phase::Ending(Ending {
                is_ready: outstanding == 0,
                children,
                outstanding,
                missing: Vec::new(),
            });
        }
    }

    fn end_with(&mut self, key: &LeaseKey, children: Vec<ChildShard>) {
        let Some(held) = self.held.get(key) else {
            return;
        };
        let (token, own) = (held.token, held.row.shard());
        let others: Vec<ShardId> = match children.as_slice() {
            [child] => {
                let parents = child.parents.iter().filter(|parent| **parent != own);
                parents.cloned().collect()
            }
            _ => Vec::new(),
        };
        if others.is_empty() {
            self.set_ending(key, children, 0);
            self.create_children(key);
        } else {
            let relatives: Vec<ShardId> = children
                .iter()
                .map(|child| child.id.clone())
                .chain(others)
                .collect();
            self.set_ending(key, children, relatives.len());
            self.read_relatives(key, token, relatives);
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
        if !ending.missing.iter().any(|shard| ending.has_child(shard)) {
            ending.is_ready = true;
        } else if ending.missing.iter().all(|shard| ending.has_child(shard)) {
            self.create_children(key);
        } else {
            ending.outstanding = 1;
            self.call(readable(key, token), LIST_ALL);
        }
    }

    fn create_children(&mut self, key: &LeaseKey) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let (token, row) = (held.token, &held.row);
        let Phase::Ending(ending) = &mut held.phase else {
            return;
        };
        ending.outstanding = ending.children.len();
        ending.is_ready = ending.children.is_empty();
        let leases = ending.children.iter().map(|child| row.child(child));
        let leases = leases.collect();
        self.create_relatives(key, token, leases);
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

fn readable(key: &LeaseKey, token: Token) -> Purpose {
    Purpose::Readable {
        key: key.clone(),
        token,
    }
}

/// How often the parents of a waiting lease are read; the KCL does it each 10 s.
const PARENT_POLL: Duration = Duration::from_secs(2);
