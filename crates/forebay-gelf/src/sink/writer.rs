//! NDJSON into a file, standard output, or anything else that can be written.

use std::fmt;

use tokio::io::AsyncWrite;


/// A writer that takes one JSON object per line.
///
/// Acceptance means [`Grade::Kernel`](crate::Grade::Kernel): the line was written and flushed; a file is not synchronised to its disk.
pub struct WriterConfig {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    name: Box<str>,
}

impl WriterConfig {
    /// Wraps a writer; `name` is what health and logs call it.
    pub fn new(name: impl Into<Box<str>>, writer: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { writer: Box::new(writer), name: name.into() }
    }
}

impl fmt::Debug for WriterConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WriterConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

