use std::borrow::Cow;
use std::fmt;

/// The value of a tag, percent-encoded as version 11 writes it so that blanks cannot break the line.
///
/// A value with a bad escape, or that decodes to something else than UTF-8, is kept as it stands and flagged.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct TagValue<'a> {
    raw: &'a [u8],
}

impl<'a> TagValue<'a> {
    /// Takes the text that stands in the line.
    pub const fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The text as it stands in the line.
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Decodes the value; `None` if an escape is bad or the result is not UTF-8. Allocates only where there is an
    /// escape. A `+` stays a plus sign.
    pub fn decode(&self) -> Option<Cow<'a, str>> {
        if !self.raw.contains(&b'%') {
            return std::str::from_utf8(self.raw).ok().map(Cow::Borrowed);
        }
        let mut decoded = Vec::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let [first, after @ ..] = rest {
            rest = after;
            if *first != b'%' {
                decoded.push(*first);
                continue;
            }
            let [high, low, after @ ..] = rest else {
                return None;
            };
            decoded.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
            rest = after;
        }
        String::from_utf8(decoded).ok().map(Cow::Owned)
    }

    /// The decoded value or, where that fails, the text as it stands with U+FFFD for what is not UTF-8.
    pub fn text(&self) -> Cow<'a, str> {
        self.decode()
            .unwrap_or_else(|| String::from_utf8_lossy(self.raw))
    }

    /// Whether the value does not decode, so that [`TagValue::text`] shows it undecoded.
    pub fn is_malformed(&self) -> bool {
        self.decode().is_none()
    }
}

impl fmt::Display for TagValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

impl fmt::Debug for TagValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagValue(\"{}\")", self.raw.escape_ascii())
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_decode_or_stay_as_they_are() {
        let cases: [(&[u8], Option<&str>, &str); 10] = [
            (b"web", Some("web"), "web"),
            (b"web%20tier", Some("web tier"), "web tier"),
            (b"a+b", Some("a+b"), "a+b"),
            (b"caf%C3%A9", Some("caf\u{e9}"), "caf\u{e9}"),
            (b"%2d", Some("-"), "-"),
            (b"100%", None, "100%"),
            (b"%4", None, "%4"),
            (b"%zz", None, "%zz"),
            (b"%ff", None, "%ff"),
            (b"\xff", None, "\u{fffd}"),
        ];
        for (raw, decoded, text) in cases {
            let tag = TagValue::new(raw);
            assert_eq!(tag.decode().as_deref(), decoded, "{tag:?}");
            assert_eq!(tag.text(), text, "{tag:?}");
            assert_eq!(tag.is_malformed(), decoded.is_none());
            assert_eq!(tag.raw(), raw);
        }
    }
}
