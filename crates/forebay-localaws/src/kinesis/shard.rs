use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};

use super::listing::invalid;
use super::sequence::SequenceNumber;
use crate::ServiceError;
use crate::wire::encode_base64;
use crate::wire::json::seconds;

/// One record as the stream keeps it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// The sequence number.
    pub sequence: SequenceNumber,
    /// When it arrived, in Unix milliseconds.
    pub arrived: u64,
    /// The partition key of the writer.
    pub partition_key: String,
    /// The data, never changed.
    pub data: Bytes,
}

impl StoredRecord {
    /// The size that limits count: data and partition key.
    pub(crate) fn size(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// Records as an answer shows them.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) records: Vec<Value>,
    pub(crate) bytes: usize,
    /// The index behind the last of them.
    pub(crate) next: u64,
    /// How far the last of them is behind now, in milliseconds; 0 once everything is read.
    pub(crate) behind: u64,
}

/// A part of the hash range with its records.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub(crate) number: u32,
    pub(crate) parents: Vec<u32>,
    pub(crate) range: (u128, u128),
    pub(crate) created: u64,
    pub(crate) closed: Option<u64>,
    pub(crate) children: Vec<u32>,
    records: VecDeque<StoredRecord>,
    next_index: u64,
    reads: VecDeque<(u64, usize)>,
    reads_blocked_until: u64,
    iterators: VecDeque<u64>,
    writes: (u64, u64, usize),
}

impl Shard {
    pub(crate) fn new(number: u32, parents: Vec<u32>, range: (u128, u128), created: u64) -> Self {
        Self {
            number,
            parents,
            range,
            created,
            closed: None,
            children: Vec::new(),
            records: VecDeque::new(),
            // Index 0 is the starting sequence number, which no record has.
            next_index: 1,
            reads: VecDeque::new(),
            reads_blocked_until: 0,
            iterators: VecDeque::new(),
            writes: (0, 0, 0),
        }
    }

