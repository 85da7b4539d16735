use std::time::Instant;

use crate::action::Action;
use crate::config::Config;
use crate::error::ConfigError;
use crate::event::Event;
use crate::lease::WorkerId;
use crate::shard::StartPosition;

/// Who this coordinator is and where it begins.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain arguments")]
pub struct Identity {
    /// Unique among all live processes that share the table.
    pub worker: WorkerId,
    /// Where reading begins in a stream without leases.
    pub start: StartPosition,
    /// Seed of the random choices; different for each worker.
    pub seed: u64,
}

/// Decides which leases this worker takes, renews, gives up and creates.
#[derive(Debug)]
pub struct Coordinator {}

impl Coordinator {
    /// Starts at once: the first actions are ready.
    ///
    /// # Errors
    /// [`ConfigError`] if a setting cannot work.
    pub fn new(_config: Config, _identity: Identity, _now: Instant) -> Result<Self, ConfigError> {
        Ok(Self {})
    }

    /// Takes in what happened.
    pub fn handle(&mut self, _event: Event, _now: Instant) {}

    /// Does what is due; call it when [`Coordinator::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// The next thing to do. Call it until `None` after every other call, and send requests at once: the hold time
    /// counts from `now`.
    pub fn poll_action(&mut self, _now: Instant) -> Option<Action> {
        None
    }

    /// When [`Coordinator::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Instant {
        unreachable!()
    }

    /// Stops taking, asks all readers to finish, then gives the leases back.
    pub fn begin_shutdown(&mut self, _now: Instant) {}

    /// Whether, after [`Coordinator::begin_shutdown`], every lease is given back or lost.
    pub fn is_drained(&self) -> bool {
        true
    }

    /// The sink is down: stops the readers, stores their positions, gives the leases back, takes nothing.
    pub fn park(&mut self, _now: Instant) {}

    /// Takes leases again, at once.
    pub fn unpark(&mut self, _now: Instant) {}
}
