use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard, ShardIteratorType, StreamStatus};

use crate::endpoint::{CaseResult, Check, Endpoint, case, ensure, refused};

mod fan_out;
mod shards;

/// Streams, records and iterators; then resharding, then fan-out.
pub async fn kinesis_suite(endpoint: &Endpoint) -> Vec<CaseResult> {
    let client = Client::new(endpoint.config());
    let mut results = vec![
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
            "kinesis/iterators-start-where-they-say",
            iterators_start(&client),
        )
        .await,
        case("kinesis/limit-and-lag-are-reported", limit_and_lag(&client)).await,
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
    ];
    results.extend(shards::cases(&client).await);
    results.extend(fan_out::cases(&client).await);
    results
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

pub(super) async fn stream(client: &Client, name: &str, shards: i32) -> Check {
    client
        .create_stream()
        .stream_name(name)
        .shard_count(shards)
        .send()
        .await?;
    active(client, name).await
}

pub(super) async fn active(client: &Client, name: &str) -> Check {
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

pub(super) async fn split(client: &Client, name: &str, shard: &str) -> Check {
    client
        .split_shard()
        .stream_name(name)
        .shard_to_split(shard)
        .new_starting_hash_key((u128::MAX / 2 + 1).to_string())
        .send()
        .await?;
    active(client, name).await
}

pub(super) async fn shards(
    client: &Client,
    name: &str,
) -> Result<Vec<Shard>, Box<dyn std::error::Error>> {
    Ok(client
        .list_shards()
        .stream_name(name)
        .send()
        .await?
        .shards()
        .to_vec())
}

pub(super) async fn put(
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

pub(super) async fn trim_horizon(
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

pub(super) async fn get(
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

pub(super) async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

pub(super) const SHARD_0: &str = "shardId-000000000000";
pub(super) const SHARD_1: &str = "shardId-000000000001";
pub(super) const SHARD_2: &str = "shardId-000000000002";
