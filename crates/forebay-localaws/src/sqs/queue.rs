use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use crate::random::Random;
use crate::wire::md5_hex;

/// Settings of a queue.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct QueueAttributes {
    /// How long a received message stays hidden, in milliseconds.
    pub visibility_ms: u64,
    /// How long a receive waits unless it says otherwise, in milliseconds.
    pub wait_ms: u64,
    /// How long a new message stays hidden, in milliseconds.
    pub delay_ms: u64,
    /// How long a message is kept, in milliseconds.
    pub retention_ms: u64,
    /// The dead-letter queue's name and after how many receives a message goes there.
    pub redrive: Option<(String, u64)>,
    /// Ordered by group, duplicates dropped for five minutes.
    pub fifo: bool,
}

impl Default for QueueAttributes {
    fn default() -> Self {
        Self {
            visibility_ms: 30_000,
            wait_ms: 0,
            delay_ms: 0,
            retention_ms: 345_600_000,
            redrive: None,
            fifo: false,
        }
    }
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) attributes: Value,
    pub(crate) sent: u64,
    pub(crate) visible_at: u64,
    pub(crate) receives: u64,
    pub(crate) first_received: Option<u64>,
    pub(crate) group: Option<String>,
    pub(crate) deduplication: Option<String>,
    pub(crate) sequence: u64,
    sender: String,
    /// Sequence of the handle given out last: only it may hide the message again.
    receipt: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) attributes: QueueAttributes,
    pub(crate) created: u64,
    messages: VecDeque<Message>,
    sequence: u64,
    receipts: u64,
    /// Deduplication ids of the last five minutes.
    seen: VecDeque<(u64, String, String)>,
}

impl Queue {
    pub(crate) fn new(attributes: QueueAttributes, now: u64) -> Self {
        Self {
            attributes,
            created: now,
            messages: VecDeque::new(),
            sequence: 0,
            receipts: 0,
            seen: VecDeque::new(),
        }
    }

    /// Adds a message, or finds the one it repeats; its id comes back.
    pub(crate) fn send(
        &mut self,
        input: NewMessage<'_>,
        random: &mut Random,
        now: u64,
    ) -> (String, u64) {
        if let Some(deduplication) = &input.deduplication {
            while self
                .seen
                .front()
                .is_some_and(|(at, _, _)| at + 300_000 <= now)
            {
                self.seen.pop_front();
            }
            if let Some((_, _, id)) = self.seen.iter().find(|(_, seen, _)| seen == deduplication) {
                return (id.clone(), self.sequence);
            }
        }
        let id = random.uuid();
        self.sequence += 1;
        if let Some(deduplication) = &input.deduplication {
            self.seen
                .push_back((now, deduplication.clone(), id.clone()));
        }
        self.messages.push_back(Message {
            id: id.clone(),
            body: input.body.to_owned(),
            attributes: input.attributes.clone(),
            sent: now,
            visible_at: now + input.delay_ms.unwrap_or(self.attributes.delay_ms),
            receives: 0,
            first_received: None,
            group: input.group,
            deduplication: input.deduplication,
            sequence: self.sequence,
            sender: input.sender.to_owned(),
            receipt: 0,
        });
        (id, self.sequence)
    }

    /// Takes over a message that another queue gave up.
    pub(crate) fn accept(&mut self, mut message: Message, now: u64) {
        message.visible_at = now;
        message.receipt = 0;
        self.messages.push_back(message);
    }

    /// Hands out visible messages and hides them, but for a duplicate with the given chance in a million; those received too often come back for the dead-letter queue.
    pub(crate) fn receive(
        &mut self,
        limit: usize,
        visibility_ms: u64,
        (duplicate, random): (u32, &mut Random),
        now: u64,
    ) -> (Vec<(Message, String)>, Vec<Message>) {
        self.expire(now);
        let most = self.attributes.redrive.as_ref().map(|(_, most)| *most);
        let (mut received, mut dead) = (Vec::new(), Vec::new());
        let mut blocked: Vec<String> = Vec::new();
        let mut position = 0;
        while received.len() < limit {
            let Some(message) = self.messages.get_mut(position) else {
                break;
            };
            let waits = message.visible_at > now
                || message
                    .group
                    .as_ref()
                    .is_some_and(|group| blocked.contains(group));
            if waits {
                // A group's later messages wait for its first one.
                blocked.extend(message.group.clone());
                position += 1;
                continue;
            }
            if most.is_some_and(|most| message.receives >= most) {
                dead.extend(self.messages.remove(position));
                continue;
            }
            message.receives += 1;
            message.first_received.get_or_insert(now);
            self.receipts += 1;
            message.receipt = self.receipts;
            if !random.chance(duplicate) {
                message.visible_at = now + visibility_ms;
            }
            let handle = crate::wire::encode_base64(
                format!(
                    "{MARK} {} {} {:016x}",
                    message.id,
                    message.receipt,
                    random.next()
                )
                .as_bytes(),
            );
            received.push((message.clone(), handle));
            position += 1;
        }
        (received, dead)
    }

