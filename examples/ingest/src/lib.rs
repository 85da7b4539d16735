//! The parts of the `forebay` binary: configuration, pipeline, decoding of files, demo.
//!
//! A library only so that the workspace's tests can run the pipeline; its interface follows the binary and promises
//! nothing to others. Users of single parts take the `forebay-*` crates.
#![forbid(unsafe_code)]

pub mod admin;
mod allocator;
pub mod aws;
mod clock;
mod collect;
pub mod command;
pub mod config;
pub mod dead_letter;
pub mod decode;
mod delivery;
pub mod demo;
mod entities;
pub mod exit;
mod intake;
mod kinesis_input;
pub mod live_rows;
mod log_lines;
mod log_reader;
mod message_id;
mod metrics;
mod names;
mod object_reader;
mod output;
pub mod pipeline;
pub mod private;
pub mod reading;
mod repeats;
mod route;
mod rows;
pub mod run;
mod settlement;
mod shape;
mod spare;
pub mod stats;
mod summary;
mod throttle;
mod trail_input;
