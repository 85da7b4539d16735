//! Compression of single messages.

use std::fmt;

use flate2::{Compress, Crc, FlushCompress, Status};

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

/// Compresses one payload after the other with the memory of the first.
pub struct Compressor {
    compression: Compression,
    deflate: Option<Compress>,
}

impl Compressor {
    /// A compressor at level 6, zlib's usual compromise.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        let level = flate2::Compression::new(6);
        let deflate = match compression {
            Compression::None => None,
            Compression::Gzip => Some(Compress::new(level, false)),
            Compression::Zlib => Some(Compress::new(level, true)),
        };
        Self {
            compression,
            deflate,
        }
    }

    /// Replaces what `target` holds by the compressed payload.
    pub fn compress_into(&mut self, payload: &[u8], target: &mut Vec<u8>) {
        target.clear();
        let Some(deflate) = &mut self.deflate else {
            target.extend_from_slice(payload);
            return;
        };
        deflate.reset();
        if self.compression == Compression::Gzip {
            target.extend_from_slice(&GZIP_HEADER);
        }
        let mut consumed = 0;
        loop {
            target.reserve(payload.len() / 2 + 64);
            let before = deflate.total_in();
            let status = deflate.compress_vec(&payload[consumed..], target, FlushCompress::Finish);
            consumed += usize::try_from(deflate.total_in() - before).unwrap_or(0);
            // With room in the target every call makes progress, so this ends.
            if !matches!(status, Ok(Status::Ok | Status::BufError)) {
                break;
            }
        }
        if self.compression == Compression::Gzip {
            let mut crc = Crc::new();
            crc.update(payload);
            target.extend_from_slice(&crc.sum().to_le_bytes());
            target.extend_from_slice(&crc.amount().to_le_bytes());
        }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Compressor")
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

/// RFC 1952, section 2.3: deflate, no flags, no time, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
