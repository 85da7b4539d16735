//! [`Window`]: the stretch of text that was read and is still needed.

/// A buffer that is filled at its end and used up at its beginning. It grows only when one record needs more room.
#[derive(Debug, Default)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the text of the first unread byte.
    offset: u64,
}

impl Window {
    /// What was read and not yet used.
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Offset in the text of the first unread byte.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Offset in the text of the byte that comes next.
    pub(crate) const fn end_offset(&self) -> u64 {
        self.offset + (self.end - self.start) as u64
    }

    /// Uses up bytes.
    pub(crate) fn skip(&mut self, length: usize) {
        let length = length.min(self.end - self.start);
        self.start += length;
        self.offset += length as u64;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room at the end, at least `least` bytes of it. What is unread moves to the front: that is less than one record.
    pub(crate) fn spare(&mut self, least: usize) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let wanted = self.end.saturating_add(least).max(FIRST_SIZE);
        if self.bytes.len() < wanted {
            let size = if self.bytes.is_empty() {
                wanted
            } else {
                wanted.max(self.bytes.len().saturating_mul(2))
            };
            self.bytes.reserve_exact(size - self.bytes.len());
            self.bytes.resize(size, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that `length` bytes of the room are filled.
    pub(crate) fn filled(&mut self, length: usize) {
        self.end = self.end.saturating_add(length).min(self.bytes.len());
    }

    /// Appends text.
    pub(crate) fn feed(&mut self, text: &[u8]) {
        let room = self.spare(text.len());
        if let Some(room) = room.get_mut(..text.len()) {
            room.copy_from_slice(text);
            self.filled(text.len());
        }
    }
}

/// Seven records of the usual size. With the 47.5 KB of the inflater and what an encoder needs, more would take the reader over 64 KiB
/// (`tests/memory.rs`), though 24 KB would be 2 % faster still (docs/decisions/0021).
const FIRST_SIZE: usize = 10 << 10;
