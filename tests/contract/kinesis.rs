use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    Consumer, ConsumerStatus, PutRecordsRequestEntry, ScalingType, Shard, ShardFilter,
    ShardFilterType, ShardIteratorType, StartingPosition, StreamMode, StreamModeDetails,
    StreamStatus, SubscribeToShardEventStream,
};
use tokio::time::timeout;

use crate::endpoint::{CaseResult, Check, Endpoint, case, ensure, refused};

/// Streams, records, iterators, paging and resharding.
pub async fn kinesis_suite(endpoint: &Endpoint) -> Vec<CaseResult> {
    let client = Client::new(endpoint.config());
    vec![
        case(
            "kinesis/a-new-stream-becomes-active",
            a_new_stream_becomes_active(&client),
        )
        .await,
        case(
            "kinesis/names-are-taken-once-and-missing-ones-refused",
            names(&client),
        )
        .await,
        case(
            "kinesis/payloads-come-back-unchanged",
            payloads_come_back_unchanged(&client),
        )
        .await,
        case(
            "kinesis/sequence-numbers-have-56-digits-and-grow",
            sequence_numbers(&client),
        )
        .await,
        case(
            "kinesis/keys-go-by-md5-and-explicit-hash",
            keys_go_by_hash(&client),
        )
        .await,
        case(
            "kinesis/list-shards-pages-by-token-alone",
            list_shards_pages(&client),
        )
        .await,
        case(
            "kinesis/iterators-start-where-they-say",
            iterators_start(&client),
        )
        .await,
        case("kinesis/limit-and-lag-are-reported", limit_and_lag(&client)).await,
        case(
            "kinesis/a-split-ends-the-parent-and-names-its-children",
            split_ends_the_parent(&client),
        )
        .await,
        case(
            "kinesis/a-merge-has-two-parents",
            merge_has_two_parents(&client),
        )
        .await,
        case(
            "kinesis/latest-filter-shows-open-shards-only",
            latest_filter(&client),
        )
        .await,
        case(
            "kinesis/the-shards-of-a-young-stream-are-open-at-its-horizon",
            horizon_filter(&client),
        )
        .await,
        case(
            "kinesis/update-shard-count-keeps-the-range-covered",
            update_shard_count(&client),
        )
        .await,
        case(
            "kinesis/a-malformed-iterator-is-an-argument-error",
            malformed_iterator(&client),
        )
        .await,
        case(
            "kinesis/a-record-above-1-mib-is-refused",
            large_record(&client),
        )
        .await,
        case(
            "kinesis/put-records-takes-at-most-500",
            put_records_limit(&client),
        )
        .await,
        case(
            "kinesis/an-on-demand-stream-begins-with-four-shards",
            on_demand(&client),
        )
        .await,
        case("kinesis/a-consumer-is-registered-once", consumers(&client)).await,
        case(
            "kinesis/a-subscription-goes-on-after-its-continuation-number",
            subscription(&client),
        )
        .await,
        case(
            "kinesis/a-second-subscription-is-refused-for-five-seconds",
            second_subscription(&client),
        )
        .await,
        case("kinesis/a-later-subscription-takes-over", takeover(&client)).await,
        case(
            "kinesis/a-subscription-ends-with-the-children",
            subscription_end(&client),
        )
        .await,
    ]
}

async fn a_new_stream_becomes_active(client: &Client) -> Check {
    client
        .create_stream()
        .stream_name("contract-new")
        .shard_count(3)
        .send()
        .await?;
    active(client, "contract-new").await?;
    let summary = client
        .describe_stream_summary()
        .stream_name("contract-new")
        .send()
        .await?;
    let summary = summary.stream_description_summary().ok_or("no summary")?;
    ensure(summary.open_shard_count() == 3, || format!("{summary:?}"))?;
    ensure(summary.retention_period_hours() == 24, || {
        format!("{summary:?}")
    })?;
    let shards = shards(client, "contract-new").await?;
    let first = shards
        .first()
        .and_then(|shard| shard.hash_key_range())
        .ok_or("no range")?;
    let last = shards
        .last()
        .and_then(|shard| shard.hash_key_range())
        .ok_or("no range")?;
    ensure(first.starting_hash_key() == "0", || format!("{first:?}"))?;
    ensure(last.ending_hash_key() == u128::MAX.to_string(), || {
        format!("{last:?}")
    })
}

