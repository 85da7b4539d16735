//! Every transport against receivers that behave, and receivers that do not.
#![cfg(all(feature = "http", feature = "testing"))]

mod http;
mod support;
mod tcp;
mod tls;
mod udp;
mod writer;
