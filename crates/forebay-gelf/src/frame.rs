//! Frames of a stream: messages that end with NUL or newline.

use std::fmt;

/// Cuts a byte stream into frames, in bounded memory.
///
/// ```
/// use forebay_gelf::FrameSplitter;
///
/// let mut splitter = FrameSplitter::new(0, 1024);
/// splitter.extend(b"{}\0{\"a\"");
/// assert_eq!(splitter.next_frame()?, Some(b"{}".as_slice()));
/// assert_eq!(splitter.next_frame()?, None);
/// splitter.extend(b":1}\0");
/// assert_eq!(splitter.next_frame()?, Some(b"{\"a\":1}".as_slice()));
/// # Ok::<(), forebay_gelf::FrameTooLong>(())
/// ```
#[derive(Debug)]
pub struct FrameSplitter {
    buffer: Vec<u8>,
    /// Start of what is not given out yet.
    start: usize,
    /// Up to here no delimiter was found.
    searched: usize,
    delimiter: u8,
    limit: usize,
}

impl FrameSplitter {
    /// A splitter for frames of at most `limit` bytes that end with `delimiter`.
    #[must_use]
    pub const fn new(delimiter: u8, limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            delimiter,
            limit,
        }
    }

    /// Appends bytes of the stream.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, without its delimiter; `None` until there are more bytes.
    ///
    /// # Errors
    /// [`FrameTooLong`]: the stream cannot be followed any more.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        let searched = self.searched.max(self.start);
        let found = memchr::memchr(self.delimiter, &self.buffer[searched..])
            .map(|offset| searched + offset);
        let end = found.unwrap_or(self.buffer.len());
        if end - self.start > self.limit {
            return Err(FrameTooLong { limit: self.limit });
        }
        self.searched = end;
        match found {
            None => Ok(None),
            Some(end) => {
                let start = self.start;
                self.start = end + 1;
                Ok(Some(&self.buffer[start..end]))
            }
        }
    }

    /// What follows the last delimiter: a frame that the end of the stream ends.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

/// A frame exceeds the limit.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameTooLong {
    /// The limit in bytes.
    pub limit: usize,
}

impl fmt::Display for FrameTooLong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a frame is longer than {} bytes", self.limit)
    }
}

impl std::error::Error for FrameTooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same_frames() {
        let stream = b"one\0\0three\0rest";
        for cut in 0..=stream.len() {
            let mut splitter = FrameSplitter::new(0, 16);
            let mut frames = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                splitter.extend(part);
                while let Some(frame) = splitter.next_frame().unwrap() {
                    frames.push(frame.to_vec());
                }
            }
            assert_eq!(frames, [b"one".as_slice(), b"", b"three"], "cut at {cut}");
            assert_eq!(splitter.rest(), b"rest");
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_is_an_error() {
        let mut splitter = FrameSplitter::new(0, 4);
        splitter.extend(b"12345");
        assert_eq!(splitter.next_frame(), Err(FrameTooLong { limit: 4 }));
    }
}
