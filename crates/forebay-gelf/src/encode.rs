//! One message as JSON, written as fast as safe code can.

use std::fmt;

use crate::escape::{Written, escape, escape_json_text, is_blank};
use crate::field_name::FieldName;
use crate::repairs::Repairs;
use crate::scratch::Scratch;
use crate::writer::MessageWriter;

/// Encodes messages one after the other in a buffer of its own, without allocating once that buffer is warm.
///
/// A message exists only when [`MessageWriter::finish`] returns it: nothing has to be rolled back after an error.
///
/// ```
/// use forebay_gelf::{Encoder, FieldName};
///
/// static PORT: FieldName = FieldName::literal("dst_port");
/// let mut encoder = Encoder::default();
/// let mut message = encoder.begin("aws-flowlogs");
/// message.short_message("TCP accepted").timestamp_millis(1_712_345_678_901).number_text(&PORT, b"443");
/// let json = message.finish()?;
/// assert_eq!(
///     json.as_str(),
///     r#"{"version":"1.1","host":"aws-flowlogs","short_message":"TCP accepted","timestamp":1712345678.901,"_dst_port":443}"#
/// );
/// # Ok::<(), forebay_gelf::EncodeError>(())
/// ```
#[derive(Debug, Default)]
pub struct Encoder {
    pub(crate) scratch: Scratch,
    pub(crate) limits: EncodeLimits,
    /// The host whose start of a message stands at the front of `scratch`.
    host: Vec<u8>,
    /// Length of that start; 0 if there is none yet.
    prefix: usize,
    host_is_blank: bool,
    /// Fields beyond the limit, as lines `name=value` in JSON string content.
    surplus: Scratch,
    message: Repairs,
    total: Repairs,
}

impl Encoder {
    /// An encoder with other limits than the default ones.
    #[must_use]
    pub fn new(limits: EncodeLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Starts a message from `host` (GELF: "the name of the host, source or application that sent this message").
    ///
    /// A host that equals the one of the message before costs one comparison.
    #[inline]
    pub fn begin(&mut self, host: impl AsRef<[u8]>) -> MessageWriter<'_> {
        let host = host.as_ref();
        if self.prefix == 0 || self.host != host {
            self.render_prefix(host);
        }
        if self.message != Repairs::default() {
            self.message = Repairs::default();
            self.surplus.seek(0);
            self.scratch.shrink(RETAINED);
        }
        let prefix = self.prefix;
        MessageWriter::new(self, prefix)
    }

    /// The sum of all repairs since this encoder was made.
    #[must_use]
    pub fn repairs(&self) -> Repairs {
        self.total
    }

    /// The limits messages are held to.
    #[must_use]
    pub fn limits(&self) -> EncodeLimits {
        self.limits
    }

    /// Ends the message that reaches to `at`.
    #[inline]
    pub(crate) fn finish(&mut self, mut at: usize) -> Result<Encoded<'_>, EncodeError> {
        if self.host_is_blank {
            return Err(EncodeError::BlankHost);
        }
        if self.message != Repairs::default() {
            at = self.settle(at);
        }
        self.scratch.room(at, 1)[0] = b'}';
        let end = at + 1;
        if end > self.limits.message_bytes {
            return Err(EncodeError::TooLong {
                bytes: end,
                limit: self.limits.message_bytes,
            });
        }
        Ok(Encoded {
            json: self.scratch.slice(0, end),
            repairs: self.message,
        })
    }

    /// What the current message holds behind its constant start.
    pub(crate) fn written(&self, at: usize) -> &[u8] {
        self.scratch.slice(self.prefix, at)
    }

    /// A field whose value needs more than a copy. Returns the new cursor.
    #[cold]
    #[inline(never)]
    pub(crate) fn text_slowly(
        &mut self,
        at: usize,
        name: &FieldName,
        value: &[u8],
        escaped: Escaped,
    ) -> usize {
        let (wire, key) = name.wire();
        self.scratch.seek(at);
        self.scratch.put(&wire[..=key]);
        let start = self.scratch.at();
        let written = put_text(&mut self.scratch, value, escaped, self.limits.value_bytes);
        let end = self.scratch.at();
        if is_blank(self.scratch.slice(start, end)) {
            return at;
        }
        self.note(written);
        self.scratch.put(b"\"");
        self.scratch.at()
    }

    /// A piece of a member, without limit on its length. Returns the new cursor.
    #[cold]
    #[inline(never)]
    pub(crate) fn piece_slowly(&mut self, at: usize, value: &[u8], escaped: Escaped) -> usize {
        self.scratch.seek(at);
        let written = put_text(&mut self.scratch, value, escaped, usize::MAX);
        self.note(written);
        self.scratch.at()
    }

    /// Keeps a field beyond the limit as text.
    #[cold]
    #[inline(never)]
    pub(crate) fn fold(&mut self, name: &FieldName, value: &[u8], escaped: Escaped) {
        self.message.surplus_fields += 1;
        if self.surplus.at() >= self.limits.value_bytes {
            self.note(Written {
                cut: value.len(),
                replaced: 0,
            });
            return;
        }
        if self.surplus.at() > 0 {
            self.surplus.put(b"\\n");
        }
        self.surplus.put(name.name());
        self.surplus.put(b"=");
        let room = self.limits.value_bytes.saturating_sub(self.surplus.at());
        let written = put_text(&mut self.surplus, value, escaped, room);
        self.note(written);
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn note_refused(&mut self) {
        self.message.refused_values += 1;
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn note_duplicate(&mut self) {
        self.message.duplicates += 1;
    }

    pub(crate) fn note_renamed(&mut self, renamed: u32, duplicates: u32) {
        self.message.renamed += renamed;
        self.message.duplicates += duplicates;
    }

    fn note(&mut self, written: Written) {
        self.message.replaced += written.replaced;
        if written.cut > 0 {
            self.message.truncated_values += 1;
            self.message.truncated_bytes += written.cut as u64;
        }
    }

    /// Writes the fields that tell about repairs. Returns the new cursor.
    #[cold]
    #[inline(never)]
    fn settle(&mut self, mut at: usize) -> usize {
        if self.surplus.at() > 0 {
            let surplus = std::mem::take(&mut self.surplus);
            at = self.text_slowly(
                at,
                &SURPLUS,
                surplus.slice(0, surplus.at()),
                Escaped::Already,
            );
            self.surplus = surplus;
        }
        if self.message.truncated_bytes > 0 {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(self.message.truncated_bytes).as_bytes();
            at = put_number(&mut self.scratch, at, &TRUNCATED, digits);
        }
        self.total += self.message;
        at
    }

    #[cold]
    #[inline(never)]
    fn render_prefix(&mut self, host: &[u8]) {
        self.host.clear();
        self.host.extend_from_slice(host);
        self.scratch.seek(0);
        self.scratch.put(b"{\"version\":\"1.1\",\"host\":\"");
        let start = self.scratch.at();
        // Not counted as a repair of each message: the host is configuration, not log data.
        escape(&mut self.scratch, host, self.limits.value_bytes);
        self.host_is_blank = is_blank(self.scratch.slice(start, self.scratch.at()));
        self.scratch.put(b"\"");
        self.prefix = self.scratch.at();
    }
}

/// One finished message. Its bytes stay in the encoder until the next one begins.
///
/// Only an encoder makes it, so it is proof of the rules: one JSON object in UTF-8, on one line, without a NUL, that
/// a GELF receiver keeps.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'e> {
    json: &'e [u8],
    repairs: Repairs,
}