    pub(crate) fn id(&self) -> String {
        shard_id(self.number)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    pub(crate) fn contains(&self, hash: u128) -> bool {
        (self.range.0..=self.range.1).contains(&hash)
    }

    /// Appends a record; the caller has checked limits.
    pub(crate) fn append(
        &mut self,
        partition_key: String,
        data: Bytes,
        now: u64,
    ) -> SequenceNumber {
        let sequence = self.sequence(self.next_index, now);
        self.next_index += 1;
        self.records.push_back(StoredRecord {
            sequence,
            arrived: now,
            partition_key,
            data,
        });
        sequence
    }

    /// Counts a write against 1,000 records and 1 MiB in this second; false if it is too much.
    pub(crate) fn admit_write(&mut self, bytes: usize, now: u64) -> bool {
        let second = now / 1000;
        let (window, records, used) = self.writes;
        let (records, used) = if window == second {
            (records, used)
        } else {
            (0, 0)
        };
        if records + 1 > 1_000
            || used + bytes > WRITE_BYTES_PER_SECOND.max(bytes * usize::from(records == 0))
        {
            return false;
        }
        self.writes = (second, records + 1, used + bytes);
        true
    }

    /// Counts a read against five calls and 2 MiB a second; false if it comes too early.
    pub(crate) fn admit_read(&mut self, now: u64) -> bool {
        while self.reads.front().is_some_and(|(at, _)| at + 1000 <= now) {
            self.reads.pop_front();
        }
        let bytes: usize = self.reads.iter().map(|(_, bytes)| bytes).sum();
        if now < self.reads_blocked_until || self.reads.len() >= 5 || bytes >= READ_BYTES_PER_SECOND
        {
            return false;
        }
        self.reads.push_back((now, 0));
        true
    }

    /// Charges an answered read with the bytes it took.
    pub(crate) fn charge_read(&mut self, bytes: usize, now: u64) {
        if let Some(last) = self.reads.back_mut() {
            last.1 = bytes;
        }
        if bytes > READ_BYTES_PER_SECOND {
            // 10 MiB in one answer block the shard for 5 s.
            self.reads_blocked_until =
                now + (bytes as u64 * 1000).div_ceil(READ_BYTES_PER_SECOND as u64);
        }
    }

    /// Counts a GetShardIterator call against five a second.
    pub(crate) fn admit_iterator(&mut self, now: u64) -> bool {
        while self.iterators.front().is_some_and(|at| at + 1000 <= now) {
            self.iterators.pop_front();
        }
        if self.iterators.len() >= 5 {
            return false;
        }
        self.iterators.push_back(now);
        true
    }

    /// Drops records that arrived before `horizon`.
    pub(crate) fn trim(&mut self, horizon: u64) {
        while self
            .records
            .front()
            .is_some_and(|record| record.arrived < horizon)
        {
            self.records.pop_front();
        }
    }

    /// The kept records from an index on.
    pub(crate) fn since_index(&self, index: u64) -> impl Iterator<Item = &StoredRecord> {
        let start = self
            .records
            .partition_point(|record| record.sequence.index() < index);
        self.records.range(start..)
    }

    /// The records from an index on, as an answer shows them, within a number and a size; always at least one.
    pub(crate) fn page(&self, index: u64, limit: usize, most_bytes: usize, now: u64) -> Page {
        let mut page = Page {
            records: Vec::new(),
            bytes: 0,
            next: index,
            behind: 0,
        };
        let mut last_arrived = now;
        for record in self.since_index(index) {
            if page.records.len() == limit
                || (page.bytes + record.size() > most_bytes && !page.records.is_empty())
            {
                page.behind = now.saturating_sub(last_arrived);
                break;
            }
            page.bytes += record.size();
            page.next = record.sequence.index() + 1;
            last_arrived = record.arrived;
            page.records.push(json!({
                "SequenceNumber": record.sequence.to_string(),
                "ApproximateArrivalTimestamp": seconds(record.arrived),
                "Data": encode_base64(&record.data),
                "PartitionKey": record.partition_key,
            }));
        }
        page
    }

    /// The index of the first record that a starting position means.
    pub(crate) fn start(
        &self,
        kind: &str,
        number: Option<&str>,
        time: Option<u64>,
        now: u64,
    ) -> Result<u64, ServiceError> {
        let sequence = || -> Result<SequenceNumber, ServiceError> {
            let text = number.ok_or_else(|| invalid("Must specify StartingSequenceNumber."))?;
            text.parse()
                .ok()
                .filter(|sequence| self.issued(sequence))
                .ok_or_else(|| {
                    invalid(&format!(
                        "StartingSequenceNumber {text} used on shard {} is invalid.",
                        self.id()
                    ))
                })
        };
        Ok(match kind {
            "TRIM_HORIZON" => 0,
            "LATEST" => self.next_index,
            "AT_SEQUENCE_NUMBER" => sequence()?.index(),
            "AFTER_SEQUENCE_NUMBER" => sequence()?.index() + 1,
            "AT_TIMESTAMP" => {
                let time = time.ok_or_else(|| invalid("Must specify Timestamp."))?;
                if time > now {
                    return Err(invalid(&format!(
                        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {time}, currentTimestampInMillis: {now}"
                    )));
                }
                self.index_at_time(time)
            }
            other => {
                return Err(ServiceError::validation(format!(
                    "Value '{other}' of the starting position failed to satisfy constraint: unknown type"
                )));
            }
        })
    }

    /// A number behind every record before `index`, which no record need have.
    pub(crate) fn passed(&self, index: u64, now: u64) -> SequenceNumber {
        self.sequence(index.min(self.next_index).saturating_sub(1), now)
    }

    /// The index of the first record that arrived at `time` or later, or of the next one to come.
    fn index_at_time(&self, time: u64) -> u64 {
        let start = self.records.partition_point(|record| record.arrived < time);
        self.records
            .get(start)
            .map_or(self.next_index, |record| record.sequence.index())
    }

    /// Whether a sequence number was issued by this shard, its first and last one included.
    fn issued(&self, sequence: &SequenceNumber) -> bool {
        sequence.shard() == self.number
            && sequence.created() == self.sequence(0, 0).created()
            && (sequence.index() < self.next_index
                || self.closed.is_some() && sequence.index() == LAST_INDEX)
    }

    pub(crate) fn describe(&self) -> Value {
        let mut range =
            json!({"StartingSequenceNumber": self.sequence(0, self.created).to_string()});
        if let Some(closed) = self.closed {
            range["EndingSequenceNumber"] = self.sequence(LAST_INDEX, closed).to_string().into();
        }
        let mut shard = json!({
            "ShardId": self.id(),
            "HashKeyRange": self.describe_range(),
            "SequenceNumberRange": range,
        });
        for (name, parent) in ["ParentShardId", "AdjacentParentShardId"]
            .iter()
            .zip(&self.parents)
        {
            shard[*name] = shard_id(*parent).into();
        }
        shard
    }

    pub(crate) fn describe_range(&self) -> Value {
        json!({
            "StartingHashKey": self.range.0.to_string(),
            "EndingHashKey": self.range.1.to_string(),
        })
    }

    fn sequence(&self, index: u64, at: u64) -> SequenceNumber {
        SequenceNumber::new(self.number, self.created, index, at)
    }
}

/// `shardId-` and twelve digits.
pub(crate) fn shard_id(number: u32) -> String {
    format!("shardId-{number:012}")
}

/// The number in a shard id; ids without their twelve digits are accepted as AWS does.
pub(crate) fn shard_number(id: &str) -> Option<u32> {
    let digits = id.strip_prefix("shardId-").unwrap_or(id);
    digits.parse().ok()
}

const LAST_INDEX: u64 = u64::MAX >> 1;
const READ_BYTES_PER_SECOND: usize = 2 << 20;
const WRITE_BYTES_PER_SECOND: usize = 1 << 20;
