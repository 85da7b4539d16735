//! The future that does the work.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

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
        let unverified = transport.is_unverified();
        // Boxed: together the transports would make a large future of every caller's.
        let work: Pin<Box<dyn Future<Output = Report> + Send>> = match transport {
            Transport::Udp(udp) => {
                let ids = Retry::new(&config);
                Box::pin(lane::run(UdpLane::new(udp, ids), retry, inlet))
            }
            Transport::Tcp(tcp) => Box::pin(crate::sink::tcp::run(tcp, &config, inlet)),
            #[cfg(feature = "http")]
            Transport::Http(http) => Box::pin(crate::sink::http::run(http, &config, inlet)),
            Transport::Writer(writer) => Box::pin(lane::run(WriterLane::new(writer), retry, inlet)),
        };
        tokio::select! {
            biased;
            report = work => report,
            never = warn_hourly(), if unverified => match never {},
        }
    }
}

/// Reminds of settings that nobody should forget.
async fn warn_hourly() -> Infallible {
    let mut hours = tokio::time::interval(Duration::from_secs(3600));
    loop {
        hours.tick().await;
        tracing::warn!(
            "TLS certificates are not verified: anybody in between can read and change what is sent"
        );
    }
}
