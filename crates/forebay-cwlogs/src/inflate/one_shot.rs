//! The usual input, one gzip member that ends where the input ends, by way of libdeflate.
//!
//! libdeflate is about twice as fast but does not say how much input it took. So it is only asked when no second
//! member can follow, and believed only when the checksum at the very end of the input is that of the output. All
//! other inputs, damaged ones among them, go to the streaming inflater, which finds out what they are.

use libdeflater::{Crc, Decompressor};
use memchr::memmem;

use super::{Ceiling, TRAILER, gzip_header};

pub(super) struct OneShot {
    decompressor: Decompressor,
    /// Made once: for a small payload making it would cost more than searching.
    member_start: memmem::Finder<'static>,
}

impl OneShot {
    pub(super) fn new() -> Self {
        Self {
            decompressor: Decompressor::new(),
            member_start: memmem::Finder::new(MEMBER_START),
        }
    }

    /// Inflates `input` if it is one whole member and fits into `out` and under the ceiling; `None` says nothing about
    /// the input but that somebody else must look at it.
    pub(super) fn gunzip(
        &mut self,
        input: &[u8],
        out: &mut [u8],
        ceiling: Ceiling,
    ) -> Option<usize> {
        let body = gzip_header(input, 0).ok()?;
        let (stream, trailer) = input.get(body..)?.split_last_chunk::<TRAILER>()?;
        if self.member_start.find(stream).is_some() {
            return None;
        }
        let [a, b, c, d, e, f, g, h] = *trailer;
        let length = usize::try_from(u32::from_le_bytes([e, f, g, h])).ok()?;
        let target = out.get_mut(..length.min(ceiling.bytes))?;
        let filled = self.decompressor.deflate_decompress(stream, target).ok()?;
        let inflated = target.get(..filled)?;
        let mut crc = Crc::new();
        crc.update(inflated);
        (filled == length && crc.sum() == u32::from_le_bytes([a, b, c, d])).then_some(filled)
    }
}

/// Every member begins with the magic and the only method there is.
const MEMBER_START: &[u8] = &[0x1f, 0x8b, 0x08];
