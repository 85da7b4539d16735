//! A deterministic id for every message, so that duplicates of at-least-once delivery can be seen and removed.

/// Hash of where a message came from: the same origin gives the same id, in every process and version.
///
/// FNV-1a with 128 bits: no defence against an attacker, who could write duplicates anyway; collisions by chance
/// are out of reach.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MessageId(u128);

impl MessageId {
    /// The id of nothing; parts are added to it.
    pub(crate) const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Adds a part of the origin. Parts are kept apart by a byte that UTF-8 never contains.
    #[must_use]
    pub(crate) fn text(self, part: &[u8]) -> Self {
        part.iter().fold(self, |id, &byte| id.byte(byte)).byte(0xff)
    }

    /// Adds a number.
    #[must_use]
    pub(crate) fn number(self, number: u64) -> Self {
        number.to_le_bytes().into_iter().fold(self, Self::byte)
    }

    /// Adds the index of an event within its record.
    #[must_use]
    pub(crate) fn index(self, index: u32) -> Self {
        index.to_le_bytes().into_iter().fold(self, Self::byte)
    }

    /// The id as 32 hexadecimal digits.
    pub(crate) fn digits(self) -> [u8; 32] {
        // Without a table, so that the compiler can take 16 bytes at a time.
        let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
        }
        digits
    }

    const fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u128).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // Test vector of the FNV reference: FNV-1a 128 of "a".
        let id = MessageId::new().byte(b'a');
        assert_eq!(&id.digits(), b"d228cb696f1a8caf78912b704e4a8964");
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(
            MessageId::new().text(b"ab").text(b"c"),
            MessageId::new().text(b"a").text(b"bc")
        );
        assert_ne!(MessageId::new().index(1), MessageId::new().index(2));
    }
}
