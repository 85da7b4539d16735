use bytes::Bytes;
use serde_json::{Value, json};

use super::iterator::ShardIterator;
use super::listing::{Listing, Token, invalid, page_size};
use super::shard::shard_id;
use super::{Kinesis, exceeded};
use crate::ServiceError;
use crate::wire::decode_base64;
use crate::wire::json::{missing, number, required, text, time};

impl Kinesis {
    /// Runs an operation on JSON as the Kinesis API reference writes it. `None`: not modelled.
    pub fn call(
        &mut self,
        operation: &str,
        input: &Value,
        now: u64,
    ) -> Option<Result<Value, ServiceError>> {
        Some(match operation {
            "CreateStream" => self.create(input, now),
            "DeleteStream" => self.delete(input, now),
            "ListStreams" => self.list_streams(input, now),
            "DescribeStream" => self.describe(input, now),
            "DescribeStreamSummary" => self.describe_summary(input, now),
            "ListShards" => self.list_shards(input, now),
            "PutRecord" => self.put_one(input, now),
            "PutRecords" => self.put_many(input, now),
            "GetShardIterator" => self.get_iterator(input, now),
            "GetRecords" => self.get_records(input, now),
            "SplitShard" => self.split(input, now),
            "MergeShards" => self.merge(input, now),
            "RegisterStreamConsumer" => self.register_consumer(input, now),
            "DescribeStreamConsumer" => self.describe_consumer(input, now),
            "ListStreamConsumers" => self.list_consumers(input, now),
            "DeregisterStreamConsumer" => self.deregister_consumer(input, now),
            "UpdateShardCount" => self.update_count(input, now),
            "IncreaseStreamRetentionPeriod" => self.set_retention(input, true, now),
            "DecreaseStreamRetentionPeriod" => self.set_retention(input, false, now),
            _ => return None,
        })
    }

    fn create(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let name = required(input, "StreamName")?;
        let on_demand = input
            .get("StreamModeDetails")
            .and_then(|mode| text(mode, "StreamMode"))
            == Some("ON_DEMAND");
        let shards = match number(input, "ShardCount", 1..=100_000)? {
            Some(count) => count as u32,
            // A new on-demand stream has four shards.
            None if on_demand => 4,
            None => return Err(missing("shardCount")),
        };
        self.create_stream(name, shards, now)?;
        self.stream(name, now)?.on_demand = on_demand;
        Ok(json!({}))
    }

    fn delete(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let duration = self.settings.delete_ms;
        let name = stream_name(input)?;
        self.stream(&name, now)?.begin_deletion(duration, now);
        Ok(json!({}))
    }

    fn list_streams(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        self.advance(now);
        let limit = number(input, "Limit", 1..=10_000)?.unwrap_or(100) as usize;
        let after = text(input, "NextToken").or_else(|| text(input, "ExclusiveStartStreamName"));
        let mut names: Vec<&String> = self
            .streams
            .keys()
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .collect();
        let more = names.len() > limit;
        names.truncate(limit);
        let mut answer = json!({"StreamNames": names, "HasMoreStreams": more});
        if let (true, Some(last)) = (more, names.last()) {
            answer["NextToken"] = last.as_str().into();
        }
        Ok(answer)
    }

    fn describe(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let limit = number(input, "Limit", 1..=10_000)?.unwrap_or(100) as usize;
        let name = stream_name(input)?;
        let stream = self.stream(&name, now)?;
        let listing = Listing::read(
            &json!({"ExclusiveStartShardId": input.get("ExclusiveStartShardId")}),
            stream,
            now,
        )?;
        let page = listing.page(stream, limit, now);
        let mut description = stream.summary();
        description["HasMoreShards"] = page.get("NextToken").is_some().into();
        description["Shards"] = page.get("Shards").cloned().unwrap_or_default();
        Ok(json!({"StreamDescription": description}))
    }

    fn describe_summary(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let name = stream_name(input)?;
        let stream = self.stream(&name, now)?;
        let mut summary = stream.summary();
        summary["OpenShardCount"] = stream.open_shards().count().into();
        summary["ConsumerCount"] = stream.consumers.len().into();
        Ok(json!({"StreamDescriptionSummary": summary}))
    }

    fn list_shards(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let limit = page_size(input)?;
        if let Some(token) = text(input, "NextToken") {
            let token = Token::read(token, input, now)?;
            let stream = self.stream(&token.stream, now)?;
            if stream.created != token.created {
                return Err(invalid("NextToken is of a deleted stream."));
            }
            return Ok(token.listing.page(stream, limit, now));
        }
        let name = stream_name(input)?;
        let stream = self.stream(&name, now)?;
        if matches!(stream.status(), "CREATING" | "DELETING") {
            stream.require_active()?;
        }
        Ok(Listing::read(input, stream, now)?.page(stream, limit, now))
    }

    fn put_one(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let name = stream_name(input)?;
        let (key, hash, data) = entry(input)?;
        let receipt = self.put(&name, (key, hash), data, now)?;
        Ok(json!({
            "ShardId": receipt.shard_id,
            "SequenceNumber": receipt.sequence.to_string(),
            "EncryptionType": "NONE",
        }))
    }

