//! The future that does the work.

use crate::sink::SinkConfig;
use crate::sink::acceptance::Report;
use crate::sink::inlet::Inlet;
use crate::sink::lane;
use crate::sink::retry::Retry;
use crate::sink::transport::Transport;
use crate::sink::udp::UdpLane;
use crate::sink::writer::WriterLane;

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
        Self {
            transport,
            inlet,
            config,
        }
    }

    /// Runs until [`Sink::close`](crate::Sink::close), or until all handles are dropped and everything is settled.
    ///
    /// # Cancel safety
    /// Dropping the future closes the sink and its connections at once. Batches that were not settled report
    /// [`SinkError::Closed`](crate::SinkError::Closed): some of their messages may have arrived.
    pub async fn run(self) -> Report {
        let Self {
            transport,
            inlet,
            config,
        } = self;
        let retry = Retry::new(&config);
        // Each transport's future is boxed: together they would make a large future of every caller's.
        match transport {
            Transport::Udp(udp) => {
                let ids = Retry::new(&config);
                Box::pin(lane::run(UdpLane::new(udp, ids), retry, inlet)).await
            }
            Transport::Tcp(tcp) => Box::pin(crate::sink::tcp::run(tcp, &config, inlet)).await,
            #[cfg(feature = "http")]
            Transport::Http(http) => Box::pin(crate::sink::http::run(http, &config, inlet)).await,
            Transport::Writer(writer) => {
                Box::pin(lane::run(WriterLane::new(writer), retry, inlet)).await
            }
        }
    }
}
