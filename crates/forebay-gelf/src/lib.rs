//! Encodes, frames and sends GELF messages.
#![forbid(unsafe_code)]
