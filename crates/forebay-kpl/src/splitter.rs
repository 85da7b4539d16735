use std::ops::Range;

use md5::{Digest, Md5};

use crate::aggregate::Aggregate;
use crate::error::{Error, PlainReason};
use crate::wire::{Fields, Malformed, Value};

/// Says whether `data` starts with the aggregation magic, `F3 89 9A C2`.
///
/// True is not yet an aggregate: [`Splitter::split`] decides.
#[must_use]
pub fn is_candidate(data: &[u8]) -> bool {
    data.starts_with(&MAGIC)
}

/// What one Kinesis record may make the splitter remember.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// User records in one aggregate, and keys in each of its two tables. Default 100,000.
    ///
    /// The smallest user record takes four bytes, so a Kinesis record of 10 MiB could claim 2.6 million.
    pub user_records: usize,
}

impl Limits {
    /// Sets [`user_records`](Self::user_records).
    #[must_use]
    pub const fn with_user_records(mut self, user_records: usize) -> Self {
        self.user_records = user_records;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            user_records: 100_000,
        }
    }
}

/// Splits Kinesis records; keep one and reuse it, since it owns the index of the record at hand.
///
/// Once the index has grown to the largest record seen, splitting allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    limits: Limits,
    index: Index,
}

/// Where keys and user records lie in the Kinesis record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) partition_keys: Vec<Range<usize>>,
    pub(crate) explicit_hash_keys: Vec<Range<usize>>,
    pub(crate) records: Vec<RecordSpan>,
}

/// One user record before its table indexes are resolved.
#[derive(Clone, Debug)]
pub(crate) struct RecordSpan {
    pub(crate) whole: Range<usize>,
    pub(crate) data: Range<usize>,
    pub(crate) partition_key: u64,
    pub(crate) explicit_hash_key: Option<u64>,
}

impl Splitter {
    /// Makes a splitter with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a splitter with these limits.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            index: Index::default(),
        }
    }

    /// Splits one Kinesis record; `None` says that it is a plain record, to be delivered whole with sub-sequence 0.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the aggregate holds more than the limits allow. The record is sound otherwise, so that
    /// delivering it whole would be wrong: keep it apart, or split it with higher limits.
    pub fn split<'a>(&'a mut self, data: &'a [u8]) -> Result<Option<Aggregate<'a>>, Error> {
        match self.read(data) {
            Ok(()) => Ok(Some(Aggregate::new(data, &self.index))),
            Err(Stop::Plain(_)) => Ok(None),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    /// Says why a record is plain, for counters and messages; `None` if it is an aggregate.
    ///
    /// [`PlainReason::Digest`] and [`PlainReason::Message`] deserve a warning: producers do not write such records.
    #[must_use]
    pub fn plain_reason(&mut self, data: &[u8]) -> Option<PlainReason> {
        match self.read(data) {
            Err(Stop::Plain(reason)) => Some(reason),
            Ok(()) | Err(Stop::Error(_)) => None,
        }
    }

    fn read(&mut self, data: &[u8]) -> Result<(), Stop> {
        let message = enclosed_message(data).map_err(Stop::Plain)?;
        self.index.clear();
        let mut fields = Fields::new(data, message);
        while let Some((number, value)) = fields.next()? {
            let Value::Bytes(range) = value else { continue };
            match number {
                PARTITION_KEY_TABLE => {
                    self.check(self.index.partition_keys.len(), "partition keys", &range)?;
                    self.index.partition_keys.push(range);
                }
                EXPLICIT_HASH_KEY_TABLE => {
                    self.check(
                        self.index.explicit_hash_keys.len(),
                        "explicit hash keys",
                        &range,
                    )?;
                    self.index.explicit_hash_keys.push(range);
                }
                RECORDS => {
                    self.check(self.index.records.len(), "user records", &range)?;
                    self.index.records.push(RecordSpan::read(data, range)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check(&self, count: usize, what: &'static str, range: &Range<usize>) -> Result<(), Stop> {
        if count < self.limits.user_records {
            return Ok(());
        }
        Err(Stop::Error(Error::Limit {
            what,
            limit: self.limits.user_records,
            offset: range.start,
        }))
    }
}

impl Index {
    fn clear(&mut self) {
        self.partition_keys.clear();
        self.explicit_hash_keys.clear();
        self.records.clear();
    }
}

impl RecordSpan {
    fn read(data: &[u8], whole: Range<usize>) -> Result<Self, Malformed> {
        let start = whole.start;
        let mut fields = Fields::new(data, whole.clone());
        let (mut partition_key, mut explicit_hash_key, mut content) = (None, None, None);
        while let Some(field) = fields.next()? {
            match field {
                (PARTITION_KEY_INDEX, Value::Varint(index)) => partition_key = Some(index),
                (EXPLICIT_HASH_KEY_INDEX, Value::Varint(index)) => explicit_hash_key = Some(index),
                (DATA, Value::Bytes(range)) => content = Some(range),
                (TAGS, Value::Bytes(range)) => check_tag(data, range)?,
                _ => {}
            }
        }
        // Both fields are required; without one of them the Java reader gives the whole message up.
        let (Some(partition_key), Some(content)) = (partition_key, content) else {
            return Err(Malformed(start));
        };
        Ok(Self {
            whole,
            data: content,
            partition_key,
            explicit_hash_key,
        })
    }
}

/// Tags are not delivered, but a tag without its required key spoils the message as it does in Java.
fn check_tag(data: &[u8], range: Range<usize>) -> Result<(), Malformed> {
    let start = range.start;
    let mut fields = Fields::new(data, range);
    let mut has_key = false;
    while let Some((number, value)) = fields.next()? {
        has_key |= number == TAG_KEY && matches!(value, Value::Bytes(_));
    }
    if has_key {
        Ok(())
    } else {
        Err(Malformed(start))
    }
}

/// Finds the message between magic and digest.
fn enclosed_message(data: &[u8]) -> Result<Range<usize>, PlainReason> {
    let rest = data.strip_prefix(&MAGIC).ok_or(PlainReason::Magic)?;
    let (message, digest) = rest
        .split_last_chunk::<DIGEST_LEN>()
        .ok_or(PlainReason::Short)?;
    if message.is_empty() {
        return Err(PlainReason::Short);
    }
    if Md5::digest(message) != *digest {
        return Err(PlainReason::Digest);
    }
    Ok(MAGIC.len()..MAGIC.len() + message.len())
}

enum Stop {
    Plain(PlainReason),
    Error(Error),
}

impl From<Malformed> for Stop {
    fn from(Malformed(offset): Malformed) -> Self {
        Self::Plain(PlainReason::Message { offset })
    }
}

pub(crate) const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
pub(crate) const DIGEST_LEN: usize = 16;

// Field numbers of `AggregatedRecord`.
pub(crate) const PARTITION_KEY_TABLE: u32 = 1;
pub(crate) const EXPLICIT_HASH_KEY_TABLE: u32 = 2;
pub(crate) const RECORDS: u32 = 3;

// Field numbers of `Record`.
pub(crate) const PARTITION_KEY_INDEX: u32 = 1;
pub(crate) const EXPLICIT_HASH_KEY_INDEX: u32 = 2;
pub(crate) const DATA: u32 = 3;
const TAGS: u32 = 4;

// Field number of `Tag`.
const TAG_KEY: u32 = 1;
