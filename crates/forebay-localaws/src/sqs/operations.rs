use serde_json::{Map, Value, json};

use super::queue::{NewMessage, Queue, QueueAttributes, Visibility};
use super::{Answer, Sqs, no_queue};
use crate::wire::json::{missing, number, required, text};
use crate::wire::md5_hex;
use crate::{ServiceError, Wait};

impl Sqs {
    /// Runs an operation on JSON as the SQS API reference writes it. `None`: not modelled.
    pub(crate) fn call(
        &mut self,
        operation: &str,
        input: &Value,
        now: u64,
    ) -> Option<Result<Answer, ServiceError>> {
        if operation == "ReceiveMessage" {
            return Some(self.receive(input, now));
        }
        let result = match operation {
            "CreateQueue" => self.create(input, now),
            "DeleteQueue" => self.queue_name(input).map(|name| {
                self.queues.remove(&name);
                json!({})
            }),
            "GetQueueUrl" => {
                required(input, "QueueName").and_then(|name| match self.queues.get(name) {
                    Some(_) => Ok(json!({"QueueUrl": self.url(name)})),
                    None => Err(no_queue()),
                })
            }
            "ListQueues" => Ok(self.list(input)),
            "GetQueueAttributes" => self.get_attributes(input, now),
            "SetQueueAttributes" => self.set_attributes(input),
            "PurgeQueue" => self.queue(input).map(|queue| {
                queue.purge();
                json!({})
            }),
            "SendMessage" => self
                .queue_name(input)
                .and_then(|name| self.send_one(&name, input, now)),
            "SendMessageBatch" => {
                self.batch(input, |sqs, name, entry| sqs.send_one(name, entry, now))
            }
            "DeleteMessage" => self
                .queue_name(input)
                .and_then(|name| self.delete_one(&name, input)),
            "DeleteMessageBatch" => {
                self.batch(input, |sqs, name, entry| sqs.delete_one(name, entry))
            }
            "ChangeMessageVisibility" => self
                .queue_name(input)
                .and_then(|name| self.hide_one(&name, input, now)),
            "ChangeMessageVisibilityBatch" => {
                self.batch(input, |sqs, name, entry| sqs.hide_one(name, entry, now))
            }
            _ => return None,
        };
        Some(result.map(|value| Answer { value, wait: None }))
    }

    fn create(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let name = required(input, "QueueName")?;
        let mut attributes = QueueAttributes {
            fifo: name.ends_with(".fifo"),
            ..QueueAttributes::default()
        };
        read_attributes(&mut attributes, input)?;
        let existing = self.queues.get(name);
        if existing.is_some_and(|existing| existing.attributes != attributes) {
            return Err(ServiceError::client(
                "QueueNameExists",
                "A queue already exists with the same name and a different value for an attribute",
            ));
        }
        Ok(json!({"QueueUrl": self.create_queue(name, attributes, now)}))
    }

    fn list(&self, input: &Value) -> Value {
        let prefix = text(input, "QueueNamePrefix").unwrap_or_default();
        let urls: Vec<String> = self
            .queues
            .keys()
            .filter(|name| name.starts_with(prefix))
            .map(|name| self.url(name))
            .collect();
        json!({"QueueUrls": urls})
    }

    fn get_attributes(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let name = self.queue_name(input)?;
        let arn = self.arn(&name);
        let redrive = self
            .queues
            .get(&name)
            .and_then(|queue| queue.attributes.redrive.clone())
            .map(|(target, most)| {
                json!({"deadLetterTargetArn": self.arn(&target), "maxReceiveCount": most})
                    .to_string()
            });
        let queue = self.queue(input)?;
        let (visible, in_flight, delayed) = queue.counts(now);
        let settings = &queue.attributes;
        let mut all = vec![
            ("QueueArn", arn),
            ("ApproximateNumberOfMessages", visible.to_string()),
            (
                "ApproximateNumberOfMessagesNotVisible",
                in_flight.to_string(),
            ),
            ("ApproximateNumberOfMessagesDelayed", delayed.to_string()),
            ("CreatedTimestamp", (queue.created / 1000).to_string()),
            (
                "VisibilityTimeout",
                (settings.visibility_ms / 1000).to_string(),
            ),
            (
                "ReceiveMessageWaitTimeSeconds",
                (settings.wait_ms / 1000).to_string(),
            ),
            ("DelaySeconds", (settings.delay_ms / 1000).to_string()),
            (
                "MessageRetentionPeriod",
                (settings.retention_ms / 1000).to_string(),
            ),
            ("MaximumMessageSize", MESSAGE_BYTES.to_string()),
        ];
        if settings.fifo {
            all.push(("FifoQueue", "true".to_owned()));
        }
        all.extend(redrive.map(|policy| ("RedrivePolicy", policy)));
        let wanted: Vec<&str> = input
            .get("AttributeNames")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let shown: Map<String, Value> = all
            .into_iter()
            .filter(|(name, _)| wanted.contains(&"All") || wanted.contains(name))
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        Ok(json!({"Attributes": shown}))
    }

