//! Simple Queue Service: visibility, long polls, redrive, batches.

mod operations;
mod queue;

pub use queue::QueueAttributes;

use std::collections::BTreeMap;

use serde_json::Value;

use self::queue::{NewMessage, Queue};
use crate::random::Random;
use crate::{Service, ServiceError, Settings, SqsSettings, Wait};

/// The SQS of one account and region.
#[derive(Clone, Debug)]
pub struct Sqs {
    settings: SqsSettings,
    region: String,
    account: String,
    random: Random,
    queues: BTreeMap<String, Queue>,
}

/// An answer, with the wait of a long poll that found nothing.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) value: Value,
    pub(crate) wait: Option<Wait>,
}

impl Sqs {
    pub(crate) fn new(settings: &Settings, seed: u64) -> Self {
        Self {
            settings: settings.sqs.clone(),
            region: settings.region.clone(),
            account: settings.account.clone(),
            random: Random::new(seed ^ 0x5153),
            queues: BTreeMap::new(),
        }
    }

    /// Makes a queue and names its URL. An existing queue of that name is kept.
    pub fn create_queue(&mut self, name: &str, attributes: QueueAttributes, now: u64) -> String {
        self.queues
            .entry(name.to_owned())
            .or_insert_with(|| Queue::new(attributes, now));
        self.url(name)
    }

    /// The URL of a queue of this name.
    pub fn url(&self, name: &str) -> String {
        format!(
            "https://sqs.{}.amazonaws.com/{}/{name}",
            self.region, self.account
        )
    }

    /// The ARN of a queue of this name.
    pub fn arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{name}", self.region, self.account)
    }

    /// Sends a message; its id comes back.
    ///
    /// # Errors
    ///
    /// `QueueDoesNotExist`.
    pub fn send(&mut self, queue: &str, body: &str, now: u64) -> Result<String, ServiceError> {
        let sender = self.account.clone();
        let Some(found) = self.queues.get_mut(queue) else {
            return Err(no_queue());
        };
        let message = NewMessage {
            body,
            attributes: &Value::Null,
            delay_ms: None,
            group: None,
            deduplication: None,
            sender: &sender,
        };
        Ok(found.send(message, &mut self.random, now).0)
    }

    /// The bodies of all messages in a queue, hidden ones too, oldest first.
    pub fn bodies(&self, queue: &str) -> Vec<String> {
        self.queues
            .get(queue)
            .map(Queue::bodies)
            .unwrap_or_default()
    }

    /// Messages of a queue: visible, in flight, delayed.
    pub fn counts(&mut self, queue: &str, now: u64) -> (usize, usize, usize) {
        self.queues
            .get_mut(queue)
            .map_or((0, 0, 0), |queue| queue.counts(now))
    }
}

/// The code of the old query protocol, which some SDKs type errors by.
pub(crate) fn query_error(service: Service, code: &str) -> Option<String> {
    if service != Service::Sqs {
        return None;
    }
    let old = match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
        "QueueNameExists" => "QueueAlreadyExists",
        "MessageNotInflight" => "AWS.SimpleQueueService.MessageNotInflight",
        "EmptyBatchRequest" => "AWS.SimpleQueueService.EmptyBatchRequest",
        "TooManyEntriesInBatchRequest" => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        "BatchEntryIdsNotDistinct" => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        "BatchRequestTooLong" => "AWS.SimpleQueueService.BatchRequestTooLong",
        other => other,
    };
    Some(format!("{old};Sender"))
}

fn no_queue() -> ServiceError {
    ServiceError::client("QueueDoesNotExist", "The specified queue does not exist.")
}
