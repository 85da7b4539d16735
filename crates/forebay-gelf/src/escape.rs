//! Text into JSON string content, and the scan that decides whether there is anything to do.

use wide::u8x16;

use crate::encode::Escaped;
use crate::scratch::Scratch;

/// Copies `source` to the front of `target` and tells whether it may stand in a JSON string as it is: printable
/// ASCII without `"` and `\`. After `false` the target holds nothing of value.
#[inline(always)]
pub(crate) fn copy_clean(target: &mut [u8], source: &[u8]) -> bool {
    let Some(target) = target.get_mut(..source.len()) else {
        return false;
    };
    // Two overlapping blocks cover every length of a class, so that no length needs a loop over bytes.
    if let (Some(head), Some(tail)) = (source.first_chunk::<16>(), source.last_chunk::<16>()) {
        let mut dirty = dirty_bytes(u8x16::new(*tail));
        if let (Some(first), true) = (target.first_chunk_mut::<16>(), source.len() <= 32) {
            *first = *head;
            dirty |= dirty_bytes(u8x16::new(*head));
        } else {
            let (blocks, _) = source.as_chunks::<16>();
            for (to, from) in target.chunks_exact_mut(16).zip(blocks) {
                to.copy_from_slice(from);
                dirty |= dirty_bytes(u8x16::new(*from));
            }
        }
        if let Some(last) = target.last_chunk_mut::<16>() {
            *last = *tail;
        }
        return dirty.to_bitmask() == 0;
    }
    if let (Some(head), Some(tail)) = (source.first_chunk::<8>(), source.last_chunk::<8>()) {
        if let Some(first) = target.first_chunk_mut::<8>() {
            *first = *head;
        }
        if let Some(last) = target.last_chunk_mut::<8>() {
            *last = *tail;
        }
        let head = dirty_bytes_of_word(u64::from_le_bytes(*head));
        return head | dirty_bytes_of_word(u64::from_le_bytes(*tail)) == 0;
    }
    if let (Some(head), Some(tail)) = (source.first_chunk::<4>(), source.last_chunk::<4>()) {
        if let Some(first) = target.first_chunk_mut::<4>() {
            *first = *head;
        }
        if let Some(last) = target.last_chunk_mut::<4>() {
            *last = *tail;
        }
        let both =
            u64::from(u32::from_le_bytes(*head)) << 32 | u64::from(u32::from_le_bytes(*tail));
        return dirty_bytes_of_word(both) == 0;
    }
    match (target, source) {
        ([], []) => true,
        ([to], [from]) => {
            *to = *from;
            is_clean(*from)
        }
        ([to_first, to_second], [first, second]) => {
            (*to_first, *to_second) = (*first, *second);
            is_clean(*first) & is_clean(*second)
        }
        ([to_first, to_second, to_third], [first, second, third]) => {
            (*to_first, *to_second, *to_third) = (*first, *second, *third);
            is_clean(*first) & is_clean(*second) & is_clean(*third)
        }
        _ => false,
    }
}

/// Whether `text` may stand in a JSON string as it is.
#[inline]
pub(crate) fn is_clean_text(text: &[u8]) -> bool {
    // The last block overlaps the one before it.
    let Some(tail) = text.last_chunk() else {
        return text.iter().all(|byte| is_clean(*byte));
    };
    let (blocks, _) = text.as_chunks();
    let blocks = blocks.iter().map(|block| dirty_bytes(u8x16::new(*block)));
    let dirty = blocks.fold(dirty_bytes(u8x16::new(*tail)), |dirty, block| dirty | block);
    dirty.to_bitmask() == 0
}

/// What became of one text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Written {
    /// Bytes of the source that were not written because the limit was reached.
    pub(crate) cut: usize,
    /// Pieces of the source that were not text, or not JSON text, and had to be replaced.
    pub(crate) replaced: u32,
}

/// Writes `source` as JSON string content, at most `limit` bytes of it as the receiver will count them.
///
/// Invalid UTF-8 becomes U+FFFD and is counted. `"`, `\` and control characters are escaped, which is no repair; in text that
/// should be content already it is one, where they belong to no escape.
pub(crate) fn escape(
    target: &mut Scratch,
    source: &[u8],
    escaped: Escaped,
    limit: usize,
) -> Written {
    if source.len() <= limit && put_ascii(target, source, escaped) {
        return Written::default();
    }
    let (mut room, mut replaced, mut rest) = (limit, 0, source.len());
    for chunk in source.utf8_chunks() {
        let valid = chunk.valid();
        let used = match escaped {
            Escaped::No => {
                let valid = cut_at(valid, room);
                escape_valid(target, valid.as_bytes());
                room -= valid.len();
                valid.len()
            }
            Escaped::Already => copy_content(target, valid, &mut room, &mut replaced),
        };
        rest -= used;
        if used < valid.len() {
            break;
        }
        if !chunk.invalid().is_empty() {
            if room < REPLACEMENT.len() {
                break;
            }
            target.put(REPLACEMENT);
            room -= REPLACEMENT.len();
            rest -= chunk.invalid().len();
            replaced += 1;
        }
    }
    Written {
        cut: rest,
        replaced,
    }
}

