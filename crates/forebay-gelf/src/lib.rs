#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod batch;
mod chunk;
mod compress;
mod dechunk;
mod decimal;
mod encode;
mod escape;
mod field_block;
mod field_name;
mod frame;
mod inflate;
mod level;
mod line;
#[cfg(feature = "listener")]
pub mod listener;
mod message;
mod part_field;
#[cfg(feature = "receiver")]
mod receiver;
mod repairs;
mod scratch;
#[cfg(feature = "tokio")]
mod sink;
#[cfg(feature = "testing")]
pub mod testing;
mod writer;

pub use batch::{Batch, FrameError};
pub use chunk::{
    CHUNK_HEADER_BYTES, ChunkError, Chunks, DatagramSize, DatagramSizeError, MAX_CHUNKS, MessageId,
};
pub use compress::{Compression, Compressor};
pub use dechunk::{DechunkError, DechunkLimits, Dechunker};
pub use encode::{EncodeError, EncodeLimits, Encoded, Encoder};
pub use field_block::FieldBlock;
pub use field_name::{FieldName, FieldNameError};
pub use frame::{FrameSplitter, FrameTooLong};
pub use inflate::{PayloadError, inflate_payload};
pub use level::Level;
pub use line::{Line, Literal, Piece};
pub use message::{Message, MessageError, Value};
pub use part_field::PartField;
#[cfg(feature = "receiver")]
pub use receiver::{Received, Rejection, Stored, receive};
pub use repairs::Repairs;
pub use writer::{MessageWriter, TextWriter};

#[cfg(feature = "http")]
pub use sink::http::HttpConfig;
#[cfg(feature = "tls")]
pub use sink::tls::{ClientIdentity, Roots, TlsConfig};
#[cfg(feature = "tokio")]
pub use sink::{
    Permit, Sink, SinkConfig, Ticket,
    acceptance::{Acceptance, Grade, Refusal, RefusalReason, Report},
    driver::Driver,
    error::{SendError, SinkError},
    health::{Health, State},
    observer::Observer,
    tcp::{Balance, Proof, TcpConfig},
    transport::Transport,
    udp::UdpConfig,
    writer::WriterConfig,
};
