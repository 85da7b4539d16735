use std::time::Duration;

use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition, SubscribeToShardEventStream};
use aws_smithy_types::DateTime;
use forebay_lease::ShardId;

use crate::call::{Call, typed};
use crate::error::{Error, ErrorKind};
use crate::shard::Answer;
use crate::stream::{KinesisStream, Position};

/// A running SubscribeToShard. Dropping it ends it: nothing of it is delivered afterwards.
pub(crate) struct Subscription {
    output: SubscribeToShardOutput,
    shard: String,
}

impl Subscription {
    /// Waits for the next event; `None` when the subscription has run its term of five minutes.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub(crate) async fn next(&mut self) -> Result<Option<Answer>, Error> {
        loop {
            let silent = |_| {
                Error::of_call(ErrorKind::Unavailable, Call::SubscribeToShard, &*self.shard)
                    .with_detail("the subscription is silent; it is renewed")
            };
            let event = tokio::time::timeout(SILENCE, self.output.event_stream.recv())
                .await
                .map_err(silent)?;
            match event {
                Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                    let ended = event.continuation_sequence_number.is_empty();
                    let children = event.child_shards.unwrap_or_default();
                    return Ok(Some(Answer {
                        records: event.records,
                        millis_behind_latest: Some(event.millis_behind_latest),
                        continuation: event.continuation_sequence_number.parse().ok(),
                        // Children are named at the end of the shard only.
                        ended: ended || !children.is_empty(),
                        children,
                    }));
                }
                // A kind of event that this SDK does not know.
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                // An exception in the stream has no HTTP status; one without a known code is a fault of the service.
                Err(error) => return Err(typed(Call::SubscribeToShard, &self.shard, error, 500)),
            }
        }
    }
}

impl KinesisStream {
    /// Subscribes a consumer to a shard. Events come only while [`Subscription::next`] is awaited.
    pub(crate) async fn subscribe(
        &self,
        consumer: &str,
        shard: &ShardId,
        position: &Position,
    ) -> Result<Subscription, Error> {
        let from = StartingPosition::builder();
        let from = match position {
            Position::TrimHorizon => from.r#type(ShardIteratorType::TrimHorizon),
            Position::AtTimestamp(time) => from
                .r#type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from(*time)),
            Position::At(number) => from
                .r#type(ShardIteratorType::AtSequenceNumber)
                .sequence_number(number.as_str()),
            Position::After(number) => from
                .r#type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(number.as_str()),
        };
        let from = from.build().map_err(|error| {
            self.refuse(
                Call::SubscribeToShard,
                "the starting position is not complete",
            )
            .with_source(error)
        })?;
        let request = self
            .client()
            .subscribe_to_shard()
            .consumer_arn(consumer)
            .shard_id(shard.to_string())
            .starting_position(from);
        let send = request.customize().config_override(self.once()).send();
        let output = self.watched(Call::SubscribeToShard, send).await?;
        Ok(Subscription {
            output,
            shard: shard.to_string(),
        })
    }
}

/// Kinesis sends an event every few seconds even when there are no records. KCL waits 60 s for one, 35 s in early 2.x.
const SILENCE: Duration = Duration::from_secs(35);