async fn names(client: &Client) -> Check {
    stream(client, "contract-names", 1).await?;
    let again = client
        .create_stream()
        .stream_name("contract-names")
        .shard_count(1)
        .send()
        .await;
    refused(&again, &["ResourceInUseException"])?;
    let missing = client
        .describe_stream_summary()
        .stream_name("contract-missing")
        .send()
        .await;
    refused(&missing, &["ResourceNotFoundException"])
}

async fn payloads_come_back_unchanged(client: &Client) -> Check {
    stream(client, "contract-payloads", 1).await?;
    let bodies: [Vec<u8>; 4] = [
        vec![0],
        (0..=255).collect(),
        b"\x1f\x8b\x08 not gzip".to_vec(),
        vec![b'x'; 100_000],
    ];
    for body in &bodies {
        put(client, "contract-payloads", "k\u{e9}y", body).await?;
    }
    let read = read_all(client, "contract-payloads", SHARD_0, bodies.len()).await?;
    let got: Vec<&[u8]> = read.iter().map(|record| record.data().as_ref()).collect();
    ensure(
        got == bodies.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        || "the data differs".to_owned(),
    )?;
    ensure(
        read.iter()
            .all(|record| record.partition_key() == Some("k\u{e9}y")),
        || "the keys differ".to_owned(),
    )
}

async fn sequence_numbers(client: &Client) -> Check {
    stream(client, "contract-sequence", 1).await?;
    let mut numbers = Vec::new();
    for _ in 0..5 {
        numbers.push(put(client, "contract-sequence", "k", b"x").await?.1);
    }
    ensure(numbers.iter().all(|number| number.len() == 56), || {
        format!("{numbers:?}")
    })?;
    ensure(numbers.windows(2).all(|pair| pair[0] < pair[1]), || {
        format!("{numbers:?}")
    })
}

async fn keys_go_by_hash(client: &Client) -> Check {
    stream(client, "contract-keys", 2).await?;
    // MD5("a") is 0cc1..., in the lower half; MD5("b") is 92eb..., in the upper one.
    let lower = put(client, "contract-keys", "a", b"x").await?.0;
    let upper = put(client, "contract-keys", "b", b"x").await?.0;
    ensure(
        (lower.as_str(), upper.as_str()) == (SHARD_0, SHARD_1),
        || format!("{lower} {upper}"),
    )?;
    for (hash, shard) in [("0".to_owned(), SHARD_0), (u128::MAX.to_string(), SHARD_1)] {
        let answer = client
            .put_record()
            .stream_name("contract-keys")
            .partition_key("a")
            .explicit_hash_key(&hash)
            .data(Blob::new("x"))
            .send()
            .await?;
        ensure(answer.shard_id() == shard, || {
            format!("{hash} went to {}", answer.shard_id())
        })?;
    }
    Ok(())
}

async fn list_shards_pages(client: &Client) -> Check {
    stream(client, "contract-pages", 5).await?;
    let mut page = client
        .list_shards()
        .stream_name("contract-pages")
        .max_results(2)
        .send()
        .await?;
    let mut ids: Vec<String> = Vec::new();
    loop {
        ensure(page.shards().len() <= 2, || {
            format!("a page of {}", page.shards().len())
        })?;
        ids.extend(
            page.shards()
                .iter()
                .map(|shard| shard.shard_id().to_owned()),
        );
        let Some(token) = page.next_token() else {
            break;
        };
        ensure(ids.len() < 10, || "the pages do not end".to_owned())?;
        page = client
            .list_shards()
            .next_token(token)
            .max_results(2)
            .send()
            .await?;
    }
    let wanted: Vec<String> = (0..5)
        .map(|number| format!("shardId-{number:012}"))
        .collect();
    ensure(ids == wanted, || format!("{ids:?}"))
}

