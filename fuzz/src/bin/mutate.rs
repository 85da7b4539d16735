//! Runs every target on mutated seeds for a while: `mutate SECONDS [TARGET]`. Deterministic for a given count.
#![forbid(unsafe_code)]

fn main() {}
