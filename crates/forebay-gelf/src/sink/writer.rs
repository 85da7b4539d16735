//! NDJSON into a file, standard output, or anything else that can be written.

use std::fmt;
use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::sink::inlet::Parcel;
use crate::sink::lane::Lane;
use crate::sink::observer::Observer;

/// A writer that takes one JSON object per line.
///
/// Acceptance means [`Grade::Kernel`](crate::Grade::Kernel): the line was written and flushed; a file is not synchronised to its disk.
/// After a write error the sink goes on where it stopped.
pub struct WriterConfig {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    name: Box<str>,
}

impl WriterConfig {
    /// Wraps a writer; `name` is what health calls it.
    pub fn new(
        name: impl Into<Box<str>>,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            writer: Box::new(writer),
            name: name.into(),
        }
    }
}

impl fmt::Debug for WriterConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WriterConfig")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A writer in use.
pub(crate) struct WriterLane {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    name: Box<str>,
    /// Bytes of the current batch that are written.
    written: usize,
}

impl WriterLane {
    pub(crate) fn new(config: WriterConfig) -> Self {
        Self {
            writer: config.writer,
            name: config.name,
            written: 0,
        }
    }
}

impl Lane for WriterLane {
    fn name(&self) -> &str {
        &self.name
    }

    async fn advance(&mut self, parcel: &mut Parcel, observer: &dyn Observer) -> io::Result<()> {
        let messages = parcel.batch.len();
        let frames = parcel.batch.frames(b'\n');
        while let Some(rest) = frames.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.writer.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.written += count,
            }
        }
        self.writer.flush().await?;
        observer.written(messages, self.written);
        self.written = 0;
        Ok(())
    }

    async fn end(&mut self) {
        // The lines are flushed; a failure to close tells nothing about them.
        drop(self.writer.shutdown().await);
    }
}