async fn iterators_start(client: &Client) -> Check {
    stream(client, "contract-iterators", 1).await?;
    let mut numbers = Vec::new();
    for body in [b"0", b"1", b"2"] {
        numbers.push(put(client, "contract-iterators", "k", body).await?.1);
    }
    let from = |kind: ShardIteratorType, number: Option<String>| async move {
        let answer = client
            .get_shard_iterator()
            .stream_name("contract-iterators")
            .shard_id(SHARD_0)
            .shard_iterator_type(kind)
            .set_starting_sequence_number(number)
            .send()
            .await?;
        let read = get(client, answer.shard_iterator().ok_or("no iterator")?, 10).await?;
        pause(250).await;
        let text = read
            .records()
            .iter()
            .map(|record| String::from_utf8_lossy(record.data().as_ref()).into_owned());
        Ok::<String, Box<dyn std::error::Error>>(text.collect())
    };
    for (kind, number, wanted) in [
        (ShardIteratorType::TrimHorizon, None, "012"),
        (ShardIteratorType::Latest, None, ""),
        (
            ShardIteratorType::AtSequenceNumber,
            numbers.get(1).cloned(),
            "12",
        ),
        (
            ShardIteratorType::AfterSequenceNumber,
            numbers.get(1).cloned(),
            "2",
        ),
    ] {
        let got = from(kind.clone(), number).await?;
        ensure(got == wanted, || {
            format!("{kind}: `{got}` instead of `{wanted}`")
        })?;
    }
    Ok(())
}

async fn limit_and_lag(client: &Client) -> Check {
    stream(client, "contract-lag", 1).await?;
    // Apart in time: kinesis-local counts the lag up to the newest record, not up to now.
    put(client, "contract-lag", "k", b"0").await?;
    pause(1_500).await;
    put(client, "contract-lag", "k", b"1").await?;
    put(client, "contract-lag", "k", b"2").await?;
    let iterator = trim_horizon(client, "contract-lag", SHARD_0).await?;
    let first = get(client, &iterator, 1).await?;
    ensure(first.records().len() == 1, || {
        format!("{} records", first.records().len())
    })?;
    ensure(
        first.millis_behind_latest().is_some_and(|lag| lag >= 1_000),
        || {
            format!(
                "{:?} ms behind after a second and a half",
                first.millis_behind_latest()
            )
        },
    )?;
    pause(250).await;
    let rest = get(
        client,
        first.next_shard_iterator().ok_or("no next iterator")?,
        10,
    )
    .await?;
    ensure(
        rest.records().len() == 2 && rest.millis_behind_latest() == Some(0),
        || {
            format!(
                "{} records, {:?} ms behind",
                rest.records().len(),
                rest.millis_behind_latest()
            )
        },
    )
}

async fn split_ends_the_parent(client: &Client) -> Check {
    stream(client, "contract-split", 1).await?;
    put(client, "contract-split", "k", b"before").await?;
    split(client, "contract-split", SHARD_0).await?;
    let all = shards(client, "contract-split").await?;
    let children: Vec<&Shard> = all
        .iter()
        .filter(|shard| shard.parent_shard_id() == Some(SHARD_0))
        .collect();
    ensure(all.len() == 3 && children.len() == 2, || format!("{all:?}"))?;
    let parent = all
        .iter()
        .find(|shard| shard.shard_id() == SHARD_0)
        .ok_or("the parent is not listed")?;
    let ended = parent
        .sequence_number_range()
        .and_then(|range| range.ending_sequence_number());
    ensure(ended.is_some(), || format!("{parent:?}"))?;
    let mut iterator = Some(trim_horizon(client, "contract-split", SHARD_0).await?);
    let (mut records, mut named) = (0, Vec::new());
    for _ in 0..10 {
        let Some(current) = iterator else { break };
        let read = get(client, &current, 10).await?;
        records += read.records().len();
        named.extend(
            read.child_shards()
                .iter()
                .map(|child| child.shard_id().to_owned()),
        );
        iterator = read.next_shard_iterator().map(str::to_owned);
        pause(250).await;
    }
    ensure(iterator.is_none(), || {
        "the closed shard does not end".to_owned()
    })?;
    named.sort();
    ensure(records == 1 && named == [SHARD_1, SHARD_2], || {
        format!("{records} records, children {named:?}")
    })
}

