//! The snapshot as OpenMetrics text, names with the prefix `forebay_`.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::Registry,
};

use crate::stats::{InputSnapshot, Snapshot, Stats, StreamStats};

/// The content type of [`text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics now.
///
/// # Errors
///
/// Writing to memory does not fail; the encoder's signature says that it could.
pub(crate) fn text(stats: &Arc<Stats>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("forebay");
    registry.register_collector(Box::new(Exporter(Arc::clone(stats))));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Exporter(Arc<Stats>);

impl Collector for Exporter {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for family in families(&self.0.snapshot()) {
            let counter = family.counter;
            let kind = if counter {
                MetricType::Counter
            } else {
                MetricType::Gauge
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (labels, value) in &family.samples {
                let mut sample = metric.encode_family(labels)?;
                if counter {
                    sample.encode_counter::<NoLabelSet, _, f64>(value, None)?;
                } else {
                    sample.encode_gauge(value)?;
                }
            }
        }
        Ok(())
    }
}

type Labels = Vec<(&'static str, String)>;

/// One metric with all its samples.
struct Family {
    name: &'static str,
    help: &'static str,
    counter: bool,
    samples: Vec<(Labels, f64)>,
}

impl Family {
    fn counter(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            counter: true,
            samples: Vec::new(),
        }
    }

    fn gauge(name: &'static str, help: &'static str) -> Self {
        Self {
            counter: false,
            ..Self::counter(name, help)
        }
    }

    /// One sample for each item.
    fn each<T>(
        mut self,
        items: impl IntoIterator<Item = T>,
        sample: impl Fn(T) -> (Labels, f64),
    ) -> Self {
        self.samples.extend(items.into_iter().map(sample));
        self
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn count(value: impl TryInto<u64>) -> f64 {
    value.try_into().unwrap_or(u64::MAX) as f64
}

fn families(snapshot: &Snapshot) -> Vec<Family> {
    let mut families = process(snapshot);
    families.extend(inputs(&snapshot.inputs));
    families.extend(streams(&snapshot.inputs));
    families.extend(queues(&snapshot.inputs));
    families.extend(outputs(snapshot));
    families
}

fn process(snapshot: &Snapshot) -> Vec<Family> {
    let throttle = &snapshot.throttle;
    vec![
        Family::gauge("build_info", "Always 1, labelled with the version.").each([()], |()| {
            (vec![("version", snapshot.version.clone())], 1.0)
        }),
        Family::gauge("uptime_seconds", "Time since the pipeline began.")
            .each([()], |()| (vec![], snapshot.uptime_seconds)),
        Family::gauge("ready", "1 if data can flow, as /readyz tells.")
            .each([()], |()| (vec![], count(u64::from(snapshot.ready)))),
        Family::counter("dead_letters", "Inputs kept as dead letters, by class.")
            .each(&snapshot.dead_letters, |(class, letters)| {
                (vec![("class", class.clone())], count(*letters))
            }),
        Family::gauge("throttled", "1 while reading is held back.").each([()], |()| {
            (vec![], count(u64::from(throttle.reason.is_some())))
        }),
        Family::counter(
            "throttled_seconds",
            "Time that reading was held back, by reason.",
        )
        .each(&throttle.seconds, |(reason, seconds)| {
            (vec![("reason", reason.clone())], *seconds)
        }),
        Family::gauge(
            "graylog_journal_entries",
            "Unread entries in the node's journal.",
        )
        .each(throttle.journal_entries, |entries| (vec![], count(entries))),
        Family::gauge(
            "graylog_journal_fill_ratio",
            "Fill of the node's journal, 0 to 1.",
        )
        .each(throttle.journal_fill, |fill| (vec![], fill)),
        Family::gauge("entity_addresses", "Addresses that have a name.")
            .each(&snapshot.entities, |entities| {
                (vec![], count(entities.addresses))
            }),
        Family::gauge("entity_conflicts", "Addresses that several entities have.")
            .each(&snapshot.entities, |entities| {
                (vec![], count(entities.conflicts))
            }),
        Family::counter("entity_lookups", "Lookups of addresses, by result.").each(
            snapshot
                .entities
                .iter()
                .flat_map(|entities| &entities.lookups),
            |(result, n)| (vec![("result", result.clone())], count(*n)),
        ),
        Family::gauge(
            "entity_table_age_seconds",
            "Time since the entity table was built.",
        )
        .each(
            snapshot
                .entities
                .as_ref()
                .and_then(|entities| entities.age_seconds),
            |age| (vec![], age),
        ),
    ]
}

fn input(name: &str) -> Labels {
    vec![("input", name.to_owned())]
}

fn with(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

fn inputs(inputs: &[InputSnapshot]) -> Vec<Family> {
    let each = |family: Family, value: fn(&InputSnapshot) -> u64| {
        family.each(inputs, |one| (input(&one.name), count(value(one))))
    };
    vec![
        each(
            Family::counter("records", "Records read; repeats count again."),
            |one| one.records,
        ),
        each(
            Family::counter("input_bytes", "Bytes of records read."),
            |one| one.bytes,
        ),
        each(
            Family::counter("messages", "Messages made of records."),
            |one| one.messages,
        ),
        each(
            Family::counter("bad", "Pieces of input that became dead letters."),
            |one| one.bad,
        ),
        each(
            Family::gauge(
                "parked",
                "1 while leases are given back because an output takes nothing.",
            ),
            |one| u64::from(one.parked),
        ),
        Family::counter("errors", "Errors of calls to AWS, by kind.").each(
            inputs.iter().flat_map(|one| {
                one.errors
                    .iter()
                    .map(move |(kind, n)| (one, kind.as_str(), *n))
            }),
            |(one, kind, errors)| (with(input(&one.name), "kind", kind), count(errors)),
        ),
    ]
}

fn streams(inputs: &[InputSnapshot]) -> Vec<Family> {
    let streams: Vec<(&str, &StreamStats)> = inputs
        .iter()
        .filter_map(|one| Some((one.name.as_str(), one.stream.as_ref()?)))
        .collect();
    let each = |family: Family, value: fn(&StreamStats) -> u64| {
        family.each(&streams, |(name, stream)| {
            (input(name), count(value(stream)))
        })
    };
    let held = |value: fn(&crate::stats::Shard) -> Option<f64>| {
        let shards = streams.iter().flat_map(|(name, stream)| {
            let held = stream
                .shards
                .iter()
                .filter(|shard| shard.held)
                .take(SHARD_SERIES);
            held.filter_map(move |shard| Some((*name, shard.id.as_str(), value(shard)?)))
        });
        shards.collect::<Vec<_>>()
    };
    let per_shard =
        |(name, shard, value): (&str, &str, f64)| (with(input(name), "shard", shard), value);
    vec![
        Family::gauge("kinesis_lag_seconds", "How far behind its newest record a shard is read, as the service tells it; at most 50 shards of an input.")
            .each(held(|shard| shard.lag_seconds), per_shard),
        Family::gauge("kinesis_lag_seconds_max", "The largest lag of the shards read here.")
            .each(streams.iter().filter_map(|(name, stream)| Some((*name, stream.lag_seconds?))), |(name, lag)| (input(name), lag)),
        Family::gauge("kinesis_read_age_seconds", "Time since the last answer of GetRecords; at most 50 shards of an input.")
            .each(held(|shard| shard.read_age_seconds), per_shard),
        Family::gauge("checkpoint_age_seconds", "The oldest time since a held shard's position was stored.")
            .each(&streams, |(name, stream)| {
                let ages = stream.shards.iter().filter_map(|shard| shard.checkpoint_age_seconds);
                (input(name), ages.fold(0.0, f64::max))
            }),
        each(Family::gauge("leases_held", "Leases held by this process."), |stream| stream.leases_held as u64),
        each(Family::gauge("leases", "Leases in the table that are not ended."), |stream| {
            stream.shards.iter().filter(|shard| !shard.ended).count() as u64
        }),
        each(Family::counter("kinesis_trimmed_gaps", "Times that records were gone before they were read."), |stream| stream.gaps),
        each(Family::counter("kinesis_throttled", "Calls that the service throttled."), |stream| stream.throttled),
        Family::counter("lease_changes", "Leases taken, stolen, lost, released and ended.").each(
            streams.iter().flat_map(|(name, stream)| stream.lease_changes.iter().map(move |(result, n)| (*name, result.as_str(), *n))),
            |(name, result, changes)| (with(input(name), "result", result), count(changes)),
        ),
        Family::counter("aws_requests", "Attempts of calls, by operation and result.").each(
            streams.iter().flat_map(|(name, stream)| stream.calls.iter().map(move |call| (*name, call))),
            |(name, call)| (with(with(input(name), "operation", &call.operation), "result", &call.result), count(call.count)),
        ),
        Family::counter("aws_request_seconds", "Time spent waiting for calls, by operation and result.").each(
            streams.iter().flat_map(|(name, stream)| stream.calls.iter().map(move |call| (*name, call))),
            |(name, call)| (with(with(input(name), "operation", &call.operation), "result", &call.result), call.seconds),
        ),
    ]
}

fn queues(inputs: &[InputSnapshot]) -> Vec<Family> {
    let queues = || {
        inputs
            .iter()
            .filter_map(|one| Some((one.name.as_str(), one.queue.as_ref()?)))
    };
    vec![
        Family::counter(
            "sqs_messages",
            "Messages received, deleted, returned, and without work.",
        )
        .each(
            queues().flat_map(|(name, queue)| {
                let results = [
                    ("received", queue.received),
                    ("deleted", queue.deleted),
                    ("returned", queue.returned),
                    ("skipped", queue.skipped),
                ];
                results.map(|(result, messages)| (name, result, messages))
            }),
            |(name, result, messages)| (with(input(name), "result", result), count(messages)),
        ),
        Family::gauge("sqs_in_flight", "Messages in work.").each(queues(), |(name, queue)| {
            (input(name), count(queue.in_flight))
        }),
        Family::counter("sqs_visibility_extensions", "Visibility timeouts extended.")
            .each(queues(), |(name, queue)| {
                (input(name), count(queue.visibility_extensions))
            }),
        Family::counter("s3_objects", "Objects read and accepted to their end.")
            .each(queues(), |(name, queue)| {
                (input(name), count(queue.objects))
            }),
        Family::counter(
            "s3_object_seconds",
            "Time from the start of an object to its acceptance.",
        )
        .each(queues(), |(name, queue)| {
            (input(name), queue.object_seconds)
        }),
        Family::counter(
            "s3_rejected",
            "Objects, records and messages kept as dead letters.",
        )
        .each(queues(), |(name, queue)| {
            (input(name), count(queue.rejected))
        }),
    ]
}

fn outputs(snapshot: &Snapshot) -> Vec<Family> {
    let outputs = &snapshot.outputs;
    let label = |name: &str| vec![("output", name.to_owned())];
    vec![
        Family::counter("gelf_messages", "Messages settled, by result.").each(
            outputs.iter().flat_map(|one| {
                [
                    (one, "accepted", one.accepted),
                    (one, "refused", one.refused),
                ]
            }),
            |(one, result, messages)| (with(label(&one.name), "result", result), count(messages)),
        ),
        Family::gauge("gelf_connected", "1 while data can flow.").each(outputs, |one| {
            (label(&one.name), count(u64::from(one.state == "up")))
        }),
        Family::gauge(
            "gelf_queue_bytes",
            "Bytes sent or waiting and not accepted.",
        )
        .each(outputs, |one| (label(&one.name), count(one.queue_bytes))),
        Family::gauge(
            "gelf_stalled_seconds",
            "Time without acceptance although something waits.",
        )
        .each(outputs, |one| (label(&one.name), one.stalled_seconds)),
        Family::counter(
            "gelf_bytes",
            "Bytes handed to the kernel, repeats included.",
        )
        .each(outputs, |one| (label(&one.name), count(one.written_bytes))),
        Family::counter("gelf_connects", "Connections made.")
            .each(outputs, |one| (label(&one.name), count(one.connects))),
        Family::counter(
            "gelf_failures",
            "Connections that failed with messages under way.",
        )
        .each(outputs, |one| (label(&one.name), count(one.failures))),
        Family::counter(
            "gelf_latency_seconds",
            "Sum over all messages of the time from sending to acceptance.",
        )
        .each(outputs, |one| (label(&one.name), one.latency_seconds)),
    ]
}

/// Shards of one input that get series of their own; beyond, the maximum over all tells.
const SHARD_SERIES: usize = 50;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        dead_letter::DeadLetters,
        stats::{InputStats, OutputStats},
        throttle::Gate,
    };

    /// Every name that a scrape can contain.
    fn names() -> BTreeSet<String> {
        let inputs = vec![InputStats::stream("flow"), InputStats::queue("trail")];
        let outputs = vec![OutputStats::new("graylog", "tcp", &[])];
        let letters = DeadLetters::new(&crate::config::DeadLetter::default());
        let stats = Stats::new(
            "worker".parse().unwrap(),
            inputs,
            outputs,
            letters,
            Gate::new(0),
        );
        let families = families(&stats.snapshot());
        let name = |family: &Family| {
            let suffix = if family.counter { "_total" } else { "" };
            format!("forebay_{}{suffix}", family.name)
        };
        let all: BTreeSet<_> = families.iter().map(name).collect();
        assert_eq!(all.len(), families.len(), "each name once");
        all
    }

    fn named_in(text: &str) -> BTreeSet<&str> {
        let word = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        text.split(word)
            .filter(|name| name.starts_with("forebay_") && *name != "forebay_")
            .collect()
    }

    #[tokio::test]
    async fn dashboard_rules_and_documentation_name_only_what_exists() {
        let names = names();
        for (file, text) in [
            ("grafana.json", include_str!("../deploy/grafana.json")),
            (
                "prometheus-rules.yml",
                include_str!("../deploy/prometheus-rules.yml"),
            ),
            ("operations.md", include_str!("../docs/operations.md")),
        ] {
            let named = named_in(text);
            assert!(!named.is_empty(), "{file}");
            for name in named {
                assert!(
                    names.contains(name),
                    "{file} names {name}, which does not exist"
                );
            }
        }
    }

    #[tokio::test]
    async fn every_metric_is_documented() {
        let documented = named_in(include_str!("../docs/operations.md"));
        for name in names() {
            assert!(
                documented.contains(name.as_str()),
                "{name} is not in docs/operations.md"
            );
        }
    }
}
