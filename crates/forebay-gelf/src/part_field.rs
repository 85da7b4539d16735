//! Fields that take their values from parts of a line.

use std::ops::Range;

use crate::decimal::{ZEROS, are_digits};
use crate::field_name::FieldName;
use crate::line::{BLOCK, Line};

/// A field whose values are parts of lines, for [`MessageWriter::parts`](crate::MessageWriter::parts).
#[derive(Clone, Copy, Debug)]
pub struct PartField {
    /// `,"_NAME":` and, for a text, its opening quote; then whatever.
    key: [u8; FieldName::BLOCK],
    key_length: u8,
    /// A value of this one byte gives no field.
    absent: Option<u8>,
    column: u8,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    /// The largest number: how many digits it has, and the digits, the first one in the highest byte, if they fit.
    Number {
        digits: u8,
        largest: u64,
    },
    Other,
}

impl PartField {
    /// Text in a column.
    #[must_use]
    pub fn text(name: &FieldName, column: u8) -> Self {
        Self::new(name, 1, column, Kind::Text)
    }

    /// Decimal digits of a number from 0 to `largest` in a column.
    #[must_use]
    pub fn number(name: &FieldName, largest: u64, column: u8) -> Self {
        let text = largest.to_string();
        let mut first = [0; 8];
        // Behind a longer number stands nothing that could be compared: numbers of its length are left to others.
        let comparable = if text.len() > 8 { 0 } else { text.len() };
        first[..comparable].copy_from_slice(&text.as_bytes()[..comparable]);
        let kind = Kind::Number {
            digits: text.len() as u8,
            largest: u64::from_be_bytes(first),
        };
        Self::new(name, 0, column, kind)
    }

    /// A field that the caller writes.
    #[must_use]
    pub fn other() -> Self {
        Self {
            key: [0; FieldName::BLOCK],
            key_length: 0,
            absent: None,
            column: 0,
            kind: Kind::Other,
        }
    }

    /// Sets a value of one byte that gives no field.
    #[must_use]
    pub fn absent(mut self, value: u8) -> Self {
        self.absent = Some(value);
        self
    }

    #[inline(always)]
    pub(crate) fn column(&self) -> usize {
        usize::from(self.column)
    }

    /// Writes the field to the front of `target`; `None` if it takes more than a copy. Returns the length.
    #[inline(always)]
    pub(crate) fn write(
        &self,
        line: &Line<'_>,
        range: Range<usize>,
        target: &mut [u8; Self::ROOM],
    ) -> Option<usize> {
        let (block, length) = line.block(range)?;
        if length == 1 && Some(block[0]) == self.absent {
            return Some(0);
        }
        // Known to be so short since it was made.
        let key = usize::from(self.key_length) % FieldName::BLOCK;
        let quote = match self.kind {
            Kind::Text if block[0] > b' ' => 1,
            Kind::Number { digits, largest } if is_number(block, length, digits, largest) => 0,
            _ => return None,
        };
        target[..FieldName::BLOCK].copy_from_slice(&self.key);
        target[key..][..BLOCK].copy_from_slice(block);
        // Behind a number it is written over.
        target[key + length] = b'"';
        Some(key + length + quote)
    }

    pub(crate) const ROOM: usize = FieldName::BLOCK + BLOCK + 1;

    fn new(name: &FieldName, quote: usize, column: u8, kind: Kind) -> Self {
        let Some((key, length)) = name.block() else {
            return Self::other();
        };
        Self {
            key: *key,
            key_length: (length + quote) as u8,
            absent: None,
            column,
            kind,
        }
    }
}

/// Whether `block` begins with `length` digits of a number without leading zeros and within the limit.
#[inline(always)]
fn is_number(block: &[u8; BLOCK], length: usize, digits: u8, largest: u64) -> bool {
    let word = |at: usize| {
        let word = block[at..]
            .first_chunk()
            .map_or(0, |word| u64::from_be_bytes(*word));
        // What stands behind the digits is shifted out; zeros take its place.
        let foreign = 64 - 8 * (length - at).min(8) as u32;
        let kept = u64::MAX << foreign;
        (word & kept, are_digits((word & kept) | (ZEROS & !kept)))
    };
    let (first, are_digits) = word(0);
    let digits = usize::from(digits);
    let fits = (length < digits) | ((length == digits) & (first <= largest));
    let canonical = (block[0] != b'0') | (length == 1);
    (are_digits & fits & canonical) && (length <= 8 || (length <= 16 && word(8).1))
}
