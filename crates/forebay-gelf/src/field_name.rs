//! Names of additional fields: GELF 1.1 "additional field" and what Graylog does with them.

use std::fmt;

/// A checked name of an additional field, rendered once as `,"_NAME":"`.
///
/// Writing a field copies these bytes and never looks at the name again. The name is given without the leading
/// underscore that GELF demands: `src_addr` travels as `_src_addr` and is stored as `src_addr`.
///
/// ```
/// use forebay_gelf::FieldName;
///
/// // Checked when the program is compiled.
/// static SOURCE: FieldName = FieldName::literal("src_addr");
/// assert_eq!(SOURCE.as_str(), "src_addr");
/// // Checked at run time.
/// assert!(FieldName::new("id").is_err());
/// assert_eq!(FieldName::repaired("client ip").as_str(), "client_ip");
/// ```
#[derive(Clone, Copy)]
pub struct FieldName {
    /// `,"_`, the name, `":"`, then zeros. A constant size lets short names be copied as one block.
    wire: [u8; Self::ROOM],
    /// Length of `,"_NAME":`, without the opening quote of a text value.
    key: u8,
}

impl FieldName {
    /// Longest name, in bytes, without the leading underscore.
    pub const MAX_BYTES: usize = 128;

    /// Size of the rendered form: three bytes before the name, three after it, rounded up.
    pub(crate) const ROOM: usize = 136;
    /// Names whose rendered form fits here are copied as one block of this size.
    pub(crate) const BLOCK: usize = 32;

    /// Checks `name`.
    ///
    /// # Errors
    /// [`FieldNameError`] tells which rule the name breaks.
    pub const fn new(name: &str) -> Result<Self, FieldNameError> {
        match check(name.as_bytes()) {
            Some(error) => Err(error),
            None => Ok(Self::render(name.as_bytes())),
        }
    }

    /// A name known when the program is written; meant for `static` and `const` items.
    ///
    /// # Panics
    /// If the name breaks a rule. In a `static` or `const` item that is a compile error.
    #[must_use]
    pub const fn literal(name: &str) -> Self {
        match Self::new(name) {
            Ok(name) => name,
            Err(_) => panic!("not a GELF field name: see FieldNameError for the rules"),
        }
    }

    /// A name that only the encoder itself may use.
    pub(crate) const fn own(name: &'static str) -> Self {
        Self::render(name.as_bytes())
    }

    /// Turns any text into a name: other characters become `_`, reserved names get `field_` in front, an empty
    /// name becomes `field`, long names are cut. Two different texts can end as one name.
    #[must_use]
    pub fn repaired(name: &str) -> Self {
        if let Ok(name) = Self::new(name) {
            return name;
        }
        let mut text = [0; Self::MAX_BYTES];
        let mut length = 0;
        for character in name.trim().chars().take(Self::MAX_BYTES) {
            let byte = u8::try_from(character).unwrap_or(b'_');
            text[length] = if is_name_byte(byte) { byte } else { b'_' };
            length += 1;
        }
        if length == 0 {
            return Self::render(b"field");
        }
        let text = &text[..length];
        if !is_reserved(text) {
            return Self::render(text);
        }
        let mut moved = [0; Self::MAX_BYTES];
        let prefix = b"field_";
        let kept = length.min(Self::MAX_BYTES - prefix.len());
        moved[..prefix.len()].copy_from_slice(prefix);
        moved[prefix.len()..prefix.len() + kept].copy_from_slice(&text[..kept]);
        Self::render(&moved[..prefix.len() + kept])
    }

    /// The name without the leading underscore.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.name()).unwrap_or_default()
    }

    /// The name as bytes, without the leading underscore.
    pub(crate) fn name(&self) -> &[u8] {
        &self.wire[3..usize::from(self.key) - 2]
    }

    /// The rendered form with its padding, and the length of `,"_NAME":` in it. A `"` follows.
    #[inline]
    pub(crate) const fn wire(&self) -> (&[u8; Self::ROOM], usize) {
        (&self.wire, self.key as usize)
    }

    /// The rendered form of a short name as one block with its length, the opening quote of a text value not counted.
    #[inline(always)]
    pub(crate) fn block<const N: usize>(&self) -> Option<(&[u8; N], usize)> {
        let key = usize::from(self.key);
        if key < N {
            Some((self.wire.first_chunk()?, key))
        } else {
            None
        }
    }

    /// `name` was checked: at most [`Self::MAX_BYTES`] bytes.
    const fn render(name: &[u8]) -> Self {
        let mut wire = [0; Self::ROOM];
        wire[0] = b',';
        wire[1] = b'"';
        wire[2] = b'_';
        let mut index = 0;
        while index < name.len() {
            wire[3 + index] = name[index];
            index += 1;
        }
        wire[3 + index] = b'"';
        wire[4 + index] = b':';
        wire[5 + index] = b'"';
        Self {
            wire,
            key: (5 + index) as u8,
        }
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FieldName({})", self.as_str())
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl PartialEq for FieldName {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for FieldName {}

impl std::hash::Hash for FieldName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl std::str::FromStr for FieldName {
    type Err = FieldNameError;

    fn from_str(name: &str) -> Result<Self, FieldNameError> {
        Self::new(name)
    }
}

/// Why a text cannot name an additional field.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FieldNameError {
    /// The name is empty: `_` alone names nothing.
    Empty,
    /// Longer than [`FieldName::MAX_BYTES`].
    TooLong {
        /// Length of the name in bytes.
        bytes: usize,
    },
    /// A byte outside `[A-Za-z0-9_.@-]`; Graylog would drop the field.
    Character {
        /// Offset of the byte in the name.
        at: usize,
        /// The byte.
        found: u8,
    },
    /// The name means something to the receiver (`id`, `source`, `gl2_...`) or is one of the encoder's own
    /// (`truncated_bytes`, `surplus_fields`). Sent from log data it could pose as something else.
    Reserved,
}

impl fmt::Display for FieldNameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("the field name is empty"),
            Self::TooLong { bytes } => {
                write!(
                    formatter,
                    "the field name has {bytes} bytes, at most {} are allowed",
                    FieldName::MAX_BYTES
                )
            }
            Self::Character { at, found } => write!(
                formatter,
                "byte 0x{found:02x} at offset {at} of the field name is not one of `A-Z a-z 0-9 _ . @ -`"
            ),
            Self::Reserved => formatter.write_str("the field name is reserved; choose another"),
        }
    }
}

