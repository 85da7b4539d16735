//! Targets of `forebay-gelf`.

/// Target `gelf_fields`.
pub fn fields(_data: &[u8]) {}

/// Target `gelf_chunks`.
pub fn chunks(_data: &[u8]) {}

/// Inputs to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![Vec::new()]
}