    fn set_attributes(&mut self, input: &Value) -> Result<Value, ServiceError> {
        read_attributes(&mut self.queue(input)?.attributes, input)?;
        Ok(json!({}))
    }

    fn receive(&mut self, input: &Value, now: u64) -> Result<Answer, ServiceError> {
        let limit = number(input, "MaxNumberOfMessages", 1..=10)?.unwrap_or(1) as usize;
        let wait = number(input, "WaitTimeSeconds", 0..=20)?;
        let visibility = number(input, "VisibilityTimeout", 0..=43_200)?;
        let duplicate = self.settings.duplicate_per_million;
        let name = self.queue_name(input)?;
        let Some(queue) = self.queues.get_mut(&name) else {
            return Err(no_queue());
        };
        let visibility =
            visibility.map_or(queue.attributes.visibility_ms, |seconds| seconds * 1000);
        let timeout_ms = wait.map_or(queue.attributes.wait_ms, |seconds| seconds * 1000);
        let (received, dead) = queue.receive(limit, visibility, (duplicate, &mut self.random), now);
        let next_due = queue.next_due(now);
        let target = queue.attributes.redrive.clone().map(|(target, _)| target);
        // Without its dead-letter queue a message stays where it is.
        let target = target
            .filter(|target| self.queues.contains_key(target))
            .unwrap_or(name);
        if let Some(target) = self.queues.get_mut(&target) {
            dead.into_iter()
                .for_each(|message| target.accept(message, now));
        }
        if received.is_empty() {
            let wait = (timeout_ms > 0).then_some(Wait {
                timeout_ms,
                next_due,
            });
            return Ok(Answer {
                value: json!({}),
                wait,
            });
        }
        let names = |member: &str| -> Vec<&str> {
            input
                .get(member)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect()
        };
        let mut system = names("MessageSystemAttributeNames");
        system.extend(names("AttributeNames"));
        let custom = names("MessageAttributeNames");
        let messages: Vec<Value> = received
            .iter()
            .map(|(message, handle)| {
                let mut value = message.describe(handle);
                if let Some(attributes) = value.get_mut("Attributes").and_then(Value::as_object_mut)
                {
                    attributes.retain(|name, _| {
                        system.contains(&"All") || system.contains(&name.as_str())
                    });
                }
                if let Some(attributes) = message.attributes.as_object() {
                    let shown: Map<String, Value> = attributes
                        .iter()
                        .filter(|(name, _)| custom.iter().any(|wanted| wants(wanted, name)))
                        .map(|(name, value)| (name.clone(), value.clone()))
                        .collect();
                    if !shown.is_empty() {
                        value["MessageAttributes"] = Value::Object(shown);
                    }
                }
                value
            })
            .collect();
        Ok(Answer {
            value: json!({"Messages": messages}),
            wait: None,
        })
    }

    fn send_one(&mut self, name: &str, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let body = required(input, "MessageBody")?;
        if body.is_empty() || body.len() > MESSAGE_BYTES {
            return Err(ServiceError::client(
                "InvalidParameterValue",
                format!(
                    "One or more parameters are invalid. Reason: Message must be 1 to {MESSAGE_BYTES} bytes."
                ),
            ));
        }
        let sender = self.account.clone();
        let delay_ms = number(input, "DelaySeconds", 0..=900)?.map(|seconds| seconds * 1000);
        let Some(queue) = self.queues.get_mut(name) else {
            return Err(no_queue());
        };
        let group = text(input, "MessageGroupId").map(str::to_owned);
        let mut deduplication = text(input, "MessageDeduplicationId").map(str::to_owned);
        if queue.attributes.fifo {
            if group.is_none() {
                return Err(ServiceError::client(
                    "MissingParameter",
                    "The request must contain the parameter MessageGroupId.",
                ));
            }
            // Content-based deduplication, which saves the sender an id.
            deduplication.get_or_insert_with(|| md5_hex(body.as_bytes()));
        }
        let attributes = input.get("MessageAttributes").unwrap_or(&Value::Null);
        let fifo = queue.attributes.fifo;
        let message = NewMessage {
            body,
            attributes,
            delay_ms,
            group,
            deduplication,
            sender: &sender,
        };
        let (id, sequence) = queue.send(message, &mut self.random, now);
        let mut answer = json!({"MessageId": id, "MD5OfMessageBody": md5_hex(body.as_bytes())});
        if fifo {
            answer["SequenceNumber"] = format!("{sequence:020}").into();
        }
        Ok(answer)
    }

    fn delete_one(&mut self, name: &str, input: &Value) -> Result<Value, ServiceError> {
        let handle = required(input, "ReceiptHandle")?;
        let Some(queue) = self.queues.get_mut(name) else {
            return Err(no_queue());
        };
        if queue.delete(handle) {
            Ok(json!({}))
        } else {
            Err(bad_handle())
        }
    }

