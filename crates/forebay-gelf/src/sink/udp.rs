//! GELF over UDP: one datagram per message, or chunks.

use crate::chunk::DatagramSize;
use crate::compress::Compression;
use crate::sink::error::SinkError;

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
        Self { address: address.into(), datagram: DatagramSize::default(), compression: Compression::default() }
    }

    pub(crate) fn check(&self) -> Result<(), SinkError> {
        if self.address.is_empty() {
            return Err(SinkError::Config { problem: "`address` is empty; name the receiver as host:port".into() });
        }
        Ok(())
    }
}
