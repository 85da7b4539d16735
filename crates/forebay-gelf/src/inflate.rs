//! What a receiver does to a payload before it reads JSON: look at the first bytes, inflate under a limit.

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;

use flate2::read::{GzDecoder, ZlibDecoder};

/// The JSON text of a payload that may be compressed, at most `limit` bytes of it.
///
/// # Errors
/// [`PayloadError`] tells why a receiver drops it.
pub fn inflate_payload(payload: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, PayloadError> {
    match payload {
        [] | [_] => Err(PayloadError::Short),
        [0x1f, 0x8b, ..] => read(GzDecoder::new(payload), limit),
        [0x78, second, ..] if (0x7800 + u16::from(*second)) % 31 == 0 => {
            read(ZlibDecoder::new(payload), limit)
        }
        [first @ (0x1e | 0x1f | 0x78), second, ..] => Err(PayloadError::Magic {
            bytes: [*first, *second],
        }),
        _ if payload.len() > limit => Err(PayloadError::TooLong { limit }),
        _ => Ok(Cow::Borrowed(payload)),
    }
}

/// Why a payload cannot be read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PayloadError {
    /// Fewer than two bytes.
    Short,
    /// The first two bytes belong to no format GELF knows.
    Magic {
        /// These bytes.
        bytes: [u8; 2],
    },
    /// The compressed data are damaged.
    Corrupt,
    /// More than the limit, inflated.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

impl fmt::Display for PayloadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => formatter.write_str("the payload has fewer than two bytes"),
            Self::Magic {
                bytes: [first, second],
            } => {
                write!(
                    formatter,
                    "a payload that begins with {first:02x} {second:02x} has no known format"
                )
            }
            Self::Corrupt => formatter.write_str("the compressed payload is damaged"),
            Self::TooLong { limit } => {
                write!(formatter, "the payload inflates to more than {limit} bytes")
            }
        }
    }
}

impl std::error::Error for PayloadError {}

fn read<'p>(reader: impl std::io::Read, limit: usize) -> Result<Cow<'p, [u8]>, PayloadError> {
    let mut inflated = Vec::new();
    // One byte more than allowed tells too long from just right.
    let mut reader = reader.take(limit as u64 + 1);
    reader
        .read_to_end(&mut inflated)
        .map_err(|_| PayloadError::Corrupt)?;
    if inflated.len() > limit {
        return Err(PayloadError::TooLong { limit });
    }
    Ok(Cow::Owned(inflated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{Compression, Compressor};

    #[test]
    fn each_compression_reads_back_within_the_limit() {
        let text = b"{\"short_message\":\"x\"}".repeat(50);
        let mut payload = Vec::new();
        for compression in [Compression::None, Compression::Gzip, Compression::Zlib] {
            let mut compressor = Compressor::new(compression);
            for _ in 0..2 {
                compressor.compress_into(&text, &mut payload);
                assert_eq!(inflate_payload(&payload, text.len()).unwrap(), text);
                let short = text.len() - 1;
                assert_eq!(
                    inflate_payload(&payload, short),
                    Err(PayloadError::TooLong { limit: short })
                );
            }
        }
    }

    #[test]
    fn unknown_beginnings_are_refused() {
        assert_eq!(inflate_payload(b"{", 10), Err(PayloadError::Short));
        for bytes in [[0x78, 0x00], [0x1f, 0x00], [0x1e, 0x0f]] {
            assert_eq!(
                inflate_payload(&bytes, 10),
                Err(PayloadError::Magic { bytes })
            );
        }
        assert_eq!(
            inflate_payload(&[0x1f, 0x8b, 1, 2, 3], 10),
            Err(PayloadError::Corrupt)
        );
    }
}
