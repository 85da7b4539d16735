//! Compression of single messages.

use std::fmt;
use std::io::Write;

use flate2::write::{GzEncoder, ZlibEncoder};

/// How a payload is compressed. A receiver tells by the first two bytes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compression {
    /// As it is.
    None,
    /// RFC 1952.
    #[default]
    Gzip,
    /// RFC 1950.
    Zlib,
}

/// Compresses one payload after the other.
#[derive(Clone)]
pub struct Compressor {
    compression: Compression,
    level: flate2::Compression,
}

impl Compressor {
    /// A compressor at level 6, zlib's usual compromise.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        Self { compression, level: flate2::Compression::new(6) }
    }

    /// Replaces what `target` holds by the compressed payload.
    pub fn compress_into(&mut self, payload: &[u8], target: &mut Vec<u8>) {
        target.clear();
        // Writing into a vector does not fail.
        let done = match self.compression {
            Compression::None => target.write_all(payload),
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(&mut *target, self.level);
                encoder.write_all(payload).and_then(|()| encoder.finish().map(drop))
            }
            Compression::Zlib => {
                let mut encoder = ZlibEncoder::new(&mut *target, self.level);
                encoder.write_all(payload).and_then(|()| encoder.finish().map(drop))
            }
        };
        debug_assert!(done.is_ok(), "a vector takes every write");
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compressor").field("compression", &self.compression).finish_non_exhaustive()
    }
}
