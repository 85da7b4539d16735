//! Bench of `entity`.
fn main() {}
