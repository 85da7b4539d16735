//! Listings, resharding, stream modes.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{
    ScalingType, Shard, ShardFilter, ShardFilterType, StreamMode, StreamModeDetails,
};

use super::{
    SHARD_0, SHARD_1, SHARD_2, active, get, pause, put, shards, split, stream, trim_horizon,
};
use crate::endpoint::{CaseResult, Check, case, ensure};

pub(super) async fn cases(client: &Client) -> Vec<CaseResult> {
    vec![
        case(
            "kinesis/list-shards-pages-by-token-alone",
            list_shards_pages(client),
        )
        .await,
        case(
            "kinesis/a-split-ends-the-parent-and-names-its-children",
            split_ends_the_parent(client),
        )
        .await,
        case(
            "kinesis/a-merge-has-two-parents",
            merge_has_two_parents(client),
        )
        .await,
        case(
            "kinesis/latest-filter-shows-open-shards-only",
            latest_filter(client),
        )
        .await,
        case(
            "kinesis/the-shards-of-a-young-stream-are-open-at-its-horizon",
            horizon_filter(client),
        )
        .await,
        case(
            "kinesis/update-shard-count-keeps-the-range-covered",
            update_shard_count(client),
        )
        .await,
        case(
            "kinesis/an-on-demand-stream-begins-with-four-shards",
            on_demand(client),
        )
        .await,
    ]
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
