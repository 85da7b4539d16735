use crate::ServiceError;
use crate::wire::{decode_base64, encode_base64};

/// What a shard iterator stands for. Its text is opaque to callers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ShardIterator {
    pub(crate) stream: String,
    /// When the stream was made, so that an iterator does not outlive it.
    pub(crate) created: u64,
    pub(crate) shard: u32,
    /// The index of the next record to read.
    pub(crate) index: u64,
    pub(crate) issued: u64,
}

impl ShardIterator {
    pub(crate) fn encode(&self) -> String {
        let Self {
            stream,
            created,
            shard,
            index,
            issued,
        } = self;
        encode_base64(format!("{MARK}\n{stream}\n{created}\n{shard}\n{index}\n{issued}").as_bytes())
    }

    pub(crate) fn decode(text: &str) -> Result<Self, ServiceError> {
        parse(text).ok_or_else(|| {
            ServiceError::client("InvalidArgumentException", "Invalid ShardIterator.")
        })
    }

    /// Refuses an iterator that was issued more than five minutes ago.
    pub(crate) fn check_age(&self, now: u64) -> Result<(), ServiceError> {
        if now.saturating_sub(self.issued) <= LIFETIME_MS {
            return Ok(());
        }
        Err(ServiceError::client(
            "ExpiredIteratorException",
            format!(
                "Iterator expired. The iterator was created at time {} while right now it is {now} which is further in the future than the tolerated delay of {LIFETIME_MS} milliseconds.",
                self.issued
            ),
        ))
    }
}

fn parse(text: &str) -> Option<ShardIterator> {
    let text = String::from_utf8(decode_base64(text)?).ok()?;
    let mut parts = text.split('\n');
    if parts.next()? != MARK {
        return None;
    }
    let iterator = ShardIterator {
        stream: parts.next()?.to_owned(),
        created: parts.next()?.parse().ok()?,
        shard: parts.next()?.parse().ok()?,
        index: parts.next()?.parse().ok()?,
        issued: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(iterator)
}

const MARK: &str = "forebay shard iterator 1";
const LIFETIME_MS: u64 = 300_000;
