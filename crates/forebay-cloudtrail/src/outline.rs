//! [`Outline`]: where a value ends, judged by quotes and brackets alone and resumable at any byte; and where reading can start
//! again behind a value that is broken.

use crate::scan::plain_run;

/// Follows one value to its end. Does not check it: that is done once it is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline {
    at: usize,
    depth: u32,
    in_string: bool,
    scalar: bool,
}

impl Outline {
    /// Begins at the value whose first byte `first` is at `at`.
    pub(crate) const fn new(at: usize, first: u8) -> Self {
        Self {
            at,
            depth: 0,
            in_string: false,
            scalar: !matches!(first, b'{' | b'[' | b'"'),
        }
    }

    /// Goes on; returns the offset behind the value once it is there. `bytes` has the same beginning every time.
    pub(crate) fn run(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.scalar {
            while let Some(byte) = bytes.get(self.at) {
                if matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t') {
                    return Some(self.at);
                }
                self.at += 1;
            }
            return None;
        }
        loop {
            if self.in_string {
                self.at = plain_run(bytes, self.at);
                match bytes.get(self.at)? {
                    b'"' => self.in_string = false,
                    b'\\' => {
                        // Both bytes or none: a cut between them must not hide an escaped quote.
                        bytes.get(self.at + 1)?;
                        self.at += 2;
                        continue;
                    }
                    _ => {}
                }
            } else {
                match bytes.get(self.at)? {
                    b'"' => {
                        self.in_string = true;
                        self.at += 1;
                        continue;
                    }
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {
                        self.at += 1;
                        continue;
                    }
                }
            }
            self.at += 1;
            if self.depth == 0 && !self.in_string {
                return Some(self.at);
            }
        }
    }

    /// Says that the first `length` bytes are gone.
    pub(crate) fn rebase(&mut self, length: usize) {
        self.at = self.at.saturating_sub(length);
    }
}

/// Where a broken record ends and the next begins, in a list: before the comma of `},{"eventVersion"`, the way CloudTrail begins
/// every record. Looks from `from` on.
pub(crate) fn restart_in_list(bytes: &[u8], from: usize) -> Option<usize> {
    let tail = bytes.get(from..)?;
    memchr::memmem::find_iter(tail, b"\"eventVersion\"").find_map(|hit| {
        let before = before_blank(bytes, from + hit)?;
        let comma = before_blank(
            bytes,
            before
                .checked_sub(1)
                .filter(|_| bytes.get(before - 1) == Some(&b'{'))?,
        )?;
        let comma = comma
            .checked_sub(1)
            .filter(|&comma| bytes.get(comma) == Some(&b','))?;
        let brace = before_blank(bytes, comma)?;
        (brace > 0 && bytes.get(brace - 1) == Some(&b'}')).then_some(comma)
    })
}

/// The same between top-level values: a line that begins with a brace, where the line before does not ask for more.
pub(crate) fn restart_at_line(bytes: &[u8], from: usize) -> Option<usize> {
    let from = before_blank(bytes, from.min(bytes.len()))?;
    let tail = bytes.get(from..)?;
    memchr::memchr_iter(b'\n', tail)
        .map(|hit| from + hit)
        .find(|&newline| {
            let rest = bytes.get(newline + 1..).unwrap_or_default();
            let next = rest.iter().find(|byte| !is_blank(**byte));
            let last = before_blank(bytes, newline).and_then(|end| bytes.get(end.checked_sub(1)?));
            next == Some(&b'{') && !matches!(last, Some(b',' | b'[' | b':') | None)
        })
}

/// Offset behind the last byte before `end` that is not blank.
fn before_blank(bytes: &[u8], end: usize) -> Option<usize> {
    let head = bytes.get(..end)?;
    Some(
        head.iter()
            .rposition(|byte| !is_blank(*byte))
            .map_or(0, |last| last + 1),
    )
}

/// White space of JSON.
pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
