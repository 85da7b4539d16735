#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod aggregate;
mod aggregator;
mod error;
mod hash;
mod splitter;
mod wire;

pub use aggregate::{Aggregate, Records, UserRecord};
pub use aggregator::Aggregator;
pub use error::{AggregatorFull, Error, HashKeyError, PlainReason, RecordError, RecordProblem};
pub use hash::{HashKey, HashRange};
pub use splitter::{Limits, Splitter, is_candidate};
