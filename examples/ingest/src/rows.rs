//! The snapshot as rows for people: the block at the foot of a terminal, and `forebay status`.

use std::fmt::Write;

use crate::stats::{InputSnapshot, Snapshot};

/// A heading, one row per input, one per output, and what is wrong.
#[must_use]
pub(crate) fn rows(snapshot: &Snapshot) -> Vec<String> {
    let width = snapshot
        .inputs
        .iter()
        .map(|input| input.name.chars().count());
    let width = width.max().unwrap_or_default().clamp(8, 24);
    let mut rows = vec![format!(
        "{:<width$}  {:<11} {:>7} {:>9} {:>11} {:>9} {:>6}  {}",
        "input", "state", "leases", "lag", "in", "msgs/s", "bad", "checkpoint"
    )];
    rows.extend(snapshot.inputs.iter().map(|input| input_row(input, width)));
    for output in &snapshot.outputs {
        let mut row = format!(
            "→ {} {} {} {} · {} waiting · {} accepted",
            output.name,
            output.protocol,
            output.addresses.join(" "),
            output.state,
            bytes(output.queue_bytes as f64),
            grouped(output.accepted),
        );
        if output.refused > 0 {
            let _ = write!(row, " · {} refused", grouped(output.refused));
        }
        if output.unverified {
            row.push_str(" · certificates UNVERIFIED");
        }
        rows.push(row);
    }
    if let Some(entities) = &snapshot.entities {
        let age = entities.age_seconds.map_or_else(
            || "not built yet".to_owned(),
            |age| format!("{} old", time(age)),
        );
        rows.push(format!(
            "  entities: {} addresses, {age}",
            grouped(entities.addresses as u64)
        ));
    }
    rows.extend(snapshot.reasons.iter().map(|reason| format!("! {reason}")));
    rows
}

fn input_row(input: &InputSnapshot, width: usize) -> String {
    let none = || "–".to_owned();
    let (mut leases, mut lag, mut checkpoint) = (none(), none(), none());
    if let Some(stream) = &input.stream {
        let open = stream.shards.iter().filter(|shard| !shard.ended).count();
        leases = format!("{}/{open}", stream.leases_held);
        lag = stream.lag_seconds.map_or_else(none, time);
        let oldest = stream
            .shards
            .iter()
            .filter_map(|shard| shard.checkpoint_age_seconds);
        checkpoint = oldest
            .reduce(f64::max)
            .map_or_else(none, |age| format!("{} ago", time(age)));
    }
    if let Some(queue) = &input.queue {
        leases = format!("q {}", queue.in_flight);
    }
    format!(
        "{:<width$}  {:<11} {leases:>7} {lag:>9} {:>9}/s {:>9} {:>6}  {checkpoint}",
        input.name.chars().take(width).collect::<String>(),
        state(input),
        bytes(input.bytes_per_second),
        grouped(input.messages_per_second.round() as u64),
        grouped(input.bad),
    )
}

fn state(input: &InputSnapshot) -> &'static str {
    match &input.stream {
        _ if input.last_error.is_some() => "error",
        _ if input.parked => "parked",
        Some(stream) if stream.leases_held == 0 => "standing by",
        Some(stream) if stream.lag_seconds.is_some_and(|lag| lag > 60.0) => "catching up",
        _ => "live",
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5_400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

fn bytes(count: f64) -> String {
    match count {
        n if n < 1e3 => format!("{n:.0} B"),
        n if n < 1e6 => format!("{:.1} kB", n / 1e3),
        n if n < 1e9 => format!("{:.1} MB", n / 1e6),
        n => format!("{:.1} GB", n / 1e9),
    }
}

/// 1234567 as 1,234,567.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dead_letter::DeadLetters,
        stats::{InputStats, OutputStats, Stats},
        throttle::Gate,
    };

    #[tokio::test(start_paused = true)]
    async fn rows_line_up() {
        let flow = InputStats::stream("flow-logs-of-production");
        forebay_kinesis::Observer::lease_taken(&*flow, &"shardId-0".parse().unwrap(), None);
        forebay_kinesis::Observer::lag(
            &*flow,
            &"shardId-0".parse().unwrap(),
            std::time::Duration::from_secs(134),
        );
        let inputs = vec![flow, InputStats::queue("trail")];
        let outputs = vec![OutputStats::new(
            "graylog",
            "tls",
            &["graylog:12201".to_owned()],
        )];
        let letters = DeadLetters::new(&crate::config::DeadLetter::default());
        let stats = Stats::new("worker", inputs, outputs, letters, Gate::new(0));
        insta::assert_snapshot!(rows(&stats.snapshot()).join("\n"));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
    }
}
