//! [`Text`]: a string of the record, still as JSON wrote it.

use std::borrow::Cow;
use std::fmt;

/// The text of one member, borrowed from the record.
///
/// A JSON string keeps its escapes until somebody asks for them to be resolved, so that an encoder that writes JSON again
/// can copy it as it stands ([`as_json`](Self::as_json)). Numbers, booleans, objects and arrays are their JSON text.
///
/// ```
/// use forebay_cloudtrail::{Event, EventIndex};
///
/// let mut index = EventIndex::new();
/// let event = Event::parse(r#"{"userAgent":"caf\u00e9","readOnly":true}"#, &mut index)?;
/// let agent = event.user_agent().expect("present");
/// assert_eq!(agent.as_plain(), None);
/// assert_eq!(agent.as_json(), Some(r"caf\u00e9"));
/// assert_eq!(agent.to_cow(), "café");
/// assert_eq!(event.read_only().expect("present").as_plain(), Some("true"));
/// # Ok::<(), forebay_cloudtrail::RecordError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a str,
    form: TextForm,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TextForm {
    /// Content of a JSON string without escapes; also numbers and literals.
    Plain,
    /// Content of a JSON string with escapes.
    Escaped,
    /// JSON text of an object or array.
    Json,
}

impl<'a> Text<'a> {
    pub(crate) const fn new(raw: &'a str, form: TextForm) -> Self {
        Self { raw, form }
    }

    /// The text, if it can be borrowed as it stands: no escapes to resolve.
    #[must_use]
    pub fn as_plain(&self) -> Option<&'a str> {
        match self.form {
            TextForm::Plain | TextForm::Json => Some(self.raw),
            TextForm::Escaped => None,
        }
    }

    /// The text as the content of a JSON string, without the quotes, if that can be borrowed: everything but the JSON text
    /// of an object or array. What is borrowed is valid between two quotes, but may hold a lone surrogate escape;
    /// [`push_json`](Self::push_json) replaces those.
    #[must_use]
    pub fn as_json(&self) -> Option<&'a str> {
        match self.form {
            TextForm::Plain | TextForm::Escaped => Some(self.raw),
            TextForm::Json => None,
        }
    }

    /// The text with its escapes resolved. Lone surrogates become U+FFFD.
    #[must_use]
    pub fn to_cow(&self) -> Cow<'a, str> {
        match self.form {
            TextForm::Plain | TextForm::Json => Cow::Borrowed(self.raw),
            TextForm::Escaped => {
                let mut out = String::with_capacity(self.raw.len());
                for part in Parts::new(self.raw) {
                    match part {
                        Part::Run(run) => out.push_str(run),
                        Part::Char { value, .. } => out.push(value),
                    }
                }
                Cow::Owned(out)
            }
        }
    }

    /// Appends the text to `out` as the content of a JSON string, without the quotes. Escapes stay as they are; lone
    /// surrogates become `\ufffd`.
    pub fn push_json(&self, out: &mut String) {
        match self.form {
            TextForm::Plain => out.push_str(self.raw),
            TextForm::Escaped => push_repaired(self.raw, out),
            TextForm::Json => push_quoted(self.raw, out),
        }
    }

    /// Whether nothing but blanks (up to U+0020) is left after resolving escapes.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self.form {
            TextForm::Plain | TextForm::Json => self.raw.bytes().all(|byte| byte <= b' '),
            TextForm::Escaped => Parts::new(self.raw).all(|part| match part {
                Part::Run(run) => run.bytes().all(|byte| byte <= b' '),
                Part::Char { value, .. } => value <= ' ',
            }),
        }
    }

    /// Whether the text is JSON of an object or array.
    #[must_use]
    pub fn is_structure(&self) -> bool {
        self.form == TextForm::Json
    }

    pub(crate) const fn raw(&self) -> &'a str {
        self.raw
    }

    pub(crate) fn has_lone_surrogates(&self) -> bool {
        self.form == TextForm::Escaped
            && memchr::memmem::find(self.raw.as_bytes(), b"\\u").is_some()
            && Parts::new(self.raw).any(|part| matches!(part, Part::Char { lone: true, .. }))
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_cow())
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.to_cow() == other.to_cow()
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.to_cow() == other
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.to_cow() == *other
    }
}

/// A piece of an escaped string.
pub(crate) enum Part<'a> {
    /// Bytes that stand for themselves.
    Run(&'a str),
    /// One escape: the character and what was written for it.
    Char {
        /// U+FFFD for a lone surrogate.
        value: char,
        /// The escape as written.
        written: &'a str,
        /// The escape was a surrogate without its partner.
        lone: bool,
    },
}

