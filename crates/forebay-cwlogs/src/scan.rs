//! A JSON scanner that validates without building anything.
//!
//! Written by hand because the envelope is read in one pass over the inflated text and must cost a fraction of the
//! inflating itself: strings stay where they are, members that nobody asked for are only skipped.

use std::ops::Range;

use wide::u8x16;

use crate::error::{Error, JsonProblem, Limit};
use crate::event::FieldValue;
use crate::text::Text;

/// The string holds escapes.
pub(crate) const ESCAPES: u8 = 1;
/// The string holds bytes above 127.
pub(crate) const NON_ASCII: u8 = 2;
/// The string holds a control character or an escape that JSON does not know. Never reaches a [`Text`].
pub(crate) const INVALID: u8 = 4;

/// Where a string, or a value, lies in the text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
    pub(crate) flags: u8,
}

impl Span {
    /// Offsets fit into 32 bits because [`Limits`](crate::Limits) keeps every text below 256 MiB.
    pub(crate) const fn new(start: usize, end: usize, flags: u8) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
            flags,
        }
    }

    pub(crate) const fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) const fn is_invalid(&self) -> bool {
        self.flags & INVALID != 0
    }

    pub(crate) fn text<'a>(&self, text: &'a [u8]) -> Text<'a> {
        Text::new(text.get(self.range()).unwrap_or_default(), self.flags)
    }
}

/// Why scanning cannot go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    Json { problem: JsonProblem, at: usize },
    Depth { at: usize },
}

impl Stop {
    pub(crate) fn error(self, depth: usize) -> Error {
        match self {
            Self::Json { problem, at } => Error::Json { problem, at },
            Self::Depth { at } => Error::Limit {
                what: Limit::JsonDepth,
                limit: depth,
                at,
            },
        }
    }
}

