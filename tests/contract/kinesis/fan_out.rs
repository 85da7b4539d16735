//! Enhanced fan-out: consumers and their subscriptions.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::{
    Consumer, ConsumerStatus, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
};
use tokio::time::timeout;

use super::{SHARD_0, SHARD_1, SHARD_2, pause, put, split, stream};
use crate::endpoint::{CaseResult, Check, case, ensure, refused};

pub(super) async fn cases(client: &Client) -> Vec<CaseResult> {
    vec![
        case("kinesis/a-consumer-is-registered-once", consumers(client)).await,
        case(
            "kinesis/a-subscription-goes-on-after-its-continuation-number",
            subscription(client),
        )
        .await,
        case(
            "kinesis/a-second-subscription-is-refused-for-five-seconds",
            second_subscription(client),
        )
        .await,
        case("kinesis/a-later-subscription-takes-over", takeover(client)).await,
        case(
            "kinesis/a-subscription-ends-with-the-children",
            subscription_end(client),
        )
        .await,
    ]
}

async fn consumers(client: &Client) -> Check {
    stream(client, "contract-consumers", 1).await?;
    let (stream, consumer) = consumer(client, "contract-consumers").await?;
    let again = client
        .register_stream_consumer()
        .stream_arn(&stream)
        .consumer_name(CONSUMER)
        .send()
        .await;
    refused(&again, &["ResourceInUseException"])?;
    let listed = client
        .list_stream_consumers()
        .stream_arn(&stream)
        .send()
        .await?;
    let arns: Vec<&str> = listed
        .consumers()
        .iter()
        .map(Consumer::consumer_arn)
        .collect();
    ensure(arns == [consumer.as_str()], || format!("{arns:?}"))?;
    client
        .deregister_stream_consumer()
        .consumer_arn(&consumer)
        .send()
        .await?;
    // Deletion takes its time on AWS.
    for _ in 0..50 {
        let described = client
            .describe_stream_consumer()
            .consumer_arn(&consumer)
            .send()
            .await;
        if described.is_err() {
            return refused(&described, &["ResourceNotFoundException"]);
        }
        pause(200).await;
    }
    Err("the consumer does not go away in ten seconds".into())
}

async fn subscription(client: &Client) -> Check {
    stream(client, "contract-fan-out", 1).await?;
    let (_, consumer) = consumer(client, "contract-fan-out").await?;
    for body in [b"0", b"1", b"2"] {
        put(client, "contract-fan-out", "k", body).await?;
    }
    let horizon = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon);
    let mut subscription = subscribe(client, &consumer, SHARD_0, horizon.build()?).await?;
    let (text, continuation) = pushed(&mut subscription, 3).await?;
    ensure(text == "012", || format!("`{text}`"))?;
    drop(subscription);
    pause(6_000).await;
    put(client, "contract-fan-out", "k", b"3").await?;
    let after = StartingPosition::builder()
        .r#type(ShardIteratorType::AfterSequenceNumber)
        .sequence_number(continuation);
    let mut subscription = subscribe(client, &consumer, SHARD_0, after.build()?).await?;
    put(client, "contract-fan-out", "k", b"4").await?;
    let (text, _) = pushed(&mut subscription, 2).await?;
    ensure(text == "34", || format!("`{text}` after the seam"))
}

async fn second_subscription(client: &Client) -> Check {
    stream(client, "contract-second", 1).await?;
    let (_, consumer) = consumer(client, "contract-second").await?;
    let latest = StartingPosition::builder()
        .r#type(ShardIteratorType::Latest)
        .build()?;
    let first = subscribe(client, &consumer, SHARD_0, latest.clone()).await?;
    let second = client
        .subscribe_to_shard()
        .consumer_arn(&consumer)
        .shard_id(SHARD_0)
        .starting_position(latest)
        .send()
        .await;
    drop(first);
    refused(&second, &["ResourceInUseException"])
}

