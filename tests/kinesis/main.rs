//! The Kinesis worker with real SDK clients on the embedded AWS, under paused time.
#![forbid(unsafe_code)]

mod bed;
mod fan_out;
mod faults;
mod reshard;
mod resume;
mod share;
mod stall;
mod tables;
