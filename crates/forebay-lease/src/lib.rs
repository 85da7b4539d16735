#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod ack;
mod action;
mod call;
mod checkpoint;
mod cleanup;
mod config;
mod coordinator;
mod decision;
mod error;
mod event;
mod hole;
mod leader;
mod lease;
mod lineage;
mod plan;
mod random;
mod renew;
mod shard;
mod sync;
mod take;
mod update;

pub use ack::{Delta, Ticket, Tracker};
pub use action::{Action, CallId, Grant, Request, StopReason, Token};
pub use checkpoint::{Checkpoint, SequenceNumber};
pub use config::Config;
pub use coordinator::{Coordinator, Identity};
pub use decision::{Decision, IdleReason, LossReason, TakeReason};
pub use error::{ConfigError, ParseError};
pub use event::{ClientVersion, Event, Failure, Outcome};
pub use lease::{HashRange, Lease, LeaseCounter, LeaseKey, ShardId, Timestamp, WorkerId};
pub use shard::{ChildShard, Shard, ShardFilter, StartPosition};
pub use update::{Changes, Condition, OwnerChange, SwitchesChange, Update};
