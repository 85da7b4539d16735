//! One message as JSON, written as fast as safe code can.

use std::fmt;

use crate::decimal::{NumberText, decimals, is_plain_integer};
use crate::escape::{Written, copy_clean, escape, is_blank};
use crate::field_block::FieldBlock;
use crate::field_name::FieldName;
use crate::repairs::Repairs;
use crate::scratch::Scratch;
use crate::writer::{MessageWriter, TIMESTAMP_KEY};

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
    /// Whether `message` holds any.
    repaired: bool,
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
        self.writer()
    }

    /// Renders fields into `block`, in place of what it holds, for many messages to come. Takes no memory once that of
    /// the block suffices. Of several values of one field the receiver keeps the last, also across blocks.
    pub fn render(&mut self, block: &mut FieldBlock, write: impl FnOnce(&mut MessageWriter<'_>)) {
        let (fields, bytes, repairs) = self.fields(write);
        block.set(fields, bytes, repairs);
    }

    /// Writes only additional fields: their number, their bytes, and what was changed in them.
    pub(crate) fn fields(
        &mut self,
        write: impl FnOnce(&mut MessageWriter<'_>),
    ) -> (usize, &[u8], Repairs) {
        let prefix = self.prefix;
        // The limit is one of messages.
        let limit = std::mem::replace(&mut self.limits.fields, usize::MAX);
        let mut writer = self.writer();
        write(&mut writer);
        let place = writer.place();
        self.limits.fields = limit;
        (
            place.fields,
            self.scratch.slice(prefix, place.at),
            self.message,
        )
    }

    /// Starts a message behind the constant start, if there is one.
    #[inline]
    fn writer(&mut self) -> MessageWriter<'_> {
        if self.repaired {
            self.repaired = false;
            self.message = Repairs::NONE;
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
        if self.repaired {
            at = self.settle(at);
        }
        let end = at + self.scratch.write(at, b"}");
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

    /// Writes a field of text, whatever it holds.
    #[inline(never)]
    pub(crate) fn put_text(
        &mut self,
        place: Place,
        name: &FieldName,
        value: &[u8],
        escaped: Escaped,
    ) -> Place {
        if place.fields >= self.limits.fields {
            self.fold(name, value, escaped);
            return place;
        }
        let Some(first) = value.first() else {
            return place;
        };
        let (wire, key) = name.wire();
        let target = self.scratch.room(place.at, FieldName::ROOM + value.len());
        put_name(target, wire, key);
        let end = if copy_clean(&mut target[key + 1..], value)
            && *first > b' '
            && value.len() <= self.limits.value_bytes
        {
            target[key + 1 + value.len()] = b'"';
            place.at + key + 2 + value.len()
        } else {
            self.put_text_slowly(place.at, name, value, escaped)
        };
        Place {
            at: end,
            fields: place.fields + usize::from(end != place.at),
        }
    }

    /// Writes a field from digits, or what they mean as a number.
    #[inline(never)]
    pub(crate) fn put_number_text(
        &mut self,
        place: Place,
        name: &FieldName,
        digits: &[u8],
    ) -> Place {
        if place.fields < self.limits.fields && !is_plain_integer(digits) {
            return match NumberText::canonical(digits) {
                Some(number) => self.put_number(place, name, number.as_bytes()),
                None => {
                    self.note_refused();
                    place
                }
            };
        }
        self.put_number(place, name, digits)
    }

    /// Writes a field from digits that are valid JSON.
    #[inline(never)]
    pub(crate) fn put_number(&mut self, place: Place, name: &FieldName, digits: &[u8]) -> Place {
        if place.fields >= self.limits.fields {
            self.fold(name, digits, Escaped::No);
            return place;
        }
        let (wire, key) = name.wire();
        self.scratch.write(place.at, &wire[..key]);
        self.scratch.write(place.at + key, digits);
        Place {
            at: place.at + key + digits.len(),
            fields: place.fields + 1,
        }
    }

    /// Writes the time in its general form. Returns its length.
    #[cold]
    pub(crate) fn put_time(&mut self, at: usize, seconds: u64, thousandths: u16) -> usize {
        let (decimals, length) = decimals(thousandths);
        self.scratch.seek(at);
        self.scratch.put(TIMESTAMP_KEY);
        self.scratch
            .put(itoa::Buffer::new().format(seconds).as_bytes());
        self.scratch.put(&decimals[..length]);
        self.scratch.at() - at
    }

    /// Writes a piece of a member, without limit on its length. Returns the new cursor.
    #[inline(never)]
    pub(crate) fn put_piece(&mut self, at: usize, text: &[u8], escaped: Escaped) -> usize {
        if copy_clean(self.scratch.room(at, text.len()), text) {
            return at + text.len();
        }
        self.scratch.seek(at);
        let written = escape(&mut self.scratch, text, escaped, usize::MAX);
        self.note(written);
        self.scratch.at()
    }

    /// A field whose value needs more than a copy. Returns the new cursor.
    #[cold]
    fn put_text_slowly(
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
        let written = escape(&mut self.scratch, value, escaped, self.limits.value_bytes);
        let end = self.scratch.at();
        if is_blank(self.scratch.slice(start, end)) {
            return at;
        }
        self.note(written);
        self.scratch.put(b"\"");
        self.scratch.at()
    }

    /// Keeps a field beyond the limit as text.
    #[cold]
    fn fold(&mut self, name: &FieldName, value: &[u8], escaped: Escaped) {
        self.noted().surplus_fields += 1;
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
        let written = escape(&mut self.surplus, value, escaped, room);
        self.note(written);
    }

    /// The repairs of the current message, to be added to.
    fn noted(&mut self) -> &mut Repairs {
        self.repaired = true;
        &mut self.message
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn note_refused(&mut self) {
        self.noted().refused_values += 1;
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn note_duplicate(&mut self) {
        self.noted().duplicates += 1;
    }

    #[cold]
    pub(crate) fn note_block(&mut self, repairs: Repairs) {
        *self.noted() += repairs;
    }

    pub(crate) fn note_renamed(&mut self, renamed: u32, duplicates: u32) {
        self.noted().renamed += renamed;
        self.noted().duplicates += duplicates;
    }

    fn note(&mut self, written: Written) {
        if written == Written::default() {
            return;
        }
        self.noted().replaced += written.replaced;
        if written.cut > 0 {
            self.noted().truncated_values += 1;
            self.noted().truncated_bytes += written.cut as u64;
        }
    }

    /// Writes the fields that tell about repairs. Returns the new cursor.
    #[cold]
    #[inline(never)]
    fn settle(&mut self, mut at: usize) -> usize {
        if self.surplus.at() > 0 {
            let surplus = std::mem::take(&mut self.surplus);
            let text = surplus.slice(0, surplus.at());
            at = self.put_text_slowly(at, &SURPLUS, text, Escaped::Already);
            self.surplus = surplus;
        }
        if self.message.truncated_bytes > 0 {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(self.message.truncated_bytes).as_bytes();
            let (wire, key) = TRUNCATED.wire();
            at += self.scratch.write(at, &wire[..key]);
            at += self.scratch.write(at, digits);
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
        escape(
            &mut self.scratch,
            host,
            Escaped::No,
            self.limits.value_bytes,
        );
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
    /// The message is longer than [`EncodeLimits::message_bytes`]; cut its texts and encode it again.
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

/// How far a message was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) at: usize,
    /// Number of additional fields.
    pub(crate) fields: usize,
}

/// Whether a text is JSON string content already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Escaped {
    No,
    Already,
}

/// Copies the rendered name as one block where it fits; what lies behind it is overwritten by the value.
fn put_name(target: &mut [u8], wire: &[u8; FieldName::ROOM], key: usize) {
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
