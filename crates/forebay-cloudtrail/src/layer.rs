//! [`Layer`]: one layer of gzip, zlib or no compression undone, under limits.

use std::fmt;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::error::FileError;
use crate::inflate::Progress;
use crate::limits::Limits;

/// Finds out how bytes are compressed and undoes it piece by piece. Memory: 43 KiB once compressed bytes came.
pub(crate) struct Layer {
    stage: Stage,
    /// Made when the first compressed byte comes: it is 43 KiB large.
    inflate: Option<Decompress>,
    crc: Crc,
    head: Head,
    /// Compressed bytes that were used.
    used: u64,
    /// Bytes that came out.
    produced: u64,
    members: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Collecting the first bytes.
    Sniff,
    Plain,
    /// In a gzip header.
    Header(Header),
    Gzip,
    /// In the checksum and length behind a member.
    Trailer,
    /// Behind a member: another one, zeros, or nothing.
    Between,
    Padding,
    Zlib,
    ZlibDone,
}

/// Parts of a gzip header (RFC 1952, section 2.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Header {
    Fixed,
    ExtraLength { flags: u8 },
    Extra { flags: u8, left: u16 },
    Name { flags: u8 },
    Comment { flags: u8 },
    Checksum { left: u8 },
}

/// A few bytes that are collected across calls.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: [u8; 10],
    length: usize,
}

