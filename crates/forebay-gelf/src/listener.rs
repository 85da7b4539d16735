//! A small GELF receiver for demos, tests and trying things out: TCP and UDP, bounded in every direction.
//!
//! ```
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! use forebay_gelf::listener::{Listener, ListenerConfig};
//!
//! let (listener, mut messages) = Listener::bind(ListenerConfig::loopback()).await?;
//! let address = listener.tcp_address().expect("loopback() asks for TCP");
//! let running = tokio::spawn(listener.run());
//!
//! let mut stream = tokio::net::TcpStream::connect(address).await?;
//! tokio::io::AsyncWriteExt::write_all(&mut stream, b"{\"host\":\"h\",\"short_message\":\"hello\"}\0").await?;
//! let arrived = messages.next().await.expect("the listener runs");
//! assert_eq!(arrived.receive()?.message, "hello");
//! running.abort();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::dechunk::Dechunker;
use crate::frame::FrameSplitter;
use crate::inflate::inflate_payload;
use crate::receiver::{Received, Rejection, receive};

/// A receiver that is bound and waits to be run.
#[derive(Debug)]
pub struct Listener {
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
    config: ListenerConfig,
    arrived: mpsc::Sender<Arrived>,
    mode: watch::Receiver<Mode>,
    // Without the sender `mode` would count as closed.
    _mode: Arc<watch::Sender<Mode>>,
}

/// What connections do now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Mode {
    /// Nothing is read.
    pub(crate) stalled: bool,
    /// Connections with a lower number are reset.
    pub(crate) resets: u64,
}

impl Listener {
    /// Binds the sockets.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn bind(config: ListenerConfig) -> io::Result<(Self, Messages)> {
        let (listener, messages, _) = Self::bind_with_mode(config).await?;
        Ok((listener, messages))
    }

    pub(crate) async fn bind_with_mode(
        config: ListenerConfig,
    ) -> io::Result<(Self, Messages, Arc<watch::Sender<Mode>>)> {
        let tcp = match config.tcp {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let udp = match config.udp {
            Some(address) => Some(UdpSocket::bind(address).await?),
            None => None,
        };
        let (arrived, incoming) = mpsc::channel(config.queue.max(1));
        let (set_mode, mode) = watch::channel(Mode::default());
        let set_mode = Arc::new(set_mode);
        let listener = Self {
            tcp,
            udp,
            config,
            arrived,
            mode,
            _mode: Arc::clone(&set_mode),
        };
        Ok((listener, Messages { incoming }, set_mode))
    }

    /// Where TCP listens.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// Where UDP listens.
    #[must_use]
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.udp.as_ref()?.local_addr().ok()
    }

    /// Receives until [`Messages`] is dropped.
    ///
    /// # Cancel safety
    /// Dropping the future closes all sockets.
    pub async fn run(self) {
        let Self {
            tcp,
            udp,
            config,
            arrived,
            mode,
            _mode,
        } = self;
        let gone = arrived.clone();
        tokio::select! {
            () = gone.closed() => {}
            () = accept(tcp, &config, arrived.clone(), mode.clone()) => {}
            () = read_datagrams(udp, &config, arrived, mode) => {}
        }
    }
}

/// What has arrived, in order per connection.
#[derive(Debug)]
pub struct Messages {
    incoming: mpsc::Receiver<Arrived>,
}

impl Messages {
    /// The next message; `None` after the listener has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Arrived> {
        self.incoming.recv().await
    }

    /// The next message if one is there.
    pub fn try_next(&mut self) -> Option<Arrived> {
        self.incoming.try_recv().ok()
    }
}

/// One payload, inflated and joined.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The JSON text. It was not looked at.
    pub json: Vec<u8>,
    /// Who sent it.
    pub peer: SocketAddr,
    /// Number of the TCP connection it came over, from 1; 0 for UDP.
    pub connection: u64,
}

impl Arrived {
    /// What a Graylog server keeps of it.
    ///
    /// # Errors
    /// [`Rejection`] if the server would drop it.
    pub fn receive(&self) -> Result<Received, Rejection> {
        receive(&self.json)
    }
}

