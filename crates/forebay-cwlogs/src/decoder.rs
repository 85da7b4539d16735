use std::fmt;

use crate::base64;
use crate::error::{Error, Limit};
use crate::index::Index;
use crate::inflate::{Ceiling, GZIP_MAGIC, Inflater};
use crate::lambda;
use crate::limits::Limits;
use crate::payload::Payloads;

/// Decodes subscription payloads; keep one per thread and reuse it.
///
/// It owns the buffers for the inflated text and for the places of the events. Once they have grown to the largest
/// input seen, decoding allocates nothing, neither per input nor per event. [`shrink_to`](Self::shrink_to) gives memory
/// back.
pub struct Decoder {
    limits: Limits,
    inflater: Inflater,
    /// Decoded base64.
    encoded: Vec<u8>,
    /// One buffer per compressed layer.
    inflated: [Vec<u8>; 2],
    index: Index,
}

impl Decoder {
    /// Makes a decoder with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// Makes a decoder with these limits; those above their ceiling are lowered to it (see [`Limits`]).
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits: limits.clamped(),
            inflater: Inflater::new(),
            encoded: Vec::new(),
            inflated: [Vec::new(), Vec::new()],
            index: Index::default(),
        }
    }

    /// Decodes the data of one Kinesis or Firehose record.
    ///
    /// The form is told by the first bytes: gzip (several members too), zlib, or JSON. The text holds one envelope,
    /// several that follow each other with or without white space, as Firehose joins them, or a JSON array of them. A
    /// record that is the event of a Lambda function (`awslogs.data`) is unwrapped.
    ///
    /// # Errors
    ///
    /// Fails if nothing of the input can be delivered: it is empty, damaged, over a limit while inflating, or holds no
    /// envelope at all. What goes wrong later is an item of the returned iterator.
    pub fn decode<'a>(&'a mut self, data: &'a [u8]) -> Result<Payloads<'a>, Error> {
        let Self {
            limits,
            inflater,
            encoded,
            inflated,
            index,
        } = self;
        let data = match lambda::find_data(data) {
            None => data,
            Some(text) => {
                // Borrowed when the base64 text has no escapes, which is always so in practice.
                base64::decode(&text.to_cow(), encoded)?;
                encoded
            }
        };
        let text = unpack(inflater, inflated, data, limits)?;
        read(text, index, limits)
    }

    /// Decodes base64 text, such as `awslogs.data` of a Lambda event, `kinesis.data` of a Lambda Kinesis event or
    /// `records[].data` of a Firehose request, and then does as [`decode`](Self::decode).
    ///
    /// The alphabet is the standard one, padding may be missing.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode), and [`Error::Base64`].
    pub fn decode_base64<'a>(&'a mut self, text: &[u8]) -> Result<Payloads<'a>, Error> {
        let Self {
            limits,
            inflater,
            encoded,
            inflated,
            index,
        } = self;
        base64::decode(text, encoded)?;
        let text = unpack(inflater, inflated, encoded, limits)?;
        read(text, index, limits)
    }

    /// Gives memory back: keeps at most about `bytes` in each buffer.
    pub fn shrink_to(&mut self, bytes: usize) {
        for buffer in &mut self.inflated {
            buffer.truncate(bytes);
            buffer.shrink_to(bytes);
        }
        self.encoded.clear();
        self.encoded.shrink_to(bytes);
        self.index.shrink_to(bytes);
    }

    /// Returns the bytes that the buffers take.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        let inflated: usize = self.inflated.iter().map(Vec::capacity).sum();
        inflated + self.encoded.capacity() + self.index.buffer_bytes()
    }

    /// Returns the limits in force.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("limits", &self.limits)
            .field("buffer_bytes", &self.buffer_bytes())
            .finish_non_exhaustive()
    }
}

/// Takes the compressed layers off.
fn unpack<'a>(
    inflater: &mut Inflater,
    buffers: &'a mut [Vec<u8>; 2],
    data: &'a [u8],
    limits: &Limits,
) -> Result<&'a [u8], Error> {
    // The ceiling of every layer is that of the whole input: two layers must not square the ratio.
    let ceiling = Ceiling::new(data.len(), limits);
    let mut text = data;
    let mut buffers = buffers.iter_mut().take(limits.layers);
    loop {
        let form = Form::of(text)?;
        if form == Form::Text {
            break;
        }
        let Some(buffer) = buffers.next() else {
            return Err(Error::Limit {
                what: Limit::Layers,
                limit: limits.layers,
                at: 0,
            });
        };
        let filled = match form {
            Form::Zlib => inflater.unzlib(text, buffer, ceiling)?,
            _ => inflater.gunzip(text, buffer, ceiling, limits)?,
        };
        text = buffer.get(..filled).unwrap_or_default();
    }
    if text.len() > limits.inflated_bytes {
        let limit = limits.inflated_bytes;
        return Err(Error::Limit {
            what: Limit::InflatedBytes,
            limit,
            at: limit,
        });
    }
    Ok(text)
}

fn read<'a>(text: &'a [u8], index: &'a mut Index, limits: &Limits) -> Result<Payloads<'a>, Error> {
    index.read(text, limits);
    match index.sole_failure() {
        Some(error) => Err(error),
        None => Ok(Payloads::new(text, index)),
    }
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Gzip,
    Zlib,
    Text,
}

impl Form {
    fn of(data: &[u8]) -> Result<Self, Error> {
        if data.starts_with(GZIP_MAGIC) {
            return Ok(Self::Gzip);
        }
        if is_zlib(data) {
            return Ok(Self::Zlib);
        }
        if data.starts_with(KPL_MAGIC) {
            return Err(Error::Unsupported {
                format: "record is a KPL aggregate; split it first",
            });
        }
        if data.starts_with(ZSTD_MAGIC) {
            return Err(Error::Unsupported {
                format: "zstd is not supported; let the producer use gzip",
            });
        }
        Ok(Self::Text)
    }
}

/// Whether the first two bytes are a header of RFC 1950. One that announces a dictionary is not: nothing would inflate
/// it, while text such as `x = 1` begins like that.
fn is_zlib(data: &[u8]) -> bool {
    matches!(*data, [0x78, flags, ..] if u16::from_be_bytes([0x78, flags]).is_multiple_of(31) && flags & DICTIONARY == 0)
}

const DICTIONARY: u8 = 0x20;
const KPL_MAGIC: &[u8] = &[0xF3, 0x89, 0x9A, 0xC2];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
