use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Kinesis;
use super::listing::invalid;
use super::operations::stream_name;
use super::stream::Stream;
use crate::ServiceError;
use crate::wire::json::{number, required, seconds, text};

/// A registered consumer of a stream, for enhanced fan-out.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    created: u64,
    active_from: u64,
    /// The subscription that each shard has now: when it began.
    pub(crate) subscriptions: BTreeMap<u32, u64>,
}

impl Consumer {
    fn describe(&self, stream: &Stream, name: &str, now: u64) -> Value {
        json!({
            "ConsumerName": name,
            "ConsumerARN": format!("{}/consumer/{name}:{}", stream.arn, self.created / 1_000),
            "ConsumerStatus": if now < self.active_from { "CREATING" } else { "ACTIVE" },
            "ConsumerCreationTimestamp": seconds(self.created),
        })
    }

    pub(crate) fn require_active(&self, name: &str, now: u64) -> Result<(), ServiceError> {
        if now >= self.active_from {
            return Ok(());
        }
        Err(ServiceError::client(
            "ResourceInUseException",
            format!("Consumer {name} is CREATING, not ACTIVE."),
        ))
    }
}

impl Kinesis {
    pub(super) fn register_consumer(
        &mut self,
        input: &Value,
        now: u64,
    ) -> Result<Value, ServiceError> {
        let name = required(input, "ConsumerName")?.to_owned();
        let active_from = now + self.settings.consumer_ms;
        let stream = self.stream(&stream_name(input)?, now)?;
        stream.require_active()?;
        if stream.consumers.contains_key(&name) {
            return Err(ServiceError::client(
                "ResourceInUseException",
                format!("Consumer {name} already exists."),
            ));
        }
        if stream.consumers.len() >= CONSUMERS {
            return Err(ServiceError::client(
                "LimitExceededException",
                format!("Stream {} has {CONSUMERS} consumers already.", stream.name),
            ));
        }
        let consumer = Consumer {
            created: now,
            active_from,
            subscriptions: BTreeMap::new(),
        };
        let mut description = consumer.describe(stream, &name, now);
        // The answer says CREATING even if the consumer is ready at once.
        description["ConsumerStatus"] = "CREATING".into();
        stream.consumers.insert(name, consumer);
        Ok(json!({"Consumer": description}))
    }

    pub(super) fn describe_consumer(
        &mut self,
        input: &Value,
        now: u64,
    ) -> Result<Value, ServiceError> {
        let (stream, name) = self.named_consumer(input, now)?;
        let mut description = stream.consumer(&name)?.describe(stream, &name, now);
        description["StreamARN"] = stream.arn.as_str().into();
        Ok(json!({"ConsumerDescription": description}))
    }

    pub(super) fn list_consumers(
        &mut self,
        input: &Value,
        now: u64,
    ) -> Result<Value, ServiceError> {
        let limit = number(input, "MaxResults", 1..=100)?.unwrap_or(100) as usize;
        let after = text(input, "NextToken").unwrap_or_default();
        let stream = self.stream(&stream_name(input)?, now)?;
        let mut left = stream
            .consumers
            .iter()
            .filter(|(name, _)| name.as_str() > after);
        let page: Vec<_> = left.by_ref().take(limit).collect();
        let consumers: Vec<Value> = page
            .iter()
            .map(|(name, consumer)| consumer.describe(stream, name, now))
            .collect();
        let mut answer = json!({"Consumers": consumers});
        if let (Some(_), Some((last, _))) = (left.next(), page.last()) {
            answer["NextToken"] = last.as_str().into();
        }
        Ok(answer)
    }

    pub(super) fn deregister_consumer(
        &mut self,
        input: &Value,
        now: u64,
    ) -> Result<Value, ServiceError> {
        let (stream, name) = self.named_consumer(input, now)?;
        stream.consumer(&name)?;
        stream.consumers.remove(&name);
        Ok(json!({}))
    }

    /// The stream and the name of a consumer that is given by its ARN, or by both of them.
    pub(super) fn named_consumer(
        &mut self,
        input: &Value,
        now: u64,
    ) -> Result<(&mut Stream, String), ServiceError> {
        if let Some(arn) = text(input, "ConsumerARN") {
            let (stream, name) =
                arn_parts(arn).ok_or_else(|| invalid(&format!("`{arn}` is no consumer ARN.")))?;
            return Ok((self.stream(stream, now)?, name.to_owned()));
        }
        let name = required(input, "ConsumerName")?.to_owned();
        Ok((self.stream(&stream_name(input)?, now)?, name))
    }
}

impl Stream {
    pub(crate) fn consumer(&self, name: &str) -> Result<&Consumer, ServiceError> {
        self.consumers.get(name).ok_or_else(|| {
            ServiceError::client(
                "ResourceNotFoundException",
                format!("Consumer {name} of stream {} not found.", self.name),
            )
        })
    }
}

/// Stream and consumer of `arn:...:stream/STREAM/consumer/CONSUMER:EPOCH`.
pub(crate) fn arn_parts(arn: &str) -> Option<(&str, &str)> {
    let (_, rest) = arn.split_once(":stream/")?;
    let (stream, consumer) = rest.split_once("/consumer/")?;
    Some((stream, consumer.split_once(':')?.0))
}

/// Registered consumers a stream may have.
const CONSUMERS: usize = 20;
