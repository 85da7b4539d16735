//! The members of one message, one method each.

use std::io::Write as _;

use crate::encode::{EncodeError, Encoded, Encoder, Escaped, put_name, put_number};
use crate::escape::{copy_clean, is_blank};
use crate::field_block::FieldBlock;
use crate::field_name::FieldName;
use crate::level::Level;

/// Writes one message; made by [`Encoder::begin`].
///
/// Members may come in any order. A second value for `short_message`, `full_message`, `timestamp` or `level` is
/// left out and counted; of two additional fields with one name the receiver keeps the last. Dropping the writer
/// without [`finish`](Self::finish) drops the message.
#[derive(Debug)]
pub struct MessageWriter<'e> {
    encoder: &'e mut Encoder,
    // Cursor and counters live here, and nothing that is not inlined gets a reference to them: so they stay in
    // registers while fields are written, which is a third of the whole cost.
    at: usize,
    fields: usize,
    members: u8,
}

impl<'e> MessageWriter<'e> {
    #[inline]
    pub(crate) fn new(encoder: &'e mut Encoder, at: usize) -> Self {
        Self {
            encoder,
            at,
            fields: 0,
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
        let mut digits = itoa::Buffer::new();
        let seconds = digits.format(millis / 1000).as_bytes();
        let target = self.encoder.scratch.room(self.at, TIMESTAMP_KEY.len() + 24);
        if let Some(key) = target.first_chunk_mut::<{ TIMESTAMP_KEY.len() }>() {
            *key = *TIMESTAMP_KEY;
        }
        let mut end = TIMESTAMP_KEY.len() + seconds.len();
        target[TIMESTAMP_KEY.len()..end].copy_from_slice(seconds);
        let fraction = (millis % 1000) as u16;
        if fraction != 0 {
            let digit = |value: u16| b'0' + (value % 10) as u8;
            target[end..end + 4].copy_from_slice(&[
                b'.',
                digit(fraction / 100),
                digit(fraction / 10),
                digit(fraction),
            ]);
            end += 4;
            while target[end - 1] == b'0' {
                end -= 1;
            }
        }
        self.at += end;
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
        self.encoder.scratch.room(self.at, member.len())[..member.len()].copy_from_slice(&member);
        self.at += member.len();
        self
    }

    /// An additional field of text. A blank value is left out, as the receiver would drop it.
    ///
    /// Invalid UTF-8 becomes U+FFFD, a value beyond [`value_bytes`](crate::EncodeLimits::value_bytes) is cut; both
    /// are counted.
    #[inline(always)]
    pub fn text(&mut self, name: &FieldName, value: impl AsRef<[u8]>) -> &mut Self {
        self.put_text(name, value.as_ref(), Escaped::No)
    }

    /// An additional field from the content of a JSON string, without its quotes, copied as it is.
    ///
    /// What a JSON string cannot hold (a raw quote or control character, a broken escape, a lone surrogate) is
    /// repaired and counted, so the input need not be trusted.
    #[inline(always)]
    pub fn json_text(&mut self, name: &FieldName, content: impl AsRef<[u8]>) -> &mut Self {
        self.put_text(name, content.as_ref(), Escaped::Already)
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
    #[inline(always)]
    pub fn number_text(&mut self, name: &FieldName, digits: impl AsRef<[u8]>) -> &mut Self {
        let digits = digits.as_ref();
        if self.fields >= self.encoder.limits.fields {
            self.encoder.fold(name, digits, Escaped::No);
            return self;
        }
        let (wire, key) = name.wire();
        let target = self
            .encoder
            .scratch
            .room(self.at, FieldName::ROOM + digits.len());
        put_name(target, wire, key);
        if copy_digits(&mut target[key..], digits) {
            self.fields += 1;
            self.at += key + digits.len();
            return self;
        }
        match canonical(digits) {
            Some(Number::Integer(value)) => self.integer(name, value),
            Some(Number::Float(value)) => self.float(name, value),
            None => {
                self.encoder.note_refused();
                self
            }
        }
    }

    /// An additional field of an integer.
    #[inline]
    pub fn integer(&mut self, name: &FieldName, value: i64) -> &mut Self {
        let mut digits = itoa::Buffer::new();
        self.put_digits(name, digits.format(value).as_bytes())
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
        if !value.is_finite() {
            self.encoder.note_refused();
            return self;
        }
        let mut text = [0; 32];
        let mut rest = text.as_mut_slice();
        // The longest double has 24 characters in this form.
        if write!(rest, "{value:?}").is_err() {
            self.encoder.note_refused();
            return self;
        }
        let length = 32 - rest.len();
        self.put_digits(name, &text[..length])
    }

    /// Fields that were rendered before, such as the constant ones of a configuration: one copy.
    #[inline]
    pub fn fields(&mut self, block: &FieldBlock) -> &mut Self {
        let bytes = block.as_bytes();
        self.encoder.scratch.room(self.at, bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self.fields += block.len();
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
        self.encoder.finish(self.at)
    }

    /// What was written behind the start of the message: the number of additional fields and all bytes.
    pub(crate) fn additional(self) -> (usize, &'e [u8]) {
        let Self {
            encoder,
            at,
            fields,
            ..
        } = self;
        (fields, encoder.written(at))
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
        if let Some(target) = self.encoder.scratch.room(self.at, N).first_chunk_mut::<N>() {
            *target = *key;
        }
        let start = self.at + N;
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
        self.encoder.scratch.room(end, 1)[0] = b'"';
        self.members |= bit;
        self.at = end + 1;
        self
    }

    #[inline(always)]
    fn put_text(&mut self, name: &FieldName, value: &[u8], escaped: Escaped) -> &mut Self {
        if self.fields >= self.encoder.limits.fields {
            self.encoder.fold(name, value, escaped);
            return self;
        }
        let Some(first) = value.first() else {
            return self;
        };
        let (wire, key) = name.wire();
        let target = self
            .encoder
            .scratch
            .room(self.at, FieldName::ROOM + value.len());
        put_name(target, wire, key);
        if copy_clean(&mut target[key + 1..], value)
            && *first > b' '
            && value.len() <= self.encoder.limits.value_bytes
        {
            target[key + 1 + value.len()] = b'"';
            self.fields += 1;
            self.at += key + 2 + value.len();
        } else {
            let at = self.encoder.text_slowly(self.at, name, value, escaped);
            self.fields += usize::from(at != self.at);
            self.at = at;
        }
        self
    }

    #[inline]
    fn put_digits(&mut self, name: &FieldName, digits: &[u8]) -> &mut Self {
        if self.fields >= self.encoder.limits.fields {
            self.encoder.fold(name, digits, Escaped::No);
            return self;
        }
        self.fields += 1;
        self.at = put_number(&mut self.encoder.scratch, self.at, name, digits);
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
    #[inline(always)]
    pub fn push(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.put(text.as_ref(), Escaped::No)
    }

    /// Appends the content of a JSON string, without its quotes.
    #[inline(always)]
    pub fn push_json_text(&mut self, content: impl AsRef<[u8]>) -> &mut Self {
        self.put(content.as_ref(), Escaped::Already)
    }

    #[inline(always)]
    fn put(&mut self, text: &[u8], escaped: Escaped) -> &mut Self {
        if copy_clean(self.encoder.scratch.room(self.at, text.len()), text) {
            self.at += text.len();
        } else {
            self.at = self.encoder.piece_slowly(self.at, text, escaped);
        }
        self
    }
}

enum Number {
    Integer(i64),
    Float(f64),
}

/// Reads what is a number in a log line but not in JSON as it stands (`+1`, `007`, `.5`).
#[cold]
#[inline(never)]
fn canonical(digits: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(digits).ok()?;
    if let Ok(value) = text.parse() {
        return Some(Number::Integer(value));
    }
    // An integer beyond 64 bits must not turn into a rounded float.
    if !text.contains(['.', 'e', 'E']) {
        return None;
    }
    text.parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
        .map(Number::Float)
}

/// Copies `source` if it is a decimal of at most 18 digits without a leading zero: always JSON, always an `i64`.
#[inline(always)]
fn copy_digits(target: &mut [u8], source: &[u8]) -> bool {
    let Some(target) = target.get_mut(..source.len()) else {
        return false;
    };
    if source.first() == Some(&b'0') && source.len() > 1 {
        return false;
    }
    if let (Some(head), Some(tail)) = (source.first_chunk::<8>(), source.last_chunk::<8>()) {
        if source.len() > 16 {
            return false;
        }
        if let Some(first) = target.first_chunk_mut::<8>() {
            *first = *head;
        }
        if let Some(last) = target.last_chunk_mut::<8>() {
            *last = *tail;
        }
        return are_digits(u64::from_le_bytes(*head)) & are_digits(u64::from_le_bytes(*tail));
    }
    if let (Some(head), Some(tail)) = (source.first_chunk::<4>(), source.last_chunk::<4>()) {
        if let Some(first) = target.first_chunk_mut::<4>() {
            *first = *head;
        }
        if let Some(last) = target.last_chunk_mut::<4>() {
            *last = *tail;
        }
        return are_digits(
            u64::from(u32::from_le_bytes(*head)) << 32 | u64::from(u32::from_le_bytes(*tail)),
        );
    }
    match (target, source) {
        ([to], [from]) => {
            *to = *from;
            from.is_ascii_digit()
        }
        ([to_first, to_second], [first, second]) => {
            (*to_first, *to_second) = (*first, *second);
            first.is_ascii_digit() & second.is_ascii_digit()
        }
        ([to_first, to_second, to_third], [first, second, third]) => {
            (*to_first, *to_second, *to_third) = (*first, *second, *third);
            first.is_ascii_digit() & second.is_ascii_digit() & third.is_ascii_digit()
        }
        _ => false,
    }
}

/// Whether all eight bytes are `0` to `9`.
const fn are_digits(word: u64) -> bool {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const THREES: u64 = 0x3030_3030_3030_3030;
    word & HIGH == THREES && word.wrapping_add(0x0606_0606_0606_0606) & HIGH == THREES
}

const TIMESTAMP_KEY: &[u8; 13] = b",\"timestamp\":";
const SHORT_MESSAGE: u8 = 1;
const FULL_MESSAGE: u8 = 2;
const TIMESTAMP: u8 = 4;
const LEVEL: u8 = 8;
const BLANK_SHORT_MESSAGE: u8 = 16;
