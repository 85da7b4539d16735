#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod bucket;
mod error;
mod event;
mod events;
mod field;
mod file;
mod flatten;
mod inflate;
mod key;
mod layer;
mod limits;
mod member;
mod notice;
mod order;
mod outline;
mod reader;
mod record;
mod scan;
#[cfg(feature = "serde")]
mod serialize;
mod splitter;
mod text;
mod time;
mod window;
mod wire;

pub use bucket::{BucketName, BucketNameError};
pub use error::{FileError, NoticeError, NoticeLimit, ReadError, RecordError, RecordFault};
pub use event::{Event, EventIndex, Member, Members};
pub use events::Events;
pub use field::Field;
pub use file::FileDecoder;
pub use flatten::{Flattener, Name, Value, View};
pub use inflate::{Inflater, Progress};
pub use key::{CloudTrailKey, KeyKind, ObjectKey, ObjectKeyError};
pub use limits::Limits;
pub use notice::{Disposition, Form, Ignored, NothingReason, Notice, ObjectRef};
pub use reader::{FileReader, Records};
pub use record::{BadRecord, FileKind, Record, Summary};
pub use splitter::RecordSplitter;
pub use text::Text;
