use std::borrow::Cow;
use std::iter::FusedIterator;
use std::ops::Range;
use std::slice;

use crate::error::{HashKeyError, RecordError, RecordProblem};
use crate::hash::{HashKey, HashRange};
use crate::splitter::{Index, RecordSpan};

/// The user records of one aggregated Kinesis record; borrows from it.
#[derive(Clone, Copy, Debug)]
pub struct Aggregate<'a> {
    data: &'a [u8],
    index: &'a Index,
}

impl<'a> Aggregate<'a> {
    pub(crate) const fn new(data: &'a [u8], index: &'a Index) -> Self {
        Self { data, index }
    }

    /// Returns how many user records there are, bad ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.records.len()
    }

    /// Says whether there are none. Such an aggregate is valid and yields nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.records.is_empty()
    }

    /// Iterates over the user records in the order in which they were put.
    ///
    /// A record with a table index that points nowhere is an `Err` item, and the next one follows. (Amazon's client
    /// library loses the rest of the aggregate there.)
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        Records {
            aggregate: *self,
            spans: self.index.records.iter(),
            next: 0,
        }
    }

    /// Says whether every user record hashes into `range`, the hash range of the shard it was read from.
    ///
    /// This is the rule of Amazon's client library: if one user record lies outside, the **whole** Kinesis record is
    /// dropped, because a producer that aggregated across a reshard notices and sends all of its user records again
    /// to the new shards. So `false` means: acknowledge the record and deliver nothing of it. Records whose hash key
    /// cannot be told (a bad table index, an explicit hash key that is no number) have no say.
    ///
    /// Costs one MD5 per user record without an explicit hash key, except for runs of the same partition key.
    #[must_use]
    pub fn is_within(&self, range: &HashRange) -> bool {
        if *range == HashRange::ALL {
            return true;
        }
        let mut last: Option<(&[u8], HashKey)> = None;
        self.records().flatten().all(|record| {
            let key = match (record.explicit_hash_key, last) {
                (None, Some((partition_key, key))) if partition_key == record.partition_key => {
                    Ok(key)
                }
                _ => record.effective_hash_key(),
            };
            let Ok(key) = key else { return true };
            if record.explicit_hash_key.is_none() {
                last = Some((record.partition_key, key));
            }
            range.contains(key)
        })
    }

    /// Returns the bytes of a user record that failed, to keep them apart.
    #[must_use]
    pub fn raw(&self, error: &RecordError) -> &'a [u8] {
        let end = error.offset.saturating_add(error.len);
        self.data.get(error.offset..end).unwrap_or_default()
    }

    fn resolve(&self, sub_sequence: u64, span: &RecordSpan) -> Result<UserRecord<'a>, RecordError> {
        let fail = |problem| RecordError {
            sub_sequence,
            offset: span.whole.start,
            len: span.whole.len(),
            problem,
        };
        let partition_key = self
            .lookup(&self.index.partition_keys, span.partition_key)
            .ok_or_else(|| {
                let table = self.index.partition_keys.len();
                fail(RecordProblem::PartitionKeyIndex {
                    index: span.partition_key,
                    table,
                })
            })?;
        let explicit_hash_key = match span.explicit_hash_key {
            None => None,
            Some(index) => Some(
                self.lookup(&self.index.explicit_hash_keys, index)
                    .ok_or_else(|| {
                        let table = self.index.explicit_hash_keys.len();
                        fail(RecordProblem::ExplicitHashKeyIndex { index, table })
                    })?,
            ),
        };
        Ok(UserRecord {
            partition_key,
            explicit_hash_key,
            data: self.slice(&span.data),
            sub_sequence,
        })
    }

    fn lookup(&self, table: &[Range<usize>], index: u64) -> Option<&'a [u8]> {
        let range = table.get(usize::try_from(index).ok()?)?;
        Some(self.slice(range))
    }

    /// The index was made of this very record, so every range in it lies within.
    fn slice(&self, range: &Range<usize>) -> &'a [u8] {
        self.data.get(range.clone()).unwrap_or_default()
    }
}

impl<'a> IntoIterator for Aggregate<'a> {
    type Item = Result<UserRecord<'a>, RecordError>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.records()
    }
}

/// One user record; borrows from the Kinesis record.
///
/// Sequence number, arrival time and encryption type are those of the Kinesis record around it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UserRecord<'a> {
    /// Partition key, UTF-8 unless the producer is broken.
    pub partition_key: &'a [u8],
    /// Explicit hash key in decimal, if the producer gave one.
    pub explicit_hash_key: Option<&'a [u8]>,
    /// The payload.
    pub data: &'a [u8],
    /// Place of the record in the aggregate, from 0; with the sequence number it identifies the user record.
    pub sub_sequence: u64,
}

impl<'a> UserRecord<'a> {
    /// Returns the partition key as text, with U+FFFD for what is not UTF-8.
    #[must_use]
    pub fn partition_key_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.partition_key)
    }

    /// Returns the hash key that decides about the shard: the explicit one, else the MD5 of the partition key.
    ///
    /// # Errors
    ///
    /// [`HashKeyError`] if there is an explicit hash key and it is not a decimal number below 2^128.
    pub fn effective_hash_key(&self) -> Result<HashKey, HashKeyError> {
        match self.explicit_hash_key {
            Some(digits) => HashKey::from_decimal(digits),
            None => Ok(HashKey::of_partition_key(self.partition_key)),
        }
    }
}

/// Iterator over the user records of an [`Aggregate`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    aggregate: Aggregate<'a>,
    spans: slice::Iter<'a, RecordSpan>,
    next: u64,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<UserRecord<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let span = self.spans.next()?;
        let sub_sequence = self.next;
        self.next += 1;
        Some(self.aggregate.resolve(sub_sequence, span))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for Records<'_> {}
impl FusedIterator for Records<'_> {}