/// Copies what should be JSON string content and repairs what is not, as far as there is room. Returns how much of it was
/// used.
fn copy_content(target: &mut Scratch, source: &str, room: &mut usize, replaced: &mut u32) -> usize {
    let mut rest = source;
    while !rest.is_empty() {
        let run = cut_at(&rest[..find_special(rest.as_bytes())], *room);
        target.put(run.as_bytes());
        *room -= run.len();
        rest = &rest[run.len()..];
        let Some(&special) = rest.as_bytes().first() else {
            break;
        };
        if *room == 0 || is_plain(special) {
            break;
        }
        let (length, decoded) = match read_escape(rest.as_bytes()) {
            Some((length, decoded)) if decoded <= *room => {
                target.put(&rest.as_bytes()[..length]);
                (length, decoded)
            }
            Some(_) => break,
            None => {
                let Some((length, text)) = repair_escape(rest.as_bytes(), *room) else {
                    break;
                };
                *replaced += 1;
                match text {
                    Some(text) => {
                        target.put(text);
                        (length, text.len())
                    }
                    None => {
                        escape_valid(target, &[special]);
                        (length, 1)
                    }
                }
            }
        };
        *room -= decoded;
        rest = &rest[length..];
    }
    source.len() - rest.len()
}

/// Writes `source` in one pass if it is ASCII and needs escapes of two bytes only, as nearly all text does. Nothing is
/// written after `false`.
fn put_ascii(target: &mut Scratch, source: &[u8], escaped: Escaped) -> bool {
    let start = target.at();
    // Escaping doubles a text at most: piece by piece, so that little room is taken for that.
    let piece = match escaped {
        Escaped::No => 512,
        Escaped::Already => source.len().max(1),
    };
    for piece in source.chunks(piece) {
        let at = target.at();
        let most = match escaped {
            Escaped::No => 2 * piece.len(),
            Escaped::Already => piece.len(),
        };
        let Some(length) = copy_ascii(target.room(at, most + 16), piece, escaped) else {
            target.seek(start);
            return false;
        };
        target.seek(at + length);
    }
    true
}

/// Copies sixteen bytes at a time, up to the next escape. Returns how much was written; `None` if other means are needed.
#[inline(always)]
fn copy_ascii(target: &mut [u8], source: &[u8], escaped: Escaped) -> Option<usize> {
    let mut written = 0;
    let mut rest = source;
    loop {
        let (block, length) = match rest.first_chunk() {
            Some(block) => (*block, block.len()),
            None if rest.is_empty() => return Some(written),
            None => {
                let mut block = [b' '; 16];
                block[..rest.len()].copy_from_slice(rest);
                (block, rest.len())
            }
        };
        let target = target.get_mut(written..)?;
        *target.first_chunk_mut()? = block;
        let dirty = dirty_bytes(u8x16::new(block)).to_bitmask();
        if dirty == 0 {
            written += length;
            rest = &rest[length..];
            continue;
        }
        let clean = dirty.trailing_zeros() as usize;
        let (used, escape) = match escaped {
            Escaped::No => (1, short_escape(*block.get(clean)?)?),
            Escaped::Already => match rest.get(clean..clean + 2)? {
                [
                    b'\\',
                    escape @ (b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'),
                ] => (2, *escape),
                _ => return None,
            },
        };
        *target.get_mut(clean..)?.first_chunk_mut()? = [b'\\', escape];
        written += clean + 2;
        rest = &rest[clean + used..];
    }
}

/// What stands behind the backslash for a byte that has an escape of two bytes.
#[inline(always)]
const fn short_escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        0x08 => Some(b'b'),
        0x0c => Some(b'f'),
        _ => None,
    }
}

/// Whether JSON string content is blank to a receiver: nothing but whitespace and control characters.
///
/// Wider than each receiver's own rule (Java has two), so that "not blank" here is not blank anywhere.
pub(crate) fn is_blank(content: &[u8]) -> bool {
    match content.first() {
        Some(first) if is_clean(*first) && *first != b' ' => return false,
        _ => {}
    }
    let mut rest = content;
    while let Some(&first) = rest.first() {
        if first == b'\\' {
            let Some((length, unit)) = read_unit(rest) else {
                return false;
            };
            if !char::from_u32(u32::from(unit)).is_some_and(is_blank_char) {
                return false;
            }
            rest = &rest[length..];
        } else {
            // Content was written by this crate: whole characters.
            let next = &rest[..rest.len().min(4)];
            let text = next.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            let Some(character) = text.chars().next() else {
                return false;
            };
            if !is_blank_char(character) {
                return false;
            }
            rest = &rest[character.len_utf8()..];
        }
    }
    true
}

