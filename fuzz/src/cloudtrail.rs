//! Targets of `forebay-cloudtrail`.

/// Target `cloudtrail_notice`.
pub fn notice(_data: &[u8]) {}

/// Target `cloudtrail_file`.
pub fn file(_data: &[u8]) {}

/// Inputs to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![Vec::new()]
}
