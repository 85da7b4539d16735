#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod describe;
mod entity;
mod error;
mod fields;
mod index;
mod key;
mod merge;
mod part;
mod prefix;
mod ranges;
#[cfg(feature = "aws")]
mod refresh;
#[cfg(feature = "json")]
mod saved;
#[cfg(feature = "json")]
mod service_ranges;
mod slots;
mod table;

pub use describe::{InstanceDescription, InterfaceDescription, LoadBalancerDescription};
pub use entity::{Entity, Kind};
pub use error::Error;
pub use fields::{Field, FieldSet, Label};
pub use index::{Candidates, Index, Lookup};
pub use key::{OnConflict, Scope, TieBreak};
pub use part::{EntityDescription, Origin, Part, PartBuilder, Source};
pub use prefix::Prefix;
#[cfg(feature = "aws")]
pub use refresh::{Call, Config, Failure, FailureKind, Observer, Refresher, Summary, Target};
#[cfg(feature = "json")]
pub use saved::{decode_parts, encode_parts};
#[cfg(feature = "json")]
pub use service_ranges::service_ranges;
pub use table::{Snapshot, Table};
