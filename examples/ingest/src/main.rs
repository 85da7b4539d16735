//! `forebay`: brings AWS logs into Graylog.
#![forbid(unsafe_code)]

fn main() {}
