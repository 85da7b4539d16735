//! One output: what its sink tells is counted, and logged where a person should know.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use forebay_gelf::{Grade, RefusalReason, Sink, State};
use tokio::time::Instant;

use super::{OutputSnapshot, Rate, lock};
use crate::repeats::Repeats;

/// What one output did. It is the observer of its sink.
#[derive(Debug)]
pub(crate) struct OutputStats {
    name: Arc<str>,
    /// As it is shown, but for the health of the sink and the rates.
    seen: Mutex<OutputSnapshot>,
    sink: Mutex<Option<Sink>>,
    /// Address and reason of the last connection that ended or could not be made.
    ended: Mutex<(String, String)>,
    /// Messages and bytes.
    rates: Mutex<[Rate; 2]>,
    repeats: Repeats,
}

impl OutputStats {
    pub(crate) fn new(name: &str, protocol: &str, addresses: &[String]) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            seen: Mutex::new(OutputSnapshot {
                name: name.to_owned(),
                protocol: protocol.to_owned(),
                addresses: addresses.to_vec(),
                ..OutputSnapshot::default()
            }),
            sink: Mutex::default(),
            ended: Mutex::default(),
            rates: Mutex::default(),
            repeats: Repeats::default(),
        })
    }

    /// The sink whose health is shown.
    pub(crate) fn watch(&self, sink: &Sink) {
        *lock(&self.sink) = Some(sink.clone());
    }

    pub(super) fn sample(&self, now: Instant) {
        let (messages, bytes) = self.count(|seen| (seen.written, seen.written_bytes));
        let mut rates = lock(&self.rates);
        rates[0].sample(now, messages);
        rates[1].sample(now, bytes);
    }

    pub(super) fn snapshot(&self) -> OutputSnapshot {
        let mut seen = self.count(|seen| seen.clone());
        let [messages, bytes] = &*lock(&self.rates);
        seen.messages_per_second = messages.per_second();
        seen.bytes_per_second = bytes.per_second();
        let health = lock(&self.sink).as_ref().map(Sink::health);
        let (state, reason) = match health.as_ref().map(|health| &health.state) {
            None | Some(State::Starting) => ("starting", None),
            Some(State::Ready) => ("up", None),
            Some(State::Down { reason }) => ("down", Some(reason.to_string())),
            Some(State::Misconfigured { reason }) => ("misconfigured", Some(reason.to_string())),
            Some(_) => ("closed", None),
        };
        (seen.state, seen.reason) = (state.to_owned(), reason);
        if let Some(health) = health {
            seen.unverified = health.unverified;
            seen.stalled_seconds = health.stalled.as_secs_f64();
            seen.queue_bytes = health.in_flight;
        }
        seen
    }

    fn count<T>(&self, count: impl FnOnce(&mut OutputSnapshot) -> T) -> T {
        count(&mut lock(&self.seen))
    }
}

impl forebay_gelf::Observer for OutputStats {
    fn connected(&self, address: &str) {
        self.count(|seen| seen.connects += 1);
        tracing::debug!(output = %self.name, address, "output connected");
    }

    fn disconnected(&self, address: &str, reason: &str, unproven: usize) {
        *lock(&self.ended) = (address.to_owned(), reason.to_owned());
        if unproven > 0 {
            self.count(|seen| seen.failures += 1);
            if let Some(suppressed) = self.repeats.tell(reason) {
                tracing::warn!(output = %self.name, address, reason, unproven, suppressed, "output connection failed, messages are sent again");
            }
        } else {
            tracing::debug!(output = %self.name, address, reason, "output connection ended");
        }
    }

    fn backing_off(&self, wait: Duration) {
        if let Some(suppressed) = self.repeats.tell("backing off") {
            let (address, reason) = &*lock(&self.ended);
            tracing::warn!(output = %self.name, address, reason, ?wait, suppressed, "output not reachable, trying again");
        }
    }

    fn written(&self, messages: usize, bytes: usize) {
        self.count(|seen| {
            seen.written += messages as u64;
            seen.written_bytes += bytes as u64;
        });
    }

    fn accepted(&self, messages: usize, _grade: Grade, latency: Duration) {
        self.count(|seen| {
            seen.accepted += messages as u64;
            #[expect(clippy::cast_precision_loss, reason = "batches are small")]
            let all = messages as f64 * latency.as_secs_f64();
            seen.latency_seconds += all;
        });
    }

    fn refused(&self, reason: RefusalReason) {
        self.count(|seen| seen.refused += 1);
        tracing::debug!(output = %self.name, ?reason, "message refused");
    }
}