async fn takeover(client: &Client) -> Check {
    stream(client, "contract-takeover", 1).await?;
    let (_, consumer) = consumer(client, "contract-takeover").await?;
    let latest = StartingPosition::builder()
        .r#type(ShardIteratorType::Latest)
        .build()?;
    let mut first = subscribe(client, &consumer, SHARD_0, latest.clone()).await?;
    pause(6_000).await;
    let mut second = subscribe(client, &consumer, SHARD_0, latest).await?;
    put(client, "contract-takeover", "k", b"x").await?;
    let (text, _) = pushed(&mut second, 1).await?;
    ensure(text == "x", || format!("`{text}`"))?;
    for _ in 0..20 {
        match timeout(SILENCE, first.event_stream.recv()).await? {
            Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                ensure(event.records().is_empty(), || {
                    "the first subscription still gets records".to_owned()
                })?;
            }
            Ok(Some(_)) => {}
            // It ends in silence or is told why.
            Ok(None) => return Ok(()),
            Err(error) => return refused::<(), _>(&Err(error), &["ResourceInUseException"]),
        }
    }
    Err("the first subscription does not end".into())
}

async fn subscription_end(client: &Client) -> Check {
    stream(client, "contract-fan-end", 1).await?;
    let (_, consumer) = consumer(client, "contract-fan-end").await?;
    put(client, "contract-fan-end", "k", b"before").await?;
    split(client, "contract-fan-end", SHARD_0).await?;
    let horizon = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon);
    let mut subscription = subscribe(client, &consumer, SHARD_0, horizon.build()?).await?;
    let (mut records, mut children) = (0, Vec::new());
    for _ in 0..20 {
        match timeout(SILENCE, subscription.event_stream.recv()).await?? {
            Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => {
                records += event.records().len();
                let named = event.child_shards().iter();
                children.extend(named.map(|child| child.shard_id().to_owned()));
            }
            Some(_) => {}
            None => break,
        }
    }
    children.sort();
    ensure(records == 1 && children == [SHARD_1, SHARD_2], || {
        format!("{records} records, children {children:?}")
    })
}

/// Registers a consumer and waits until it is ACTIVE; the ARNs of the stream and of the consumer.
async fn consumer(
    client: &Client,
    stream: &str,
) -> Result<(String, String), Box<dyn std::error::Error>> {
    let summary = client
        .describe_stream_summary()
        .stream_name(stream)
        .send()
        .await?;
    let stream = summary
        .stream_description_summary()
        .ok_or("no summary")?
        .stream_arn()
        .to_owned();
    client
        .register_stream_consumer()
        .stream_arn(&stream)
        .consumer_name(CONSUMER)
        .send()
        .await?;
    for _ in 0..100 {
        let described = client
            .describe_stream_consumer()
            .stream_arn(&stream)
            .consumer_name(CONSUMER)
            .send()
            .await?;
        let described = described.consumer_description().ok_or("no description")?;
        if described.consumer_status() == &ConsumerStatus::Active {
            return Ok((stream, described.consumer_arn().to_owned()));
        }
        pause(100).await;
    }
    Err("the consumer does not become ACTIVE in ten seconds".into())
}

async fn subscribe(
    client: &Client,
    consumer: &str,
    shard: &str,
    from: StartingPosition,
) -> Result<SubscribeToShardOutput, Box<dyn std::error::Error>> {
    Ok(client
        .subscribe_to_shard()
        .consumer_arn(consumer)
        .shard_id(shard)
        .starting_position(from)
        .send()
        .await?)
}

/// The texts of this many records and the last continuation number.
async fn pushed(
    subscription: &mut SubscribeToShardOutput,
    count: usize,
) -> Result<(String, String), Box<dyn std::error::Error>> {
    let (mut texts, mut continuation) = (Vec::new(), String::new());
    while texts.len() < count {
        let event = timeout(SILENCE, subscription.event_stream.recv()).await??;
        let Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) = event else {
            return Err(format!("ended after {} records", texts.len()).into());
        };
        let read = event.records().iter();
        texts.extend(
            read.map(|record| String::from_utf8_lossy(record.data().as_ref()).into_owned()),
        );
        continuation = event.continuation_sequence_number;
    }
    Ok((texts.concat(), continuation))
}

const CONSUMER: &str = "contract";
/// An event comes at least this often, records or not.
const SILENCE: Duration = Duration::from_secs(20);
