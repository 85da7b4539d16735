//! Where nobody watches a terminal: one line a minute for each input and output.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;

use crate::stats::{Snapshot, Stats};

/// Logs the summary each minute, for ever.
///
/// # Cancel safety
///
/// Cancel safe: lines are written between two waits.
pub(crate) async fn each_minute(stats: Arc<Stats>) -> Infallible {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + MINUTE, MINUTE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hinted = false;
    let mut before = stats.snapshot();
    loop {
        ticks.tick().await;
        let now = stats.snapshot();
        tell(&before, &now);
        let silent = now.inputs.iter().all(|input| input.records == 0);
        if silent && !hinted && now.uptime_seconds >= HINT.as_secs_f64() {
            hinted = true;
            tracing::info!(
                "nothing has arrived for 15 minutes: flow logs come in batches of 5 to 15 minutes, CloudTrail's files \
                 after about 5; `forebay check` looks at stream, queue and rights"
            );
        }
        before = now;
    }
}

fn tell(before: &Snapshot, now: &Snapshot) {
    for (input, last) in now.inputs.iter().zip(&before.inputs) {
        let lag = input.stream.as_ref().and_then(|stream| stream.lag_seconds);
        let leases = input.stream.as_ref().map(|stream| stream.leases_held);
        tracing::info!(
            input = input.name,
            messages = input.messages - last.messages,
            bytes = input.bytes - last.bytes,
            bad = input.bad - last.bad,
            lag_seconds = lag,
            leases,
            parked = input.parked.then_some(true),
            error = input.last_error,
            "last minute"
        );
    }
    for (output, last) in now.outputs.iter().zip(&before.outputs) {
        tracing::info!(
            output = output.name,
            state = output.state,
            accepted = output.accepted - last.accepted,
            refused = output.refused - last.refused,
            waiting_bytes = output.queue_bytes,
            throttled = now.throttle.reason,
            "last minute"
        );
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Silence from the start for this long earns a hint.
const HINT: Duration = Duration::from_secs(900);

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::stats::{InputStats, OutputStats};

    #[tokio::test(start_paused = true)]
    async fn each_input_and_output_gets_a_line_a_minute_and_silence_one_hint() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(Arc::new(file.reopen().unwrap()))
            .finish();
        let _logging = tracing::subscriber::set_default(lines);
        let input = InputStats::stream("flow");
        let stats = Stats::alone(
            vec![Arc::clone(&input)],
            vec![OutputStats::new("graylog", "tcp", &[])],
        );
        let telling = each_minute(stats);
        let work = async {
            input.messages(7);
            tokio::time::sleep(MINUTE + MINUTE / 2).await;
            input.messages(5);
            tokio::time::sleep(HINT).await;
        };
        tokio::select! {
            // It looks at the counters before the work begins.
            biased;
            never = telling => match never {},
            () = work => {}
        }
        let text = std::fs::read_to_string(file.path()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines.collect();
        let of = |key: &str| lines.iter().filter(|line| line.get(key).is_some()).count();
        assert_eq!(
            (of("input"), of("output"), lines.len()),
            (16, 16, 33),
            "{text}"
        );
        let counts: Vec<_> = lines
            .iter()
            .filter_map(|line| line["messages"].as_u64())
            .collect();
        assert_eq!(counts[..3], [7, 5, 0], "of the last minute only");
    }
}
