use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder as Overrides;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::types::{
    Shard as RawShard, ShardFilter as RawFilter, ShardFilterType, ShardIteratorType,
};
use aws_smithy_types::DateTime;
use forebay_lease::{HashRange, SequenceNumber, Shard, ShardFilter, ShardId};
use tokio::time::Instant;

use crate::call::{Call, attempt};
use crate::error::{Error, ErrorKind};
use crate::identity::Identity;
use crate::observer::Observer;

/// The name of a stream, with its ARN where the stream belongs to another account.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StreamName {
    name: Arc<str>,
    arn: Option<Arc<str>>,
}

impl StreamName {
    /// A stream of the client's own account and region.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the text is not 1 to 128 characters of `[a-zA-Z0-9_.-]`.
    pub fn new(name: &str) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || name.len() > 128 || !name.chars().all(allowed) {
            return Err(Error::new(
                ErrorKind::Config,
                name.chars().take(128).collect::<String>(),
                "a stream name has 1 to 128 characters of `[a-zA-Z0-9_.-]`",
            ));
        }
        Ok(Self {
            name: name.into(),
            arn: None,
        })
    }

    /// A stream named by its ARN, possibly in another account.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the text is not the ARN of a Kinesis stream.
    pub fn from_arn(arn: &str) -> Result<Self, Error> {
        let mut parts = arn.splitn(6, ':');
        let refused = || {
            Error::new(
                ErrorKind::Config,
                arn.chars().take(256).collect::<String>(),
                "a stream ARN reads `arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME`",
            )
        };
        let (Some("arn"), Some(_), Some("kinesis"), Some(_), Some(_), Some(resource)) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(refused());
        };
        let name = Self::new(resource.strip_prefix("stream/").ok_or_else(refused)?)?;
        Ok(Self {
            arn: Some(arn.into()),
            ..name
        })
    }

    /// The name without the account.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The ARN, if the stream was named by it.
    pub fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    fn resource(&self) -> &str {
        self.arn().unwrap_or(&self.name)
    }

    /// The ARN and the name as the SDK takes them: exactly one of them is set.
    fn address(&self) -> (Option<String>, Option<String>) {
        match self.arn() {
            Some(arn) => (Some(arn.to_owned()), None),
            None => (None, Some(self.name.to_string())),
        }
    }
}

/// Where an iterator starts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Position {
    /// At the oldest record kept.
    TrimHorizon,
    /// At the first record that arrived at this time or later.
    AtTimestamp(SystemTime),
    /// At this record, inclusive: some of its user records may be open.
    At(SequenceNumber),
    /// After this record.
    After(SequenceNumber),
}

/// A stream and the client to read it with.
///
/// Every call is one attempt within its own time limit; retries of the client are turned off.
#[derive(Clone)]
pub struct KinesisStream {
    client: Client,
    name: StreamName,
    observer: Arc<dyn Observer>,
    identity: Identity,
}

impl KinesisStream {
    /// Reads `name` with `client`, whose region and credentials decide what is read.
    pub fn new(client: Client, name: StreamName) -> Self {
        Self {
            client,
            name,
            observer: Arc::new(()),
            identity: Identity::default(),
        }
    }

    pub(crate) fn observed(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.observer)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn name(&self) -> &StreamName {
        &self.name
    }

    /// Lists the shards that a filter lets through, all pages.
    pub(crate) async fn shards(&self, filter: ShardFilter) -> Result<Vec<Shard>, Error> {
        let mut shards = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES {
            let request = self.client.list_shards();
            // The service refuses a token together with a stream.
            let request = match &token {
                Some(token) => request.next_token(token),
                None => {
                    let (arn, name) = self.name.address();
                    request
                        .set_stream_arn(arn)
                        .set_stream_name(name)
                        .set_shard_filter(self.filter(filter)?)
                }
            };
            let send = request.customize().config_override(self.once()).send();
            let page = self.watched(Call::ListShards, send).await?;
            for shard in page.shards.unwrap_or_default() {
                shards.push(shard_of(&shard).ok_or_else(|| {
                    self.refuse(
                        Call::ListShards,
                        "a shard without id, range or first number",
                    )
                })?);
            }
            if shards.len() > SHARDS {
                return Err(self.refuse(Call::ListShards, "more than 10,000 shards"));
            }
            match page.next_token {
                None => return Ok(shards),
                Some(next) if token.as_ref() == Some(&next) => {
                    return Err(self.refuse(Call::ListShards, "the same page token twice"));
                }
                Some(next) => token = Some(next),
            }
        }
        Err(self.refuse(Call::ListShards, "more than 1,000 pages of shards"))
    }

    fn filter(&self, filter: ShardFilter) -> Result<Option<RawFilter>, Error> {
        let (kind, time) = match filter {
            ShardFilter::All => return Ok(None),
            ShardFilter::Latest => (ShardFilterType::AtLatest, None),
            ShardFilter::TrimHorizon => (ShardFilterType::AtTrimHorizon, None),
            ShardFilter::AtTimestamp(time) => (
                ShardFilterType::AtTimestamp,
                Some(DateTime::from_millis(time.0)),
            ),
        };
        RawFilter::builder()
            .r#type(kind)
            .set_timestamp(time)
            .build()
            .map(Some)
            .map_err(|error| {
                self.refuse(Call::ListShards, "the shard filter is not complete")
                    .with_source(error)
            })
    }