    /// Deletes by handle. An older handle of the same message works too, as AWS says it may;
    /// a message already gone is no error. False if the text is no handle.
    pub(crate) fn delete(&mut self, handle: &str) -> bool {
        let Some((id, _)) = parse(handle) else {
            return false;
        };
        self.messages.retain(|message| message.id != id);
        true
    }

    /// Hides the message for this long from now.
    pub(crate) fn change_visibility(
        &mut self,
        handle: &str,
        visibility_ms: u64,
        now: u64,
    ) -> Visibility {
        let Some((id, receipt)) = parse(handle) else {
            return Visibility::NoHandle;
        };
        match self.messages.iter_mut().find(|message| {
            message.id == id && message.receipt == receipt && message.visible_at > now
        }) {
            Some(message) => {
                message.visible_at = now + visibility_ms;
                Visibility::Changed
            }
            None => Visibility::NotInFlight,
        }
    }

    /// When the next hidden message becomes visible.
    pub(crate) fn next_due(&self, now: u64) -> Option<u64> {
        self.messages
            .iter()
            .map(|message| message.visible_at)
            .filter(|at| *at > now)
            .min()
    }

    /// Visible, in flight, delayed.
    pub(crate) fn counts(&mut self, now: u64) -> (usize, usize, usize) {
        self.expire(now);
        let hidden = |message: &&Message| message.visible_at > now;
        let delayed = self
            .messages
            .iter()
            .filter(hidden)
            .filter(|message| message.receives == 0)
            .count();
        let all_hidden = self.messages.iter().filter(hidden).count();
        (
            self.messages.len() - all_hidden,
            all_hidden - delayed,
            delayed,
        )
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.messages
            .iter()
            .map(|message| message.body.clone())
            .collect()
    }

    pub(crate) fn purge(&mut self) {
        self.messages.clear();
    }

    fn expire(&mut self, now: u64) {
        let retention = self.attributes.retention_ms;
        self.messages
            .retain(|message| message.sent + retention > now);
    }
}

/// What a sender hands over.
#[derive(Debug)]
pub(crate) struct NewMessage<'a> {
    pub(crate) body: &'a str,
    pub(crate) attributes: &'a Value,
    pub(crate) delay_ms: Option<u64>,
    pub(crate) group: Option<String>,
    pub(crate) deduplication: Option<String>,
    pub(crate) sender: &'a str,
}

/// What became of a change of visibility.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Visibility {
    Changed,
    NotInFlight,
    NoHandle,
}

impl Message {
    /// The message as a receive answers it.
    pub(crate) fn describe(&self, handle: &str) -> Value {
        let mut system = Map::new();
        system.insert(
            "ApproximateReceiveCount".into(),
            self.receives.to_string().into(),
        );
        system.insert("SentTimestamp".into(), self.sent.to_string().into());
        system.insert("SenderId".into(), self.sender.as_str().into());
        if let Some(first) = self.first_received {
            system.insert(
                "ApproximateFirstReceiveTimestamp".into(),
                first.to_string().into(),
            );
        }
        if let Some(group) = &self.group {
            system.insert("MessageGroupId".into(), group.as_str().into());
            system.insert(
                "SequenceNumber".into(),
                format!("{:020}", self.sequence).into(),
            );
        }
        if let Some(deduplication) = &self.deduplication {
            system.insert(
                "MessageDeduplicationId".into(),
                deduplication.as_str().into(),
            );
        }
        json!({
            "MessageId": self.id,
            "ReceiptHandle": handle,
            "MD5OfBody": md5_hex(self.body.as_bytes()),
            "Body": self.body,
            "Attributes": system,
        })
    }
}

fn parse(handle: &str) -> Option<(String, u64)> {
    let text = String::from_utf8(crate::wire::decode_base64(handle)?).ok()?;
    let mut parts = text.strip_prefix(MARK)?.trim_start().split(' ');
    Some((parts.next()?.to_owned(), parts.next()?.parse().ok()?))
}

const MARK: &str = "forebay receipt 1";