/// Whether `text` is blank in the same sense.
pub(crate) fn is_blank_text(text: &str) -> bool {
    text.chars().all(is_blank_char)
}

/// The longest start of `text` of at most `limit` bytes that ends between characters.
pub(crate) fn cut_at(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Length of the JSON escape at the front of `content` and the bytes it decodes to; `None` if it is not one.
pub(crate) fn read_escape(content: &[u8]) -> Option<(usize, usize)> {
    let (length, unit) = read_unit(content)?;
    match unit {
        0xd800..=0xdbff => {
            let (second, low) = read_unit(content.get(length..)?)?;
            matches!(low, 0xdc00..=0xdfff).then_some((length + second, 4))
        }
        _ => char::from_u32(u32::from(unit)).map(|character| (length, character.len_utf8())),
    }
}

/// One escape as its length and UTF-16 code unit.
fn read_unit(content: &[u8]) -> Option<(usize, u16)> {
    let (b'\\', rest) = content.split_first()? else {
        return None;
    };
    let unit = match rest.first()? {
        byte @ (b'"' | b'\\' | b'/') => u16::from(*byte),
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => 0x0a,
        b'r' => 0x0d,
        b't' => 0x09,
        b'u' => {
            let mut unit = 0;
            for digit in rest.get(1..5)? {
                let digit = char::from(*digit).to_digit(16)?;
                unit = unit << 4 | u16::try_from(digit).ok()?;
            }
            return Some((6, unit));
        }
        _ => return None,
    };
    Some((2, unit))
}

/// For a byte that JSON text must not hold as it is: its length, and the text that takes its place (`None`: the
/// byte itself, escaped). `None` overall if the room does not suffice.
fn repair_escape(rest: &[u8], room: usize) -> Option<(usize, Option<&'static [u8]>)> {
    // A lone surrogate is an escape by its form, but no character.
    if let Some((length, _)) = read_unit(rest) {
        return (room >= REPLACEMENT.len()).then_some((length, Some(REPLACEMENT)));
    }
    (room >= 1).then_some((1, None))
}

/// `source` is valid UTF-8.
fn escape_valid(target: &mut Scratch, source: &[u8]) {
    let mut rest = source;
    loop {
        let end = find_special(rest);
        target.put(&rest[..end]);
        let Some(&special) = rest.get(end) else {
            return;
        };
        match short_escape(special) {
            Some(escape) => target.put(&[b'\\', escape]),
            None => {
                let digit = |nibble: u8| HEX[usize::from(nibble & 0x0f)];
                target.put(&[b'\\', b'u', b'0', b'0', digit(special >> 4), digit(special)]);
            }
        }
        rest = &rest[end + 1..];
    }
}

/// Offset of the first `"`, `\` or control character, or the length.
fn find_special(source: &[u8]) -> usize {
    let (blocks, rest) = source.as_chunks();
    let mut at = 0;
    for block in blocks {
        let special = special_bytes(u8x16::new(*block)).to_bitmask();
        if special != 0 {
            return at + special.trailing_zeros() as usize;
        }
        at += block.len();
    }
    at + rest.iter().take_while(|byte| is_plain(**byte)).count()
}

fn is_blank_char(character: char) -> bool {
    character <= ' ' || character.is_whitespace()
}

/// May stand in a JSON string as it is, if the text around it is valid UTF-8.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

pub(crate) const fn is_clean(byte: u8) -> bool {
    !is_dirty(byte)
}

#[inline(always)]
const fn is_dirty(byte: u8) -> bool {
    // Turning the second bit over makes a quote 0x20, and everything else that is clean lies above. As a signed number
    // everything outside ASCII lies below.
    ((byte ^ 2) as i8 <= 0x20) | (byte == b'\\')
}

/// High bits mark `"`, `\` and control characters.
#[inline(always)]
fn special_bytes(block: u8x16) -> u8x16 {
    block.min(u8x16::splat(0x1f)).simd_eq(block)
        | block.simd_eq(u8x16::splat(b'"'))
        | block.simd_eq(u8x16::splat(b'\\'))
}

/// As `special_bytes`, and bytes outside ASCII, whose high bits are set anyway.
#[inline(always)]
fn dirty_bytes(block: u8x16) -> u8x16 {
    special_bytes(block) | block
}

/// High bits mark `"`, `\`, control characters and bytes outside ASCII. See `is_dirty` for the second bit.
#[inline(always)]
const fn dirty_bytes_of_word(word: u64) -> u64 {
    let quote_or_control = (word ^ (ONES * 2)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (quote_or_control | backslash | word) & (ONES << 7)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
const HEX: [u8; 16] = *b"0123456789abcdef";