    /// The ARN of the stream, and how long it keeps records.
    pub(crate) async fn describe(&self) -> Result<(Option<String>, Option<Duration>), Error> {
        let (arn, name) = self.name.address();
        let request = self
            .client
            .describe_stream_summary()
            .set_stream_arn(arn)
            .set_stream_name(name);
        let send = request.customize().config_override(self.once()).send();
        let answer = self.watched(Call::DescribeStreamSummary, send).await?;
        let Some(summary) = answer.stream_description_summary else {
            return Ok((None, None));
        };
        let hours = u64::try_from(summary.retention_period_hours).ok();
        let retention = hours.map(|hours| Duration::from_secs(hours * 3_600));
        Ok((Some(summary.stream_arn), retention))
    }

    pub(crate) async fn iterator(
        &self,
        shard: &ShardId,
        position: &Position,
    ) -> Result<String, Error> {
        let (arn, name) = self.name.address();
        let request = self
            .client
            .get_shard_iterator()
            .set_stream_arn(arn)
            .set_stream_name(name)
            .shard_id(shard.to_string());
        let request = match position {
            Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Position::AtTimestamp(time) => request
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from(*time)),
            Position::At(number) => request
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(number.as_str()),
            Position::After(number) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(number.as_str()),
        };
        let send = request.customize().config_override(self.once()).send();
        let answer = self.watched(Call::GetShardIterator, send).await?;
        answer
            .shard_iterator
            .ok_or_else(|| self.refuse(Call::GetShardIterator, "an answer without an iterator"))
    }

    pub(crate) async fn records(
        &self,
        iterator: &str,
        limit: u16,
    ) -> Result<GetRecordsOutput, Error> {
        let request = self
            .client
            .get_records()
            .set_stream_arn(self.name.address().0)
            .shard_iterator(iterator)
            .limit(i32::from(limit));
        let send = request.customize().config_override(self.once()).send();
        self.watched(Call::GetRecords, send).await
    }

    /// No retries inside the SDK: the loop that made the call owns the pace.
    pub(crate) fn once(&self) -> Overrides {
        let mut overrides = Overrides::new().retry_config(RetryConfig::disabled());
        if let Some(cache) = self.identity.cache() {
            overrides.set_identity_cache(cache);
        }
        overrides
    }

    pub(crate) fn refuse(&self, call: Call, why: &str) -> Error {
        Error::of_call(ErrorKind::Corrupt, call, self.name.resource()).with_detail(why)
    }

    pub(crate) async fn watched<O, E>(
        &self,
        call: Call,
        send: impl Future<
            Output = Result<
                O,
                aws_smithy_runtime_api::client::result::SdkError<
                    E,
                    aws_smithy_runtime_api::client::orchestrator::HttpResponse,
                >,
            >,
        >,
    ) -> Result<O, Error>
    where
        E: aws_smithy_types::error::metadata::ProvideErrorMetadata
            + std::error::Error
            + Send
            + Sync
            + 'static,
    {
        let started = Instant::now();
        let result = attempt(call, self.name.resource(), send).await;
        self.identity.watch(&result);
        self.observer.call(call, started.elapsed(), result.is_err());
        result
    }
}

impl std::fmt::Debug for KinesisStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KinesisStream")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn shard_of(shard: &RawShard) -> Option<Shard> {
    let range = shard.hash_key_range.as_ref()?;
    let numbers = shard.sequence_number_range.as_ref()?;
    Some(Shard {
        id: shard.shard_id.parse().ok()?,
        parents: [&shard.parent_shard_id, &shard.adjacent_parent_shard_id]
            .into_iter()
            .flatten()
            .map(|parent| parent.parse().ok())
            .collect::<Option<_>>()?,
        hash_range: HashRange::parse(&range.starting_hash_key, &range.ending_hash_key).ok()?,
        first: numbers.starting_sequence_number.parse().ok()?,
        is_open: numbers.ending_sequence_number.is_none(),
    })
}

const PAGES: usize = 1_000;
const SHARDS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_by_name_or_by_arn() {
        let name = StreamName::new("flow-logs_1.eu").expect("valid");
        assert_eq!((name.as_str(), name.arn()), ("flow-logs_1.eu", None));
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/flow";
        let name = StreamName::from_arn(arn).expect("valid");
        assert_eq!((name.as_str(), name.arn()), ("flow", Some(arn)));
        assert_eq!(name.address(), (Some(arn.to_owned()), None));
    }

    #[test]
    fn other_texts_are_not_stream_names() {
        for text in ["", "a b", "a/b", &"x".repeat(129)] {
            assert_eq!(
                StreamName::new(text).map_err(|e| e.kind()),
                Err(ErrorKind::Config),
                "{text}"
            );
        }
        for text in [
            "",
            "flow",
            "arn:aws:sqs:eu-west-1:123456789012:queue",
            "arn:aws:kinesis:eu-west-1:123456789012:flow",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/",
        ] {
            assert_eq!(
                StreamName::from_arn(text).map_err(|e| e.kind()),
                Err(ErrorKind::Config),
                "{text}"
            );
        }
    }
}
