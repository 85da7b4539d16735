//! Translates addresses into AWS entities.
#![forbid(unsafe_code)]
