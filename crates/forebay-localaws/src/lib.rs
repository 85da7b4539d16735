#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod call_log;
mod cloud;
mod cloudwatch;
#[cfg(feature = "connector")]
mod connector;
mod dynamodb;
mod ec2;
mod elb;
mod error;
#[cfg(any(feature = "connector", feature = "server"))]
mod event_body;
mod fault;
mod http;
mod kinesis;
mod logs;
mod random;
mod route;
mod s3;
#[cfg(feature = "server")]
mod server;
mod service;
mod settings;
mod sns;
mod sqs;
mod sts;
mod wire;

pub use call_log::{CallLog, CallRecord, Outcome};
pub use cloud::Cloud;
pub use cloudwatch::{CloudWatch, Datum};
#[cfg(feature = "connector")]
pub use connector::LocalAws;
pub use dynamodb::{AttributeValue, DynamoDb, Item, Number, NumberError, TableDescription};
pub use ec2::{Association, Ec2, Instance, NetworkInterface};
pub use elb::{Elb, LoadBalancer};
pub use error::ServiceError;
pub use fault::{Fault, FaultPlan, FaultRule};
pub use http::{Delivery, EventMessage, Reply, Request, Wait};
pub use kinesis::{
    Kinesis, ParseSequenceNumberError, Push, PutReceipt, SequenceNumber, ShardView, StoredRecord,
    Subscription,
};
pub use logs::{LogLine, LogsProducer};
pub use s3::{Object, S3};
#[cfg(feature = "server")]
pub use server::serve;
pub use service::Service;
pub use settings::{DynamoDbSettings, KinesisSettings, Settings, SqsSettings};
pub use sns::notification;
pub use sqs::{QueueAttributes, Sqs};