/// Walks the pieces of an escaped string. Total: text that is no valid string content ends up in runs.
pub(crate) struct Parts<'a> {
    rest: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) const fn new(raw: &'a str) -> Self {
        Self { rest: raw }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (head, tail) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        self.rest = tail;
        head
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let run = memchr::memchr(b'\\', self.rest.as_bytes()).unwrap_or(self.rest.len());
        if run > 0 {
            return Some(Part::Run(self.take(run)));
        }
        let bytes = self.rest.as_bytes();
        let (value, length, lone) = match bytes.get(1) {
            Some(b'b') => ('\u{8}', 2, false),
            Some(b'f') => ('\u{c}', 2, false),
            Some(b'n') => ('\n', 2, false),
            Some(b'r') => ('\r', 2, false),
            Some(b't') => ('\t', 2, false),
            Some(b'u') => match (hex4(bytes, 2), bytes.get(6..8), hex4(bytes, 8)) {
                (Some(high @ 0xd800..0xdc00), Some(b"\\u"), Some(low @ 0xdc00..0xe000)) => {
                    let value = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    (
                        char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER),
                        12,
                        false,
                    )
                }
                (Some(unit), _, _) => match char::from_u32(unit) {
                    Some(value) => (value, 6, false),
                    None => (char::REPLACEMENT_CHARACTER, 6, true),
                },
                (None, _, _) => return Some(Part::Run(self.take(2))),
            },
            Some(&byte @ (b'"' | b'\\' | b'/')) => (char::from(byte), 2, false),
            _ => return Some(Part::Run(self.take(self.rest.len()))),
        };
        Some(Part::Char {
            value,
            written: self.take(length),
            lone,
        })
    }
}

/// Four hexadecimal digits at `at`.
pub(crate) fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let mut value = 0;
    for &byte in bytes.get(at..at.checked_add(4)?)? {
        value = value * 16 + char::from(byte).to_digit(16)?;
    }
    Some(value)
}

/// Copies escaped content; lone surrogates are replaced.
pub(crate) fn push_repaired(raw: &str, out: &mut String) {
    if memchr::memmem::find(raw.as_bytes(), b"\\u").is_none() {
        out.push_str(raw);
        return;
    }
    for part in Parts::new(raw) {
        match part {
            Part::Run(run) => out.push_str(run),
            Part::Char { lone: true, .. } => out.push_str("\\ufffd"),
            Part::Char { written, .. } => out.push_str(written),
        }
    }
}

/// Writes JSON text as the content of a JSON string. JSON text has no control characters but blanks between its tokens.
pub(crate) fn push_quoted(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
    {
        let (run, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(run);
        let mut tail = tail.chars();
        match tail.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => {
                out.push_str("\\u00");
                for nibble in [control as u32 >> 4, control as u32 & 15] {
                    out.push(char::from_digit(nibble, 16).unwrap_or('0'));
                }
            }
            None => {}
        }
        rest = tail.as_str();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: &str) {
        let text = Text::new(raw, TextForm::Escaped);
        assert_eq!(text.to_cow(), expected, "{raw}");
        let mut json = String::from("\"");
        text.push_json(&mut json);
        json.push('"');
        assert_eq!(
            serde_json::from_str::<String>(&json).expect("valid"),
            expected,
            "{raw}"
        );
    }

    #[test]
    fn escapes_resolve() {
        check(r#"a\"b\\c\/d\b\f\n\r\t"#, "a\"b\\c/d\u{8}\u{c}\n\r\t");
        check(r"\u00e9\u4e2d", "é中");
        check(r"\ud83d\ude00!", "😀!");
    }

    #[test]
    fn lone_surrogates_become_the_replacement_character() {
        check(r"x\ud800y", "x\u{fffd}y");
        check(r"\udc00", "\u{fffd}");
        check(r"\ud800\u0041", "\u{fffd}A");
        check(r"\ud800\ud83d\ude00", "\u{fffd}😀");
    }

    #[test]
    fn json_text_becomes_string_content() {
        let mut out = String::new();
        push_quoted("{\"a\":\n\t\"b\\n\u{1}é\"}", &mut out);
        assert_eq!(out, "{\\\"a\\\":\\n\\t\\\"b\\\\n\\u0001é\\\"}");
    }

    #[test]
    fn blank_text_is_recognised_behind_escapes() {
        assert!(Text::new(r"\n \t", TextForm::Escaped).is_blank());
        assert!(!Text::new(r"\n x", TextForm::Escaped).is_blank());
        assert!(Text::new("", TextForm::Plain).is_blank());
    }

    #[test]
    fn text_that_is_no_string_content_does_not_panic() {
        for raw in ["\\", "\\u", "\\u12", "\\x", "a\\ué", "\\ud800\\u"] {
            let _ = Text::new(raw, TextForm::Escaped).to_cow();
        }
    }
}