    fn put_many(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let name = stream_name(input)?;
        let records = input
            .get("Records")
            .and_then(Value::as_array)
            .ok_or_else(|| missing("records"))?;
        if !(1..=500).contains(&records.len()) {
            return Err(ServiceError::validation(
                "Value at 'records' failed to satisfy constraint: Member must have length between 1 and 500",
            ));
        }
        let entries = records.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let total: usize = entries
            .iter()
            .map(|(key, _, data)| key.len() + data.len())
            .sum();
        if total > 10 << 20 {
            return Err(invalid("Records size exceeds 10 MiB limit"));
        }
        let limit = self.settings.max_record_bytes;
        if let Some(position) = entries
            .iter()
            .position(|(key, _, data)| key.len() + data.len() > limit)
        {
            return Err(ServiceError::validation(format!(
                "Value at 'records.{}.member.data' failed to satisfy constraint: more than {limit} bytes",
                position + 1
            )));
        }
        let mut failed = 0;
        let mut results = Vec::with_capacity(entries.len());
        for (key, hash, data) in entries {
            match self.put(&name, (key, hash), data, now) {
                Ok(receipt) => results.push(json!({
                    "ShardId": receipt.shard_id,
                    "SequenceNumber": receipt.sequence.to_string(),
                })),
                Err(error) if error.code() == "ProvisionedThroughputExceededException" => {
                    failed += 1;
                    results
                        .push(json!({"ErrorCode": error.code(), "ErrorMessage": error.message()}));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(json!({"FailedRecordCount": failed, "Records": results, "EncryptionType": "NONE"}))
    }

    fn get_iterator(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let (rates, account) = (self.settings.enforce_rates, self.account.clone());
        let name = stream_name(input)?;
        let id = required(input, "ShardId")?;
        let stream = self.stream(&name, now)?;
        let created = stream.created;
        let number = stream.shard(id)?.number;
        let shard = stream.shard_mut(number)?;
        if rates && !shard.admit_iterator(now) {
            return Err(exceeded(&shard.id(), &name, &account));
        }
        let index = shard.start(
            required(input, "ShardIteratorType")?,
            text(input, "StartingSequenceNumber"),
            time(input, "Timestamp")?,
            now,
        )?;
        let iterator = ShardIterator {
            stream: name.clone(),
            created,
            shard: number,
            index,
            issued: now,
        };
        Ok(json!({"ShardIterator": iterator.encode()}))
    }

    fn get_records(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let (rates, account) = (self.settings.enforce_rates, self.account.clone());
        let limit = number(input, "Limit", 1..=10_000)?.unwrap_or(10_000) as usize;
        let mut iterator = ShardIterator::decode(required(input, "ShardIterator")?)?;
        iterator.check_age(now)?;
        let name = iterator.stream.clone();
        let stream = self.stream(&name, now)?;
        if stream.created != iterator.created {
            return Err(invalid("Invalid ShardIterator."));
        }
        let shard = stream.shard_mut(iterator.shard)?;
        if rates && !shard.admit_read(now) {
            return Err(exceeded(&shard.id(), &name, &account));
        }
        let page = shard.page(iterator.index, limit, ANSWER_BYTES, now);
        shard.charge_read(page.bytes, now);
        iterator.index = page.next;
        let ended = !shard.is_open() && shard.since_index(iterator.index).next().is_none();
        let mut answer = json!({"Records": page.records, "MillisBehindLatest": page.behind});
        if ended {
            let number = iterator.shard;
            answer["ChildShards"] = stream.children(stream.shard(&shard_id(number))?);
        } else {
            iterator.issued = now;
            answer["NextShardIterator"] = iterator.encode().into();
        }
        Ok(answer)
    }

    fn split(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let name = stream_name(input)?;
        let at = hash_key(required(input, "NewStartingHashKey")?)?;
        self.split_shard(&name, required(input, "ShardToSplit")?, at, now)?;
        Ok(json!({}))
    }

    fn merge(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let name = stream_name(input)?;
        let (one, other) = (
            required(input, "ShardToMerge")?,
            required(input, "AdjacentShardToMerge")?,
        );
        self.merge_shards(&name, one, other, now)?;
        Ok(json!({}))
    }

    fn update_count(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let name = stream_name(input)?;
        let target = number(input, "TargetShardCount", 1..=100_000)?
            .ok_or_else(|| missing("targetShardCount"))?;
        let current = self.stream(&name, now)?.open_shards().count();
        self.update_shard_count(&name, target as u32, now)?;
        Ok(json!({
            "StreamName": name,
            "StreamARN": format!("{}{name}", self.arn_prefix),
            "CurrentShardCount": current,
            "TargetShardCount": target,
        }))
    }

    fn set_retention(
        &mut self,
        input: &Value,
        grow: bool,
        now: u64,
    ) -> Result<Value, ServiceError> {
        let name = stream_name(input)?;
        let hours = number(input, "RetentionPeriodHours", 24..=8_760)?
            .ok_or_else(|| missing("retentionPeriodHours"))?;
        let stream = self.stream(&name, now)?;
        stream.require_active()?;
        if (hours < stream.retention_hours) == grow && hours != stream.retention_hours {
            return Err(invalid(
                "The retention period changes in the other direction than the operation says.",
            ));
        }
        stream.retention_hours = hours;
        Ok(json!({}))
    }
}

/// The stream by name or by ARN.
pub(super) fn stream_name(input: &Value) -> Result<String, ServiceError> {
    text(input, "StreamName")
        .or_else(|| text(input, "StreamARN").and_then(|arn| arn.rsplit('/').next()))
        .map(str::to_owned)
        .ok_or_else(|| invalid("Either StreamName or StreamARN must be provided."))
}

fn entry(input: &Value) -> Result<(&str, Option<u128>, Bytes), ServiceError> {
    let key = required(input, "PartitionKey")?;
    let hash = text(input, "ExplicitHashKey").map(hash_key).transpose()?;
    let data = decode_base64(required(input, "Data")?)
        .ok_or_else(|| ServiceError::client("SerializationException", "`Data` is not base64"))?;
    Ok((key, hash, data.into()))
}

fn hash_key(text: &str) -> Result<u128, ServiceError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| invalid(&format!("`{text}` is no hash key: 0 to 2^128 - 1.")))
}

const ANSWER_BYTES: usize = 10 << 20;
