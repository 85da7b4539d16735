//! Makes a message that is too long for a transport fit.

use std::ops::Range;

use crate::escape::read_escape;

/// Cuts the longest texts of an encoded message until it has at most `limit` bytes, and appends it to `target`.
///
/// Texts are cut between characters and escapes, the longest first; `_truncated_bytes` says how many bytes of JSON text
/// are missing, with what the encoder had cut. Gives that number, or `None` (and appends nothing) if even empty texts would not make it fit, or if
/// `message` is not the output of an [`Encoder`](crate::Encoder).
///
/// ```
/// use forebay_gelf::{Encoder, shorten};
///
/// let mut encoder = Encoder::default();
/// let mut message = encoder.begin("web-1");
/// message.short_message("dump").full_message("x".repeat(100_000));
/// let long = message.finish()?;
/// let mut short = Vec::new();
/// assert!(shorten(long.as_bytes(), 60 * 1024, &mut short).is_some());
/// assert!(short.len() <= 60 * 1024 && short.ends_with(b"}"));
/// # Ok::<(), forebay_gelf::EncodeError>(())
/// ```
pub fn shorten(message: &[u8], limit: usize, target: &mut Vec<u8>) -> Option<u64> {
    if message.len() <= limit {
        target.extend_from_slice(message);
        return Some(0);
    }
    let body = message.strip_suffix(b"}")?;
    // What the encoder cut already is told in the same place.
    let (body, before) = split_note(body);
    let texts = texts(body)?;
    // Room for the note is kept from the start; its number has at most 20 digits.
    let excess = body.len() + NOTE.len() + 21;
    let excess = excess
        .checked_sub(limit)
        .filter(|excess| *excess > 0)
        .unwrap_or(1);
    let ceiling = ceiling(&texts, excess)?;
    let start = target.len();
    let (mut copied, mut removed) = (0, before);
    for text in texts {
        let kept = whole_start(&body[text.clone()], ceiling);
        let cut = text.start + kept;
        target.extend_from_slice(&body[copied..cut]);
        removed += (text.end - cut) as u64;
        copied = text.end;
    }
    target.extend_from_slice(&body[copied..]);
    target.extend_from_slice(NOTE);
    target.extend_from_slice(itoa::Buffer::new().format(removed).as_bytes());
    target.push(b'}');
    if target.len() - start > limit {
        target.truncate(start);
        return None;
    }
    Some(removed)
}

/// Takes the note of the encoder off the end, if there is one.
fn split_note(body: &[u8]) -> (&[u8], u64) {
    let digits = body.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let (head, digits) = body.split_at(body.len() - digits.count());
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok());
    match (head.strip_suffix(NOTE), number) {
        (Some(head), Some(number)) => (head, number),
        _ => (body, 0),
    }
}

/// The length to which texts must be cut so that `excess` bytes go. Each text keeps one byte at least: an empty
/// `short_message` would lose the whole message.
fn ceiling(texts: &[Range<usize>], excess: usize) -> Option<usize> {
    let removed = |ceiling: usize| {
        texts
            .iter()
            .map(|text| text.len().saturating_sub(ceiling))
            .sum::<usize>()
    };
    let (mut low, mut high) = (SHORTEST, texts.iter().map(ExactSizeIterator::len).max()?);
    if removed(low) < excess {
        return None;
    }
    // The largest ceiling that removes enough.
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if removed(middle) >= excess {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Some(low)
}

/// Where the texts of all members but `version` and `host` stand in `body`.
fn texts(body: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut texts = Vec::new();
    let mut at = 1;
    while at < body.len() {
        let name = string_at(body, at)?;
        at = name.end + 2;
        if body.get(at) == Some(&b'"') {
            let value = string_at(body, at)?;
            at = value.end + 2;
            if !matches!(&body[name], b"version" | b"host") {
                texts.push(value);
            }
        } else {
            at = memchr::memchr(b',', &body[at.min(body.len())..])
                .map_or(body.len(), |offset| at + offset)
                + 1;
        }
    }
    Some(texts)
}

/// The content of the JSON string whose opening quote stands at `at`.
fn string_at(body: &[u8], at: usize) -> Option<Range<usize>> {
    if body.get(at) != Some(&b'"') {
        return None;
    }
    let start = at + 1;
    let mut end = start;
    loop {
        end += memchr::memchr2(b'"', b'\\', body.get(end..)?)?;
        if body[end] == b'"' {
            return Some(start..end);
        }
        end += 2;
    }
}

/// Length of the longest start of `text` within `limit` that ends between characters and escapes.
fn whole_start(text: &[u8], limit: usize) -> usize {
    if text.len() <= limit {
        return text.len();
    }
    let mut end = 0;
    while let Some(&first) = text.get(end) {
        let length = match first {
            b'\\' => read_escape(&text[end..]).map_or(2, |(length, _)| length),
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        if end + length > limit {
            break;
        }
        end += length;
    }
    end
}

const NOTE: &[u8] = b",\"_truncated_bytes\":";
/// No text is cut below this: the longest escape, a surrogate pair, has 12 bytes.
const SHORTEST: usize = 32;