impl std::error::Error for FieldNameError {}

const fn check(name: &[u8]) -> Option<FieldNameError> {
    if name.is_empty() {
        return Some(FieldNameError::Empty);
    }
    if name.len() > FieldName::MAX_BYTES {
        return Some(FieldNameError::TooLong { bytes: name.len() });
    }
    let mut at = 0;
    while at < name.len() {
        if !is_name_byte(name[at]) {
            return Some(FieldNameError::Character {
                at,
                found: name[at],
            });
        }
        at += 1;
    }
    if is_reserved(name) {
        Some(FieldNameError::Reserved)
    } else {
        None
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@' | b'-')
}

/// Compared with `.` read as `_`, because that is what the name becomes in the index: `gl2.source_node` would
/// arrive there as `gl2_source_node`.
const fn is_reserved(name: &[u8]) -> bool {
    if starts_with(name, b"gl2_") {
        return true;
    }
    let mut index = 0;
    while index < RESERVED.len() {
        if RESERVED[index].len() == name.len() && starts_with(name, RESERVED[index]) {
            return true;
        }
        index += 1;
    }
    false
}

const fn starts_with(name: &[u8], prefix: &[u8]) -> bool {
    if name.len() < prefix.len() {
        return false;
    }
    let mut index = 0;
    while index < prefix.len() {
        let byte = if name[index] == b'.' {
            b'_'
        } else {
            name[index]
        };
        if byte != prefix[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// Members of GELF itself, fields Graylog fills, and the names its index keeps for itself.
const RESERVED: [&[u8]; 20] = [
    b"id",
    b"_id",
    b"_ttl",
    b"_source",
    b"_all",
    b"_index",
    b"_type",
    b"_score",
    b"source",
    b"message",
    b"timestamp",
    b"streams",
    b"host",
    b"short_message",
    b"full_message",
    b"level",
    b"version",
    // `__id` after one underscore was removed twice by forwarders that strip again.
    b"__id",
    // Ours. From log data they would be written twice, and as text where the index has seen a number.
    b"truncated_bytes",
    b"surplus_fields",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_decides_which_names_pass() {
        for name in [
            "a",
            "src_addr",
            "errorMessage",
            "x-amzn.trace@id",
            "_private",
            "ID",
            &"n".repeat(128),
        ] {
            assert_eq!(
                FieldName::new(name).map(|name| name.as_str().to_owned()),
                Ok(name.to_owned())
            );
        }
        let refused = [
            ("", FieldNameError::Empty),
            ("a b", FieldNameError::Character { at: 1, found: b' ' }),
            ("größe", FieldNameError::Character { at: 2, found: 0xc3 }),
            ("a\0", FieldNameError::Character { at: 1, found: 0 }),
            ("a\"", FieldNameError::Character { at: 1, found: b'"' }),
            ("id", FieldNameError::Reserved),
            ("_id", FieldNameError::Reserved),
            (".id", FieldNameError::Reserved),
            ("gl2_source_node", FieldNameError::Reserved),
            ("gl2.source.node", FieldNameError::Reserved),
            ("full.message", FieldNameError::Reserved),
            ("timestamp", FieldNameError::Reserved),
        ];
        for (name, error) in refused {
            assert_eq!(FieldName::new(name), Err(error), "{name}");
        }
        assert_eq!(
            FieldName::new(&"n".repeat(129)),
            Err(FieldNameError::TooLong { bytes: 129 })
        );
    }

    #[test]
    fn repaired_names_pass_the_check() {
        let cases = [
            ("", "field"),
            (" \t", "field"),
            ("client ip", "client_ip"),
            ("id", "field_id"),
            ("gl2_source_input", "field_gl2_source_input"),
            ("gl2 source", "field_gl2_source"),
            ("größe", "gr__e"),
        ];
        for (given, expected) in cases {
            assert_eq!(FieldName::repaired(given).as_str(), expected);
        }
        for name in ["é".repeat(200), format!("gl2_{}", "x".repeat(124))] {
            let repaired = FieldName::repaired(&name);
            assert_eq!(FieldName::new(repaired.as_str()), Ok(repaired));
        }
    }

    #[test]
    fn the_rendered_form_is_ready_to_copy() {
        let name = FieldName::literal("bytes");
        let (wire, key) = name.wire();
        assert_eq!(&wire[..=key], b",\"_bytes\":\"");
    }
}
