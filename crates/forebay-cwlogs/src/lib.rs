#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod base64;
mod decoder;
mod error;
mod event;
mod index;
mod inflate;
mod lambda;
mod limits;
mod payload;
mod scan;
mod text;
mod timestamp;

pub use decoder::Decoder;
pub use error::{Compression, Damage, Error, EventError, EventProblem, JsonProblem, Limit};
pub use event::{Events, ExtractedFields, FieldValue, LogEvent};
pub use limits::Limits;
pub use payload::{MessageType, Payload, Payloads, PolicyLevel, SubscriptionFilters};
pub use text::Text;
