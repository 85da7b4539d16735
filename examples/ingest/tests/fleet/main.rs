//! Three `forebay run` processes on one stream and one queue, under load and under attack, and one for long: nothing is lost.
#![allow(clippy::print_stdout, reason = "the figures go to the terminal")]

mod burst;
mod chaos;
mod events;
mod health;
mod kill;
mod partition;
mod proxy;
mod scene;
mod soak;
mod trail;