impl Layer {
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Sniff,
            inflate: None,
            crc: Crc::new(),
            head: Head::default(),
            used: 0,
            produced: 0,
            members: 0,
        }
    }

    /// Whether the bytes are compressed; `None` as long as that is open.
    pub(crate) fn is_compressed(&self) -> Option<bool> {
        match self.stage {
            Stage::Sniff => None,
            stage => Some(stage != Stage::Plain),
        }
    }

    /// Compressed bytes that were used so far.
    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    /// Bytes that came out so far.
    pub(crate) const fn produced(&self) -> u64 {
        self.produced
    }

    pub(crate) const fn members(&self) -> u32 {
        self.members
    }

    /// As [`Inflater::run`](crate::Inflater::run).
    pub(crate) fn run(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        limits: &Limits,
    ) -> Result<Progress, FileError> {
        let mut used = 0;
        let mut produced = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let room = output.get_mut(produced..).unwrap_or_default();
            let rest_is_empty = rest.is_empty();
            let stage = self.stage;
            let step = match stage {
                Stage::Gzip | Stage::Zlib => self.body(rest, room)?,
                Stage::Plain => {
                    let length = rest.len().min(room.len());
                    if let (Some(to), Some(from)) = (room.get_mut(..length), rest.get(..length)) {
                        to.copy_from_slice(from);
                    }
                    Progress {
                        used: length,
                        produced: length,
                    }
                }
                Stage::Sniff => {
                    let used = self.head.fill(rest, 4);
                    match self.head.length {
                        4 => self.sniff(used, room)?,
                        _ => Progress { used, produced: 0 },
                    }
                }
                _ => Progress {
                    used: self.framing(rest, limits)?,
                    produced: 0,
                },
            };
            used += step.used;
            produced += step.produced;
            self.used += step.used as u64;
            self.produced += step.produced as u64;
            check(limits, self.used, self.produced)?;
            let stuck = step.used == 0 && step.produced == 0;
            if produced == output.len() || (stuck && (rest_is_empty || self.stage == stage)) {
                return Ok(Progress { used, produced });
            }
        }
    }

    /// As [`Inflater::end`](crate::Inflater::end).
    pub(crate) fn end(&mut self) -> &[u8] {
        if self.stage != Stage::Sniff {
            return &[];
        }
        self.stage = Stage::Plain;
        self.produced += self.head.length as u64;
        self.head.bytes.get(..self.head.length).unwrap_or_default()
    }

    /// As [`Inflater::finish`](crate::Inflater::finish).
    pub(crate) fn finish(&self) -> Result<(), FileError> {
        match self.stage {
            Stage::Sniff | Stage::Plain | Stage::Between | Stage::Padding | Stage::ZlibDone => {
                Ok(())
            }
            Stage::Header(_) | Stage::Gzip | Stage::Trailer | Stage::Zlib => {
                Err(FileError::TruncatedCompression { at: self.used })
            }
        }
    }

    /// Decides by the first four bytes, which are in `head`, `used` of them taken by this call.
    fn sniff(&mut self, used: usize, room: &mut [u8]) -> Result<Progress, FileError> {
        let [first @ .., _, _, _, _, _, _] = self.head.bytes;
        match first {
            [0x1f, 0x8b, ..] => {
                // The header goes on collecting where these stopped.
                self.stage = Stage::Header(Header::Fixed);
                return Ok(Progress { used, produced: 0 });
            }
            [0x28, 0xb5, 0x2f, 0xfd] => {
                return Err(FileError::UnsupportedCompression { name: "zstd" });
            }
            [b'B', b'Z', b'h', _] => {
                return Err(FileError::UnsupportedCompression { name: "bzip2" });
            }
            [0xfd, b'7', b'z', b'X'] => {
                return Err(FileError::UnsupportedCompression { name: "xz" });
            }
            [0x78, flags, ..] if (0x7800 + u16::from(flags)) % 31 == 0 => {
                self.stage = Stage::Zlib;
                self.inflate = Some(Decompress::new(true));
                self.members = 1;
                self.head.length = 0;
                return self
                    .body(&first, room)
                    .map(|step| Progress { used, ..step });
            }
            _ => self.stage = Stage::Plain,
        }
        self.head.length = 0;
        // There is room for four bytes: room comes in kilobytes, and these are the first.
        for (to, from) in room.iter_mut().zip(first) {
            *to = from;
        }
        Ok(Progress {
            used,
            produced: first.len().min(room.len()),
        })
    }

    fn body(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, FileError> {
        let at = self.used;
        let corrupt = |what| FileError::Corrupt { what, at };
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new(false));
        let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
        let status = inflate
            .decompress(input, output, FlushDecompress::None)
            .map_err(|_| corrupt("the deflate stream is invalid"))?;
        let used = usize::try_from(inflate.total_in() - before_in).unwrap_or(0);
        let produced = usize::try_from(inflate.total_out() - before_out).unwrap_or(0);
        if self.stage == Stage::Gzip {
            self.crc.update(output.get(..produced).unwrap_or_default());
        }
        if status == Status::StreamEnd {
            self.stage = if self.stage == Stage::Gzip {
                Stage::Trailer
            } else {
                Stage::ZlibDone
            };
        }
        Ok(Progress { used, produced })
    }

    /// Everything of gzip but its contents. Returns how many bytes were used.
    fn framing(&mut self, input: &[u8], limits: &Limits) -> Result<usize, FileError> {
        let at = self.used;
        let corrupt = |what| FileError::Corrupt { what, at };
        let first = input.first().copied();
        match self.stage {
            Stage::Header(Header::Fixed) => {
                let used = self.head.fill(input, 10);
                if self.head.length == 10 {
                    let [magic, magic_2, method, flags, ..] = self.head.bytes;
                    self.head.length = 0;
                    if (magic, magic_2, method) != (0x1f, 0x8b, 8) {
                        return Err(corrupt("a gzip header is invalid"));
                    }
                    if flags & 0xe0 != 0 {
                        return Err(corrupt("a gzip header has reserved flags"));
                    }
                    self.members += 1;
                    if self.members > limits.members {
                        return Err(FileError::Limit {
                            what: "members",
                            limit: u64::from(limits.members),
                            at: self.used,
                        });
                    }
                    self.header(Header::ExtraLength { flags });
                }
                Ok(used)
            }
            Stage::Header(Header::ExtraLength { flags }) => {
                let used = self.head.fill(input, 2);
                if self.head.length == 2 {
                    let left = u16::from_le_bytes([self.head.bytes[0], self.head.bytes[1]]);
                    self.head.length = 0;
                    self.header(Header::Extra { flags, left });
                }
                Ok(used)
            }
            Stage::Header(Header::Extra { flags, left }) => {
                let used = input.len().min(usize::from(left));
                let left = left - u16::try_from(used).unwrap_or(left);
                if left == 0 {
                    self.header(Header::Name { flags });
                } else {
                    self.stage = Stage::Header(Header::Extra { flags, left });
                }
                Ok(used)
            }
            Stage::Header(Header::Name { flags }) => {
                let (used, ended) = skip_text(input);
                if ended {
                    self.header(Header::Comment { flags });
                }
                Ok(used)
            }
            Stage::Header(Header::Comment { flags }) => {
                let (used, ended) = skip_text(input);
                if ended {
                    self.header(Header::Checksum {
                        left: if flags & FHCRC != 0 { 2 } else { 0 },
                    });
                }
                Ok(used)
            }
            Stage::Header(Header::Checksum { left }) => {
                let used = input.len().min(usize::from(left));
                self.header(Header::Checksum {
                    left: left - u8::try_from(used).unwrap_or(left),
                });
                Ok(used)
            }
            Stage::Trailer => {
                let used = self.head.fill(input, 8);
                if self.head.length == 8 {
                    let [a, b, c, d, e, f, g, h, ..] = self.head.bytes;
                    self.head.length = 0;
                    if u32::from_le_bytes([a, b, c, d]) != self.crc.sum() {
                        return Err(corrupt("the checksum of a gzip member is wrong"));
                    }
                    if u32::from_le_bytes([e, f, g, h]) != self.crc.amount() {
                        return Err(corrupt("the length of a gzip member is wrong"));
                    }
                    self.stage = Stage::Between;
                }
                Ok(used)
            }
            Stage::Between | Stage::Padding | Stage::ZlibDone => match first {
                None => Ok(0),
                Some(0) => {
                    self.stage = if self.stage == Stage::ZlibDone {
                        Stage::ZlibDone
                    } else {
                        Stage::Padding
                    };
                    Ok(input.iter().take_while(|byte| **byte == 0).count())
                }
                Some(0x1f) if self.stage == Stage::Between => {
                    self.stage = Stage::Header(Header::Fixed);
                    Ok(0)
                }
                Some(_) => Err(corrupt("other bytes follow the compressed data")),
            },
            Stage::Sniff | Stage::Plain | Stage::Gzip | Stage::Zlib => Ok(0),
        }
    }

    /// Goes to a part of the header, or past it if the flags say that it is not there.
    fn header(&mut self, mut part: Header) {
        loop {
            part = match part {
                Header::ExtraLength { flags } if flags & FEXTRA == 0 => Header::Name { flags },
                Header::Extra { flags, left: 0 } => Header::Name { flags },
                Header::Name { flags } if flags & FNAME == 0 => Header::Comment { flags },
                Header::Comment { flags } if flags & FCOMMENT == 0 => Header::Checksum {
                    left: if flags & FHCRC != 0 { 2 } else { 0 },
                },
                Header::Checksum { left: 0 } => {
                    self.crc.reset();
                    if let Some(inflate) = &mut self.inflate {
                        inflate.reset(false);
                    }
                    self.stage = Stage::Gzip;
                    return;
                }
                there => {
                    self.stage = Stage::Header(there);
                    return;
                }
            };
        }
    }
}

