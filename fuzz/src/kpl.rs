//! Targets of `forebay-kpl`.

/// Target `kpl_record`.
pub fn record(_data: &[u8]) {}

/// Inputs to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![Vec::new()]
}
