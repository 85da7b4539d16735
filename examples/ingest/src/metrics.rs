//! The snapshot as OpenMetrics text, names with the prefix `forebay_`.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::Registry,
};

use crate::stats::{
    CallStats, InputSnapshot, OutputSnapshot, QueueStats, Shard, Snapshot, Stats, StreamStats,
};

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
        for Family { name, samples } in families(&self.0.snapshot()) {
            let counter = name.strip_suffix("_total");
            let kind = match counter {
                Some(_) => MetricType::Counter,
                None => MetricType::Gauge,
            };
            let bare = counter.unwrap_or(name);
            let mut metric = encoder.encode_descriptor(bare, help(name), None, kind)?;
            for (labels, value) in &samples {
                let mut sample = metric.encode_family(labels)?;
                if counter.is_some() {
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

/// One metric with all its samples. Names that end with `_total` are counters, all others gauges.
struct Family {
    name: &'static str,
    samples: Vec<(Labels, f64)>,
}

/// One sample for each item.
fn each<T>(
    name: &'static str,
    items: impl IntoIterator<Item = T>,
    sample: impl Fn(T) -> (Labels, f64),
) -> Family {
    let samples = items.into_iter().map(sample).collect();
    Family { name, samples }
}

/// One sample without labels, if there is a value.
fn one(name: &'static str, value: impl Into<Option<f64>>) -> Family {
    each(name, value.into(), |value| (vec![], value))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn count(value: impl TryInto<u64>) -> f64 {
    value.try_into().unwrap_or(u64::MAX) as f64
}

fn is(what: bool) -> f64 {
    f64::from(u8::from(what))
}

fn label(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

fn with(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

fn families(snapshot: &Snapshot) -> Vec<Family> {
    let mut families = process(snapshot);
    families.extend(inputs(&snapshot.inputs));
    families.extend(streams(&snapshot.inputs));
    families.extend(queues(&snapshot.inputs));
    families.extend(outputs(&snapshot.outputs));
    families
}

fn process(snapshot: &Snapshot) -> Vec<Family> {
    let Snapshot {
        throttle,
        entities,
        dead_letters,
        ..
    } = snapshot;
    let entities = entities.as_ref();
    let lookups = entities.iter().flat_map(|entities| &entities.lookups);
    let age = entities.and_then(|entities| entities.age_seconds);
    vec![
        each("build_info", [&snapshot.version], |version| {
            (label("version", version), 1.0)
        }),
        one("uptime_seconds", snapshot.uptime_seconds),
        one("ready", is(snapshot.ready)),
        each("dead_letters_total", dead_letters, |(class, n)| {
            (label("class", class), count(*n))
        }),
        one("throttled", is(throttle.reason.is_some())),
        each("throttled_seconds_total", &throttle.seconds, |(why, n)| {
            (label("reason", why), *n)
        }),
        one(
            "graylog_journal_entries",
            throttle.journal_entries.map(count),
        ),
        one("graylog_journal_fill_ratio", throttle.journal_fill),
        one(
            "entity_addresses",
            entities.map(|entities| count(entities.addresses)),
        ),
        one(
            "entity_conflicts",
            entities.map(|entities| count(entities.conflicts)),
        ),
        each("entity_lookups_total", lookups, |(result, n)| {
            (label("result", result), count(*n))
        }),
        one("entity_table_age_seconds", age),
    ]
}

fn inputs(inputs: &[InputSnapshot]) -> Vec<Family> {
    let of = |name, value: fn(&InputSnapshot) -> u64| {
        each(name, inputs, |one| {
            (label("input", &one.name), count(value(one)))
        })
    };
    let errors = inputs.iter().flat_map(|one| {
        let errors = one.errors.iter();
        errors.map(|(kind, n)| (with(label("input", &one.name), "kind", kind), count(*n)))
    });
    vec![
        of("records_total", |one| one.records),
        of("input_bytes_total", |one| one.bytes),
        of("messages_total", |one| one.messages),
        of("bad_total", |one| one.bad),
        of("parked", |one| u64::from(one.parked)),
        each("errors_total", errors, |sample| sample),
    ]
}

fn streams(inputs: &[InputSnapshot]) -> Vec<Family> {
    let streams = inputs.iter();
    let streams = streams.filter_map(|one| Some((label("input", &one.name), one.stream.as_ref()?)));
    let streams: Vec<(Labels, &StreamStats)> = streams.collect();
    let of = |name, value: fn(&StreamStats) -> Option<f64>| {
        let values = streams.iter();
        let values = values.filter_map(|(labels, stream)| Some((labels.clone(), value(stream)?)));
        each(name, values, |sample| sample)
    };
    let held = |name, value: fn(&Shard) -> Option<f64>| {
        let shards = streams.iter().flat_map(|(labels, stream)| {
            let held = stream.shards.iter().filter(|shard| shard.held);
            let shard =
                |shard: &Shard| Some((with(labels.clone(), "shard", &shard.id), value(shard)?));
            held.take(SHARD_SERIES).filter_map(shard)
        });
        each(name, shards, |sample| sample)
    };
    let calls = |name, value: fn(&CallStats) -> f64| {
        let calls = streams.iter().flat_map(|(labels, stream)| {
            let calls = stream.calls.iter();
            calls.map(|call| (with(labels.clone(), "operation", &call.operation), call))
        });
        each(name, calls, |(labels, call)| {
            (with(labels, "result", &call.result), value(call))
        })
    };
    let changes = streams.iter().flat_map(|(labels, stream)| {
        let changes = stream.lease_changes.iter();
        changes.map(|(result, n)| (with(labels.clone(), "result", result), count(*n)))
    });
    vec![
        held("kinesis_lag_seconds", |shard| shard.lag_seconds),
        of("kinesis_lag_seconds_max", |stream| stream.lag_seconds),
        held("kinesis_read_age_seconds", |shard| shard.read_age_seconds),
        of("checkpoint_age_seconds", |stream| {
            let ages = stream
                .shards
                .iter()
                .filter_map(|shard| shard.checkpoint_age_seconds);
            Some(ages.fold(0.0, f64::max))
        }),
        of("leases_held", |stream| Some(count(stream.leases_held))),
        of("leases", |stream| {
            Some(count(
                stream.shards.iter().filter(|shard| !shard.ended).count(),
            ))
        }),
        of("kinesis_trimmed_gaps_total", |stream| {
            Some(count(stream.gaps))
        }),
        of("kinesis_throttled_total", |stream| {
            Some(count(stream.throttled))
        }),
        each("lease_changes_total", changes, |sample| sample),
        calls("aws_requests_total", |call| count(call.count)),
        calls("aws_request_seconds_total", |call| call.seconds),
    ]
}

fn queues(inputs: &[InputSnapshot]) -> Vec<Family> {
    let queues = inputs.iter();
    let queues = queues.filter_map(|one| Some((label("input", &one.name), one.queue.as_ref()?)));
    let queues: Vec<(Labels, &QueueStats)> = queues.collect();
    let of = |name, value: fn(&QueueStats) -> f64| {
        each(name, &queues, |(labels, queue)| {
            (labels.clone(), value(queue))
        })
    };
    let messages = queues.iter().flat_map(|(labels, queue)| {
        let results = [
            ("received", queue.received),
            ("deleted", queue.deleted),
            ("returned", queue.returned),
            ("skipped", queue.skipped),
        ];
        results.map(|(result, n)| (with(labels.clone(), "result", result), count(n)))
    });
    vec![
        each("sqs_messages_total", messages, |sample| sample),
        of("sqs_in_flight", |queue| count(queue.in_flight)),
        of("sqs_visibility_extensions_total", |queue| {
            count(queue.visibility_extensions)
        }),
        of("s3_objects_total", |queue| count(queue.objects)),
        of("s3_object_seconds_total", |queue| queue.object_seconds),
        of("s3_rejected_total", |queue| count(queue.rejected)),
    ]
}

fn outputs(outputs: &[OutputSnapshot]) -> Vec<Family> {
    let of = |name, value: fn(&OutputSnapshot) -> f64| {
        each(name, outputs, |one| {
            (label("output", &one.name), value(one))
        })
    };
    let messages = outputs.iter().flat_map(|one| {
        let results = [("accepted", one.accepted), ("refused", one.refused)];
        results.map(|(result, n)| (with(label("output", &one.name), "result", result), count(n)))
    });
    vec![
        each("gelf_messages_total", messages, |sample| sample),
        of("gelf_connected", |one| is(one.state == "up")),
        of("gelf_queue_bytes", |one| count(one.queue_bytes)),
        of("gelf_stalled_seconds", |one| one.stalled_seconds),
        of("gelf_bytes_total", |one| count(one.written_bytes)),
        of("gelf_connects_total", |one| count(one.connects)),
        of("gelf_failures_total", |one| count(one.failures)),
        of("gelf_latency_seconds_total", |one| one.latency_seconds),
    ]
}

/// What a metric means.
fn help(name: &str) -> &'static str {
    let line = |line: &'static str| line.strip_prefix(name)?.strip_prefix(": ");
    HELP.lines().find_map(line).unwrap_or_default()
}

/// A line for each metric.
const HELP: &str = include_str!("metrics/help.txt");

/// Shards of one input that get series of their own; beyond, the maximum over all tells.
const SHARD_SERIES: usize = 50;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::stats::{InputStats, OutputStats};

    /// Every name that a scrape can contain.
    fn names() -> BTreeSet<String> {
        let inputs = vec![InputStats::stream("flow"), InputStats::queue("trail")];
        let outputs = vec![OutputStats::new("graylog", "tcp", &[])];
        let stats = Stats::alone(inputs, outputs);
        let families = families(&stats.snapshot());
        for family in &families {
            assert!(
                help(family.name).ends_with('.'),
                "{} has no help",
                family.name
            );
        }
        assert_eq!(
            HELP.lines().count(),
            families.len(),
            "no help for what is none"
        );
        let name = |family: &Family| format!("forebay_{}", family.name);
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
