//! Targets of `forebay-flowlog`.

/// Target `flowlog_line`.
pub fn line(_data: &[u8]) {}

/// Target `flowlog_format`.
pub fn format(_data: &[u8]) {}

/// Target `flowlog_reader`.
pub fn reader(_data: &[u8]) {}

/// Inputs to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![Vec::new()]
}
