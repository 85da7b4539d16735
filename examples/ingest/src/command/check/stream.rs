//! The rights on a stream, and what its records are.

use super::{Findings, Level, ask};
use crate::{
    aws::Account,
    collect::{Bad, Collect},
    config::Kinesis,
    log_reader::LogReader,
    route::Routes,
    shape::Shaper,
};

/// The rights on the stream, and whether its records are what the configuration says.
pub(super) async fn stream(
    name: &str,
    input: &Kinesis,
    account: &Account,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    use aws_sdk_kinesis::types::ShardIteratorType;
    let client = account.kinesis();
    let (arn, stream) = match input.stream.starts_with("arn:") {
        true => (Some(input.stream.clone()), None),
        false => (None, Some(input.stream.clone())),
    };
    let listing = client
        .list_shards()
        .set_stream_arn(arn.clone())
        .set_stream_name(stream.clone())
        .send();
    let shards = match ask(listing, "kinesis:ListShards", &input.stream).await {
        Ok(listed) => listed.shards.unwrap_or_default(),
        Err(error) => return findings.right(name, Err(error), None),
    };
    let open = shards.iter().filter(|shard| {
        shard
            .sequence_number_range
            .as_ref()
            .is_some_and(|range| range.ending_sequence_number.is_none())
    });
    findings.tell(
        name,
        Level::Ok,
        format!(
            "stream {}: {} open shards",
            input.stream_name(),
            open.count()
        ),
    )?;
    let summary = client
        .describe_stream_summary()
        .set_stream_arn(arn.clone())
        .set_stream_name(stream.clone())
        .send();
    let summary = ask(summary, "kinesis:DescribeStreamSummary", &input.stream).await;
    findings.right(
        name,
        summary.map(drop),
        Some("the retention is not known, so its end is not warned of"),
    )?;

    let mut sample = Sample::default();
    let routes = Routes::new(input, &crate::names::Names::default())?;
    let mut reader = LogReader::new(
        Shaper::new(&Default::default(), None),
        routes.into(),
        input.stream_name().into(),
    );
    let mut records = 0;
    for shard in shards.iter().take(SAMPLED_SHARDS) {
        let asked = client
            .get_shard_iterator()
            .set_stream_arn(arn.clone())
            .set_stream_name(stream.clone())
            .shard_id(&shard.shard_id)
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send();
        let iterator = match ask(asked, "kinesis:GetShardIterator", &input.stream).await {
            Ok(found) => found.shard_iterator,
            Err(error) => return findings.right(name, Err(error), None),
        };
        let asked = client
            .get_records()
            .set_stream_arn(arn.clone())
            .set_shard_iterator(iterator)
            .limit(SAMPLED_RECORDS)
            .send();
        match ask(asked, "kinesis:GetRecords", &input.stream).await {
            Ok(answer) => {
                for record in answer.records {
                    records += 1;
                    sample.record(&mut reader, record.data.as_ref());
                }
            }
            Err(error) => return findings.right(name, Err(error), None),
        }
    }
    match (records, sample.bad) {
        (0, _) => findings.tell(
            name,
            Level::Note,
            "the stream holds no record to try; flow logs come in batches of 5 to 15 minutes",
        ),
        (_, 0) => findings.tell(
            name,
            Level::Ok,
            format!(
                "{records} records tried: {} messages, all readable",
                sample.messages
            ),
        ),
        (_, bad) => {
            let text = format!(
                "{records} records tried: {} messages, {bad} not readable: {}",
                sample.messages, sample.first
            );
            let level = if sample.messages == 0 {
                Level::Fail
            } else {
                Level::Warn
            };
            findings.tell_with(
                name,
                level,
                text,
                "is `decode` (and `flow_format`) what this stream carries?",
            )
        }
    }
}

/// What some records give.
#[derive(Debug, Default)]
struct Sample {
    messages: usize,
    bad: usize,
    first: String,
}

impl Sample {
    fn record(&mut self, reader: &mut LogReader, data: &[u8]) {
        let mut splitter = forebay_kpl::Splitter::new();
        match splitter.split(data) {
            Ok(Some(aggregate)) => {
                for part in aggregate.records() {
                    match part {
                        Ok(part) => {
                            reader.read(part.data, None, &forebay_entity::Index::empty(), self)
                        }
                        Err(error) => self.count(&error),
                    }
                }
            }
            Ok(None) => reader.read(data, None, &forebay_entity::Index::empty(), self),
            Err(error) => self.count(&error),
        }
    }

    fn count(&mut self, error: &dyn std::fmt::Display) {
        self.bad += 1;
        if self.first.is_empty() {
            self.first = error.to_string();
        }
    }
}

impl Collect for Sample {
    fn message(&mut self, _message: &forebay_gelf::Encoded<'_>) {
        self.messages += 1;
    }

    fn bad(&mut self, bad: Bad<'_>) {
        self.count(&bad.reason);
    }
}

const SAMPLED_SHARDS: usize = 4;
const SAMPLED_RECORDS: i32 = 25;
