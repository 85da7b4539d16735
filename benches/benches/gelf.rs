//! Bench of `gelf`.
fn main() {}
