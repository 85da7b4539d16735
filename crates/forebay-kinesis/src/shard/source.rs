use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::types::{ChildShard, Record};
use forebay_lease::{SequenceNumber, ShardId};
use tokio::time::Instant;

use crate::error::Error;
use crate::pace::{Pacer, Portion, RESUBSCRIBE_GAP, push_reservation};
use crate::stream::{KinesisStream, Position};
use crate::subscription::Subscription;

/// Where the records of a shard come from. It keeps the pace the service asks for.
pub(crate) enum Source {
    Polling {
        portion: Portion,
        iterator: Option<String>,
        pacer: Pacer,
    },
    FanOut {
        consumer: Arc<str>,
        subscription: Option<Box<Subscription>>,
        subscribed_at: Option<Instant>,
        not_before: Option<Instant>,
    },
}

/// What one read brought, polled or pushed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) records: Vec<Record>,
    pub(crate) millis_behind_latest: Option<i64>,
    /// Where reading goes on, if that is not after the last record.
    pub(crate) continuation: Option<SequenceNumber>,
    /// Nothing will ever follow.
    pub(crate) ended: bool,
    pub(crate) children: Vec<ChildShard>,
}

impl Source {
    /// Reads with GetRecords, this often per second while behind and after a pause of `idle` at the tip.
    pub(crate) fn polling(portion: Portion, calls_per_second: u32, idle: Duration) -> Self {
        Self::Polling {
            portion,
            iterator: None,
            pacer: Pacer::new(calls_per_second, idle),
        }
    }

    /// Reads with SubscribeToShard as the consumer of this ARN.
    pub(crate) fn fan_out(consumer: Arc<str>) -> Self {
        Self::FanOut {
            consumer,
            subscription: None,
            subscribed_at: None,
            not_before: None,
        }
    }

    /// The earliest time of the next call; `None` means at once, or that no call is needed.
    pub(crate) fn ready_at(&self) -> Option<Instant> {
        match self {
            Self::Polling { pacer, .. } => pacer.next(),
            Self::FanOut {
                subscription: Some(_),
                ..
            } => None,
            Self::FanOut {
                subscribed_at,
                not_before,
                ..
            } => (*not_before).max(subscribed_at.map(|at| at + RESUBSCRIBE_GAP)),
        }
    }

    /// Bytes to have room for before a read, and whether that room is kept while waiting for the answer.
    ///
    /// At the tip a pushed event can be long in coming. It is counted when it is there, so that waiting shards do not
    /// hold the budget: it can be overdrawn by one small event for each shard.
    pub(crate) fn reservation(&self, behind: bool, since_last_read: Duration) -> (usize, bool) {
        match self {
            Self::Polling { portion, .. } => (portion.reservation(behind, since_last_read), true),
            Self::FanOut { .. } => (push_reservation(behind), behind),
        }
    }

    /// Waits for the next answer from `position` on; `None` when a subscription has run its term.
    pub(crate) async fn read(
        &mut self,
        stream: &KinesisStream,
        shard: &ShardId,
        position: &Position,
    ) -> Result<Option<Answer>, Error> {
        match self {
            Self::Polling {
                portion, iterator, ..
            } => {
                let current = match iterator {
                    Some(iterator) => iterator,
                    None => iterator.insert(stream.iterator(shard, position).await?),
                };
                let answer = stream.records(current, portion.records()).await?;
                let ended = answer.next_shard_iterator.is_none();
                *iterator = answer.next_shard_iterator;
                Ok(Some(Answer {
                    records: answer.records,
                    millis_behind_latest: answer.millis_behind_latest,
                    continuation: None,
                    ended,
                    children: answer.child_shards.unwrap_or_default(),
                }))
            }
            Self::FanOut {
                consumer,
                subscription,
                subscribed_at,
                ..
            } => {
                let current = match subscription {
                    Some(subscription) => subscription,
                    None => {
                        let opened = stream.subscribe(consumer, shard, position).await?;
                        *subscribed_at = Some(Instant::now());
                        subscription.insert(Box::new(opened))
                    }
                };
                let pushed = current.next().await;
                if !matches!(&pushed, Ok(Some(answer)) if !answer.ended) {
                    *subscription = None;
                }
                pushed
            }
        }
    }

    /// Forgets iterator or subscription: the next read begins at its position.
    pub(crate) fn restart(&mut self) {
        match self {
            Self::Polling { iterator, .. } => *iterator = None,
            Self::FanOut { subscription, .. } => *subscription = None,
        }
    }

    /// Gives up a subscription that nobody listens to for a while: what it has sent unread would take the room of other
    /// shards on the same connection.
    pub(crate) fn let_go(&mut self) {
        if let Self::FanOut { subscription, .. } = self {
            *subscription = None;
        }
    }

    /// Takes note of an answer to a read that started at `started`: so many records of so many bytes.
    pub(crate) fn answered(
        &mut self,
        started: Instant,
        (records, bytes): (usize, usize),
        behind: bool,
    ) {
        if let Self::Polling { pacer, portion, .. } = self {
            pacer.answered(started, bytes, behind);
            portion.answered(records, bytes);
        }
    }

    /// Takes note of a failure; `delay` counts from `now`.
    pub(crate) fn failed(&mut self, started: Instant, now: Instant, delay: Duration) {
        match self {
            Self::Polling { pacer, .. } => pacer.failed(started, now, delay),
            Self::FanOut {
                subscription,
                not_before,
                ..
            } => {
                *subscription = None;
                *not_before = Some(now + delay);
            }
        }
    }
}
