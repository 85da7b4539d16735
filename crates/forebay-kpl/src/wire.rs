//! The protobuf wire format, as far as two small messages need it.
//!
//! Written by hand because the messages are read in place: nothing is copied and nothing is allocated per record
//! (decision 0010). Where the format leaves room this reader does what `protobuf-java` does, since the outcome
//! "plain record" must be the same as that of Amazon's client library: known fields with another wire type are
//! unknown fields, unknown fields are skipped, of a repeated single field the last one counts.

use std::ops::Range;

/// One field of a message.
pub(crate) enum Value {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2: where the content lies.
    Bytes(Range<usize>),
    /// Wire types 1, 3 and 5: skipped, none of our fields has them.
    Skipped,
}

/// Reads the fields of one message that lies in `data[position..end]`.
pub(crate) struct Fields<'a> {
    data: &'a [u8],
    position: usize,
    end: usize,
}

/// The message is malformed at this offset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed(pub(crate) usize);

impl<'a> Fields<'a> {
    /// Reads `range` of `data`; a range that does not lie in `data` reads as far as there is data.
    pub(crate) fn new(data: &'a [u8], range: Range<usize>) -> Self {
        Self {
            data,
            position: range.start,
            end: range.end.min(data.len()),
        }
    }

    /// Returns the next field with its number, `None` at the end of the message.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value)>, Malformed> {
        if self.position >= self.end {
            return Ok(None);
        }
        let start = self.position;
        let (number, wire_type) = self.tag()?;
        let value = match wire_type {
            VARINT => Value::Varint(self.varint()?),
            BYTES => Value::Bytes(self.length_delimited()?),
            _ => {
                self.skip(number, wire_type, start)?;
                Value::Skipped
            }
        };
        Ok(Some((number, value)))
    }

    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let start = self.position;
        let tag = self.varint()?;
        // Field numbers have 29 bits, zero is not one of them.
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed(start))?;
        if number == 0 || number > MAX_FIELD_NUMBER {
            return Err(Malformed(start));
        }
        Ok((number, (tag & 7) as u8))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let start = self.position;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self
                .data
                .get(self.position)
                .filter(|_| self.position < self.end)
                .ok_or(Malformed(start))?;
            self.position += 1;
            // The tenth byte carries one bit that counts; protobuf readers drop the others.
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed(start))
    }

    fn length_delimited(&mut self) -> Result<Range<usize>, Malformed> {
        let start = self.position;
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| Malformed(start))?;
        self.advance(length, start)
    }

    fn advance(&mut self, length: usize, blame: usize) -> Result<Range<usize>, Malformed> {
        let from = self.position;
        let to = from
            .checked_add(length)
            .filter(|to| *to <= self.end)
            .ok_or(Malformed(blame))?;
        self.position = to;
        Ok(from..to)
    }

    /// Skips a field of a fixed width or a group, with groups nested in it.
    fn skip(&mut self, number: u32, wire_type: u8, start: usize) -> Result<(), Malformed> {
        match wire_type {
            FIXED64 => self.advance(8, start).map(drop),
            FIXED32 => self.advance(4, start).map(drop),
            GROUP => self.skip_group(number, start),
            // An end without a start, or a wire type that does not exist.
            _ => Err(Malformed(start)),
        }
    }

    fn skip_group(&mut self, number: u32, start: usize) -> Result<(), Malformed> {
        let mut open = [0u32; MAX_GROUP_DEPTH];
        let mut depth = 0;
        open[depth] = number;
        loop {
            let at = self.position;
            if at >= self.end {
                return Err(Malformed(start));
            }
            let (inner, wire_type) = self.tag()?;
            match wire_type {
                VARINT => {
                    self.varint()?;
                }
                BYTES => {
                    self.length_delimited()?;
                }
                FIXED64 => {
                    self.advance(8, at)?;
                }
                FIXED32 => {
                    self.advance(4, at)?;
                }
                GROUP => {
                    depth += 1;
                    *open.get_mut(depth).ok_or(Malformed(at))? = inner;
                }
                GROUP_END if open.get(depth) == Some(&inner) => match depth.checked_sub(1) {
                    Some(outer) => depth = outer,
                    None => return Ok(()),
                },
                _ => return Err(Malformed(at)),
            }
        }
    }
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field of wire type 0.
pub(crate) fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number << 3 | u32::from(VARINT)));
    put_varint(out, value);
}

/// Appends a field of wire type 2.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number << 3 | u32::from(BYTES)));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes that a varint takes.
pub(crate) fn varint_len(value: u64) -> usize {
    // 64 bits in groups of seven, at least one group.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const GROUP: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

const MAX_FIELD_NUMBER: u32 = (1 << 29) - 1;

/// As deep as `protobuf-java` follows groups.
const MAX_GROUP_DEPTH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of a field, and its value or length unless it is skipped.
    type Found = (u32, Option<u64>);

    fn read(data: &[u8]) -> Result<Vec<Found>, Malformed> {
        let mut fields = Fields::new(data, 0..data.len());
        let mut found = Vec::new();
        while let Some((number, value)) = fields.next()? {
            found.push(match value {
                Value::Varint(value) => (number, Some(value)),
                Value::Bytes(range) => (number, Some(range.len() as u64)),
                Value::Skipped => (number, None),
            });
        }
        Ok(found)
    }

    #[test]
    fn fields_of_every_wire_type_are_read_or_skipped() {
        type Case<'a> = (&'a [u8], Result<&'a [Found], usize>);
        let cases: &[Case<'_>] = &[
            (b"", Ok(&[])),
            (b"\x08\x00", Ok(&[(1, Some(0))])),
            (
                b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                Ok(&[(1, Some(u64::MAX))]),
            ),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Err(1)),
            (b"\x12\x03abc", Ok(&[(2, Some(3))])),
            (b"\x12\x04abc", Err(1)),
            (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01abc", Err(1)),
            (b"\x0912345678\x0d1234", Ok(&[(1, None), (1, None)])),
            (b"\x091234567", Err(0)),
            (b"\x0b\x08\x01\x0c", Ok(&[(1, None)])),
            (b"\x0b\x13\x14\x0c\x08\x05", Ok(&[(1, None), (1, Some(5))])),
            (b"\x0b\x13\x0c\x14", Err(2)),
            (b"\x0b\x08\x01", Err(0)),
            (b"\x0c", Err(0)),
            (b"\x0e", Err(0)),
            (b"\x00\x00", Err(0)),
            (b"\x88", Err(0)),
            (b"\xf8\xff\xff\xff\x7f\x00", Err(0)),
        ];
        for (data, expected) in cases {
            let found = read(data);
            assert_eq!(
                found.as_deref().map_err(|malformed| malformed.0),
                *expected,
                "{data:02x?}"
            );
        }
    }

    #[test]
    fn deep_groups_end_in_an_error() {
        assert_eq!(read(&[0x0b; 4096]), Err(Malformed(MAX_GROUP_DEPTH)));
    }

    #[test]
    fn varint_length_is_what_is_written() {
        for value in (0..64)
            .flat_map(|bit| [(1u64 << bit) - 1, 1 << bit])
            .chain([u64::MAX])
        {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
        }
    }
}
