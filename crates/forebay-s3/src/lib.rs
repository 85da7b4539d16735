#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums)]

mod allow;
mod batch;
mod config;
mod content;
mod error;
mod lines;
mod memory;
mod message;
mod object;
mod observer;
mod parts;
mod pause;
mod places;
mod poller;
mod positions;
mod processor;
mod queue;
mod reader;
mod source;
mod visibility;

pub use allow::{AllowList, AllowedBucket};
pub use batch::{Acknowledger, Batch};
pub use config::{Config, OnObjectError};
pub use content::{Content, Lines};
pub use error::{ConfigError, Error, ErrorKind};
pub use observer::Observer;
pub use poller::{Polled, Poller, Polling};
pub use positions::Positions;
pub use processor::{Processor, Rejected, RejectedKind};
pub use queue::Queue;
pub use reader::{Reader, Summary};
pub use source::{
    Listed, MemoryBody, MemorySource, ObjectBody, ObjectId, ObjectSource, S3Body, S3Source,
};