async fn merge_has_two_parents(client: &Client) -> Check {
    stream(client, "contract-merge", 2).await?;
    client
        .merge_shards()
        .stream_name("contract-merge")
        .shard_to_merge(SHARD_0)
        .adjacent_shard_to_merge(SHARD_1)
        .send()
        .await?;
    active(client, "contract-merge").await?;
    let all = shards(client, "contract-merge").await?;
    let child = all
        .iter()
        .find(|shard| shard.shard_id() == SHARD_2)
        .ok_or("no child")?;
    let parents = (child.parent_shard_id(), child.adjacent_parent_shard_id());
    ensure(parents == (Some(SHARD_0), Some(SHARD_1)), || {
        format!("{parents:?}")
    })
}

async fn latest_filter(client: &Client) -> Check {
    stream(client, "contract-filter", 1).await?;
    split(client, "contract-filter", SHARD_0).await?;
    let filter = ShardFilter::builder()
        .r#type(ShardFilterType::AtLatest)
        .build()?;
    let open = client
        .list_shards()
        .stream_name("contract-filter")
        .shard_filter(filter)
        .send()
        .await?;
    let ids: Vec<&str> = open.shards().iter().map(Shard::shard_id).collect();
    ensure(ids == [SHARD_1, SHARD_2], || format!("{ids:?}"))
}

async fn horizon_filter(client: &Client) -> Check {
    stream(client, "contract-horizon", 2).await?;
    let filter = ShardFilter::builder()
        .r#type(ShardFilterType::AtTrimHorizon)
        .build()?;
    let open = client
        .list_shards()
        .stream_name("contract-horizon")
        .shard_filter(filter)
        .send()
        .await?;
    let ids: Vec<&str> = open.shards().iter().map(Shard::shard_id).collect();
    ensure(ids == [SHARD_0, SHARD_1], || format!("{ids:?}"))
}

async fn update_shard_count(client: &Client) -> Check {
    stream(client, "contract-resize", 2).await?;
    client
        .update_shard_count()
        .stream_name("contract-resize")
        .target_shard_count(3)
        .scaling_type(ScalingType::UniformScaling)
        .send()
        .await?;
    active(client, "contract-resize").await?;
    let all = shards(client, "contract-resize").await?;
    let mut open: Vec<(u128, u128)> = Vec::new();
    for shard in &all {
        let range = shard.hash_key_range().ok_or("no range")?;
        if shard
            .sequence_number_range()
            .and_then(|range| range.ending_sequence_number())
            .is_none()
        {
            open.push((
                range.starting_hash_key().parse()?,
                range.ending_hash_key().parse()?,
            ));
        }
    }
    open.sort_unstable();
    let seamless = open
        .windows(2)
        .all(|pair| pair[0].1.checked_add(1) == Some(pair[1].0));
    let whole = open.first().map(|range| range.0) == Some(0)
        && open.last().map(|range| range.1) == Some(u128::MAX);
    ensure(open.len() == 3 && seamless && whole, || format!("{open:?}"))?;
    let orphans = all
        .iter()
        .skip(2)
        .filter(|shard| shard.parent_shard_id().is_none())
        .count();
    ensure(orphans == 0, || {
        format!("{orphans} new shards without a parent")
    })
}

async fn malformed_iterator(client: &Client) -> Check {
    let answer = client
        .get_records()
        .shard_iterator("AAAAAAAAAAA=")
        .send()
        .await;
    refused(&answer, &["InvalidArgumentException"])
}

async fn large_record(client: &Client) -> Check {
    stream(client, "contract-large", 1).await?;
    let body = vec![b'x'; (1 << 20) + 1];
    let answer = client
        .put_record()
        .stream_name("contract-large")
        .partition_key("k")
        .data(Blob::new(body))
        .send()
        .await;
    refused(
        &answer,
        &["ValidationException", "InvalidArgumentException"],
    )
}

