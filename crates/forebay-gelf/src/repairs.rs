//! What an encoder changed so that the receiver keeps the message.

use std::ops::AddAssign;

/// Counts of changes, per message or summed. All zero: the output says exactly what was given.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Repairs {
    /// Pieces of invalid UTF-8, lone surrogates or broken escapes that were replaced.
    pub replaced: u32,
    /// Values cut at [`EncodeLimits::value_bytes`](crate::EncodeLimits::value_bytes).
    pub truncated_values: u32,
    /// Bytes of input that the cuts removed; also sent as `_truncated_bytes`.
    pub truncated_bytes: u64,
    /// Fields beyond [`EncodeLimits::fields`](crate::EncodeLimits::fields), folded into `_surplus_fields`.
    pub surplus_fields: u32,
    /// Values that JSON or the receiver cannot hold (NaN, integers beyond 64 bits, a time before 1970), left out.
    pub refused_values: u32,
    /// Field names that were changed.
    pub renamed: u32,
    /// Second and later values of one member, left out.
    pub duplicates: u32,
}

impl Repairs {
    pub(crate) const NONE: Self = Self {
        replaced: 0,
        truncated_values: 0,
        truncated_bytes: 0,
        surplus_fields: 0,
        refused_values: 0,
        renamed: 0,
        duplicates: 0,
    };

    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Repairs {
    fn add_assign(&mut self, other: Self) {
        self.replaced = self.replaced.saturating_add(other.replaced);
        self.truncated_values = self.truncated_values.saturating_add(other.truncated_values);
        self.truncated_bytes = self.truncated_bytes.saturating_add(other.truncated_bytes);
        self.surplus_fields = self.surplus_fields.saturating_add(other.surplus_fields);
        self.refused_values = self.refused_values.saturating_add(other.refused_values);
        self.renamed = self.renamed.saturating_add(other.renamed);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
    }
}
