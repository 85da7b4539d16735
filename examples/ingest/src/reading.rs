//! How a pipeline reads when it is not the service: without leases, to its end, or into something else than the outputs.

use std::{sync::Arc, time::Duration};

use forebay_gelf::{Driver, Sink};
use tokio::time::{Instant, sleep};

use crate::stats::{InputSnapshot, Stats};

/// How a pipeline reads; the default is the service's way.
#[derive(Debug, Default)]
pub struct Reading {
    /// Where messages go instead of the outputs. Leases, checkpoints and deletes are then left alone: leases are kept in
    /// memory, and queues are not read, because receiving alone changes them.
    pub instead: Option<(Sink, Driver)>,
    /// Stop when everything there is has been read.
    pub until_caught_up: bool,
}

/// Waits until every shard of every stream is read to its end and every queue has given nothing for some time. Shards of
/// other live workers are theirs to read.
///
/// # Cancel safety
///
/// Cancel safe: it only looks.
pub(crate) async fn caught_up(stats: Arc<Stats>, failover: Duration) {
    let started = Instant::now();
    let mut quiet = Vec::new();
    loop {
        sleep(LOOK).await;
        let now = Instant::now();
        let snapshot = stats.snapshot();
        // By then the leases of workers that are gone have been taken over.
        let settled = now - started > failover * 2;
        quiet.resize(snapshot.inputs.len(), (0, now));
        let done = |(input, quiet): (&InputSnapshot, &mut (u64, Instant))| match (
            &input.stream,
            &input.queue,
        ) {
            (Some(stream), _) => {
                !stream.shards.is_empty()
                    && stream.shards.iter().all(|shard| {
                        let others = settled && !shard.held && shard.owner.is_some();
                        // The read that tells of no lag brings records itself, which nobody has seen yet.
                        shard.ended || others || shard.held && shard.at_end
                    })
            }
            (None, Some(queue)) => {
                if queue.received != quiet.0 {
                    *quiet = (queue.received, now);
                }
                queue.in_flight == 0 && now - quiet.1 > QUIET
            }
            (None, None) => true,
        };
        // Each input is looked at, so that each queue's time is kept.
        let open = snapshot
            .inputs
            .iter()
            .zip(&mut quiet)
            .map(done)
            .filter(|done| !done)
            .count();
        if open == 0 {
            tracing::info!("everything is read");
            return;
        }
    }
}

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// An empty queue answers a long poll within 10 s; nothing for longer means that there is nothing.
const QUIET: Duration = Duration::from_secs(15);
