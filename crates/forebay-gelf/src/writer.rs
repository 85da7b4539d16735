//! The members of one message, one method each.

use std::ops::Range;

use crate::decimal::{EIGHT_DIGITS, NumberText, ZEROS, decimal, decimals};
use crate::encode::{EncodeError, Encoded, Encoder, Escaped, Place};
use crate::escape::is_blank;
use crate::field_block::FieldBlock;
use crate::field_name::FieldName;
use crate::level::Level;
use crate::line::{BLOCK, Line, Piece};
use crate::part_field::PartField;

/// Writes one message; made by [`Encoder::begin`].
///
/// Members may come in any order. A second value for `short_message`, `full_message`, `timestamp` or `level` is
/// left out and counted; of two additional fields with one name the receiver keeps the last. Dropping the writer
/// without [`finish`](Self::finish) drops the message.
#[derive(Debug)]
pub struct MessageWriter<'e> {
    encoder: &'e mut Encoder,
    // Nothing that is not inlined gets a reference to it, so that it stays in registers while fields are written.
    place: Place,
    members: u8,
}

impl<'e> MessageWriter<'e> {
    #[inline]
    pub(crate) fn new(encoder: &'e mut Encoder, at: usize) -> Self {
        Self {
            encoder,
            place: Place { at, fields: 0 },
            members: 0,
        }
    }

    /// The short, descriptive message (GELF `short_message`; required, not blank).
    #[inline]
    pub fn short_message(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        let text = text.as_ref();
        self.short_message_with(|message| {
            message.push(text);
        })
    }

    /// The short message from the content of a JSON string, copied without unescaping it first.
    #[inline]
    pub fn short_message_json_text(&mut self, content: impl AsRef<[u8]>) -> &mut Self {
        let content = content.as_ref();
        self.short_message_with(|message| {
            message.push_json_text(content);
        })
    }

