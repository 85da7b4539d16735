//! Inputs shared by the benches, made from a fixed seed.
#![forbid(unsafe_code)]
