//! Gzip and zlib under hard limits, into a buffer that is kept.
//!
//! The limits on size and ratio become one number, the ceiling, before the first byte is inflated; the buffer never
//! grows beyond it, and a stream that has more to say when the buffer is full at its ceiling is refused. The length
//! that gzip stores at its end is a hint for the first size of the buffer and is believed only as far as real logs go.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::error::{Compression, Damage, Error, Limit};
use crate::limits::Limits;

#[cfg(feature = "libdeflate")]
mod one_shot;

/// Keeps the state of the inflater.
pub(crate) struct Inflater {
    stream: Decompress,
    #[cfg(feature = "libdeflate")]
    one_shot: one_shot::OneShot,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self {
            stream: Decompress::new(false),
            #[cfg(feature = "libdeflate")]
            one_shot: one_shot::OneShot::new(),
        }
    }

    /// Inflates all members of `input` into the front of `buffer`; returns how many bytes that are.
    ///
    /// `buffer` only ever grows, so that its bytes are set to zero once and not for every input.
    pub(crate) fn gunzip(
        &mut self,
        input: &[u8],
        buffer: &mut Vec<u8>,
        ceiling: Ceiling,
        limits: &Limits,
    ) -> Result<usize, Error> {
        ensure_len(buffer, ceiling.hint(input));
        #[cfg(feature = "libdeflate")]
        if let Some(filled) = self.one_shot.gunzip(input, buffer, ceiling) {
            return Ok(filled);
        }
        let mut output = Output {
            buffer,
            filled: 0,
            ceiling,
        };
        let (mut at, mut members) = (0, 0);
        loop {
            members += 1;
            if members > limits.members {
                return Err(Error::Limit {
                    what: Limit::Members,
                    limit: limits.members,
                    at,
                });
            }
            let start = output.filled;
            at = gzip_header(input, at)?;
            at = self.inflate(Compression::Gzip, input, at, &mut output)?;
            at = check_trailer(input, at, output.since(start))?;
            let behind = input.get(at..).unwrap_or_default();
            // Firehose, told to delimit its records, puts a line feed behind each member.
            at += behind
                .iter()
                .take_while(|byte| matches!(byte, b'\n' | b'\r'))
                .count();
            let rest = input.get(at..).unwrap_or_default();
            // Some writers fill their last block up with zeros.
            if rest.iter().all(|byte| *byte == 0) {
                return Ok(output.filled);
            }
            if !rest.starts_with(GZIP_MAGIC) {
                return Err(corrupt(Compression::Gzip, Damage::TrailingBytes, at));
            }
        }
    }

    /// Inflates a zlib stream into the front of `buffer`; returns how many bytes that are.
    pub(crate) fn unzlib(
        &mut self,
        input: &[u8],
        buffer: &mut Vec<u8>,
        ceiling: Ceiling,
    ) -> Result<usize, Error> {
        let mut output = Output {
            buffer,
            filled: 0,
            ceiling,
        };
        let at = self.inflate(Compression::Zlib, input, 0, &mut output)?;
        let rest = input.get(at..).unwrap_or_default();
        if rest.iter().any(|byte| *byte != 0) {
            return Err(corrupt(Compression::Zlib, Damage::TrailingBytes, at));
        }
        Ok(output.filled)
    }

    /// Inflates the stream at `input[at..]`; returns where it ends.
    fn inflate(
        &mut self,
        compression: Compression,
        input: &[u8],
        at: usize,
        output: &mut Output<'_>,
    ) -> Result<usize, Error> {
        let source = input.get(at..).unwrap_or_default();
        let start = output.filled;
        // Told that everything is there, the inflater writes straight into the buffer instead of by way of its window.
        // If the buffer turns out too small, the same work is done again step by step.
        self.stream.reset(compression == Compression::Zlib);
        let status = self
            .stream
            .decompress(source, output.spare(), FlushDecompress::Finish);
        if matches!(status, Ok(Status::StreamEnd)) {
            output.filled = start + self.stream.total_out() as usize;
            return Ok(at + self.stream.total_in() as usize);
        }
        self.stream.reset(compression == Compression::Zlib);
        loop {
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let mut beyond = [0];
            let full = !output.grow();
            let target = if full { &mut beyond } else { output.spare() };
            let source = source.get(read as usize..).unwrap_or_default();
            let status = self
                .stream
                .decompress(source, target, FlushDecompress::None);
            let end = at + self.stream.total_in() as usize;
            let advanced = self.stream.total_out() > written;
            if full && advanced {
                return Err(output.ceiling.passed(end));
            }
            output.filled = start + self.stream.total_out() as usize;
            match status {
                Ok(Status::StreamEnd) => return Ok(end),
                Ok(_) if advanced || self.stream.total_in() > read => {}
                // Nothing more can be read or written: the input has come to its end, the stream has not.
                Ok(_) => return Err(corrupt(compression, Damage::Truncated, input.len())),
                Err(_) => return Err(corrupt(compression, damage_at(end - at, compression), end)),
            }
        }
    }
}

/// The buffer of one input while it fills.
struct Output<'b> {
    buffer: &'b mut Vec<u8>,
    filled: usize,
    ceiling: Ceiling,
}

