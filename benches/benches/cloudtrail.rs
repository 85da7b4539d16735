//! Bench of `cloudtrail`.
fn main() {}
