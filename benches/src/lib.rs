//! Inputs shared by the benches, made from a fixed seed, and the shaping of the ingest binary.
#![forbid(unsafe_code)]

mod flow_lines;
#[path = "../../examples/ingest/src"]
mod ingest {
    pub(crate) mod message_id;
    pub(crate) mod names;
    pub(crate) mod shape;
}
mod shaping;
pub mod stages;
mod subscription;
mod trail_file;

// Where its files expect it.
use ingest::{message_id, names, shape};

pub use flow_lines::{all_values, flow_lines, typed};
pub use shaping::Shaping;
pub use subscription::Subscription;
pub use trail_file::trail_files;
