use std::borrow::Cow;
use std::fmt;

use crate::scan::{self, ESCAPES, NON_ASCII};

/// The content of a JSON string, as it was sent: the bytes between the quotes.
///
/// Most strings hold no escapes and are their own value ([`as_plain`](Self::as_plain)). The content has been checked:
/// no control characters, no bare quote, every escape is one of JSON's. Two things are left as they came: bytes that
/// are not UTF-8, and escaped surrogates without a partner (`\ud800`), which JSON's grammar allows.
#[derive(Clone, Copy, Default)]
pub struct Text<'a> {
    raw: &'a [u8],
    flags: u8,
}

impl<'a> Text<'a> {
    pub(crate) const fn new(raw: &'a [u8], flags: u8) -> Self {
        Self { raw, flags }
    }

    /// Returns the content with its escapes.
    ///
    /// It can be copied between the quotes of another JSON text as it stands, if it [is ASCII](Self::is_ascii) or
    /// UTF-8.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Returns the value if there are no escapes, so that the content is the value.
    #[must_use]
    pub const fn as_plain(&self) -> Option<&'a [u8]> {
        if self.has_escapes() {
            None
        } else {
            Some(self.raw)
        }
    }

    /// Says whether there are escapes.
    #[must_use]
    pub const fn has_escapes(&self) -> bool {
        self.flags & ESCAPES != 0
    }

    /// Says whether the content is ASCII only. The value may still be other text, by its escapes.
    #[must_use]
    pub const fn is_ascii(&self) -> bool {
        self.flags & NON_ASCII == 0
    }

    /// Says whether the string is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Returns the value, which is copied only if there are escapes.
    #[must_use]
    pub fn to_cow(&self) -> Cow<'a, [u8]> {
        match self.as_plain() {
            Some(plain) => Cow::Borrowed(plain),
            None => {
                let mut value = Vec::with_capacity(self.raw.len());
                self.unescape_into(&mut value);
                Cow::Owned(value)
            }
        }
    }

    /// Returns the value as text, with U+FFFD for what is not UTF-8.
    #[must_use]
    pub fn to_str_lossy(&self) -> Cow<'a, str> {
        match self.to_cow() {
            Cow::Borrowed(value) => String::from_utf8_lossy(value),
            Cow::Owned(value) => match String::from_utf8(value) {
                Ok(value) => Cow::Owned(value),
                Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
            },
        }
    }

    /// Appends the value to `out`; returns how many surrogates without a partner became U+FFFD.
    pub fn unescape_into(&self, out: &mut Vec<u8>) -> usize {
        let mut replaced = 0;
        let mut rest = self.raw;
        while let Some(at) = self
            .has_escapes()
            .then(|| memchr::memchr(b'\\', rest))
            .flatten()
        {
            let (before, escape) = rest.split_at(at);
            out.extend_from_slice(before);
            let (character, len) = scan::unescape(escape);
            let character = character.unwrap_or_else(|| {
                replaced += 1;
                char::REPLACEMENT_CHARACTER
            });
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = escape.get(len..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        replaced
    }

    /// Returns the length of the value in bytes.
    #[must_use]
    pub fn value_len(&self) -> usize {
        if !self.has_escapes() {
            return self.raw.len();
        }
        let (mut len, mut rest) = (0, self.raw);
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let escape = rest.get(at..).unwrap_or_default();
            let (character, skipped) = scan::unescape(escape);
            len += at + character.unwrap_or(char::REPLACEMENT_CHARACTER).len_utf8();
            rest = escape.get(skipped..).unwrap_or_default();
        }
        len + rest.len()
    }
}

/// Compares the value.
impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        match self.as_plain() {
            Some(plain) => plain == other.as_bytes(),
            None => *self.to_cow() == *other.as_bytes(),
        }
    }
}

/// Compares the value.
impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// Compares the values.
impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.to_cow() == other.to_cow()
    }
}

impl Eq for Text<'_> {}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.to_str_lossy(), f)
    }
}

/// Writes the value, with U+FFFD for what is not UTF-8.
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_str_lossy())
    }
}
