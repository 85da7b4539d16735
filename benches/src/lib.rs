//! Inputs shared by the benches, made from a fixed seed, and the shaping of flow logs as the ingest binary does it.
#![forbid(unsafe_code)]

mod shape;
mod subscription;

pub use shape::FlowShaper;
pub use subscription::Subscription;
