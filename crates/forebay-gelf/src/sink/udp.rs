//! GELF over UDP: one datagram per message, or chunks.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use crate::chunk::{ChunkError, Chunks, DatagramSize, MessageId};
use crate::compress::{Compression, Compressor};
use crate::sink::acceptance::RefusalReason;
use crate::sink::error::SinkError;
use crate::sink::inlet::Parcel;
use crate::sink::lane::Lane;
use crate::sink::observer::Observer;
use crate::sink::retry::Retry;
use crate::sink::tcp::connect::look_up;

/// Settings of the UDP transport.
///
/// Acceptance means [`Grade::Kernel`](crate::Grade::Kernel): every datagram was handed to the kernel. Nothing tells
/// whether one arrived.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct UdpConfig {
    /// The receiver, `host:port` (GELF: port 12201).
    pub address: Box<str>,
    /// Longest datagram, chunk header included. Default 1,420 bytes, which passes any internet path; 8,154 is for
    /// local networks with jumbo frames.
    pub datagram: DatagramSize,
    /// Compression of each message. Default gzip.
    pub compression: Compression,
}

impl UdpConfig {
    /// Default settings for one receiver.
    #[must_use]
    pub fn new(address: impl Into<Box<str>>) -> Self {
        Self {
            address: address.into(),
            datagram: DatagramSize::default(),
            compression: Compression::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SinkError> {
        if crate::sink::tcp::has_port(&self.address) {
            return Ok(());
        }
        Err(SinkError::config("`address` must be host:port"))
    }
}

/// A socket in use.
pub(crate) struct UdpLane {
    config: UdpConfig,
    socket: Option<UdpSocket>,
    compressor: Compressor,
    ids: Retry,
    /// The message of the batch that is being sent.
    message: usize,
    /// Its compressed form and id, once made.
    payload: Vec<u8>,
    id: Option<MessageId>,
    /// Datagrams of it that are sent.
    sent: usize,
    datagram: Vec<u8>,
}

impl UdpLane {
    pub(crate) fn new(config: UdpConfig, ids: Retry) -> Self {
        Self {
            compressor: Compressor::new(config.compression),
            config,
            socket: None,
            ids,
            message: 0,
            payload: Vec::new(),
            id: None,
            sent: 0,
            datagram: Vec::new(),
        }
    }

    /// Sends the datagrams of the current message that are left. `Err` within: it cannot be sent at all.
    async fn send_message(&mut self, message: &[u8]) -> io::Result<Result<(), ChunkError>> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(connect(&self.config.address).await?),
        };
        let id = match self.id {
            Some(id) => id,
            None => {
                self.compressor.compress_into(message, &mut self.payload);
                *self.id.insert(MessageId::from_u64(self.ids.next_number()))
            }
        };
        let mut chunks = match Chunks::new(&self.payload, self.config.datagram, id) {
            Ok(chunks) => chunks.skip_to(self.sent),
            Err(error) => return Ok(Err(error)),
        };
        while chunks.next_into(&mut self.datagram) {
            let mut tries = 0;
            // An ICMP answer to an earlier datagram fails the next send, and a full interface queue passes: each
            // is worth another try at once, but nothing here is worth more.
            while let Err(error) = socket.send(&self.datagram).await {
                tries += 1;
                if tries == TRIES {
                    // The pause that follows can outlast a receiver's patience with the first chunks: begin anew.
                    self.socket = None;
                    self.id = None;
                    self.sent = 0;
                    return Err(error);
                }
                tokio::task::yield_now().await;
            }
            self.sent += 1;
        }
        Ok(Ok(()))
    }
}

impl Lane for UdpLane {
    fn name(&self) -> &str {
        &self.config.address
    }

    async fn advance(&mut self, parcel: &mut Parcel, observer: &dyn Observer) -> io::Result<()> {
        while let Some(message) = parcel.batch.get(self.message) {
            let outcome = self.send_message(message).await?;
            match outcome {
                Ok(()) => observer.written(1, self.payload.len()),
                Err(ChunkError::TooLong { bytes, limit }) => {
                    parcel.refuse(
                        self.message,
                        RefusalReason::TooLong {
                            bytes,
                            limit: Some(limit),
                        },
                    );
                }
                // A batch holds no empty message, and nothing compresses to nothing.
                Err(ChunkError::Empty) => parcel.refuse(
                    self.message,
                    RefusalReason::TooLong {
                        bytes: 0,
                        limit: None,
                    },
                ),
            }
            self.message += 1;
            self.id = None;
            self.sent = 0;
        }
        self.message = 0;
        Ok(())
    }

    async fn end(&mut self) {}
}

async fn connect(address: &str) -> io::Result<UdpSocket> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in look_up(address).await? {
        let local: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

const TRIES: u32 = 4;
