//! Bench of `decode_path`.
fn main() {}
