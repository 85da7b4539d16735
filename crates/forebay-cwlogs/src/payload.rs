use std::iter::FusedIterator;
use std::slice;

use crate::error::{Error, EventError};
use crate::event::{Events, LogEvent};
use crate::index::{Envelope, EventSpan, Index, Item, Span};
use crate::scan::Scanner;
use crate::text::Text;

/// The envelopes of one input, in order; borrows from the decoder and the input.
///
/// An envelope that cannot be read, or can be read in part only, is an `Err` item; what could be read of it comes just
/// before as a payload. Reading goes on with the next envelope that can be found.
#[derive(Clone, Debug)]
pub struct Payloads<'a> {
    text: &'a [u8],
    events: &'a [EventSpan],
    items: slice::Iter<'a, Item>,
}

impl<'a> Payloads<'a> {
    pub(crate) fn new(text: &'a [u8], index: &'a Index) -> Self {
        Self {
            text,
            events: &index.events,
            items: index.items.iter(),
        }
    }

    /// Returns the JSON text after inflating: what offsets and ranges count in.
    #[must_use]
    pub const fn text(&self) -> &'a [u8] {
        self.text
    }
}

impl<'a> Iterator for Payloads<'a> {
    type Item = Result<Payload<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.items.next()? {
            Item::Failed(error) => Err(*error),
            Item::Envelope(envelope) => {
                let range = envelope.events.start as usize..envelope.events.end as usize;
                let events = self.events.get(range).unwrap_or_default();
                Ok(Payload {
                    text: self.text,
                    envelope,
                    events,
                })
            }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl ExactSizeIterator for Payloads<'_> {}
impl FusedIterator for Payloads<'_> {}

/// One envelope: events of one log stream, matched by one or more subscription filters.
///
/// Members that are absent or null are empty texts. Members that this crate does not know are skipped.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) envelope: &'a Envelope,
    pub(crate) events: &'a [EventSpan],
}

impl<'a> Payload<'a> {
    /// Returns the kind of message. Only [`MessageType::Data`] carries log data.
    #[must_use]
    pub fn message_type(&self) -> MessageType<'a> {
        let text = self.member(&self.envelope.message_type);
        match text.as_plain() {
            Some(b"DATA_MESSAGE") => MessageType::Data,
            Some(b"CONTROL_MESSAGE") => MessageType::Control,
            _ => MessageType::Other(text),
        }
    }

    /// Returns the account that owns the log group; `CloudwatchLogs` in control messages.
    ///
    /// With log centralisation it is not the account the event comes from: see
    /// [`LogEvent::account`](crate::LogEvent::account).
    #[must_use]
    pub fn owner(&self) -> Text<'a> {
        self.member(&self.envelope.owner)
    }

    /// Returns the log group.
    #[must_use]
    pub fn log_group(&self) -> Text<'a> {
        self.member(&self.envelope.log_group)
    }

    /// Returns the log stream.
    #[must_use]
    pub fn log_stream(&self) -> Text<'a> {
        self.member(&self.envelope.log_stream)
    }

    /// Returns the names of the subscription filters that matched.
    #[must_use]
    pub fn subscription_filters(&self) -> SubscriptionFilters<'a> {
        let range = self.envelope.subscription_filters.range();
        SubscriptionFilters {
            scanner: Scanner::within(self.text, range),
        }
    }

    /// Returns where the subscription is defined; `None` in payloads older than January 2024.
    #[must_use]
    pub fn policy_level(&self) -> Option<PolicyLevel<'a>> {
        let text = self.member(&self.envelope.policy_level);
        match text.as_plain() {
            Some(b"") => None,
            Some(b"ACCOUNT_LEVEL_POLICY") => Some(PolicyLevel::Account),
            Some(b"LOG_GROUP_LEVEL_POLICY") => Some(PolicyLevel::LogGroup),
            _ => Some(PolicyLevel::Other(text)),
        }
    }

    /// Iterates over the events in the order in which they were sent. An event that cannot be read is an `Err` item.
    #[must_use]
    pub fn events(&self) -> Events<'a> {
        Events::new(*self)
    }

    /// Returns how many events there are, bad ones included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.events.len()
    }

    /// Says whether there are no events.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Says whether reading broke off within this envelope: events, and members behind them, may be missing.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.envelope.partial
    }

    /// Returns the JSON text of this envelope.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.text
            .get(self.envelope.range.range())
            .unwrap_or_default()
    }

    /// Returns the JSON text of an event that failed, to keep it apart.
    #[must_use]
    pub fn raw_event(&self, error: &EventError) -> &'a [u8] {
        self.text.get(error.range.clone()).unwrap_or_default()
    }

    /// Returns the event that failed with [`EventProblem::TooLarge`](crate::EventProblem::TooLarge), so that its
    /// message can be cut; `None` for other errors.
    #[must_use]
    pub fn oversized(&self, error: &EventError) -> Option<LogEvent<'a>> {
        let span = self.events.get(error.index)?;
        span.is_oversized().then(|| LogEvent::new(*self, span))
    }

    fn member(&self, span: &Span) -> Text<'a> {
        span.text(self.text)
    }
}

impl<'a> IntoIterator for Payload<'a> {
    type Item = Result<LogEvent<'a>, EventError>;
    type IntoIter = Events<'a>;

    fn into_iter(self) -> Events<'a> {
        self.events()
    }
}

/// What a payload is for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageType<'a> {
    /// `DATA_MESSAGE`: log data.
    Data,
    /// `CONTROL_MESSAGE`: a probe of the destination. It holds one event, which is to be dropped.
    Control,
    /// Anything else, or nothing (then the text is empty).
    Other(Text<'a>),
}

/// Where a subscription is defined.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PolicyLevel<'a> {
    /// `ACCOUNT_LEVEL_POLICY`.
    Account,
    /// `LOG_GROUP_LEVEL_POLICY`.
    LogGroup,
    /// Anything else.
    Other(Text<'a>),
}

/// Iterator over the names of subscription filters; entries that are not strings are left out.
#[derive(Clone, Debug)]
pub struct SubscriptionFilters<'a> {
    scanner: Scanner<'a>,
}

impl<'a> Iterator for SubscriptionFilters<'a> {
    type Item = Text<'a>;

    fn next(&mut self) -> Option<Text<'a>> {
        self.scanner.next_array_string()
    }
}

impl FusedIterator for SubscriptionFilters<'_> {}