/// Settings of a listener.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Where to listen for TCP. Port 0 lets the system choose.
    pub tcp: Option<SocketAddr>,
    /// Where to listen for UDP.
    pub udp: Option<SocketAddr>,
    /// Longest frame; a longer one ends its connection. Default 2 MiB.
    pub frame_bytes: usize,
    /// Longest payload after inflating. Default 8 MiB.
    pub inflated_bytes: usize,
    /// Most TCP connections at a time; more are closed at once. Default 64.
    pub connections: usize,
    /// Messages that wait for [`Messages::next`]; then TCP is not read and UDP is lost. Default 1,024.
    pub queue: usize,
}

impl ListenerConfig {
    /// TCP and UDP on free ports of the loopback interface.
    #[must_use]
    pub fn loopback() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            tcp: Some(any),
            udp: Some(any),
            ..Self::default()
        }
    }
}

impl Default for ListenerConfig {
    /// No socket at all: set `tcp` or `udp`.
    fn default() -> Self {
        Self {
            tcp: None,
            udp: None,
            frame_bytes: 2 * 1024 * 1024,
            inflated_bytes: 8 * 1024 * 1024,
            connections: 64,
            queue: 1024,
        }
    }
}

async fn accept(
    tcp: Option<TcpListener>,
    config: &ListenerConfig,
    arrived: mpsc::Sender<Arrived>,
    mode: watch::Receiver<Mode>,
) {
    let Some(tcp) = tcp else {
        return std::future::pending().await;
    };
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = tcp.accept() => match accepted {
                Ok((stream, peer)) if connections.len() < config.connections => {
                    number += 1;
                    let arrived = arrived.clone();
                    let frames = FrameSplitter::new(0, config.frame_bytes);
                    connections.spawn(read_stream(stream, frames, mode.clone(), move |json| {
                        let arrived = arrived.clone();
                        async move { arrived.send(Arrived { json, peer, connection: number }).await.is_ok() }
                    }));
                }
                Ok(_) => {}
                // Out of descriptors, or a connection that was gone at once: neither is the end of the listener.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Reads frames until the stream ends, a frame is empty or too long, or `deliver` says stop.
async fn read_stream<F: Future<Output = bool>>(
    mut stream: TcpStream,
    mut frames: FrameSplitter,
    mut mode: watch::Receiver<Mode>,
    deliver: impl Fn(Vec<u8>) -> F,
) {
    let resets = mode.borrow().resets;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        if mode.borrow_and_update().resets > resets {
            // Closing with zero linger sends RST and throws away what was not read.
            drop(socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
            return;
        }
        let stalled = mode.borrow().stalled;
        let read = tokio::select! {
            biased;
            changed = mode.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            read = stream.read(&mut buffer), if !stalled => read,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(count) => frames.extend(&buffer[..count]),
        }
        loop {
            match frames.next_frame() {
                Ok(None) => break,
                // As Graylog does it: an empty frame is an error and closes the connection.
                Ok(Some([])) | Err(_) => return,
                Ok(Some(frame)) => {
                    if !deliver(frame.to_vec()).await {
                        return;
                    }
                }
            }
        }
    }
    if !frames.rest().is_empty() && !deliver(frames.rest().to_vec()).await {
        return;
    }
    drop(stream.shutdown().await);
}

async fn read_datagrams(
    udp: Option<UdpSocket>,
    config: &ListenerConfig,
    arrived: mpsc::Sender<Arrived>,
    mut mode: watch::Receiver<Mode>,
) {
    let Some(udp) = udp else {
        return std::future::pending().await;
    };
    let mut dechunker = Dechunker::default();
    let begun = Instant::now();
    let mut buffer = vec![0; 65_536];
    loop {
        if mode.wait_for(|mode| !mode.stalled).await.is_err() {
            return;
        }
        let Ok((count, peer)) = udp.recv_from(&mut buffer).await else {
            continue;
        };
        let Ok(Some(payload)) = dechunker.accept(&buffer[..count], begun.elapsed()) else {
            continue;
        };
        let Ok(json) = inflate_payload(&payload, config.inflated_bytes) else {
            continue;
        };
        if arrived
            .send(Arrived {
                json: json.into_owned(),
                peer,
                connection: 0,
            })
            .await
            .is_err()
        {
            return;
        }
    }
}

const READ_BYTES: usize = 64 * 1024;
