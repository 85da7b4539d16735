//! Puts chunked messages together again, in bounded memory.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::chunk::{CHUNK_HEADER_BYTES, CHUNK_MAGIC, MAX_CHUNKS, MessageId};

/// Joins the datagrams of chunked messages. Times are durations since any fixed moment: the caller owns the clock.
///
/// Order of arrival is free, repeats are ignored, and what is not complete 5 s after its first chunk is dropped, all as
/// Graylog does it.
///
/// ```
/// use std::time::Duration;
/// use forebay_gelf::{Chunks, DatagramSize, Dechunker, MessageId};
///
/// let payload = vec![b'x'; 2000];
/// let mut chunks = Chunks::new(&payload, DatagramSize::WAN, MessageId::from_u64(7))?;
/// let mut dechunker = Dechunker::default();
/// let mut datagram = Vec::new();
/// let mut whole = None;
/// while chunks.next_into(&mut datagram) {
///     whole = dechunker.accept(&datagram, Duration::ZERO)?;
/// }
/// assert_eq!(whole, Some(payload));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dechunker {
    open: HashMap<MessageId, Partial>,
    bytes: usize,
    limits: DechunkLimits,
    expired: u64,
}

#[derive(Debug)]
struct Partial {
    begun: Duration,
    chunks: Vec<Option<Box<[u8]>>>,
    missing: usize,
    bytes: usize,
}

impl Default for Dechunker {
    fn default() -> Self {
        Self::new(DechunkLimits::default())
    }
}

impl Dechunker {
    /// A dechunker with other limits than the default ones.
    #[must_use]
    pub fn new(limits: DechunkLimits) -> Self {
        Self {
            open: HashMap::new(),
            bytes: 0,
            limits,
            expired: 0,
        }
    }

    /// Takes one datagram. Gives a whole payload if this was all that was missing; a datagram that is no chunk is
    /// one by itself.
    ///
    /// # Errors
    /// [`DechunkError`]: the datagram was dropped, and with it the message it belongs to where the error says so.
    pub fn accept(
        &mut self,
        datagram: &[u8],
        now: Duration,
    ) -> Result<Option<Vec<u8>>, DechunkError> {
        self.expire(now);
        if !datagram.starts_with(&CHUNK_MAGIC) {
            return Ok(Some(datagram.to_vec()));
        }
        let (Some((header, data)), true) = (
            datagram.split_first_chunk::<CHUNK_HEADER_BYTES>(),
            datagram.len() >= CHUNK_HEADER_BYTES,
        ) else {
            return Err(DechunkError::Short {
                bytes: datagram.len(),
            });
        };
        let [_, _, id @ .., number, count] = *header;
        let (id, number, count) = (
            MessageId::from_bytes(id),
            usize::from(number),
            usize::from(count),
        );
        if count == 0 || count > MAX_CHUNKS || number >= count {
            return Err(DechunkError::Numbers { number, count });
        }
        if let Some(partial) = self.open.get(&id) {
            if partial.chunks.len() != count {
                let expected = partial.chunks.len();
                self.remove(id);
                return Err(DechunkError::Count {
                    expected,
                    found: count,
                });
            }
            if partial.chunks[number].is_some() {
                return Ok(None);
            }
        }
        let cost = data.len() + CHUNK_HEADER_BYTES;
        let known = self.open.contains_key(&id);
        if self.bytes + cost > self.limits.bytes
            || (!known && self.open.len() >= self.limits.messages)
        {
            self.remove(id);
            return Err(DechunkError::Full);
        }
        let partial = self.open.entry(id).or_insert_with(|| Partial {
            begun: now,
            chunks: vec![None; count],
            missing: count,
            bytes: 0,
        });
        partial.chunks[number] = Some(data.into());
        partial.missing -= 1;
        partial.bytes += cost;
        self.bytes += cost;
        if partial.missing > 0 {
            return Ok(None);
        }
        let whole = self
            .remove(id)
            .map(|partial| partial.chunks.into_iter().flatten().flatten().collect());
        Ok(whole)
    }

    /// Messages that have begun and are not complete.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Messages that were dropped because chunks did not come in time.
    #[must_use]
    pub fn expired(&self) -> u64 {
        self.expired
    }

    fn expire(&mut self, now: Duration) {
        let (mut freed, mut expired) = (0, 0);
        let timeout = self.limits.timeout;
        self.open.retain(|_, partial| {
            let keep = now.saturating_sub(partial.begun) <= timeout;
            if !keep {
                freed += partial.bytes;
                expired += 1;
            }
            keep
        });
        self.bytes -= freed;
        self.expired += expired;
    }

