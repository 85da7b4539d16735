//! Datagrams: GELF chunking (GELF 1.1, "Chunking").

use std::fmt;

/// Longest datagram a sender uses, header included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DatagramSize(u16);

impl DatagramSize {
    /// Passes any internet path: 1,420 bytes.
    pub const WAN: Self = Self(1420);
    /// For local networks with jumbo frames: 8,154 bytes.
    pub const LAN: Self = Self(8154);

    /// Checks a size: at least 64 bytes, at most 65,507 (the longest payload of UDP over IPv4).
    ///
    /// # Errors
    /// [`DatagramSizeError`] outside that range.
    pub const fn new(bytes: u16) -> Result<Self, DatagramSizeError> {
        if bytes < 64 || bytes > 65_507 {
            Err(DatagramSizeError { bytes })
        } else {
            Ok(Self(bytes))
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// The longest payload that fits into all chunks together.
    #[must_use]
    pub const fn longest_payload(self) -> usize {
        MAX_CHUNKS * (self.get() - CHUNK_HEADER_BYTES)
    }
}

impl Default for DatagramSize {
    fn default() -> Self {
        Self::WAN
    }
}

/// A datagram size that cannot work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramSizeError {
    /// The size that was asked for.
    pub bytes: u16,
}

impl fmt::Display for DatagramSizeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "datagrams of {} bytes cannot be sent; use 64 to 65507",
            self.bytes
        )
    }
}

impl std::error::Error for DatagramSizeError {}

/// Most chunks of one message.
pub const MAX_CHUNKS: usize = 128;

/// Bytes in front of the data of each chunk.
pub const CHUNK_HEADER_BYTES: usize = 12;

/// The first two bytes of a chunk.
pub(crate) const CHUNK_MAGIC: [u8; 2] = [0x1e, 0x0f];

/// The identity of a chunked message: 8 bytes, unique per message over all senders that share a receiver.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MessageId([u8; 8]);

impl MessageId {
    /// An id from the caller's randomness.
    #[must_use]
    pub const fn from_u64(random: u64) -> Self {
        Self(random.to_be_bytes())
    }

    /// The id as it travels.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    pub(crate) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }
}

/// Divides one payload into datagrams.
///
/// A payload that fits is one datagram without a header. What cannot fit is an error before anything is emitted.
///
/// ```
/// use forebay_gelf::{Chunks, DatagramSize, MessageId};
///
/// let payload = vec![b'x'; 2000];
/// let mut chunks = Chunks::new(&payload, DatagramSize::WAN, MessageId::from_u64(7))?;
/// assert_eq!(chunks.len(), 2);
/// let mut datagram = Vec::new();
/// assert!(chunks.next_into(&mut datagram));
/// assert_eq!((datagram.len(), &datagram[..2]), (1420, &[0x1e, 0x0f][..]));
/// # Ok::<(), forebay_gelf::ChunkError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chunks<'p> {
    payload: &'p [u8],
    /// Data bytes per chunk.
    step: usize,
    id: MessageId,
    count: usize,
    next: usize,
}

impl<'p> Chunks<'p> {
    /// Prepares `payload`, compressed or not.
    ///
    /// # Errors
    /// [`ChunkError`] if it is empty or needs more than [`MAX_CHUNKS`] chunks.
    pub fn new(payload: &'p [u8], size: DatagramSize, id: MessageId) -> Result<Self, ChunkError> {
        if payload.is_empty() {
            return Err(ChunkError::Empty);
        }
        let step = size.get() - CHUNK_HEADER_BYTES;
        let count = if payload.len() <= size.get() {
            1
        } else {
            payload.len().div_ceil(step)
        };
        if count > MAX_CHUNKS {
            return Err(ChunkError::TooLong {
                bytes: payload.len(),
                limit: size.longest_payload(),
            });
        }
        Ok(Self {
            payload,
            step,
            id,
            count,
            next: 0,
        })
    }

    /// Writes the next datagram into `datagram`, replacing what it holds. `false` after the last one.
    pub fn next_into(&mut self, datagram: &mut Vec<u8>) -> bool {
        datagram.clear();
        if self.next == self.count {
            return false;
        }
        if self.count == 1 {
            datagram.extend_from_slice(self.payload);
        } else {
            let start = self.next * self.step;
            let end = self.payload.len().min(start + self.step);
            datagram.extend_from_slice(&CHUNK_MAGIC);
            datagram.extend_from_slice(self.id.as_bytes());
            datagram.extend_from_slice(&[self.next as u8, self.count as u8]);
            datagram.extend_from_slice(&self.payload[start..end]);
        }
        self.next += 1;
        true
    }

    /// Goes on behind datagrams that are sent already.
    #[cfg(feature = "tokio")]
    pub(crate) fn skip_to(mut self, sent: usize) -> Self {
        self.next = sent.min(self.count);
        self
    }

    /// Datagrams left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count - self.next
    }

    /// Whether all datagrams were written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next == self.count
    }
}

/// Why a payload cannot be sent as datagrams.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChunkError {
    /// Nothing to send.
    Empty,
    /// More than [`MAX_CHUNKS`] chunks would be needed.
    TooLong {
        /// Length of the payload.
        bytes: usize,
        /// The longest that fits.
        limit: usize,
    },
}

impl fmt::Display for ChunkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("the payload is empty"),
            Self::TooLong { bytes, limit } => write!(
                formatter,
                "the payload has {bytes} bytes, {MAX_CHUNKS} chunks hold {limit}; compress, shorten or use larger datagrams"
            ),
        }
    }
}

impl std::error::Error for ChunkError {}
