use std::iter::FusedIterator;
use std::slice;

use crate::error::EventError;
use crate::index::EventSpan;
use crate::payload::Payload;
use crate::scan::Scanner;
use crate::text::Text;

/// One log event; borrows from the text.
#[derive(Clone, Copy, Debug)]
pub struct LogEvent<'a> {
    payload: Payload<'a>,
    span: &'a EventSpan,
}

impl<'a> LogEvent<'a> {
    pub(crate) const fn new(payload: Payload<'a>, span: &'a EventSpan) -> Self {
        Self { payload, span }
    }

    /// Returns the id: 56 digits in live data, empty in control messages. To be taken as opaque.
    #[must_use]
    pub fn id(&self) -> Text<'a> {
        self.span.id.text(self.payload.text)
    }

    /// Returns the time of the event in Unix milliseconds.
    ///
    /// CloudWatch Logs sends an integer. A fraction is cut off, and text that holds a number is read as the number.
    /// A value above 0 and below 10^11 counts as seconds and is multiplied: as milliseconds it would lie before March
    /// 1973, and `PutLogEvents` takes nothing older than 14 days. [`sent_timestamp`](Self::sent_timestamp) differs
    /// then.
    #[must_use]
    pub const fn timestamp(&self) -> i64 {
        self.span.timestamp.millis()
    }

    /// Returns the timestamp as it was sent, without its fraction.
    #[must_use]
    pub const fn sent_timestamp(&self) -> i64 {
        if self.span.timestamp.in_seconds() {
            self.span.timestamp.millis() / 1000
        } else {
            self.span.timestamp.millis()
        }
    }

    /// Returns the message. With transformed logs it is the transformed text.
    #[must_use]
    pub fn message(&self) -> Text<'a> {
        self.span.message.text(self.payload.text)
    }

    /// Returns the text of the payload from the start of the message on, as it was sent.
    ///
    /// Lets a reader of the message take fixed blocks beyond its end.
    #[must_use]
    #[inline]
    pub fn text_from_message(&self) -> &'a [u8] {
        let start = self.span.message.range().start;
        self.payload.text.get(start..).unwrap_or_default()
    }

    /// Iterates over the extracted fields; there are none in most payloads.
    #[must_use]
    pub fn extracted_fields(&self) -> ExtractedFields<'a> {
        let range = self.span.extracted_fields.range();
        ExtractedFields {
            scanner: Scanner::within(self.payload.text, range),
        }
    }

    /// Returns the text of one extracted field; the last one if the name occurs more than once.
    #[must_use]
    pub fn extracted_field(&self, name: &str) -> Option<Text<'a>> {
        if self.span.extracted_fields.is_empty() {
            return None;
        }
        self.extracted_fields()
            .filter(|(key, _)| *key == name)
            .last()
            .and_then(|(_, value)| value.as_text())
    }

    /// Returns the account the event comes from: the system field `@aws.account`, else the owner of the payload.
    #[must_use]
    pub fn account(&self) -> Text<'a> {
        self.extracted_field("@aws.account")
            .unwrap_or_else(|| self.payload.owner())
    }

    /// Returns the region the event comes from, if the subscription emits the system field `@aws.region`.
    #[must_use]
    pub fn region(&self) -> Option<Text<'a>> {
        self.extracted_field("@aws.region")
    }

    /// Returns the JSON text of the event.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.payload
            .text
            .get(self.span.range.range())
            .unwrap_or_default()
    }

    /// Returns the payload the event belongs to.
    #[must_use]
    pub const fn payload(&self) -> Payload<'a> {
        self.payload
    }
}

/// Iterator over the events of a [`Payload`].
#[derive(Clone, Debug)]
pub struct Events<'a> {
    payload: Payload<'a>,
    spans: slice::Iter<'a, EventSpan>,
    next: usize,
}

impl<'a> Events<'a> {
    pub(crate) fn new(payload: Payload<'a>) -> Self {
        Self {
            payload,
            spans: payload.events.iter(),
            next: 0,
        }
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<LogEvent<'a>, EventError>;

    fn next(&mut self) -> Option<Self::Item> {
        let span = self.spans.next()?;
        let index = self.next;
        self.next += 1;
        Some(match span.problem {
            None => Ok(LogEvent::new(self.payload, span)),
            Some((problem, offset)) => Err(EventError {
                index,
                offset: offset as usize,
                range: span.range.range(),
                problem,
            }),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for Events<'_> {}
impl FusedIterator for Events<'_> {}

/// Iterator over the extracted fields of an event, in the order in which they were sent.
#[derive(Clone, Debug)]
pub struct ExtractedFields<'a> {
    scanner: Scanner<'a>,
}

impl<'a> Iterator for ExtractedFields<'a> {
    type Item = (Text<'a>, FieldValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.scanner.next_object_member()
    }
}

impl FusedIterator for ExtractedFields<'_> {}

/// Value of an extracted field.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FieldValue<'a> {
    /// Text: what CloudWatch Logs sends.
    Text(Text<'a>),
    /// Any other value, as JSON text.
    Json(&'a [u8]),
}

impl<'a> FieldValue<'a> {
    /// Returns the text, `None` for other values.
    #[must_use]
    pub const fn as_text(&self) -> Option<Text<'a>> {
        match self {
            Self::Text(text) => Some(*text),
            Self::Json(_) => None,
        }
    }
}
