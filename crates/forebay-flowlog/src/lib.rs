#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod address;
mod columns;
mod error;
mod field;
mod format;
mod format_set;
mod keyword;
mod lines;
mod number;
mod number_code;
mod position;
mod protocol;
mod reader;
mod record;
mod record_buf;
#[cfg(feature = "serde")]
mod serialize;
mod tag;
mod tcp_flags;
mod timestamp;
mod window;
mod wrapping;

pub use error::{
    Error, ErrorKind, FieldError, FieldErrorKind, FieldNameError, FormatError, LineError, NotText,
};
pub use field::{Field, ValueType};
pub use format::{Column, Format};
pub use format_set::FormatSet;
pub use keyword::{
    Action, FlowDirection, InterfaceType, LogStatus, RejectReason, ResourceType, SublocationType,
    TrafficType,
};
pub use lines::{BadLine, Lines};
pub use number_code::{EncryptionStatus, TrafficPath};
pub use position::Position;
pub use protocol::Protocol;
pub use reader::{IntoRecords, Reader, Records};
pub use record::{Record, RecordKind, Value};
pub use record_buf::RecordBuf;
pub use tag::TagValue;
pub use tcp_flags::TcpFlags;
pub use timestamp::Timestamp;
pub use window::Window;
pub use wrapping::Wrapping;
