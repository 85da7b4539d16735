//! Calls under way: what each is for, and what its answer means.

use std::time::{Duration, Instant};

use crate::action::{Request, Token};
use crate::coordinator::Coordinator;
use crate::event::{Failure, Outcome};
use crate::lease::{LeaseKey, ShardId};

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) purpose: Purpose,
    pub(crate) request: Request,
    /// When it left.
    pub(crate) sent: Instant,
}

/// A call to make again.
#[derive(Clone, Debug)]
pub(crate) struct Later {
    pub(crate) at: Instant,
    purpose: Purpose,
    request: Request,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    Scan,
    ClientVersion,
    /// The one write of a held lease.
    Write {
        key: LeaseKey,
        token: Token,
    },
    /// How that write ended.
    Recheck {
        key: LeaseKey,
        token: Token,
    },
    /// The row before it is taken.
    Look {
        key: LeaseKey,
    },
    Take {
        key: LeaseKey,
    },
    /// How the take ended.
    LookAgain {
        key: LeaseKey,
    },
    /// A parent of a waiting lease, or the other rows of a merge.
    Relative {
        key: LeaseKey,
        token: Token,
        relative: ShardId,
    },
    /// Which shards the service still knows, for a missing relative.
    Readable {
        key: LeaseKey,
        token: Token,
    },
    CreateRelative {
        key: LeaseKey,
        token: Token,
        relative: ShardId,
    },
    Recreate {
        key: LeaseKey,
    },
    EmptyTable,
    Hole,
    CreateMissing {
        key: LeaseKey,
    },
    FillRanges,
    FillRange {
        key: LeaseKey,
    },
    CleanList,
    CleanRead {
        key: LeaseKey,
        token: Token,
        relative: LeaseKey,
    },
}

impl Coordinator {
    pub(crate) fn answered(&mut self, call: Call, outcome: Outcome, now: Instant) {
        if let Outcome::Failed(failure) = &outcome
            && self.try_again(&call, *failure, now)
        {
            return;
        }
        match call.purpose.clone() {
            Purpose::Scan => self.scanned(outcome, now),
            Purpose::ClientVersion => self.learned_mode(outcome, now),
            Purpose::Write { key, token } => self.written((&key, token), call.sent, outcome, now),
            Purpose::Recheck { key, token } => self.rechecked(&key, token, outcome, now),
            Purpose::Look { key } => self.looked(key, outcome, now),
            Purpose::Take { key } => self.took(key, call.sent, outcome, now),
            Purpose::LookAgain { key } => self.looked_again(key, outcome, now),
            Purpose::Relative {
                key,
                token,
                relative,
            } => self.relative_read((&key, token), relative, outcome, now),
            Purpose::Readable { key, token } => self.readable_listed(&key, token, outcome, now),
            Purpose::CreateRelative {
                key,
                token,
                relative,
            } => {
                let answer = (call.request, &outcome);
                self.relative_created((&key, token), &relative, answer, now);
            }
            Purpose::Recreate { key } => self.recreated(&key, &outcome, now),
            Purpose::EmptyTable => self.listed_for_empty_table(outcome, now),
            Purpose::Hole => self.listed_for_hole(outcome),
            Purpose::CreateMissing { key } => {
                self.missing_created(&key, call.request, &outcome, now)
            }
            Purpose::FillRanges => self.listed_for_ranges(outcome),
            Purpose::FillRange { .. } => {}
            Purpose::CleanList => self.listed_for_cleanup(outcome, now),
            Purpose::CleanRead {
                key,
                token,
                relative,
            } => self.cleanup_read((&key, token), &relative, outcome, now),
        }
    }

    /// Calls whose failure means only "once more"; everything else decides for itself.
    fn try_again(&mut self, call: &Call, failure: Failure, now: Instant) -> bool {
        let delay = match &call.purpose {
            Purpose::Recheck { .. } | Purpose::LookAgain { .. } => READ_AGAIN,
            Purpose::Relative { .. }
            | Purpose::CreateRelative { .. }
            | Purpose::Recreate { .. } => CREATE_AGAIN,
            Purpose::CreateMissing { .. } => CREATE_AGAIN,
            Purpose::Readable { .. } | Purpose::EmptyTable => LIST_AGAIN,
            _ => return false,
        };
        let delay = if failure == Failure::Denied {
            delay * 20
        } else {
            delay
        };
        self.call_later(now + delay, call.purpose.clone(), call.request.clone());
        true
    }

    pub(crate) fn call_later(&mut self, at: Instant, purpose: Purpose, request: Request) {
        self.later.push(Later {
            at,
            purpose,
            request,
        });
    }

    pub(crate) fn retry_due(&mut self, now: Instant) {
        if self.later.iter().all(|later| later.at > now) {
            return;
        }
        let (due, later) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|later| later.at <= now);
        self.later = later;
        let due: Vec<Later> = due;
        for Later {
            purpose, request, ..
        } in due
        {
            self.call(purpose, request);
        }
    }

    /// Whether a call still makes sense at the moment it would leave.
    pub(crate) fn is_wanted(&self, purpose: &Purpose, now: Instant) -> bool {
        match purpose {
            // A worker that fails its own hold test writes nothing.
            Purpose::Write { key, token } => self
                .held_as(key, *token)
                .is_some_and(|held| now < held.held_until),
            Purpose::Recheck { key, token }
            | Purpose::Relative { key, token, .. }
            | Purpose::Readable { key, token }
            | Purpose::CreateRelative { key, token, .. }
            | Purpose::CleanRead { key, token, .. } => self.held_as(key, *token).is_some(),
            Purpose::Look { key } | Purpose::Take { key } => {
                self.taking.contains_key(key) && self.forbidden().is_none()
            }
            Purpose::LookAgain { key } => self.taking.contains_key(key),
            Purpose::EmptyTable | Purpose::Hole | Purpose::CreateMissing { .. } => {
                self.forbidden().is_none()
            }
            _ => true,
        }
    }

    /// A call was not sent after all.
    pub(crate) fn withdrawn(&mut self, purpose: &Purpose) {
        match purpose {
            Purpose::Look { key } | Purpose::Take { key } => {
                self.taking.remove(key);
            }
            Purpose::EmptyTable | Purpose::Hole => self.sync.is_listing = false,
            Purpose::CreateMissing { .. } => self.sync.abandon(),
            _ => {}
        }
    }
}

const READ_AGAIN: Duration = Duration::from_millis(250);
const CREATE_AGAIN: Duration = Duration::from_millis(500);
const LIST_AGAIN: Duration = Duration::from_millis(1500);
