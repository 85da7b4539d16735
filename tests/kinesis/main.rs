//! The Kinesis worker with real SDK clients on the embedded AWS, under paused time.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "figures go to the terminal")]

mod bed;
mod calls;
mod credentials;
mod external;
mod fan_out;
mod faults;
mod forgotten;
mod java;
mod many;
mod memory;
mod metrics;
mod reshard;
mod resume;
mod rights;
mod share;
mod stall;
mod tables;
