//! The buffer one message is written in.

/// Bytes with a cursor. Everything behind the cursor is spare room that is zeroed once and then reused, so that
/// the encoder can write whole blocks and move the cursor by less.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    at: usize,
}

impl Scratch {
    /// Room of at least `length` bytes from `at` on.
    #[inline]
    pub(crate) fn room(&mut self, at: usize, length: usize) -> &mut [u8] {
        if self.bytes.len().saturating_sub(at) < length {
            self.grow(at + length);
        }
        &mut self.bytes[at..]
    }

    /// The next `N` bytes from `at` on, if there is room for them already.
    #[inline(always)]
    pub(crate) fn window<const N: usize>(&mut self, at: usize) -> Option<&mut [u8; N]> {
        self.bytes.get_mut(at..)?.first_chunk_mut()
    }

    /// Copies `bytes` to `at`. Returns how many they are.
    #[inline(always)]
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) -> usize {
        self.room(at, bytes.len())[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    }

    /// Copies `bytes` to the cursor.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.at += self.write(self.at, bytes);
    }

    /// Moves the cursor.
    pub(crate) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// Where the cursor stands.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The bytes written from `from` to `to`.
    pub(crate) fn slice(&self, from: usize, to: usize) -> &[u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// Gives memory back that only one huge message needed.
    pub(crate) fn shrink(&mut self, retain: usize) {
        if self.bytes.len() > retain {
            self.bytes.truncate(retain);
            self.bytes.shrink_to_fit();
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, length: usize) {
        let length = length.max(self.bytes.len() * 2).max(SMALLEST);
        self.bytes.resize(length, 0);
    }
}

const SMALLEST: usize = 2048;
