use std::str::FromStr;

use forebay_lease::{Checkpoint, HashRange, Lease, LeaseCounter, ShardId, Timestamp};

use crate::error::{Error, ErrorKind};
use crate::table::row::{Row, Value};

/// Reads a row; `None` if it is something else that KCL 3.5 keeps in the same table.
///
/// # Errors
/// [`ErrorKind::Corrupt`] naming the row and the attribute.
pub(crate) fn lease(row: &Row, table: &str) -> Result<Option<Lease>, Error> {
    let entity = row.get(ENTITY_TYPE).map(|value| match value {
        Value::Text(text) => text.as_str(),
        _ => "",
    });
    if !Lease::is_entity_type(entity) {
        return Ok(None);
    }
    let key = key_of(row, table)?;
    let fields = Fields {
        row,
        table,
        key: &key,
    };
    let checkpoint = fields
        .checkpoint(CHECKPOINT, CHECKPOINT_SUB)?
        .ok_or_else(|| fields.corrupt(CHECKPOINT, "is missing"))?;
    let counter = fields
        .number(COUNTER)?
        .ok_or_else(|| fields.corrupt(COUNTER, "is missing"))?;
    let hash_range = match (fields.text(STARTING_HASH)?, fields.text(ENDING_HASH)?) {
        // A range out of order does not spoil the lease: without one, nothing is filtered.
        (Some(start), Some(end)) => HashRange::parse(start, end).ok(),
        _ => None,
    };
    Ok(Some(Lease {
        key: fields
            .parsed(KEY)?
            .ok_or_else(|| fields.corrupt(KEY, "is missing"))?,
        owner: fields.parsed(OWNER)?,
        counter: LeaseCounter(counter),
        owner_switches: fields.number(OWNER_SWITCHES)?.unwrap_or(0),
        checkpoint,
        pending_checkpoint: fields.checkpoint(PENDING, PENDING_SUB)?,
        pending_state: match row.get(PENDING_STATE) {
            Some(Value::Bytes(bytes)) => Some(bytes.clone()),
            _ => None,
        },
        parents: fields.shards(PARENTS)?,
        children: fields.shards(CHILDREN)?,
        hash_range,
        throughput: match row.get(THROUGHPUT) {
            Some(Value::Number(number)) => Some(number.clone()),
            _ => None,
        },
        checkpoint_owner: fields.parsed(CHECKPOINT_OWNER)?,
        stream: fields.text(STREAM_NAME)?.map(str::to_owned),
        stream_shard: fields.parsed(SHARD_ID)?,
        start_at: match row.get(START_AT) {
            Some(Value::Number(number)) => number.parse().ok().map(Timestamp),
            _ => None,
        },
    }))
}

/// A whole row, as it is created. Empty texts and sets are left out: Java refuses them.
pub(crate) fn row(lease: &Lease) -> Row {
    let mut row = Row::new();
    let mut set = |name: &str, value: Value| row.insert(name.to_owned(), value);
    set(KEY, Value::text(&lease.key));
    set(COUNTER, Value::number(lease.counter));
    set(OWNER_SWITCHES, Value::number(lease.owner_switches));
    set(CHECKPOINT, Value::text(lease.checkpoint.as_str()));
    set(
        CHECKPOINT_SUB,
        Value::number(lease.checkpoint.sub_sequence()),
    );
    if let Some(owner) = &lease.owner {
        set(OWNER, Value::text(owner));
    }
    if let Some(pending) = &lease.pending_checkpoint {
        set(PENDING, Value::text(pending.as_str()));
        set(PENDING_SUB, Value::number(pending.sub_sequence()));
    }
    if let Some(state) = &lease.pending_state {
        set(PENDING_STATE, Value::Bytes(state.clone()));
    }
    for (name, shards) in [(PARENTS, &lease.parents), (CHILDREN, &lease.children)] {
        if !shards.is_empty() {
            set(name, texts(shards));
        }
    }
    if let Some(range) = &lease.hash_range {
        set(STARTING_HASH, Value::text(range.start()));
        set(ENDING_HASH, Value::text(range.end()));
    }
    if let Some(throughput) = &lease.throughput {
        set(THROUGHPUT, Value::number(throughput));
    }
    if let Some(owner) = &lease.checkpoint_owner {
        set(CHECKPOINT_OWNER, Value::text(owner));
    }
    if let Some(stream) = &lease.stream {
        set(STREAM_NAME, Value::text(stream));
    }
    if let Some(shard) = &lease.stream_shard {
        set(SHARD_ID, Value::text(shard));
    }
    if let Some(start_at) = lease.start_at {
        set(START_AT, Value::number(start_at.0));
    }
    row
}

