//! A line of text of which parts become values.

use std::ops::Range;

use crate::escape::{is_clean, is_clean_text};

/// A line that was looked through once, so that its parts need not be when they are written.
///
/// Most log lines hold nothing that JSON would have to escape. The parts of such a line are copied as blocks of a
/// constant size by [`MessageWriter::parts`](crate::MessageWriter::parts) and
/// [`TextWriter::push_parts`](crate::TextWriter::push_parts). Both stop where that cannot be done, and the caller writes
/// that one part as any other text; so the output does not depend on it.
///
/// ```
/// use forebay_gelf::{Encoder, FieldName, Line, Literal, PartField, Piece};
///
/// static NOTHING: Literal = Literal::new("");
/// static BLANK: Literal = Literal::new(" ");
/// let names = ["action", "dst_port"].map(FieldName::repaired);
/// let fields = [PartField::text(&names[0], 0), PartField::number(&names[1], 65_535, 1)];
///
/// let line = Line::new(b"ACCEPT 443");
/// let span = |column: usize| [0..6, 7..10][column].clone();
/// let mut encoder = Encoder::default();
/// let mut message = encoder.begin("router");
/// message.short_message_with(|text| {
///     let pieces = [Piece::new(&NOTHING, 1), Piece::new(&BLANK, 0)];
///     let mut next = 0;
///     while next < pieces.len() {
///         next += text.push_parts(&pieces[next..], &line, span);
///         if let Some(piece) = pieces.get(next) {
///             text.push(piece.before()).push(line.part(span(piece.column())));
///             next += 1;
///         }
///     }
/// });
/// let mut next = 0;
/// while next < fields.len() {
///     next += message.parts(&fields[next..], &line, span);
///     if next < fields.len() {
///         message.text(&names[next], line.part(span(next)));
///         next += 1;
///     }
/// }
/// let json = message.finish()?;
/// assert!(json.as_str().ends_with(r#""short_message":"443 ACCEPT","_action":"ACCEPT","_dst_port":"443"}"#));
/// # Ok::<(), forebay_gelf::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    text: &'a [u8],
    /// The same text and what follows it.
    context: &'a [u8],
    clean: bool,
}

impl<'a> Line<'a> {
    /// Looks through `text`.
    #[inline]
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self::within(text, text.len())
    }

    /// Looks through the first `length` bytes of `context`. What follows them is no part of the line, but its being there
    /// lets parts at the end of the line be copied as the others are.
    #[inline]
    #[must_use]
    pub fn within(context: &'a [u8], length: usize) -> Self {
        let text = context.get(..length).unwrap_or(context);
        Self {
            text,
            context,
            clean: is_clean_text(text),
        }
    }

    /// A part of the line; nothing if the range lies outside.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> &'a [u8] {
        self.text.get(range).unwrap_or_default()
    }

    /// Whether parts can be copied as they are.
    #[inline(always)]
    pub(crate) const fn is_clean(&self) -> bool {
        self.clean
    }

    /// Bytes that begin with a part of 1 to [`BLOCK`] bytes and the length of the part; `None` for a longer, empty, or
    /// bad range, and too close to the end of the context.
    #[inline(always)]
    pub(crate) fn block(&self, range: Range<usize>) -> Option<(&'a [u8; BLOCK], usize)> {
        let length = range.end.wrapping_sub(range.start);
        if length.wrapping_sub(1) >= BLOCK || range.end > self.text.len() {
            return None;
        }
        let block = self.context.get(range.start..)?.first_chunk()?;
        Some((block, length))
    }
}

/// A short text that is known when the program is written.
#[derive(Clone, Copy, Debug)]
pub struct Literal {
    block: [u8; BLOCK],
    length: u8,
}

impl Literal {
    /// Longest text, in bytes.
    pub const MAX_BYTES: usize = BLOCK - 1;

    /// Meant for `static` and `const` items.
    ///
    /// # Panics
    /// If `text` is longer than [`MAX_BYTES`](Self::MAX_BYTES), or JSON would have to escape it. In a `static` or
    /// `const` item that is a compile error.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        let text = text.as_bytes();
        assert!(text.len() <= Self::MAX_BYTES, "too long for a literal");
        let mut block = [b' '; BLOCK];
        let mut at = 0;
        while at < text.len() {
            assert!(is_clean(text[at]), "a literal must be plain ASCII");
            block[at] = text[at];
            at += 1;
        }
        Self {
            block,
            length: text.len() as u8,
        }
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.block.split_at(self.length.into()).0
    }

    #[inline(always)]
    pub(crate) const fn block(&self) -> (&[u8; BLOCK], usize) {
        // No more than it is, for the compiler to see.
        (&self.block, self.length as usize % BLOCK)
    }
}

impl AsRef<[u8]> for Literal {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// A part of a line in a text and the literal before it, for
/// [`TextWriter::push_parts`](crate::TextWriter::push_parts).
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    before: &'a Literal,
    column: u8,
    special: Option<u8>,
}

impl<'a> Piece<'a> {
    /// The part in a column behind a literal.
    #[must_use]
    #[inline]
    pub const fn new(before: &'a Literal, column: u8) -> Self {
        Self {
            before,
            column,
            special: None,
        }
    }

    /// Leaves parts of this one byte to the caller.
    #[must_use]
    #[inline]
    pub const fn except(mut self, part: u8) -> Self {
        self.special = Some(part);
        self
    }

    /// The literal before the part.
    #[must_use]
    #[inline(always)]
    pub const fn before(&self) -> &'a Literal {
        self.before
    }

    /// Whether parts of some byte are left to the caller.
    #[must_use]
    pub const fn is_except(&self) -> bool {
        self.special.is_some()
    }

    /// The column of the part.
    #[must_use]
    #[inline(always)]
    pub const fn column(&self) -> usize {
        self.column as usize
    }

    /// Writes the piece to the front of `target`; `None` if it takes more than a copy. Returns the length.
    #[inline(always)]
    pub(crate) fn write(
        &self,
        line: &Line<'_>,
        range: Range<usize>,
        target: &mut [u8; 2 * BLOCK],
    ) -> Option<usize> {
        let (block, length) = line.block(range)?;
        if length == 1 && self.special == Some(block[0]) {
            return None;
        }
        let (literal, start) = self.before.block();
        target[..BLOCK].copy_from_slice(literal);
        target[start..][..BLOCK].copy_from_slice(block);
        Some(start + length)
    }
}

/// As long as the longest identifiers in log lines, and two vector registers.
pub(crate) const BLOCK: usize = 32;