/// A position in JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Looks at a part of the text, with offsets that count from its start.
    pub(crate) fn within(text: &'a [u8], range: Range<usize>) -> Self {
        Self {
            text: text.get(..range.end).unwrap_or_default(),
            at: range.start,
        }
    }

    #[inline]
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    pub(crate) const fn seek(&mut self, at: usize) {
        self.at = at;
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Consumes `expected` if it stands here.
    #[inline]
    pub(crate) fn eat(&mut self, expected: &[u8]) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    #[inline]
    pub(crate) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Skips white space and returns the byte behind it.
    #[inline]
    pub(crate) fn next_token(&mut self) -> Option<u8> {
        self.skip_space();
        self.peek()
    }

    /// Consumes `expected` behind white space.
    pub(crate) fn expect(&mut self, expected: u8) -> Result<(), Stop> {
        if self.next_token() == Some(expected) {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected())
    }

    /// Describes the byte at the current position as the one that cannot stand there.
    pub(crate) fn unexpected(&self) -> Stop {
        let problem = match self.peek() {
            Some(found) => JsonProblem::Unexpected { found },
            None => JsonProblem::Truncated,
        };
        Stop::Json {
            problem,
            at: self.at,
        }
    }

    /// Reads a member name and the colon behind it.
    pub(crate) fn key(&mut self) -> Result<Text<'a>, Stop> {
        self.skip_space();
        let at = self.at;
        let name = self.string()?;
        if name.is_invalid() {
            return Err(Stop::Json {
                problem: JsonProblem::BadString,
                at,
            });
        }
        self.expect(b':')?;
        self.skip_space();
        Ok(name.text(self.text))
    }

    /// Reads a string; the returned span is what stands between the quotes.
    pub(crate) fn string(&mut self) -> Result<Span, Stop> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        self.at += 1;
        self.string_content()
    }

    /// Reads a string from behind its opening quote to behind its closing quote.
    #[inline]
    pub(crate) fn string_content(&mut self) -> Result<Span, Stop> {
        let start = self.at;
        let (len, flags) = plain_run(self.rest());
        self.at += len;
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Span::new(start, self.at - 1, flags));
        }
        self.string_with_escapes(Span::new(start, self.at, flags))
    }

    /// Reads the rest of a string of which a run without escapes has been read.
    #[inline(never)]
    pub(crate) fn string_with_escapes(&mut self, run: Span) -> Result<Span, Stop> {
        let start = run.range().start;
        let mut flags = run.flags;
        loop {
            match self.peek() {
                None => return Err(self.unexpected()),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Span::new(start, self.at - 1, flags));
                }
                Some(b'\\') => {
                    let escape = self.rest();
                    match escape_len(escape) {
                        Some(len) => {
                            flags |= ESCAPES;
                            self.at += len;
                        }
                        None => {
                            // The end of a bad string is found all the same, so that it costs its event only.
                            flags |= INVALID;
                            self.at += escape.len().min(2);
                        }
                    }
                }
                Some(_) => {
                    flags |= INVALID;
                    self.at += 1;
                }
            }
            let (len, more) = plain_run(self.rest());
            self.at += len;
            flags |= more;
        }
    }

    /// Reads a number by JSON's grammar.
    pub(crate) fn number(&mut self) -> Result<Span, Stop> {
        let start = self.at;
        self.eat(b"-");
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.eat(b".") {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Span::new(start, self.at, 0))
    }

    fn digits(&mut self) -> Result<(), Stop> {
        let count = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            return Err(self.unexpected());
        }
        self.at += count;
        Ok(())
    }

    pub(crate) fn literal(&mut self, literal: &[u8]) -> Result<(), Stop> {
        for expected in literal {
            if self.peek() != Some(*expected) {
                return Err(self.unexpected());
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Skips one value that may nest `levels` deep; returns the flags of all strings in it.
    pub(crate) fn skip_value(&mut self, levels: usize) -> Result<u8, Stop> {
        // Bit 0 says whether the innermost open bracket is an object's; `levels` is at most 64.
        let mut objects = 0u64;
        let mut depth = 0;
        let mut flags = 0;
        loop {
            match self.next_token() {
                Some(b'"') => flags |= self.string()?.flags,
                Some(open @ (b'{' | b'[')) => {
                    if depth == levels {
                        return Err(Stop::Depth { at: self.at });
                    }
                    self.at += 1;
                    depth += 1;
                    objects = objects << 1 | u64::from(open == b'{');
                    let close = if open == b'{' { b'}' } else { b']' };
                    if self.next_token() != Some(close) {
                        if open == b'{' {
                            flags |= self.skip_key()?;
                        }
                        continue;
                    }
                }
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                Some(b'-' | b'0'..=b'9') => drop(self.number()?),
                _ => return Err(self.unexpected()),
            }
            // Behind a value: close brackets as long as they close, then go on with the next value.
            loop {
                if depth == 0 {
                    return Ok(flags);
                }
                let in_object = objects & 1 == 1;
                match self.next_token() {
                    Some(b',') => {
                        self.at += 1;
                        if in_object {
                            flags |= self.skip_key()?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    _ => return Err(self.unexpected()),
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    fn skip_key(&mut self) -> Result<u8, Stop> {
        self.skip_space();
        let flags = self.string()?.flags;
        self.expect(b':')?;
        Ok(flags)
    }

    /// Returns the next string of an array that has been validated; other entries are left out.
    pub(crate) fn next_array_string(&mut self) -> Option<Text<'a>> {
        loop {
            match self.next_token()? {
                b'[' | b',' => self.at += 1,
                b'"' => {
                    let span = self.string().ok()?;
                    if !span.is_invalid() {
                        return Some(span.text(self.text));
                    }
                }
                b']' => return None,
                // Depth was looked at when the array was validated.
                _ => drop(self.skip_value(MAX_DEPTH).ok()?),
            }
            if let Some(b'[') = self.next_token() {
                self.skip_value(MAX_DEPTH).ok()?;
            }
        }
    }

    /// Returns the next member of an object that has been validated.
    pub(crate) fn next_object_member(&mut self) -> Option<(Text<'a>, FieldValue<'a>)> {
        let (b'{' | b',') = self.next_token()? else {
            return None;
        };
        self.at += 1;
        let name = self.key().ok()?;
        let start = self.at;
        if self.peek()? == b'"' {
            let value = self.string().ok()?;
            return Some((name, FieldValue::Text(value.text(self.text))));
        }
        self.skip_value(MAX_DEPTH).ok()?;
        Some((name, FieldValue::Json(self.text.get(start..self.at)?)))
    }
}

/// Decodes the escape at the start of `bytes`, which has been validated: the character, `None` for a surrogate
/// without a partner, and how many bytes it took.
pub(crate) fn unescape(bytes: &[u8]) -> (Option<char>, usize) {
    let character = match bytes.get(1) {
        Some(b'u') => return unescape_unit(bytes),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(other) => char::from(*other),
        None => return (None, bytes.len()),
    };
    (Some(character), 2)
}

fn unescape_unit(bytes: &[u8]) -> (Option<char>, usize) {
    let Some(first) = utf16_unit(bytes) else {
        return (None, bytes.len().min(6));
    };
    if (0xD800..0xDC00).contains(&first) {
        let second = bytes.get(6..).and_then(utf16_unit);
        if let Some(second @ 0xDC00..0xE000) = second {
            let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            return (char::from_u32(code), 12);
        }
    }
    (char::from_u32(first), 6)
}

/// Reads `\uXXXX` at the start of `bytes`.
fn utf16_unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// Returns the length of the escape at the start of `bytes`, `None` if it is none of JSON's.
fn escape_len(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => utf16_unit(bytes).map(|_| 6),
        _ => None,
    }
}

/// Returns how many bytes come before the first quote, backslash or control character, and [`NON_ASCII`] if any of
/// them is above 127.
#[inline]
pub(crate) fn plain_run(bytes: &[u8]) -> (usize, u8) {
    let (blocks, rest) = bytes.as_chunks();
    let (mut len, mut high) = (0, 0);
    for block in blocks {
        let vector = u8x16::new(*block);
        let special = special_bytes(vector);
        if special != 0 {
            let before = (special & special.wrapping_neg()) - 1;
            high |= vector.to_bitmask() & before;
            return (len + special.trailing_zeros() as usize, non_ascii(high));
        }
        high |= vector.to_bitmask();
        len += block.len();
    }
    for byte in rest {
        if matches!(byte, b'"' | b'\\' | ..b' ') {
            break;
        }
        high |= u32::from(byte & 0x80);
        len += 1;
    }
    (len, non_ascii(high))
}

/// One bit for each byte that is a quote, a backslash or a control character.
#[inline(always)]
fn special_bytes(block: u8x16) -> u32 {
    let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    let quote = block.simd_eq(u8x16::splat(b'"'));
    let backslash = block.simd_eq(u8x16::splat(b'\\'));
    (control | quote | backslash).to_bitmask()
}

#[inline]
const fn non_ascii(high: u32) -> u8 {
    if high == 0 { 0 } else { NON_ASCII }
}

const MAX_DEPTH: usize = 64;
