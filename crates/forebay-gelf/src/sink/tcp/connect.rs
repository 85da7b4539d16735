//! From an address to a connection that is ready for data.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, ToSocketAddrs, lookup_host};
use tokio::time::{Instant, timeout};

use crate::sink::tcp::TcpConfig;
use crate::sink::tcp::line::{Line, Stream};

/// Why there is no connection.
pub(crate) struct Failure {
    pub(crate) receiver: usize,
    pub(crate) reason: Box<str>,
    /// Time alone will not help.
    pub(crate) misconfigured: bool,
}

/// What a TLS connection needs, made once.
#[cfg(feature = "tls")]
pub(crate) type Connector = Option<tokio_rustls::TlsConnector>;
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
pub(crate) struct Connector;

pub(crate) async fn connect(
    config: TcpConfig,
    connector: Connector,
    receiver: usize,
) -> Result<Line, Failure> {
    let address = config.addresses.get(receiver).map_or("", |address| address);
    let opened = open(&config, connector, address).await;
    let (stream, round_trip, send_buffer) = opened.map_err(|reason| Failure {
        receiver,
        reason: reason.text.into(),
        misconfigured: reason.misconfigured,
    })?;
    let now = Instant::now();
    Ok(Line {
        stream,
        receiver,
        opened: now,
        round_trip,
        overrun: (send_buffer + config.peer_buffer + TLS_BUFFERS) as u64,
        written: 0,
        moved: now,
        unflushed: false,
        sent: VecDeque::new(),
        unproven: 0,
        head: 0,
        newest: 0,
        stale: false,
    })
}

/// Why a connection cannot be opened, and whether time alone will not help.
struct Reason {
    text: String,
    misconfigured: bool,
}

impl Reason {
    fn passing(text: String) -> Self {
        Self {
            text,
            misconfigured: false,
        }
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::passing(error.to_string())
    }
}

/// A connection, the time of its TCP handshake and the size of its send buffer.
async fn open(
    config: &TcpConfig,
    connector: Connector,
    address: &str,
) -> Result<(Stream, Duration, usize), Reason> {
    let begun = Instant::now();
    let Ok(socket) = timeout(config.connect_timeout, reach(address)).await else {
        let text = format!("no connection within {:?}", config.connect_timeout);
        return Err(Reason::passing(text));
    };
    let socket = socket?;
    let round_trip = begun.elapsed();
    let send_buffer = tune(&socket, config)?;
    let stream = secure(socket, config, connector, address).await?;
    Ok((stream, round_trip, send_buffer))
}

/// Whether an address may be a receiver. Link-local ones (cloud metadata among them) never are.
pub(crate) fn is_allowed(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => {
            !address.is_unicast_link_local()
                && !address
                    .to_ipv4_mapped()
                    .is_some_and(|mapped| mapped.is_link_local())
        }
    }
}

/// The addresses of a receiver, at least one.
pub(crate) async fn look_up(name: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    let (allowed, refused): (Vec<_>, Vec<_>) = lookup_host(name)
        .await?
        .partition(|address| is_allowed(address.ip()));
    match (allowed.is_empty(), refused.is_empty()) {
        (false, _) => Ok(allowed),
        (true, true) => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )),
        (true, false) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "link-local addresses are refused",
        )),
    }
}

async fn reach(address: &str) -> io::Result<TcpStream> {
    TcpStream::connect(&*look_up(address).await?).await
}

/// Sets socket options and returns the size of the send buffer in effect.
fn tune(socket: &TcpStream, config: &TcpConfig) -> io::Result<usize> {
    socket.set_nodelay(true)?;
    let options = SockRef::from(socket);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    options.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    options.set_tcp_user_timeout(Some(config.user_timeout))?;
    // A fixed size also ends autotuning, so that the size read back stays true.
    options.set_send_buffer_size(config.send_buffer)?;
    options.send_buffer_size()
}

#[cfg(feature = "tls")]
async fn secure(
    socket: TcpStream,
    config: &TcpConfig,
    connector: Connector,
    address: &str,
) -> Result<Stream, Reason> {
    let (Some(connector), Some(tls)) = (connector, &config.tls) else {
        return Ok(Stream::Plain(socket));
    };
    let host = tls.server_name.as_deref();
    let host = host.unwrap_or_else(|| host_of(address));
    let name = rustls_pki_types::ServerName::try_from(host.to_owned()).map_err(|_| Reason {
        text: format!("`{host}` cannot be verified: not a host name"),
        misconfigured: true,
    })?;
    match timeout(config.handshake_timeout, connector.connect(name, socket)).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => Err(Reason {
            text: format!("TLS: {error}"),
            // Certificates do not mend themselves; a closed connection may.
            misconfigured: error.kind() == io::ErrorKind::InvalidData,
        }),
        Err(_) => Err(Reason::passing(format!(
            "TLS: no handshake within {:?}",
            config.handshake_timeout
        ))),
    }
}

#[cfg(not(feature = "tls"))]
async fn secure(socket: TcpStream, _: &TcpConfig, _: Connector, _: &str) -> Result<Stream, Reason> {
    Ok(Stream::Plain(socket))
}

/// The host of `host:port`, without the brackets of an IPv6 address.
#[cfg(feature = "tls")]
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Rustls keeps up to 64 KiB on our side; the other side is taken to do the same. Counted without TLS too: it errs
/// on the side of more proof.
const TLS_BUFFERS: usize = 128 * 1024;
