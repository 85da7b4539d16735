//! Every transport against receivers that behave, and receivers that do not.
#![cfg(all(feature = "http", feature = "testing"))]
#![cfg_attr(
    all(feature = "http", feature = "testing"),
    expect(
        clippy::unwrap_used,
        reason = "a failure ends the test, also in its support code"
    )
)]

mod bad_servers;
mod crash;
mod faults;
mod http;
mod http_proxy;
mod kill;
mod ledger;
mod observer;
mod proxy;
mod support;
mod tcp;
mod tls;
mod udp;
mod weak_rsa;
mod writer;
