//! Targets of `forebay-cwlogs`.

/// Target `cwlogs_gzip`.
pub fn gzip(_data: &[u8]) {}

/// Target `cwlogs_json`.
pub fn json(_data: &[u8]) {}

/// Inputs to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![Vec::new()]
}
