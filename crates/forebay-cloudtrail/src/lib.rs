//! Reads CloudTrail notices and log files.
#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod bucket;
mod error;
mod event;
mod file;
mod flatten;
mod key;
mod limits;
mod member;
mod notice;
mod reader;
mod scan;
mod splitter;
mod text;
mod time;
mod wire;

pub use bucket::{BucketName, BucketNameError};
pub use error::{FileError, NoticeError, NoticeLimit, ReadError, RecordError, RecordFault};
pub use event::{Event, EventIndex, Member, Members};
pub use file::FileDecoder;
pub use flatten::{Flattened, Flattener, Name, Value, View};
pub use key::{CloudTrailKey, KeyKind, ObjectKey, ObjectKeyError};
pub use limits::Limits;
pub use notice::{Disposition, Form, Ignored, NothingReason, Notice, ObjectRef};
pub use reader::FileReader;
pub use splitter::{BadRecord, FileKind, Record, RecordSplitter, Summary};
pub use text::Text;