    fn hide_one(&mut self, name: &str, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let handle = required(input, "ReceiptHandle")?;
        let seconds = number(input, "VisibilityTimeout", 0..=43_200)?
            .ok_or_else(|| missing("VisibilityTimeout"))?;
        let Some(queue) = self.queues.get_mut(name) else {
            return Err(no_queue());
        };
        match queue.change_visibility(handle, seconds * 1000, now) {
            Visibility::Changed => Ok(json!({})),
            Visibility::NoHandle => Err(bad_handle()),
            Visibility::NotInFlight => Err(ServiceError::client(
                "MessageNotInflight",
                "The message referred to isn't in flight.",
            )),
        }
    }

    fn batch(
        &mut self,
        input: &Value,
        mut each: impl FnMut(&mut Self, &str, &Value) -> Result<Value, ServiceError>,
    ) -> Result<Value, ServiceError> {
        let name = self.queue_name(input)?;
        let entries = input
            .get("Entries")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if entries.is_empty() {
            return Err(ServiceError::client(
                "EmptyBatchRequest",
                "There should be at least one entry in the request.",
            ));
        }
        if entries.len() > 10 {
            return Err(ServiceError::client(
                "TooManyEntriesInBatchRequest",
                "Maximum number of entries per request are 10.",
            ));
        }
        let ids: Vec<&str> = entries
            .iter()
            .map(|entry| required(entry, "Id"))
            .collect::<Result<_, _>>()?;
        if ids
            .iter()
            .enumerate()
            .any(|(position, id)| ids.iter().take(position).any(|other| other == id))
        {
            return Err(ServiceError::client(
                "BatchEntryIdsNotDistinct",
                "Two entries have the same Id.",
            ));
        }
        let total: usize = entries
            .iter()
            .filter_map(|entry| text(entry, "MessageBody"))
            .map(str::len)
            .sum();
        if total > MESSAGE_BYTES {
            return Err(ServiceError::client(
                "BatchRequestTooLong",
                format!("Batch requests cannot be longer than {MESSAGE_BYTES} bytes."),
            ));
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (id, entry) in ids.into_iter().zip(entries) {
            match each(self, &name, entry) {
                Ok(mut value) => {
                    value["Id"] = id.into();
                    successful.push(value);
                }
                Err(error) => failed.push(json!({
                    "Id": id, "SenderFault": true, "Code": error.code(), "Message": error.message(),
                })),
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }

    fn queue(&mut self, input: &Value) -> Result<&mut Queue, ServiceError> {
        let name = self.queue_name(input)?;
        self.queues.get_mut(&name).ok_or_else(no_queue)
    }

    /// The last part of the URL, whatever its host says.
    fn queue_name(&self, input: &Value) -> Result<String, ServiceError> {
        let url = required(input, "QueueUrl")?;
        let name = url.rsplit('/').next().unwrap_or(url);
        if self.queues.contains_key(name) {
            Ok(name.to_owned())
        } else {
            Err(no_queue())
        }
    }
}

fn read_attributes(attributes: &mut QueueAttributes, input: &Value) -> Result<(), ServiceError> {
    let Some(given) = input.get("Attributes").filter(|given| !given.is_null()) else {
        return Ok(());
    };
    let seconds = |name: &str, most: u64, place: &mut u64| -> Result<(), ServiceError> {
        if let Some(value) = number(given, name, 0..=most)? {
            *place = value * 1000;
        }
        Ok(())
    };
    seconds("VisibilityTimeout", 43_200, &mut attributes.visibility_ms)?;
    seconds("ReceiveMessageWaitTimeSeconds", 20, &mut attributes.wait_ms)?;
    seconds("DelaySeconds", 900, &mut attributes.delay_ms)?;
    seconds(
        "MessageRetentionPeriod",
        1_209_600,
        &mut attributes.retention_ms,
    )?;
    if let Some(policy) = text(given, "RedrivePolicy").filter(|policy| !policy.is_empty()) {
        let bad = || {
            ServiceError::client(
                "InvalidParameterValue",
                "Value for parameter RedrivePolicy is invalid.",
            )
        };
        let policy: Value = serde_json::from_str(policy).map_err(|_| bad())?;
        let target = text(&policy, "deadLetterTargetArn")
            .and_then(|arn| arn.rsplit(':').next())
            .ok_or_else(bad)?;
        let most = number(&policy, "maxReceiveCount", 1..=1_000)?.ok_or_else(bad)?;
        attributes.redrive = Some((target.to_owned(), most));
    }
    Ok(())
}

fn wants(wanted: &str, name: &str) -> bool {
    wanted == "All"
        || wanted == name
        || wanted
            .strip_suffix(".*")
            .is_some_and(|prefix| name.starts_with(prefix))
}

fn bad_handle() -> ServiceError {
    ServiceError::client(
        "ReceiptHandleIsInvalid",
        "The input receipt handle is invalid.",
    )
}

/// The largest message, since August 2025.
const MESSAGE_BYTES: usize = 1 << 20;
