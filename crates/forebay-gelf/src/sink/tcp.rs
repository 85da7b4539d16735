//! GELF over TCP and TLS: settings.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::sink::error::SinkError;
use crate::sink::tcp::connect::{Connector, connect};
use crate::sink::tcp::line::Progress;

pub(crate) use self::driver::run;

pub(crate) mod connect;
mod driver;
mod line;
pub(crate) mod receivers;

/// Settings of the TCP transport: NUL-terminated frames, with or without TLS.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// The receivers, each `host:port` (GELF: port 12201). At least one.
    pub addresses: Vec<Box<str>>,
    /// Which receiver the next connection goes to.
    pub balance: Balance,
    /// TLS, if wanted. Without it everything travels readable.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::sink::tls::TlsConfig>,
    /// What proves that the receiver has a message.
    pub proof: Proof,
    /// Upper bound of what a receiver's kernel holds unread, in bytes. Default 32 MiB, the largest `tcp_rmem` maximum
    /// of current Linux; too small a value makes [`Grade::Overrun`](crate::Grade::Overrun) a lie.
    pub peer_buffer: usize,
    /// Send buffer to ask the kernel for. Linux doubles it and caps it at `wmem_max`. Default 512 KiB.
    pub send_buffer: usize,
    /// Age of the oldest unproven message at which a connection is closed for proof. Default 5 s.
    pub close_after: Duration,
    /// How long the receiver may take to answer an orderly close; then everything unproven is sent again, and
    /// connections are closed after fewer bytes until it can. Default 30 s.
    pub close_wait: Duration,
    /// Limit for name lookup and connect, per address. Default 5 s.
    pub connect_timeout: Duration,
    /// Limit for the TLS handshake. Default 5 s.
    pub handshake_timeout: Duration,
    /// Age at which a connection is replaced, so that a balancer or a changed name takes effect. Default 1 h.
    pub renew_after: Duration,
    /// How long sent bytes may stay without an answer from the peer's kernel. Default 30 s.
    pub user_timeout: Duration,
}

impl TcpConfig {
    /// Default settings for one receiver.
    #[must_use]
    pub fn new(address: impl Into<Box<str>>) -> Self {
        Self {
            addresses: vec![address.into()],
            balance: Balance::Failover,
            #[cfg(feature = "tls")]
            tls: None,
            proof: Proof::Receiver,
            peer_buffer: 32 * 1024 * 1024,
            send_buffer: 512 * 1024,
            close_after: Duration::from_secs(5),
            close_wait: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            renew_after: Duration::from_secs(3600),
            user_timeout: Duration::from_secs(30),
        }
    }

    /// Connects to each receiver as a sink would, TLS handshake included, and sends nothing. Gives how long each took,
    /// or why it failed, in the order of `addresses`.
    ///
    /// A receiver that hangs up at once has failed too: that is how TLS 1.3 refuses a client's certificate.
    ///
    /// # Errors
    /// [`SinkError::Config`] if the settings contradict each other.
    ///
    /// # Cancel safety
    /// Cancel safe: open connections are closed.
    pub async fn probe(&self) -> Result<Vec<Result<Duration, Box<str>>>, SinkError> {
        let connector = self.connector()?;
        let mut outcomes = Vec::new();
        for receiver in 0..self.addresses.len() {
            let begun = Instant::now();
            outcomes.push(
                match connect(self.clone(), connector.clone(), receiver).await {
                    Ok(mut line) => {
                        let took = begun.elapsed();
                        match timeout(HANG_UP, line.step(&VecDeque::new(), false)).await {
                            Ok(Progress::Lost(reason)) => Err(reason),
                            _ => Ok(took),
                        }
                    }
                    Err(failure) => Err(failure.reason),
                },
            );
        }
        Ok(outcomes)
    }

    /// Checks the settings and makes what all connections need.
    pub(crate) fn connector(&self) -> Result<Connector, SinkError> {
        let problem = if self.addresses.is_empty() {
            "`addresses` is empty; name at least one receiver as host:port"
        } else if self.addresses.iter().any(|address| !has_port(address)) {
            "each of `addresses` must be host:port"
        } else if self.connect_timeout.is_zero()
            || self.handshake_timeout.is_zero()
            || self.close_wait.is_zero()
        {
            "timeouts must be above 0"
        } else {
            #[cfg(feature = "tls")]
            return self
                .tls
                .as_ref()
                .map(crate::sink::tls::TlsConfig::connector)
                .transpose();
            #[cfg(not(feature = "tls"))]
            return Ok(Connector);
        };
        Err(SinkError::config(problem))
    }
}

/// Which of several receivers a new connection goes to.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Balance {
    /// The first of the list that works; one that failed is passed over for a minute.
    #[default]
    Failover,
    /// The next of the list, connection by connection.
    RoundRobin,
}

/// What proves that a TCP receiver has a message. TCP itself never says so.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// The receiving process read it: either so many bytes followed on the connection that no buffer could hold them,
    /// or the receiver answered an orderly close. Costs one connection per
    /// [`close_after`](TcpConfig::close_after) at low rates. Behind a balancer that ends TCP, the balancer is proved.
    Receiver,
    /// The bytes are this old and the connection lives. Never reconnects for proof; loses what a stalled receiver
    /// had not read when it died.
    Kernel {
        /// How old. 10 s is a good value; zero accepts what was written.
        age: Duration,
    },
}

/// A receiver that wants nobody hangs up within this time.
const HANG_UP: Duration = Duration::from_millis(200);

pub(crate) fn has_port(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}
