//! Which way messages go.

use crate::sink::tcp::TcpConfig;
use crate::sink::udp::UdpConfig;
use crate::sink::writer::WriterConfig;

/// A transport and its settings; a configuration file chooses one.
#[non_exhaustive]
#[derive(Debug)]
pub enum Transport {
    /// Datagrams: best effort.
    Udp(UdpConfig),
    /// NUL-terminated frames over TCP, with or without TLS.
    Tcp(TcpConfig),
    /// One POST per message, or bulk, over HTTP or HTTPS.
    #[cfg(feature = "http")]
    Http(crate::sink::http::HttpConfig),
    /// One line per message into anything that can be written.
    Writer(WriterConfig),
}

impl Transport {
    /// Whether certificates of receivers are taken unseen.
    pub(crate) fn is_unverified(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Self::Tcp(config) => config
                .tls
                .as_ref()
                .is_some_and(|tls| tls.danger_accept_invalid_certs),
            #[cfg(feature = "http")]
            Self::Http(config) => config.tls.danger_accept_invalid_certs,
            _ => false,
        }
    }
}

impl From<UdpConfig> for Transport {
    fn from(config: UdpConfig) -> Self {
        Self::Udp(config)
    }
}

impl From<TcpConfig> for Transport {
    fn from(config: TcpConfig) -> Self {
        Self::Tcp(config)
    }
}

#[cfg(feature = "http")]
impl From<crate::sink::http::HttpConfig> for Transport {
    fn from(config: crate::sink::http::HttpConfig) -> Self {
        Self::Http(config)
    }
}

impl From<WriterConfig> for Transport {
    fn from(config: WriterConfig) -> Self {
        Self::Writer(config)
    }
}