    fn remove(&mut self, id: MessageId) -> Option<Partial> {
        let partial = self.open.remove(&id)?;
        self.bytes -= partial.bytes;
        Some(partial)
    }
}

/// Limits of a [`Dechunker`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DechunkLimits {
    /// How long after its first chunk a message may be incomplete. Default 5 s (GELF 1.1).
    pub timeout: Duration,
    /// Most messages incomplete at a time. Default 1,024.
    pub messages: usize,
    /// Most bytes of incomplete messages. Default 16 MiB.
    pub bytes: usize,
}

impl Default for DechunkLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            messages: 1024,
            bytes: 16 * 1024 * 1024,
        }
    }
}

/// Why a chunk was dropped.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DechunkError {
    /// Shorter than a chunk's header.
    Short {
        /// Length of the datagram.
        bytes: usize,
    },
    /// A count of 0 or above 128, or a number that is not below it.
    Numbers {
        /// Number of the chunk, from 0.
        number: usize,
        /// Count of chunks it gave.
        count: usize,
    },
    /// Another count than earlier chunks of the message gave; the message was dropped.
    Count {
        /// The count of the first chunk.
        expected: usize,
        /// The count of this one.
        found: usize,
    },
    /// Too many incomplete messages or bytes; the message was dropped.
    Full,
}

impl fmt::Display for DechunkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { bytes } => {
                write!(formatter, "a chunk of {bytes} bytes has no complete header")
            }
            Self::Numbers { number, count } => {
                write!(formatter, "chunk number {number} of {count} cannot be")
            }
            Self::Count { expected, found } => {
                write!(
                    formatter,
                    "a chunk says its message has {found} chunks, the first one said {expected}"
                )
            }
            Self::Full => formatter.write_str("too many incomplete chunked messages"),
        }
    }
}

impl std::error::Error for DechunkError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: u64, number: u8, count: u8, data: &[u8]) -> Vec<u8> {
        [
            &CHUNK_MAGIC[..],
            MessageId::from_u64(id).as_bytes(),
            &[number, count],
            data,
        ]
        .concat()
    }

    #[test]
    fn bad_chunks_are_refused() {
        let mut dechunker = Dechunker::default();
        let now = Duration::ZERO;
        assert_eq!(
            dechunker.accept(&chunk(1, 0, 2, b"")[..11], now),
            Err(DechunkError::Short { bytes: 11 })
        );
        for (number, count) in [(0, 0), (2, 2), (0, 129), (255, 255)] {
            let error = DechunkError::Numbers {
                number: number.into(),
                count: count.into(),
            };
            assert_eq!(
                dechunker.accept(&chunk(1, number, count, b"x"), now),
                Err(error)
            );
        }
        assert_eq!(dechunker.accept(&chunk(1, 0, 2, b"x"), now), Ok(None));
        let error = DechunkError::Count {
            expected: 2,
            found: 3,
        };
        assert_eq!(dechunker.accept(&chunk(1, 1, 3, b"x"), now), Err(error));
        assert_eq!(dechunker.open(), 0);
    }

    #[test]
    fn repeats_are_ignored_and_late_chunks_begin_anew() {
        let mut dechunker = Dechunker::default();
        assert_eq!(
            dechunker.accept(&chunk(1, 0, 2, b"a"), Duration::ZERO),
            Ok(None)
        );
        assert_eq!(
            dechunker.accept(&chunk(1, 0, 2, b"z"), Duration::ZERO),
            Ok(None)
        );
        assert_eq!(
            dechunker.accept(&chunk(1, 1, 2, b"b"), Duration::from_secs(5)),
            Ok(Some(b"ab".to_vec()))
        );
        assert_eq!(
            dechunker.accept(&chunk(2, 0, 2, b"a"), Duration::ZERO),
            Ok(None)
        );
        assert_eq!(
            dechunker.accept(&chunk(2, 1, 2, b"b"), Duration::from_millis(5001)),
            Ok(None)
        );
        assert_eq!(dechunker.expired(), 1);
    }

    #[test]
    fn memory_stays_within_the_limits() {
        let limits = DechunkLimits {
            messages: 4,
            bytes: 1000,
            ..DechunkLimits::default()
        };
        let mut dechunker = Dechunker::new(limits);
        for id in 0..100 {
            let _ = dechunker.accept(&chunk(id, 0, 2, &[0; 300]), Duration::ZERO);
            assert!(dechunker.open() <= 4 && dechunker.bytes <= 1000);
        }
        assert_eq!(
            dechunker.accept(&chunk(999, 0, 2, b""), Duration::ZERO),
            Ok(None),
            "a small one still fits"
        );
    }
}
