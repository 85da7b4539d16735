//! Every transport against receivers that behave, and receivers that do not.
#![expect(
    clippy::unwrap_used,
    reason = "a failure ends the test, also in its support code"
)]
#![cfg(all(feature = "http", feature = "testing"))]

mod http;
mod support;
mod tcp;
mod tls;
mod udp;
mod writer;
