//! Fields that many messages share, rendered once.

use crate::encode::Encoder;
use crate::field_name::FieldName;
use crate::repairs::Repairs;
use crate::writer::MessageWriter;

/// Additional fields rendered ahead of time, for [`MessageWriter::fields`].
///
/// ```
/// use forebay_gelf::{Encoder, FieldBlock, FieldName};
///
/// let environment = FieldName::new("environment")?;
/// let block = FieldBlock::new().text(&environment, "prod");
/// let mut encoder = Encoder::default();
/// let mut message = encoder.begin("web-1");
/// message.short_message("started").fields(&block);
/// assert!(message.finish()?.as_str().ends_with(r#","_environment":"prod"}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldBlock {
    bytes: Vec<u8>,
    fields: usize,
    repaired: bool,
    repairs: Repairs,
}

impl FieldBlock {
    /// A block without fields.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            fields: 0,
            repaired: false,
            repairs: Repairs::NONE,
        }
    }

    /// Adds a text; a blank one is left out.
    #[must_use]
    pub fn text(self, name: &FieldName, value: impl AsRef<[u8]>) -> Self {
        self.with(|writer| {
            writer.text(name, value);
        })
    }

    /// Adds the text `true` or `false`.
    #[must_use]
    pub fn boolean(self, name: &FieldName, value: bool) -> Self {
        self.with(|writer| {
            writer.boolean(name, value);
        })
    }

    /// Adds an integer.
    #[must_use]
    pub fn integer(self, name: &FieldName, value: i64) -> Self {
        self.with(|writer| {
            writer.integer(name, value);
        })
    }

    /// Adds a floating point number, unless it is not finite.
    #[must_use]
    pub fn float(self, name: &FieldName, value: f64) -> Self {
        self.with(|writer| {
            writer.float(name, value);
        })
    }

    /// Number of fields.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.fields
    }

    /// Whether there are no fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fields == 0
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was changed in the fields; counted for every message that takes them.
    #[inline]
    pub(crate) fn repairs(&self) -> Option<Repairs> {
        self.repaired.then_some(self.repairs)
    }

    /// Starts over, in the same memory.
    pub(crate) fn set(&mut self, fields: usize, bytes: &[u8], repairs: Repairs) {
        self.bytes.clear();
        (self.fields, self.repaired, self.repairs) = (0, false, Repairs::NONE);
        self.add(fields, bytes, repairs);
    }

    fn add(&mut self, fields: usize, bytes: &[u8], repairs: Repairs) {
        self.bytes.extend_from_slice(bytes);
        self.fields += fields;
        self.repairs += repairs;
        self.repaired = !self.repairs.is_empty();
    }

    fn with(mut self, write: impl FnOnce(&mut MessageWriter<'_>)) -> Self {
        let mut encoder = Encoder::default();
        let (fields, bytes, repairs) = encoder.fields(write);
        self.add(fields, bytes, repairs);
        self
    }
}
