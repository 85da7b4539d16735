use wide::u8x16;

/// Where the columns of one line stand. No heap: copying it is copying a few hundred bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    spans: [Span; MAX_COLUMNS],
    found: u16,
}

impl Columns {
    pub(crate) const fn new() -> Self {
        Self {
            spans: [Span { start: 0, end: 0 }; MAX_COLUMNS],
            found: 0,
        }
    }

    /// Finds the columns of `line`, which must not be longer than [`MAX_LINE`] (what lies beyond would be misplaced).
    ///
    /// Blocks of 64 bytes become one bit mask of blanks each, and a loop takes the bits: one hard-to-predict
    /// branch per block, where a loop over bytes or words has one per column.
    #[inline(never)]
    pub(crate) fn read(&mut self, line: &[u8]) {
        let mut cursor = Cursor {
            spans: &mut self.spans,
            found: 0,
            start: 0,
        };
        let mut blocks = line.chunks_exact(BLOCK);
        let mut base = 0;
        for block in &mut blocks {
            if let Some(block) = block.first_chunk() {
                cursor.take(block, 0, base);
            }
            base += BLOCK;
        }
        let rest = blocks.remainder();
        if !rest.is_empty() {
            // The last block overlaps the one before it; the bits seen already are shifted out.
            if let Some(block) = line.last_chunk() {
                cursor.take(block, BLOCK - rest.len(), base);
            } else {
                let mut block = [b'x'; BLOCK];
                for (to, from) in block.iter_mut().zip(rest) {
                    *to = *from;
                }
                cursor.take(&block, 0, base);
            }
        }
        cursor.cut(line.len());
        self.found = cursor.found as u16;
    }

    /// How many columns the line has, also beyond those kept.
    pub(crate) const fn found(&self) -> usize {
        self.found as usize
    }

    /// Start and end of a column. Beyond the last column they are the same.
    #[inline]
    pub(crate) fn bounds(&self, column: usize) -> (usize, usize) {
        match self.spans.get(column) {
            Some(span) => (usize::from(span.start), usize::from(span.end)),
            None => (0, 0),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u16,
    end: u16,
}

struct Cursor<'s> {
    spans: &'s mut [Span; MAX_COLUMNS],
    found: usize,
    start: usize,
}

impl Cursor<'_> {
    /// Takes the blanks of one block that begins at `base`, leaving out its first `skip` bytes.
    #[inline(always)]
    fn take(&mut self, block: &[u8; BLOCK], skip: usize, base: usize) {
        let mut hits = blanks(block) >> skip;
        while hits != 0 {
            self.cut(base + hits.trailing_zeros() as usize);
            hits &= hits - 1;
        }
    }

    /// Ends a column at `end`; between two blanks there is none.
    #[inline(always)]
    fn cut(&mut self, end: usize) {
        if end > self.start {
            if let Some(span) = self.spans.get_mut(self.found) {
                *span = Span {
                    start: self.start as u16,
                    end: end as u16,
                };
            }
            self.found += 1;
        }
        self.start = end + 1;
    }
}

/// One bit per space or tab.
#[inline(always)]
fn blanks(block: &[u8; BLOCK]) -> u64 {
    let (quarters, _) = block.as_chunks();
    quarters.iter().rev().fold(0, |mask, quarter| {
        let quarter = u8x16::new(*quarter);
        let blank = quarter.simd_eq(u8x16::splat(b' ')) | quarter.simd_eq(u8x16::splat(b'\t'));
        mask << 16 | u64::from(blank.to_bitmask())
    })
}

/// All published fields and room for some that are not yet.
pub(crate) const MAX_COLUMNS: usize = 80;
/// So that offsets fit 16 bits.
pub(crate) const MAX_LINE: usize = u16::MAX as usize;

const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(line: &[u8]) {
        let mut columns = Columns::new();
        columns.read(line);
        let expected: Vec<&[u8]> = line
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|column| !column.is_empty())
            .collect();
        assert_eq!(columns.found(), expected.len());
        for (index, expected) in expected.iter().take(MAX_COLUMNS).enumerate() {
            let (start, end) = columns.bounds(index);
            assert_eq!(&line[start..end], *expected, "column {index}");
        }
    }

    #[test]
    fn columns_are_those_of_a_plain_split() {
        check(b"");
        check(b" ");
        check(b"one");
        check(b"  one \t two  ");
        check(b"2 123456789010 eni-102010ab 198.51.100.1 192.0.2.1 443 49152 6 10 840 1439387263 1439387264 ACCEPT OK");
        check("é \u{7f} \" \\ \u{0} \u{1f}".as_bytes());
        check("x ".repeat(200).as_bytes());
    }

    proptest! {
        #[test]
        fn any_line_splits_as_a_plain_split_does(line in proptest::collection::vec(
            prop_oneof![4 => Just(b' '), 1 => Just(b'\t'), 12 => 0x21_u8..0x7f, 1 => any::<u8>()], 0..300))
        {
            check(&line);
        }
    }
}
