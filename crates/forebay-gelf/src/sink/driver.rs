//! The future that does the work.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::sink::acceptance::Report;
use crate::sink::error::SinkError;
#[cfg(feature = "http")]
use crate::sink::http;
use crate::sink::inlet::Inlet;
use crate::sink::lane;
use crate::sink::retry::Retry;
use crate::sink::transport::Transport;
use crate::sink::udp::UdpLane;
use crate::sink::writer::WriterLane;
use crate::sink::{SinkConfig, tcp};

/// Moves batches from a [`Sink`](crate::Sink) to its receiver. Nothing happens until [`run`](Self::run) is polled.
#[must_use = "a sink without a running driver only fills up"]
pub struct Driver {
    /// Boxed: together the transports would make a large future of every caller's.
    work: Pin<Box<dyn Future<Output = Report> + Send>>,
    unverified: bool,
}

impl Driver {
    /// Checks the settings of the transport and gets ready.
    pub(crate) fn new(
        transport: Transport,
        inlet: Inlet,
        config: SinkConfig,
    ) -> Result<Self, SinkError> {
        let unverified = transport.is_unverified();
        let retry = Retry::new(&config);
        let work: Pin<Box<dyn Future<Output = Report> + Send>> = match transport {
            Transport::Udp(udp) => {
                udp.check()?;
                let ids = Retry::new(&config);
                Box::pin(lane::run(UdpLane::new(udp, ids), retry, inlet))
            }
            Transport::Tcp(settings) => {
                Box::pin(tcp::run(settings.connector()?, settings, config, inlet))
            }
            #[cfg(feature = "http")]
            Transport::Http(settings) => {
                Box::pin(http::run(settings.client()?, settings, config, inlet))
            }
            Transport::Writer(writer) => Box::pin(lane::run(WriterLane::new(writer), retry, inlet)),
        };
        Ok(Self { work, unverified })
    }

    /// Runs until [`Sink::close`](crate::Sink::close), or until all handles are dropped and everything is settled.
    ///
    /// # Cancel safety
    /// Dropping the future closes the sink and its connections at once. Batches that were not settled report
    /// [`SinkError::Closed`](crate::SinkError::Closed): some of their messages may have arrived.
    pub async fn run(self) -> Report {
        let Self { work, unverified } = self;
        tokio::select! {
            biased;
            report = work => report,
            never = warn_hourly(), if unverified => match never {},
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Driver").finish_non_exhaustive()
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
