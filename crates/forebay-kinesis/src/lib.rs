//! Reads Kinesis streams on DynamoDB leases, beside or instead of the Java KCL.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod acknowledge;
mod backoff;
mod batch;
mod budget;
mod call;
mod clock;
#[cfg(feature = "cloudwatch")]
mod cloudwatch;
mod config;
mod consumer;
mod error;
mod identity;
mod observer;
mod pace;
mod processor;
mod progress;
mod pull;
mod report;
mod shard;
mod stream;
mod subscription;
mod table;
mod worker;

pub use acknowledge::Acknowledger;
pub use batch::{Batch, LeaseToken, Record};
pub use call::Call;
#[cfg(feature = "cloudwatch")]
pub use cloudwatch::CloudWatchMetrics;
pub use config::{Config, InitialPosition, Retrieval};
pub use error::{Error, ErrorKind};
pub use observer::{Dropped, Gap, Observer};
pub use processor::{Outcome, Processor, Stopping};
pub use pull::{Batches, PullProcessor, pull};
pub use stream::{KinesisStream, StreamName};
#[cfg(feature = "testing")]
pub use table::lease_table_suite;
pub use table::{
    Billing, DynamoLeaseTable, FileLeaseTable, LeaseTable, MemoryLeaseTable, Scan, Written,
};
pub use worker::{Summary, Worker, WorkerHandle};

// The identities that appear in this crate's signatures.
pub use forebay_lease::{Checkpoint, Lease, LeaseKey, SequenceNumber, ShardId, WorkerId};