async fn put_records_limit(client: &Client) -> Check {
    stream(client, "contract-batch", 1).await?;
    let entry = PutRecordsRequestEntry::builder()
        .partition_key("k")
        .data(Blob::new("x"))
        .build()?;
    let small = client
        .put_records()
        .stream_name("contract-batch")
        .set_records(Some(vec![entry.clone(); 3]))
        .send()
        .await?;
    ensure(
        small.failed_record_count() == Some(0) && small.records().len() == 3,
        || format!("{small:?}"),
    )?;
    let large = client
        .put_records()
        .stream_name("contract-batch")
        .set_records(Some(vec![entry; 501]))
        .send()
        .await;
    refused(&large, &["ValidationException", "InvalidArgumentException"])
}

async fn on_demand(client: &Client) -> Check {
    let mode = StreamModeDetails::builder()
        .stream_mode(StreamMode::OnDemand)
        .build()?;
    client
        .create_stream()
        .stream_name("contract-demand")
        .stream_mode_details(mode)
        .send()
        .await?;
    active(client, "contract-demand").await?;
    let shards = shards(client, "contract-demand").await?;
    ensure(shards.len() == 4, || format!("{shards:?}"))
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

async fn stream(client: &Client, name: &str, shards: i32) -> Check {
    client
        .create_stream()
        .stream_name(name)
        .shard_count(shards)
        .send()
        .await?;
    active(client, name).await
}

async fn active(client: &Client, name: &str) -> Check {
    for _ in 0..100 {
        let summary = client
            .describe_stream_summary()
            .stream_name(name)
            .send()
            .await?;
        let status = summary
            .stream_description_summary()
            .map(|summary| summary.stream_status().clone());
        if status == Some(StreamStatus::Active) {
            return Ok(());
        }
        pause(100).await;
    }
    Err("the stream does not become ACTIVE in ten seconds".into())
}

async fn split(client: &Client, name: &str, shard: &str) -> Check {
    client
        .split_shard()
        .stream_name(name)
        .shard_to_split(shard)
        .new_starting_hash_key((u128::MAX / 2 + 1).to_string())
        .send()
        .await?;
    active(client, name).await
}

async fn shards(client: &Client, name: &str) -> Result<Vec<Shard>, Box<dyn std::error::Error>> {
    Ok(client
        .list_shards()
        .stream_name(name)
        .send()
        .await?
        .shards()
        .to_vec())
}

async fn put(
    client: &Client,
    name: &str,
    key: &str,
    body: &[u8],
) -> Result<(String, String), Box<dyn std::error::Error>> {
    let answer = client
        .put_record()
        .stream_name(name)
        .partition_key(key)
        .data(Blob::new(body))
        .send()
        .await?;
    Ok((
        answer.shard_id().to_owned(),
        answer.sequence_number().to_owned(),
    ))
}

async fn trim_horizon(
    client: &Client,
    name: &str,
    shard: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let answer = client
        .get_shard_iterator()
        .stream_name(name)
        .shard_id(shard)
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await?;
    Ok(answer.shard_iterator().ok_or("no iterator")?.to_owned())
}

async fn get(
    client: &Client,
    iterator: &str,
    limit: i32,
) -> Result<GetRecordsOutput, Box<dyn std::error::Error>> {
    Ok(client
        .get_records()
        .shard_iterator(iterator)
        .limit(limit)
        .send()
        .await?)
}

async fn read_all(
    client: &Client,
    name: &str,
    shard: &str,
    count: usize,
) -> Result<Vec<aws_sdk_kinesis::types::Record>, Box<dyn std::error::Error>> {
    let mut iterator = trim_horizon(client, name, shard).await?;
    let mut records = Vec::new();
    for _ in 0..20 {
        let read = get(client, &iterator, 100).await?;
        records.extend_from_slice(read.records());
        if records.len() >= count {
            break;
        }
        iterator = read
            .next_shard_iterator()
            .ok_or("the shard ends early")?
            .to_owned();
        pause(250).await;
    }
    Ok(records)
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

const CONSUMER: &str = "contract";
/// An event comes at least this often, records or not.
const SILENCE: Duration = Duration::from_secs(20);
const SHARD_0: &str = "shardId-000000000000";
const SHARD_1: &str = "shardId-000000000001";
const SHARD_2: &str = "shardId-000000000002";