impl Output<'_> {
    /// Makes room if there is none; `false` if the ceiling is reached.
    fn grow(&mut self) -> bool {
        let Ceiling { bytes, .. } = self.ceiling;
        if self.filled >= bytes {
            return false;
        }
        if self.filled >= self.buffer.len() {
            ensure_len(
                self.buffer,
                (self.filled * 2).max(self.filled + CHUNK).min(bytes),
            );
        }
        true
    }

    /// Returns the room that is left under the ceiling.
    fn spare(&mut self) -> &mut [u8] {
        let end = self.buffer.len().min(self.ceiling.bytes);
        self.buffer.get_mut(self.filled..end).unwrap_or_default()
    }

    fn since(&self, start: usize) -> &[u8] {
        self.buffer.get(start..self.filled).unwrap_or_default()
    }
}

/// How many bytes may come out, and which limit says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceiling {
    bytes: usize,
    what: Limit,
    limit: usize,
}

impl Ceiling {
    /// Derives the ceiling for an input of `compressed` bytes.
    pub(crate) fn new(compressed: usize, limits: &Limits) -> Self {
        let by_ratio = compressed
            .saturating_mul(limits.inflate_ratio)
            .max(limits.ratio_free_bytes);
        if by_ratio < limits.inflated_bytes {
            Self {
                bytes: by_ratio,
                what: Limit::InflateRatio,
                limit: limits.inflate_ratio,
            }
        } else {
            Self {
                bytes: limits.inflated_bytes,
                what: Limit::InflatedBytes,
                limit: limits.inflated_bytes,
            }
        }
    }

    fn passed(&self, at: usize) -> Error {
        Error::Limit {
            what: self.what,
            limit: self.limit,
            at,
        }
    }

    /// Returns the size that the stored length suggests, as far as it is believed.
    fn hint(&self, input: &[u8]) -> usize {
        let Some(stored) = input.last_chunk() else {
            return 0;
        };
        let believed = input.len().saturating_mul(HINT_RATIO).min(self.bytes);
        usize::try_from(u32::from_le_bytes(*stored))
            .unwrap_or(usize::MAX)
            .min(believed)
    }
}

fn ensure_len(out: &mut Vec<u8>, len: usize) {
    if out.len() < len {
        // Exact, because the usual doubling could take twice the limit.
        out.reserve_exact(len - out.len());
        out.resize(len, 0);
    }
}

/// Reads the header of a gzip member at `start`; returns where its deflate stream begins (RFC 1952, section 2.3).
fn gzip_header(input: &[u8], start: usize) -> Result<usize, Error> {
    let truncated = || corrupt(Compression::Gzip, Damage::Truncated, input.len());
    let invalid = |at| corrupt(Compression::Gzip, Damage::Header, at);
    let member = input.get(start..).unwrap_or_default();
    let Some((fixed, _)) = member.split_first_chunk::<FIXED_HEADER>() else {
        return Err(truncated());
    };
    let [first, second, method, flags, ..] = *fixed;
    if [first, second] != *GZIP_MAGIC {
        return Err(invalid(start));
    }
    if method != DEFLATE {
        return Err(invalid(start + 2));
    }
    if flags & RESERVED != 0 {
        return Err(invalid(start + 3));
    }
    let mut at = FIXED_HEADER;
    if flags & EXTRA != 0 {
        let len = member
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .ok_or_else(truncated)?;
        at += 2 + usize::from(u16::from_le_bytes(*len));
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let text = member.get(at..).ok_or_else(truncated)?;
            at += memchr::memchr(0, text).ok_or_else(truncated)? + 1;
        }
    }
    if flags & HEADER_CHECKSUM != 0 {
        let header = member.get(..at).ok_or_else(truncated)?;
        let stored = member
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .ok_or_else(truncated)?;
        if crc(header) as u16 != u16::from_le_bytes(*stored) {
            return Err(invalid(start + at));
        }
        at += 2;
    }
    if at > member.len() {
        return Err(truncated());
    }
    Ok(start + at)
}

/// Compares the trailer at `at` with what came out of the member; returns where the trailer ends.
fn check_trailer(input: &[u8], at: usize, inflated: &[u8]) -> Result<usize, Error> {
    let trailer = input.get(at..).and_then(<[u8]>::first_chunk::<TRAILER>);
    let Some([a, b, c, d, e, f, g, h]) = trailer.copied() else {
        return Err(corrupt(Compression::Gzip, Damage::Truncated, input.len()));
    };
    if crc(inflated) != u32::from_le_bytes([a, b, c, d]) {
        return Err(corrupt(Compression::Gzip, Damage::Checksum, at));
    }
    // The length is stored modulo 2^32.
    if inflated.len() as u32 != u32::from_le_bytes([e, f, g, h]) {
        return Err(corrupt(Compression::Gzip, Damage::Length, at + 4));
    }
    Ok(at + TRAILER)
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A zlib stream that fails within its two bytes of header has a bad header.
fn damage_at(read: usize, compression: Compression) -> Damage {
    if compression == Compression::Zlib && read <= 2 {
        Damage::Header
    } else {
        Damage::Stream
    }
}

const fn corrupt(compression: Compression, damage: Damage, at: usize) -> Error {
    Error::Corrupt {
        compression,
        damage,
        at,
    }
}

pub(crate) const GZIP_MAGIC: &[u8; 2] = &[0x1f, 0x8b];

/// The buffer grows by at least this much.
const CHUNK: usize = 64 * 1024;
/// Ratio up to which the stored length is believed; beyond it the buffer grows as bytes really arrive.
const HINT_RATIO: usize = 64;

const FIXED_HEADER: usize = 10;
const TRAILER: usize = 8;
const DEFLATE: u8 = 8;
const HEADER_CHECKSUM: u8 = 0x02;
const EXTRA: u8 = 0x04;
const NAME: u8 = 0x08;
const COMMENT: u8 = 0x10;
const RESERVED: u8 = 0xe0;
