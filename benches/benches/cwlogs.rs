//! Bench of `cwlogs`.
fn main() {}
