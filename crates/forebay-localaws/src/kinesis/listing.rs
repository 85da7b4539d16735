use serde_json::{Value, json};

use super::shard::{Shard, shard_number};
use super::stream::Stream;
use crate::ServiceError;
use crate::wire::json::{number, text, time};
use crate::wire::{decode_base64, encode_base64};

/// Which shards ListShards shows, and where the next page starts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listing {
    filter: Filter,
    /// Only shards after this one.
    after: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Filter {
    All,
    /// Open at this time.
    At(u64),
    /// Closed at this time or later, or still open.
    From(u64),
    Latest,
}

impl Listing {
    /// Reads the filter and the exclusive start of a first page.
    pub(crate) fn read(input: &Value, stream: &Stream, now: u64) -> Result<Self, ServiceError> {
        let mut after = shard_after(text(input, "ExclusiveStartShardId"))?;
        let horizon = stream.horizon(now).max(stream.created);
        let filter = match input.get("ShardFilter") {
            None | Some(Value::Null) => Filter::All,
            Some(filter) => {
                let timestamp = || {
                    time(filter, "Timestamp")?
                        .ok_or_else(|| invalid("ShardFilter needs a Timestamp."))
                };
                match text(filter, "Type").unwrap_or_default() {
                    "AFTER_SHARD_ID" => {
                        let shard = text(filter, "ShardId")
                            .ok_or_else(|| invalid("ShardFilter needs a ShardId."))?;
                        after = after.max(shard_after(Some(shard))?);
                        Filter::All
                    }
                    "AT_TRIM_HORIZON" => Filter::At(horizon),
                    "FROM_TRIM_HORIZON" => Filter::From(stream.horizon(now)),
                    "AT_LATEST" => Filter::Latest,
                    "AT_TIMESTAMP" => Filter::At(timestamp()?.max(horizon)),
                    "FROM_TIMESTAMP" => Filter::From(timestamp()?),
                    other => return Err(invalid(&format!("Unknown ShardFilter type `{other}`."))),
                }
            }
        };
        Ok(Self { filter, after })
    }

    /// One page.
    pub(crate) fn page(&self, stream: &Stream, limit: usize, now: u64) -> Value {
        let mut shards: Vec<&Shard> = stream
            .shards
            .iter()
            .filter(|shard| {
                self.after.is_none_or(|after| shard.number > after) && self.shows(shard)
            })
            .collect();
        shards.sort_unstable_by_key(|shard| shard.number);
        let page: Vec<Value> = shards
            .iter()
            .take(limit)
            .map(|shard| shard.describe())
            .collect();
        let mut answer = json!({"Shards": page});
        if let (true, Some(last)) = (shards.len() > limit, shards.get(limit.saturating_sub(1))) {
            answer["NextToken"] = self.token(stream, last.number, now).into();
        }
        answer
    }

    fn shows(&self, shard: &Shard) -> bool {
        match self.filter {
            Filter::All => true,
            Filter::Latest => shard.is_open(),
            Filter::At(time) => {
                shard.created <= time && shard.closed.is_none_or(|closed| closed > time)
            }
            Filter::From(time) => shard.closed.is_none_or(|closed| closed >= time),
        }
    }

    fn token(&self, stream: &Stream, last: u32, now: u64) -> String {
        let (kind, time) = match self.filter {
            Filter::All => ("all", 0),
            Filter::At(time) => ("at", time),
            Filter::From(time) => ("from", time),
            Filter::Latest => ("latest", 0),
        };
        let text = format!(
            "{MARK}\n{}\n{}\n{now}\n{last}\n{kind}\n{time}",
            stream.name, stream.created
        );
        encode_base64(text.as_bytes())
    }
}

/// A page token: the stream it belongs to and the rest of the listing.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) stream: String,
    pub(crate) created: u64,
    pub(crate) listing: Listing,
}

impl Token {
    /// Reads a token; it is good for five minutes and must come without a stream, a start or a filter.
    pub(crate) fn read(text_: &str, input: &Value, now: u64) -> Result<Self, ServiceError> {
        for name in [
            "StreamName",
            "ExclusiveStartShardId",
            "StreamCreationTimestamp",
            "ShardFilter",
        ] {
            if input.get(name).is_some_and(|value| !value.is_null()) {
                return Err(invalid(&format!(
                    "NextToken and {name} cannot be provided together."
                )));
            }
        }
        let (token, issued) = parse(text_).ok_or_else(|| invalid("NextToken is invalid."))?;
        if now.saturating_sub(issued) > 300_000 {
            return Err(ServiceError::client(
                "ExpiredNextTokenException",
                "NextToken has expired.",
            ));
        }
        Ok(token)
    }
}

/// `MaxResults` of ListShards.
pub(crate) fn page_size(input: &Value) -> Result<usize, ServiceError> {
    Ok(number(input, "MaxResults", 1..=10_000)?.unwrap_or(1_000) as usize)
}

pub(crate) fn invalid(message: &str) -> ServiceError {
    ServiceError::client("InvalidArgumentException", message)
}

fn shard_after(id: Option<&str>) -> Result<Option<u32>, ServiceError> {
    id.map(|id| shard_number(id).ok_or_else(|| invalid(&format!("`{id}` is no shard id."))))
        .transpose()
}

fn parse(text: &str) -> Option<(Token, u64)> {
    let text = String::from_utf8(decode_base64(text)?).ok()?;
    let mut parts = text.split('\n');
    if parts.next()? != MARK {
        return None;
    }
    let stream = parts.next()?.to_owned();
    let created = parts.next()?.parse().ok()?;
    let issued = parts.next()?.parse().ok()?;
    let after = Some(parts.next()?.parse().ok()?);
    let kind = parts.next()?;
    let time = parts.next()?.parse().ok()?;
    let filter = match kind {
        "all" => Filter::All,
        "at" => Filter::At(time),
        "from" => Filter::From(time),
        "latest" => Filter::Latest,
        _ => return None,
    };
    let token = Token {
        stream,
        created,
        listing: Listing { filter, after },
    };
    Some((token, issued))
}

const MARK: &str = "forebay shard page 1";
