use bytes::Bytes;
use serde_json::{Value, json};

use super::Kinesis;
use super::listing::invalid;
use super::shard::shard_id;
use crate::wire::json::{required, text, time};
use crate::{EventMessage, ServiceError};

/// A running SubscribeToShard. The front that answered the call keeps it and asks [`Cloud`](crate::Cloud::next_push)
/// for its events.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    stream: String,
    /// When the stream was made, so that a subscription does not outlive it.
    created: u64,
    consumer: String,
    shard: u32,
    /// The index of the next record to push.
    index: u64,
    started: u64,
    opened: bool,
    /// No message before this time: the rate, or a fault.
    ready_at: u64,
    /// Without records, an empty event at this time.
    sign_at: u64,
    /// The access key of the subscriber.
    pub(crate) caller: String,
}

/// What a subscription brings next.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Push {
    /// Nothing before this time, in Unix milliseconds, unless the stream changes.
    NotBefore(u64),
    /// A message; more follow.
    Message(EventMessage),
    /// The last message.
    Last(EventMessage),
    /// Nothing more: the five minutes are over.
    End,
    /// The connection breaks.
    Broken,
}

impl Subscription {
    /// `stream/shard`, as fault rules name it.
    pub(crate) fn resource(&self) -> String {
        format!("{}/{}", self.stream, shard_id(self.shard))
    }

    /// Stays silent until then, in Unix milliseconds.
    pub(crate) fn hold_until(&mut self, time: u64) {
        self.ready_at = time;
    }
}

impl Kinesis {
    pub(crate) fn subscribe(
        &mut self,
        input: &Value,
        now: u64,
    ) -> Result<Subscription, ServiceError> {
        required(input, "ConsumerARN")?;
        let id = required(input, "ShardId")?;
        let position = input
            .get("StartingPosition")
            .ok_or_else(|| invalid("Must specify StartingPosition."))?;
        let (stream, consumer) = self.named_consumer(input, now)?;
        stream.consumer(&consumer)?.require_active(&consumer, now)?;
        let shard = stream.shard(id)?;
        let number = shard.number;
        let index = shard.start(
            required(position, "Type")?,
            text(position, "SequenceNumber"),
            time(position, "Timestamp")?,
            now,
        )?;
        let (name, created) = (stream.name.clone(), stream.created);
        let subscriptions = stream
            .consumers
            .get_mut(&consumer)
            .map(|consumer| &mut consumer.subscriptions);
        if let Some(subscriptions) = subscriptions {
            let since = subscriptions.get(&number).copied();
            if since.is_some_and(|since| now < since + TAKEOVER_MS) {
                return Err(in_use(&consumer, id));
            }
            subscriptions.insert(number, now);
        }
        Ok(Subscription {
            stream: name,
            created,
            consumer,
            shard: number,
            index,
            started: now,
            opened: false,
            ready_at: now,
            sign_at: now,
            caller: String::new(),
        })
    }

    pub(crate) fn next_push(&mut self, held: &mut Subscription, now: u64) -> Push {
        if !held.opened {
            held.opened = true;
            return Push::Message(EventMessage::event("initial-response", "{}"));
        }
        let rates = self.settings.enforce_rates;
        let found = self.stream(&held.stream.clone(), now).and_then(|stream| {
            let since = stream
                .consumer(&held.consumer)?
                .subscriptions
                .get(&held.shard);
            let shard = stream.shard(&shard_id(held.shard))?;
            if stream.created != held.created || since != Some(&held.started) {
                return Err(in_use(&held.consumer, &shard.id()));
            }
            Ok((&*stream, shard))
        });
        let (stream, shard) = match found {
            Ok(found) => found,
            Err(error) => return Push::Last(EventMessage::exception(&error)),
        };
        let end = held.started + LIFETIME_MS;
        if now >= end {
            return Push::End;
        }
        let waiting = !shard.is_open() || shard.since_index(held.index).next().is_some();
        let due = if waiting {
            held.ready_at
        } else {
            held.ready_at.max(held.sign_at)
        };
        if now < due {
            return Push::NotBefore(due.min(end));
        }
        let page = shard.page(held.index, usize::MAX, EVENT_BYTES, now);
        held.index = page.next;
        held.sign_at = now + QUIET_MS;
        if rates {
            held.ready_at = now + (page.bytes as u64 * 1_000).div_ceil(BYTES_PER_SECOND);
        }
        let mut payload = json!({"Records": page.records, "MillisBehindLatest": page.behind});
        let ended = !shard.is_open() && shard.since_index(held.index).next().is_none();
        if ended {
            payload["ChildShards"] = stream.children(shard);
        } else {
            payload["ContinuationSequenceNumber"] =
                shard.passed(held.index, now).to_string().into();
        }
        let message = EventMessage::event("SubscribeToShardEvent", payload.to_string());
        if ended {
            Push::Last(message)
        } else {
            Push::Message(message)
        }
    }
}

fn in_use(consumer: &str, shard: &str) -> ServiceError {
    ServiceError::client(
        "ResourceInUseException",
        format!("Another active subscription exists for this consumer: {consumer}, {shard}"),
    )
}

impl EventMessage {
    fn event(name: &'static str, payload: impl Into<Bytes>) -> Self {
        Self {
            message_type: "event",
            name: name.to_owned(),
            payload: payload.into(),
        }
    }

    pub(crate) fn exception(error: &ServiceError) -> Self {
        let payload = json!({"__type": error.code(), "message": error.message()});
        Self {
            message_type: "exception",
            name: error.code().to_owned(),
            payload: payload.to_string().into(),
        }
    }
}

/// A subscription ends after five minutes.
const LIFETIME_MS: u64 = 300_000;
/// For this long after one began, a second subscription of the consumer to the shard is refused; later it takes over.
const TAKEOVER_MS: u64 = 5_000;
/// A pause without records after which an empty event tells how far the consumer is.
const QUIET_MS: u64 = 5_000;
const BYTES_PER_SECOND: u64 = 2 << 20;
/// Records of one event; AWS does not say how large it makes them.
const EVENT_BYTES: usize = 1 << 20;