/// Compares what came out with what went in.
pub(crate) fn check(limits: &Limits, used: u64, produced: u64) -> Result<(), FileError> {
    let limit = |what, limit| {
        Err(FileError::Limit {
            what,
            limit,
            at: used,
        })
    };
    if produced > limits.inflated_bytes {
        return limit("inflated_bytes", limits.inflated_bytes);
    }
    if produced > limits.ratio_after && produced / limits.inflate_ratio.max(1) > used {
        return limit("inflate_ratio", limits.inflate_ratio);
    }
    Ok(())
}

impl fmt::Debug for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Layer")
            .field("stage", &self.stage)
            .field("used", &self.used)
            .field("produced", &self.produced)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl Head {
    /// Takes bytes until there are `wanted`; returns how many were taken.
    fn fill(&mut self, input: &[u8], wanted: usize) -> usize {
        let mut taken = 0;
        for byte in input {
            match self.bytes.get_mut(self.length) {
                Some(slot) if self.length < wanted => *slot = *byte,
                _ => break,
            }
            self.length += 1;
            taken += 1;
        }
        taken
    }
}

/// Skips a text that ends with a zero byte.
fn skip_text(input: &[u8]) -> (usize, bool) {
    match memchr::memchr(0, input) {
        Some(end) => (end + 1, true),
        None => (input.len(), false),
    }
}

const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
