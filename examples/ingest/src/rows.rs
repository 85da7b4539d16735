//! The snapshot as rows for people: the block at the foot of a terminal, and `forebay status`.

use crate::{
    log_lines::escaped,
    stats::{InputSnapshot, OutputSnapshot, SAMPLE, Snapshot},
};

/// A row per input and one per output under their headings, then throttling, dead letters and names, then what is wrong.
#[must_use]
pub(crate) fn rows(snapshot: &Snapshot) -> Vec<String> {
    let inputs = snapshot.inputs.iter().map(|input| &input.name);
    let names = inputs.chain(snapshot.outputs.iter().map(|output| &output.name));
    let width = names.map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default().clamp(8, 24);
    let mut rows = vec![format!(
        "{:<width$}  {:<11} {:>7} {:>7} {:>11} {:>8} {:>7}  {}",
        "input", "state", "leases", "lag", "in", "msgs/s", "bad", "checkpoint"
    )];
    let throttled = snapshot.throttle.reason.is_some();
    let inputs = snapshot.inputs.iter();
    rows.extend(inputs.map(|input| input_row(input, throttled, width)));
    rows.push(format!(
        "{:<width$}  {:<11} {:>15} {:>11} {:>8} {:>7}  {}",
        "output", "state", "waiting", "out", "msgs/s", "refused", "receiver"
    ));
    let outputs = snapshot.outputs.iter();
    rows.extend(outputs.map(|output| output_row(output, width)));
    let mut rest = vec![
        format!("throttle {}", if throttled { "ON" } else { "off" }),
        format!(
            "dead letters {}",
            grouped(snapshot.dead_letters.values().sum())
        ),
    ];
    if let Some(entities) = &snapshot.entities {
        let age = entities.age_seconds.map_or_else(
            || "not built yet".to_owned(),
            |age| format!("{} old", time(age)),
        );
        let addresses = grouped(entities.addresses as u64);
        rest.push(format!("entities {addresses} ({age})"));
    }
    rest.push(snapshot.worker_id.clone());
    rows.push(rest.join(" · "));
    rows.extend(snapshot.reasons.iter().map(|reason| format!("! {reason}")));
    for input in &snapshot.inputs {
        if let Some(error) = &input.last_error
            && !snapshot
                .reasons
                .iter()
                .any(|reason| reason.ends_with(error))
        {
            rows.push(format!("! input {}: {error}", input.name));
        }
    }
    // Names and reasons come from elsewhere.
    rows.iter().map(|row| escaped(row, false)).collect()
}

fn input_row(input: &InputSnapshot, throttled: bool, width: usize) -> String {
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
        if let Some(left) = time_to_level(&input.lag_history_seconds) {
            checkpoint.push_str(&format!(", level in {}", time(left)));
        }
    }
    if let Some(queue) = &input.queue {
        leases = format!("q {}", queue.in_flight);
    }
    format!(
        "{:<width$}  {:<11} {leases:>7} {lag:>7} {:>9}/s {:>8} {:>7}  {checkpoint}",
        input.name.chars().take(width).collect::<String>(),
        state(input, throttled),
        bytes(input.bytes_per_second),
        grouped(input.messages_per_second.round() as u64),
        grouped(input.bad),
    )
}

fn output_row(output: &OutputSnapshot, width: usize) -> String {
    let mut row = format!(
        "{:<width$}  {:<11} {:>15} {:>9}/s {:>8} {:>7}  {} {}",
        output.name.chars().take(width).collect::<String>(),
        output.state,
        bytes(output.queue_bytes as f64),
        bytes(output.bytes_per_second),
        grouped(output.messages_per_second.round() as u64),
        grouped(output.refused),
        output.protocol,
        output.addresses.join(" "),
    );
    if output.unverified {
        row.push_str(" · certificates UNVERIFIED");
    }
    row
}

fn state(input: &InputSnapshot, throttled: bool) -> &'static str {
    match &input.stream {
        _ if input.last_error.is_some() => "error",
        _ if input.parked => "parked",
        _ if throttled => "throttled",
        Some(stream) if stream.leases_held == 0 => "standing by",
        Some(stream) if stream.lag_seconds.is_some_and(|lag| lag > LAGGING) => "catching up",
        _ => "live",
    }
}

/// When a lag that shrinks as it did lately will be gone.
fn time_to_level(lag: &[f64]) -> Option<f64> {
    let lately = lag.len().saturating_sub(LATELY);
    let [first, .., last] = lag.get(lately..)? else {
        return None;
    };
    let samples = lag.len() - lately - 1;
    let per_second = (first - last) / (samples as f64 * SAMPLE.as_secs_f64());
    (*last > LAGGING && per_second > 0.0).then(|| last / per_second)
}

/// Seconds of lag from which an input is catching up.
const LAGGING: f64 = 60.0;

/// Samples of lag that tell how it moves: one minute.
const LATELY: usize = 13;

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
    use crate::stats::{InputStats, OutputStats, Stats};

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
        let stats = Stats::alone(inputs, outputs);
        insta::assert_snapshot!(rows(&stats.snapshot()).join("\n"));
    }

    #[test]
    fn a_lag_that_shrinks_tells_when_it_is_gone() {
        // 10 s less lag in 5 s of time.
        assert_eq!(
            time_to_level(&[500.0, 130.0, 120.0, 110.0, 100.0][1..]),
            Some(50.0)
        );
        assert_eq!(time_to_level(&[100.0, 100.0]), None, "it does not shrink");
        assert_eq!(time_to_level(&[100.0, 10.0]), None, "nothing to catch up");
        assert_eq!(time_to_level(&[100.0]), None);
        assert_eq!(time_to_level(&[]), None);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
    }
}