/// The attribute `cv` of the item that names the mode of a KCL 3.x fleet.
pub(crate) fn client_version(row: &Row) -> Option<&str> {
    match row.get("cv") {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// The key of a row.
fn key_of(row: &Row, table: &str) -> Result<String, Error> {
    match row.get(KEY) {
        Some(Value::Text(key)) => Ok(key.clone()),
        _ => Err(Error::new(
            ErrorKind::Corrupt,
            table,
            "a row without the text attribute `leaseKey`",
        )),
    }
}

pub(crate) fn texts(shards: &[ShardId]) -> Value {
    Value::Texts(shards.iter().map(ToString::to_string).collect())
}

struct Fields<'a> {
    row: &'a Row,
    table: &'a str,
    key: &'a str,
}

impl<'a> Fields<'a> {
    fn corrupt(&self, name: &str, why: impl std::fmt::Display) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            self.table,
            format!(
                "attribute `{name}` of row `{}` {why}; the row is skipped",
                self.key
            ),
        )
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        match self.row.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.corrupt(name, "is not a text")),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Error> {
        match self.row.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => match number.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.corrupt(name, format!("is `{number}`, not a whole number"))),
            },
            Some(_) => Err(self.corrupt(name, "is not a number")),
        }
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Error>
    where
        T::Err: std::fmt::Display,
    {
        match self.text(name)? {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|error: T::Err| self.corrupt(name, format!("does not parse: {error}"))),
        }
    }

    fn checkpoint(&self, name: &str, sub: &str) -> Result<Option<Checkpoint>, Error> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let sub_sequence = self.number(sub)?.unwrap_or(0);
        Checkpoint::parse(text, sub_sequence)
            .map(Some)
            .map_err(|error| self.corrupt(name, format!("does not parse: {error}")))
    }

    fn shards(&self, name: &str) -> Result<Vec<ShardId>, Error> {
        match self.row.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Texts(texts)) => texts
                .iter()
                .map(|text| {
                    text.parse()
                        .map_err(|error| self.corrupt(name, format!("does not parse: {error}")))
                })
                .collect(),
            Some(_) => Err(self.corrupt(name, "is not a set of texts")),
        }
    }
}

/// Rows with this key hold the mode of a KCL 3.5 fleet.
pub(crate) const CLIENT_VERSION_KEY: &str = "Migration3.0";

/// A lease key is also the table's only key attribute.
pub(crate) const KEY: &str = "leaseKey";

pub(crate) const OWNER: &str = "leaseOwner";
pub(crate) const COUNTER: &str = "leaseCounter";
pub(crate) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const CHECKPOINT_SUB: &str = "checkpointSubSequenceNumber";
pub(crate) const PENDING: &str = "pendingCheckpoint";
pub(crate) const PENDING_SUB: &str = "pendingCheckpointSubSequenceNumber";
pub(crate) const PENDING_STATE: &str = "pendingCheckpointState";
const PARENTS: &str = "parentShardId";
pub(crate) const CHILDREN: &str = "childShardIds";
pub(crate) const STARTING_HASH: &str = "startingHashKey";
pub(crate) const ENDING_HASH: &str = "endingHashKey";
const THROUGHPUT: &str = "throughputKBps";
pub(crate) const CHECKPOINT_OWNER: &str = "checkpointOwner";
const STREAM_NAME: &str = "streamName";
const SHARD_ID: &str = "shardId";
const ENTITY_TYPE: &str = "entityType";
pub(crate) const START_AT: &str = "forebayStartAt";

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Lease {
        let mut lease = Lease::new(
            "shardId-000000000003".parse().expect("id"),
            Checkpoint::Sequence {
                number: "49590338271490256608559692538361571095921575989136588898"
                    .parse()
                    .expect("number"),
                sub_sequence: 4,
            },
        );
        lease.owner = Some("worker".parse().expect("id"));
        lease.counter = LeaseCounter(17);
        lease.owner_switches = 2;
        lease.pending_checkpoint = Some(Checkpoint::TrimHorizon);
        lease.pending_state = Some(vec![1, 2]);
        lease.parents = vec!["shardId-000000000001".parse().expect("id")];
        lease.children = vec!["shardId-000000000007".parse().expect("id")];
        lease.hash_range = Some(HashRange::FULL);
        lease.throughput = Some("1.500000".to_owned());
        lease.checkpoint_owner = Some("other".parse().expect("id"));
        lease.start_at = Some(Timestamp(1_700_000_000_000));
        lease
    }

    #[test]
    fn a_row_holds_the_whole_lease() {
        let read = lease(&row(&full()), "t").expect("a lease");
        assert_eq!(read, Some(full()));
        let plain = Lease::new(
            "shardId-000000000003".parse().expect("id"),
            Checkpoint::Latest,
        );
        assert_eq!(
            lease(&row(&plain), "t").expect("a lease"),
            Some(plain.clone())
        );
        // What KCL demands of every row and nothing that is empty.
        let names: Vec<String> = row(&plain).into_keys().collect();
        assert_eq!(
            names,
            [CHECKPOINT, CHECKPOINT_SUB, COUNTER, KEY, OWNER_SWITCHES].map(str::to_owned)
        );
    }

    #[test]
    fn rows_of_other_types_are_no_leases() {
        let mut other = row(&full());
        other.insert(ENTITY_TYPE.to_owned(), Value::text("LEADER"));
        assert_eq!(lease(&other, "t").expect("skipped"), None);
        other.insert(ENTITY_TYPE.to_owned(), Value::text("LEASE"));
        assert!(lease(&other, "t").expect("a lease").is_some());
    }

    #[test]
    fn a_broken_row_names_its_attribute() {
        for (name, value) in [
            (COUNTER, Value::text("7")),
            (COUNTER, Value::number("-1")),
            (CHECKPOINT, Value::text("soon")),
            (OWNER, Value::number(1)),
            (PARENTS, Value::text("shardId-1")),
        ] {
            let mut broken = row(&full());
            broken.insert(name.to_owned(), value);
            let error = lease(&broken, "t").expect_err("broken");
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains(name), "{error}");
        }
        let mut missing = row(&full());
        missing.remove(COUNTER);
        assert!(lease(&missing, "t").is_err());
    }

    #[test]
    fn the_trap_of_a_pending_state_that_is_a_number_is_ignored() {
        let mut trap = row(&full());
        trap.insert(PENDING_STATE.to_owned(), Value::number(3));
        let read = lease(&trap, "t").expect("a lease").expect("a lease");
        assert_eq!(read.pending_state, None);
    }
}
