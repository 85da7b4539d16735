//! Short programs, one per crate; see the files beside `Cargo.toml`.
#![forbid(unsafe_code)]

/// The code of the root README, kept honest.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