impl<'e> Encoded<'e> {
    /// The JSON object.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &'e [u8] {
        self.json
    }

    /// The JSON object as text. It is UTF-8 by construction; this checks it once more.
    #[must_use]
    pub fn as_str(&self) -> &'e str {
        std::str::from_utf8(self.json).unwrap_or_default()
    }

    /// What was changed in this message.
    #[must_use]
    pub fn repairs(&self) -> Repairs {
        self.repairs
    }
}

/// Limits of one message. The defaults are what a Graylog server with default settings keeps.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EncodeLimits {
    /// Most additional fields; further ones are folded into the text field `_surplus_fields`. Default 256.
    pub fields: usize,
    /// Longest value of an additional field, in bytes of UTF-8; the rest is cut off and counted in
    /// `_truncated_bytes`. Default 32,766: a longer one makes the index refuse the whole message.
    pub value_bytes: usize,
    /// Longest message in bytes; a longer one is an error. Default 2 MiB - 1, the longest TCP frame without its NUL.
    /// HTTP receivers take 64 KiB by default.
    pub message_bytes: usize,
}

impl Default for EncodeLimits {
    fn default() -> Self {
        Self {
            fields: 256,
            value_bytes: 32_766,
            message_bytes: 2 * 1024 * 1024 - 1,
        }
    }
}

/// Why a message cannot be sent. Nothing of it was written.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EncodeError {
    /// `host` is empty or blank: the receiver would drop the message.
    BlankHost,
    /// No `short_message` was given.
    MissingShortMessage,
    /// `short_message` is empty or blank: the receiver would drop the message.
    BlankShortMessage,
    /// The message is longer than [`EncodeLimits::message_bytes`]; [`shorten`](crate::shorten) can make it fit.
    TooLong {
        /// Length of the message.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlankHost => formatter.write_str("`host` is blank; set a source name"),
            Self::MissingShortMessage => formatter.write_str("`short_message` is missing"),
            Self::BlankShortMessage => formatter.write_str("`short_message` is blank"),
            Self::TooLong { bytes, limit } => {
                write!(
                    formatter,
                    "the message has {bytes} bytes, the limit is {limit}; shorten or divide it"
                )
            }
        }
    }
}

impl std::error::Error for EncodeError {}

/// Whether a text is JSON string content already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Escaped {
    No,
    Already,
}

fn put_text(scratch: &mut Scratch, value: &[u8], escaped: Escaped, limit: usize) -> Written {
    match escaped {
        Escaped::No => escape(scratch, value, limit),
        Escaped::Already => escape_json_text(scratch, value, limit),
    }
}

/// Writes a number whose digits are valid JSON. Returns the new cursor.
#[inline]
pub(crate) fn put_number(
    scratch: &mut Scratch,
    at: usize,
    name: &FieldName,
    digits: &[u8],
) -> usize {
    let (wire, key) = name.wire();
    let end = key + digits.len();
    let target = scratch.room(at, FieldName::ROOM + digits.len());
    put_name(target, wire, key);
    target[key..end].copy_from_slice(digits);
    at + end
}

/// Copies the rendered name as one block where it fits; what lies behind it is overwritten by the value.
#[inline]
pub(crate) fn put_name(target: &mut [u8], wire: &[u8; FieldName::ROOM], key: usize) {
    const BLOCK: usize = FieldName::BLOCK;
    if key < BLOCK {
        if let (Some(to), Some(from)) = (
            target.first_chunk_mut::<BLOCK>(),
            wire.first_chunk::<BLOCK>(),
        ) {
            *to = *from;
        }
    } else if let Some(to) = target.first_chunk_mut::<{ FieldName::ROOM }>() {
        *to = *wire;
    }
}

static TRUNCATED: FieldName = FieldName::own("truncated_bytes");
static SURPLUS: FieldName = FieldName::own("surplus_fields");
/// Room kept for the next message after an unusually long one.
const RETAINED: usize = 256 * 1024;
