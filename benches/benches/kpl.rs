//! Bench of `kpl`.
fn main() {}
