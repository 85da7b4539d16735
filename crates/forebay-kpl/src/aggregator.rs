use std::collections::HashMap;
use std::mem;

use md5::{Digest, Md5};

use crate::error::AggregatorFull;
use crate::hash::HashKey;
use crate::splitter::{
    DATA, DIGEST_LEN, EXPLICIT_HASH_KEY_INDEX, EXPLICIT_HASH_KEY_TABLE, MAGIC, PARTITION_KEY_INDEX,
    PARTITION_KEY_TABLE, RECORDS,
};
use crate::wire::{put_bytes, put_number, varint_len};

/// Packs user records into one Kinesis record, in the form the Kinesis Producer Library writes.
///
/// Each key is written once, user records refer to it. All user records of an aggregate must belong to the same
/// shard: readers drop the whole aggregate otherwise (see [`Aggregate::is_within`](crate::Aggregate::is_within)).
/// Put the finished blob with [`partition_key`](Self::partition_key) and
/// [`explicit_hash_key`](Self::explicit_hash_key) of its first user record.
#[derive(Clone, Debug)]
pub struct Aggregator {
    limit: usize,
    partition_keys: Table,
    explicit_hash_keys: Table,
    records: Vec<u8>,
    count: usize,
}

impl Aggregator {
    /// Makes an empty aggregate that will not exceed `limit` bytes, magic and digest included.
    ///
    /// Kinesis takes 1 MiB per record, partition key included, unless the stream allows more; the producer library
    /// stops at 51,200 bytes by default.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            partition_keys: Table::default(),
            explicit_hash_keys: Table::default(),
            records: Vec::new(),
            count: 0,
        }
    }

    /// Adds a user record.
    ///
    /// # Errors
    ///
    /// [`AggregatorFull`] if it does not fit any more; nothing has been added then.
    pub fn add(
        &mut self,
        partition_key: &str,
        explicit_hash_key: Option<HashKey>,
        data: &[u8],
    ) -> Result<(), AggregatorFull> {
        let decimal = explicit_hash_key.map(|key| key.to_string());
        let (partition_index, partition_cost) = self.partition_keys.plan(partition_key);
        let explicit = decimal
            .as_deref()
            .map(|key| self.explicit_hash_keys.plan(key));

        let body = 1
            + varint_len(partition_index)
            + explicit.map_or(0, |(index, _)| 1 + varint_len(index))
            + field_len(data.len());
        let needed = self.encoded_len()
            + partition_cost
            + explicit.map_or(0, |(_, cost)| cost)
            + field_len(body);
        if needed > self.limit {
            return Err(AggregatorFull {
                needed,
                limit: self.limit,
            });
        }

        self.partition_keys.insert(partition_key, partition_index);
        let mut record = Vec::with_capacity(body);
        put_number(&mut record, PARTITION_KEY_INDEX, partition_index);
        if let (Some(key), Some((index, _))) = (&decimal, explicit) {
            self.explicit_hash_keys.insert(key, index);
            put_number(&mut record, EXPLICIT_HASH_KEY_INDEX, index);
        }
        put_bytes(&mut record, DATA, data);
        put_bytes(&mut self.records, RECORDS, &record);
        self.count += 1;
        Ok(())
    }

    /// Takes the aggregate out and leaves an empty one; `None` if nothing was added.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        if self.count == 0 {
            return None;
        }
        let mut blob = Vec::with_capacity(self.encoded_len());
        blob.extend_from_slice(&MAGIC);
        let partition_keys = mem::take(&mut self.partition_keys);
        let explicit_hash_keys = mem::take(&mut self.explicit_hash_keys);
        for (number, table) in [
            (PARTITION_KEY_TABLE, partition_keys),
            (EXPLICIT_HASH_KEY_TABLE, explicit_hash_keys),
        ] {
            for key in &table.keys {
                put_bytes(&mut blob, number, key.as_bytes());
            }
        }
        blob.append(&mut self.records);
        let digest = Md5::digest(blob.get(MAGIC.len()..).unwrap_or_default());
        blob.extend_from_slice(&digest);
        self.count = 0;
        Some(blob)
    }

    /// Returns the partition key of the first user record.
    #[must_use]
    pub fn partition_key(&self) -> Option<&str> {
        self.partition_keys.keys.first().map(String::as_str)
    }

    /// Returns the first explicit hash key that was added.
    #[must_use]
    pub fn explicit_hash_key(&self) -> Option<&str> {
        self.explicit_hash_keys.keys.first().map(String::as_str)
    }

    /// Returns how many user records were added.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Says whether nothing was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the size of the blob that [`finish`](Self::finish) would give.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        MAGIC.len()
            + self.partition_keys.bytes
            + self.explicit_hash_keys.bytes
            + self.records.len()
            + DIGEST_LEN
    }
}

/// Keys in the order of their first use.
#[derive(Clone, Debug, Default)]
struct Table {
    keys: Vec<String>,
    places: HashMap<String, u64>,
    /// What the table takes in the message.
    bytes: usize,
}

impl Table {
    /// Returns the index that `key` has or would get, and the bytes that adding it costs.
    fn plan(&self, key: &str) -> (u64, usize) {
        match self.places.get(key) {
            Some(index) => (*index, 0),
            None => (self.keys.len() as u64, field_len(key.len())),
        }
    }

    /// Adds `key` unless it is there.
    fn insert(&mut self, key: &str, index: u64) {
        if index == self.keys.len() as u64 {
            self.bytes += field_len(key.len());
            self.keys.push(key.to_owned());
            self.places.insert(key.to_owned(), index);
        }
    }
}

/// Length of a field of wire type 2 whose number is below 16.
fn field_len(content: usize) -> usize {
    1 + varint_len(content as u64) + content
}
