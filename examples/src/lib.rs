//! Short programs, one per crate; see the files beside `Cargo.toml`.
#![forbid(unsafe_code)]
