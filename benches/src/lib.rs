//! Inputs shared by the benches, made from a fixed seed, and the shaping of the ingest binary.
#![forbid(unsafe_code)]

#[path = "../../examples/ingest/src"]
mod ingest {
    pub(crate) mod message_id;
    pub(crate) mod shape;
}
mod shaping;
mod subscription;

// Where its files expect it.
use ingest::{message_id, shape};

pub use shaping::Shaping;
pub use subscription::Subscription;
