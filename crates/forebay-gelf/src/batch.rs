//! Encoded messages back to back: what goes to a sink in one piece.

use std::fmt;
use std::ops::Range;

use crate::encode::Encoded;

/// Encoded messages back to back, each followed by one terminator byte, and where each ends.
///
/// The terminator stands between messages from the start, so that a whole batch can be written to a TCP stream as it
/// lies in memory. A sink gives a batch back with its acceptance, to be filled again.
///
/// ```
/// use forebay_gelf::{Batch, Encoder};
///
/// let mut encoder = Encoder::default();
/// let mut batch = Batch::new();
/// for text in ["first", "second"] {
///     let mut message = encoder.begin("web-1");
///     message.short_message(text);
///     batch.push(&message.finish()?);
/// }
/// assert_eq!(batch.len(), 2);
/// assert!(batch.get(1).is_some_and(|message| message.ends_with(br#""short_message":"second"}"#)));
/// # Ok::<(), forebay_gelf::EncodeError>(())
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Batch {
    bytes: Vec<u8>,
    /// End of each message in `bytes`, behind its terminator.
    ends: Vec<usize>,
}

impl Batch {
    /// A batch without messages.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// A batch with room for that much.
    #[must_use]
    pub fn with_capacity(messages: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(messages),
        }
    }

    /// Appends a message.
    #[inline]
    pub fn push(&mut self, message: &Encoded<'_>) {
        self.append(message.as_bytes());
    }

    /// Appends one JSON object that another encoder made.
    ///
    /// # Errors
    /// [`FrameError`] if it is empty or holds a NUL or a newline: either would end the frame early on some
    /// transport. The JSON itself is not checked.
    pub fn push_json(&mut self, message: &[u8]) -> Result<(), FrameError> {
        if message.is_empty() {
            return Err(FrameError::Empty);
        }
        match memchr::memchr2(0, b'\n', message) {
            Some(at) => Err(FrameError::Delimiter {
                at,
                found: message[at],
            }),
            None => {
                self.append(message);
                Ok(())
            }
        }
    }

    /// Removes all messages and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no messages.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Length of all messages with one terminator each: what a TCP stream carries.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// How many bytes of messages fit before memory is allocated.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// What the batch costs against a byte budget.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    /// One message, without terminator.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.span(index)?)
    }

    /// All messages in order, without terminators.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// All frames as they go into a stream that ends messages with `terminator`.
    #[cfg(feature = "tokio")]
    pub(crate) fn frames(&mut self, terminator: u8) -> &[u8] {
        for end in &self.ends {
            if let Some(byte) = end.checked_sub(1).and_then(|at| self.bytes.get_mut(at)) {
                *byte = terminator;
            }
        }
        &self.bytes
    }

    /// All frames, with the terminator that was chosen last.
    #[cfg(feature = "tokio")]
    pub(crate) fn stream_bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    fn append(&mut self, message: &[u8]) {
        self.bytes.reserve(message.len() + 1);
        self.bytes.extend_from_slice(message);
        self.bytes.push(0);
        self.ends.push(self.bytes.len());
    }

    fn span(&self, index: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        Some(start..end - 1)
    }
}

impl fmt::Debug for Batch {
    /// Sizes only: messages are data of the user and do not belong in logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Batch")
            .field("messages", &self.len())
            .field("bytes", &self.byte_len())
            .finish()
    }
}

/// Why bytes cannot travel as one frame.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrameError {
    /// An empty frame makes a GELF receiver close the connection.
    Empty,
    /// A NUL or newline inside the frame would end it early.
    Delimiter {
        /// Offset of the byte.
        at: usize,
        /// The byte.
        found: u8,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("the frame is empty"),
            Self::Delimiter { at, found } => {
                write!(
                    formatter,
                    "byte 0x{found:02x} at offset {at} would end the frame; escape it in the JSON text"
                )
            }
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "tokio")]
    #[test]
    fn frames_carry_one_terminator_each() {
        let mut batch = Batch::new();
        batch.push_json(b"{\"a\":1}").unwrap();
        batch.push_json(b"{}").unwrap();
        assert_eq!(batch.frames(0), b"{\"a\":1}\0{}\0");
        assert_eq!(batch.frames(b'\n'), b"{\"a\":1}\n{}\n");
        assert_eq!(
            batch.iter().collect::<Vec<_>>(),
            [b"{\"a\":1}".as_slice(), b"{}"]
        );
        assert_eq!(batch.get(2), None);
    }

    #[test]
    fn a_delimiter_inside_a_message_is_refused() {
        let mut batch = Batch::new();
        assert_eq!(
            batch.push_json(b"{\n}"),
            Err(FrameError::Delimiter {
                at: 1,
                found: b'\n'
            })
        );
        assert_eq!(
            batch.push_json(b"{\0}"),
            Err(FrameError::Delimiter { at: 1, found: 0 })
        );
        assert_eq!(batch.push_json(b""), Err(FrameError::Empty));
        assert!(batch.is_empty());
    }
}