    /// The short message, written in pieces without building it elsewhere first.
    ///
    /// ```
    /// # use forebay_gelf::Encoder;
    /// let mut encoder = Encoder::default();
    /// let mut message = encoder.begin("router");
    /// message.short_message_with(|text| {
    ///     text.push("eth0").push(" ").push("ACCEPT");
    /// });
    /// assert!(message.finish()?.as_str().contains(r#""short_message":"eth0 ACCEPT""#));
    /// # Ok::<(), forebay_gelf::EncodeError>(())
    /// ```
    #[inline]
    pub fn short_message_with(&mut self, write: impl FnOnce(&mut TextWriter<'_>)) -> &mut Self {
        self.member(SHORT_MESSAGE, b",\"short_message\":\"", write)
    }

    /// The long message, a stack trace or the whole event (GELF `full_message`). Left out if blank.
    #[inline]
    pub fn full_message(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        let text = text.as_ref();
        self.full_message_with(|message| {
            message.push(text);
        })
    }

    /// The long message from the content of a JSON string.
    #[inline]
    pub fn full_message_json_text(&mut self, content: impl AsRef<[u8]>) -> &mut Self {
        let content = content.as_ref();
        self.full_message_with(|message| {
            message.push_json_text(content);
        })
    }

    /// The long message, written in pieces.
    #[inline]
    pub fn full_message_with(&mut self, write: impl FnOnce(&mut TextWriter<'_>)) -> &mut Self {
        self.member(FULL_MESSAGE, b",\"full_message\":\"", write)
    }

    /// When it happened, in milliseconds since 1970 (GELF `timestamp`: seconds with decimals).
    ///
    /// Zero and negative times mean "now" to the receiver; they are left out and counted.
    #[inline]
    pub fn timestamp_millis(&mut self, millis: i64) -> &mut Self {
        if self.members & TIMESTAMP != 0 {
            self.encoder.note_duplicate();
            return self;
        }
        let Some(millis) = u64::try_from(millis).ok().filter(|millis| *millis > 0) else {
            self.encoder.note_refused();
            return self;
        };
        self.members |= TIMESTAMP;
        let (seconds, fraction) = (millis / 1000, (millis % 1000) as u16);
        let (upper, lower) = ((seconds / EIGHT_DIGITS) as u8, seconds % EIGHT_DIGITS);
        self.place.at += match self.encoder.scratch.window::<32>(self.place.at) {
            // Between the years 2001 and 2286.
            Some(target) if (10..100).contains(&(seconds / EIGHT_DIGITS)) => {
                target[..13].copy_from_slice(TIMESTAMP_KEY);
                target[13] = b'0' + upper / 10;
                target[14] = b'0' + upper % 10;
                target[15..23].copy_from_slice(&(decimal(lower as u32) | ZEROS).to_le_bytes());
                let (digits, length) = decimals(fraction);
                target[23..27].copy_from_slice(&digits);
                23 + length
            }
            _ => self.encoder.put_time(self.place.at, seconds, fraction),
        };
        self
    }

    /// Severity (GELF `level`). Without it receivers store none.
    #[inline]
    pub fn level(&mut self, level: Level) -> &mut Self {
        if self.members & LEVEL != 0 {
            self.encoder.note_duplicate();
            return self;
        }
        self.members |= LEVEL;
        let member = [
            b',',
            b'"',
            b'l',
            b'e',
            b'v',
            b'e',
            b'l',
            b'"',
            b':',
            b'0' + level.code(),
        ];
        self.place.at += self.encoder.scratch.write(self.place.at, &member);
        self
    }

    /// An additional field of text. A blank value is left out, as the receiver would drop it.
    ///
    /// Invalid UTF-8 becomes U+FFFD, a value beyond [`value_bytes`](crate::EncodeLimits::value_bytes) is cut; both
    /// are counted.
    #[inline]
    pub fn text(&mut self, name: &FieldName, value: impl AsRef<[u8]>) -> &mut Self {
        self.place = self
            .encoder
            .put_text(self.place, name, value.as_ref(), Escaped::No);
        self
    }

    /// An additional field from the content of a JSON string, without its quotes, copied as it is.
    ///
    /// What a JSON string cannot hold (a raw quote or control character, a broken escape, a lone surrogate) is
    /// repaired and counted, so the input need not be trusted.
    #[inline]
    pub fn json_text(&mut self, name: &FieldName, content: impl AsRef<[u8]>) -> &mut Self {
        self.place = self
            .encoder
            .put_text(self.place, name, content.as_ref(), Escaped::Already);
        self
    }

    /// An additional field of the text `true` or `false`: receivers drop JSON booleans.
    #[inline]
    pub fn boolean(&mut self, name: &FieldName, value: bool) -> &mut Self {
        self.text(name, if value { "true" } else { "false" })
    }

    /// An additional field from the decimal digits of a log line, copied after a check.
    ///
    /// What is no number, or an integer beyond 64 bits, is left out and counted: sent as text it would give the
    /// field a second type.
    #[inline]
    pub fn number_text(&mut self, name: &FieldName, digits: impl AsRef<[u8]>) -> &mut Self {
        self.place = self
            .encoder
            .put_number_text(self.place, name, digits.as_ref());
        self
    }

    /// Additional fields from parts of a line, one after the other as long as each takes no more than a copy: the line is
    /// clean, the part short, and of the field's kind. `span` tells where in the line a column stands.
    ///
    /// Returns how many of `fields` were dealt with. The next one, if any, is the caller's to write by one of the other
    /// methods, whether it then turns out to be valid or not; after it the rest can be tried.
    #[inline(always)]
    pub fn parts(
        &mut self,
        fields: &[PartField],
        line: &Line<'_>,
        span: impl Fn(usize) -> Range<usize>,
    ) -> usize {
        let limits = &self.encoder.limits;
        if !line.is_clean()
            || self.place.fields + fields.len() > limits.fields
            || limits.value_bytes < BLOCK
        {
            return 0;
        }
        let mut written = 0;
        for field in fields {
            let range = span(field.column());
            let Some(target) = self.encoder.scratch.window(self.place.at) else {
                break;
            };
            let Some(length) = field.write(line, range, target) else {
                break;
            };
            self.place.at += length;
            self.place.fields += usize::from(length > 0);
            written += 1;
        }
        written
    }

    /// An additional field of an integer.
    #[inline]
    pub fn integer(&mut self, name: &FieldName, value: i64) -> &mut Self {
        // Enough for the longest name that the plugin gave an integer.
        const KEY: usize = 48;
        const ROOM: usize = KEY + 8;
        if let (Ok(small), Some((key_block, key)), true) = (
            u32::try_from(value),
            name.block::<KEY>(),
            self.place.fields < self.encoder.limits.fields,
        ) && u64::from(small) < EIGHT_DIGITS
            && let Some(target) = self.encoder.scratch.window::<ROOM>(self.place.at)
        {
            let digits = decimal(small);
            let zeros = (digits.trailing_zeros() / 8).min(7);
            target[..KEY].copy_from_slice(key_block);
            target[key..][..8].copy_from_slice(&((digits | ZEROS) >> (8 * zeros)).to_le_bytes());
            self.place.fields += 1;
            self.place.at += key + 8 - zeros as usize;
            return self;
        }
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(value).as_bytes();
        self.place = self.encoder.put_number(self.place, name, digits);
        self
    }

    /// An additional field of an unsigned integer. Beyond `i64::MAX` the receiver would store a negative number;
    /// such a value is left out and counted.
    #[inline]
    pub fn unsigned(&mut self, name: &FieldName, value: u64) -> &mut Self {
        match i64::try_from(value) {
            Ok(value) => self.integer(name, value),
            Err(_) => {
                self.encoder.note_refused();
                self
            }
        }
    }

    /// An additional field of a floating point number, in the shortest form that reads back to the same value.
    /// NaN and infinities are no JSON: left out and counted.
    pub fn float(&mut self, name: &FieldName, value: f64) -> &mut Self {
        match NumberText::float(value) {
            Some(text) => self.place = self.encoder.put_number(self.place, name, text.as_bytes()),
            None => self.encoder.note_refused(),
        }
        self
    }

    /// Fields that were rendered before, such as the constant ones of a configuration: one copy.
    #[inline]
    pub fn fields(&mut self, block: &FieldBlock) -> &mut Self {
        self.place.at += self.encoder.scratch.write(self.place.at, block.as_bytes());
        self.place.fields += block.len();
        if let Some(repairs) = block.repairs() {
            self.encoder.note_block(repairs);
        }
        self
    }

    /// Ends the message.
    ///
    /// # Errors
    /// [`EncodeError`] if the receiver would drop the message. The encoder can begin the next one.
    #[inline]
    pub fn finish(self) -> Result<Encoded<'e>, EncodeError> {
        if self.members & SHORT_MESSAGE == 0 {
            return Err(if self.members & BLANK_SHORT_MESSAGE == 0 {
                EncodeError::MissingShortMessage
            } else {
                EncodeError::BlankShortMessage
            });
        }
        self.encoder.finish(self.place.at)
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn note_renamed(&mut self, renamed: u32, duplicates: u32) {
        self.encoder.note_renamed(renamed, duplicates);
    }

    #[inline(always)]
    fn member<const N: usize>(
        &mut self,
        bit: u8,
        key: &[u8; N],
        write: impl FnOnce(&mut TextWriter<'_>),
    ) -> &mut Self {
        if self.members & bit != 0 {
            self.encoder.note_duplicate();
            return self;
        }
        let start = self.place.at + self.encoder.scratch.write(self.place.at, key);
        let mut text = TextWriter {
            encoder: self.encoder,
            at: start,
        };
        write(&mut text);
        let end = text.at;
        if is_blank(self.encoder.scratch.slice(start, end)) {
            if bit == SHORT_MESSAGE {
                self.members |= BLANK_SHORT_MESSAGE;
            }
            return self;
        }
        self.members |= bit;
        self.place.at = end + self.encoder.scratch.write(end, b"\"");
        self
    }
}

/// Writes the text of one member in pieces. Each piece must hold whole characters.
#[derive(Debug)]
pub struct TextWriter<'e> {
    encoder: &'e mut Encoder,
    at: usize,
}

impl TextWriter<'_> {
    /// Appends text.
    #[inline]
    pub fn push(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.put(text.as_ref(), Escaped::No)
    }

    /// Appends the content of a JSON string, without its quotes.
    #[inline]
    pub fn push_json_text(&mut self, content: impl AsRef<[u8]>) -> &mut Self {
        self.put(content.as_ref(), Escaped::Already)
    }

    /// Appends parts of a line, each behind a literal, as long as each takes no more than a copy. `span` tells where in the
    /// line a column stands.
    ///
    /// Returns how many of `pieces` were written. The next one, if any, is the caller's.
    #[inline(always)]
    pub fn push_parts(
        &mut self,
        pieces: &[Piece<'_>],
        line: &Line<'_>,
        span: impl Fn(usize) -> Range<usize>,
    ) -> usize {
        if !line.is_clean() {
            return 0;
        }
        let mut written = 0;
        for piece in pieces {
            let range = span(piece.column());
            let Some(target) = self.encoder.scratch.window(self.at) else {
                break;
            };
            let Some(length) = piece.write(line, range, target) else {
                break;
            };
            self.at += length;
            written += 1;
        }
        written
    }

    fn put(&mut self, text: &[u8], escaped: Escaped) -> &mut Self {
        self.at = self.encoder.put_piece(self.at, text, escaped);
        self
    }
}

pub(crate) const TIMESTAMP_KEY: &[u8; 13] = b",\"timestamp\":";
const SHORT_MESSAGE: u8 = 1;
const FULL_MESSAGE: u8 = 2;
const TIMESTAMP: u8 = 4;
const LEVEL: u8 = 8;
const BLANK_SHORT_MESSAGE: u8 = 16;
