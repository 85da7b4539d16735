//! What every input is made of beside its source: its name and counters, and the ways to outputs and dead letters.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::{
    clock,
    collect::Collector,
    dead_letter::DeadLetters,
    delivery::{Delivery, Origin},
    names::Names,
    shape::Shaper,
    stats::InputStats,
    throttle::Pace,
};

/// Shared by everything that works for one input.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    pub(crate) name: Arc<str>,
    pub(crate) stats: Arc<InputStats>,
    /// The input's own cap.
    pub(crate) pace: Pace,
    pub(crate) delivery: Delivery,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) names: Names,
    /// Fields that every message gets.
    pub(crate) fields: BTreeMap<String, String>,
    /// Replaces the host of messages.
    pub(crate) host: Option<String>,
    /// Byte budget.
    pub(crate) bytes: usize,
    /// Longest time from the stop signal to the exit.
    pub(crate) grace: Duration,
}

impl Intake {
    /// Where a batch comes from.
    pub(crate) fn origin(&self, place: impl fmt::Display) -> Origin {
        Origin {
            input: Arc::clone(&self.name),
            stats: Arc::clone(&self.stats),
            pace: self.pace.clone(),
            place: place.to_string().into(),
        }
    }

    pub(crate) fn shaper(&self) -> Shaper {
        Shaper::new(&self.fields, self.host.as_deref()).with_names(&self.names)
    }

    /// Keeps the dead letters collected so far; whether they are safe.
    pub(crate) async fn keep(&self, collector: &mut Collector, origin: &Origin) -> bool {
        let letters = collector.letters(origin);
        match self.dead_letters.keep_all(&letters, clock::wall()).await {
            Ok(()) => {
                self.stats.bad(&letters);
                collector.clear_letters();
                true
            }
            Err(error) => {
                tracing::error!(input = %self.name, %error, "dead letters not kept: reading waits");
                false
            }
        }
    }
}

/// Pause before dead letters are tried again that could not be kept, or messages that could not be sent.
pub(crate) const RETRY: Duration = Duration::from_secs(5);
