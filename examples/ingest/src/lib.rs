//! The parts of the `forebay` binary.
#![forbid(unsafe_code)]
