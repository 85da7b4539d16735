//! Bench of `flowlog`.
fn main() {}
