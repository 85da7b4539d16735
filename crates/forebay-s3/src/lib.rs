#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums)]

mod allow;
mod batch;
mod config;
mod error;
mod memory;
mod message;
mod object;
mod observer;
mod processor;
mod queue;
mod reader;
mod source;
mod visibility;

pub use allow::{AllowList, AllowedBucket};
pub use batch::{Acknowledger, Batch};
pub use config::Config;
pub use error::{ConfigError, Error, ErrorKind};
pub use observer::Observer;
pub use processor::{Processor, Rejected, RejectedKind};
pub use queue::Queue;
pub use reader::{Reader, Summary};
pub use source::{MemoryBody, MemorySource, ObjectBody, ObjectId, ObjectSource, S3Body, S3Source};
