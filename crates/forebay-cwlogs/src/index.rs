//! One pass over the text: where each envelope and each event lies, and what is wrong with it.
//!
//! The members of an envelope may come in any order, so an event can only be delivered once the whole envelope has
//! been seen. Its place is therefore noted in a list that the decoder keeps and reuses.

use std::ops::Range;

use memchr::memmem;

use crate::error::{Error, EventProblem, JsonProblem, Limit};
use crate::limits::Limits;
use crate::scan::{INVALID, Scanner, Stop};
use crate::timestamp::Timestamp;

pub(crate) use crate::scan::Span;

/// The members of an object that are known by name.
macro_rules! members {
    ($members:ident { $($member:ident = $name:literal,)+ }) => {
        enum $members {
            $($member,)+
            Unknown,
        }

        impl $members {
            /// Reads a member name and the colon behind it.
            #[inline]
            fn next(scanner: &mut Scanner<'_>) -> Result<Self, Stop> {
                // As AWS writes them: one comparison each, which the compiler makes one of a word or two.
                $(
                    if scanner.eat(concat!('"', $name, "\":").as_bytes()) {
                        scanner.skip_space();
                        return Ok(Self::$member);
                    }
                )+
                Ok(Self::named(&scanner.key()?.to_cow()))
            }

            #[cold]
            fn named(name: &[u8]) -> Self {
                $(
                    if name == $name.as_bytes() {
                        return Self::$member;
                    }
                )+
                Self::Unknown
            }
        }
    };
}

mod event;

/// What was found in one text.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) items: Vec<Item>,
    pub(crate) events: Vec<EventSpan>,
}

/// An envelope, or what stands in the place of one.
#[derive(Debug)]
pub(crate) enum Item {
    Envelope(Envelope),
    Failed(Error),
}

/// The members of one envelope. Absent ones are empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Envelope {
    pub(crate) range: Span,
    pub(crate) message_type: Span,
    pub(crate) owner: Span,
    pub(crate) log_group: Span,
    pub(crate) log_stream: Span,
    pub(crate) policy_level: Span,
    pub(crate) subscription_filters: Span,
    pub(crate) events: Range<u32>,
    pub(crate) partial: bool,
    recognised: bool,
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct EventSpan {
    pub(crate) range: Span,
    pub(crate) id: Span,
    pub(crate) message: Span,
    pub(crate) extracted_fields: Span,
    pub(crate) timestamp: Timestamp,
    pub(crate) problem: Option<(EventProblem, u32)>,
}

impl EventSpan {
    pub(crate) fn is_oversized(&self) -> bool {
        matches!(self.problem, Some((EventProblem::TooLarge, _)))
    }
}

impl Index {
    /// Forgets the last text and reads this one.
    pub(crate) fn read(&mut self, text: &[u8], limits: &Limits) {
        self.items.clear();
        self.events.clear();
        let mut reader = Reader {
            text,
            limits,
            scanner: Scanner::new(text),
            events: &mut self.events,
        };
        reader.scanner.eat(BYTE_ORDER_MARK);
        reader.read_items(&mut self.items);
    }

    /// Returns why nothing was found, if nothing was.
    pub(crate) fn sole_failure(&self) -> Option<Error> {
        match self.items.as_slice() {
            [] => Some(Error::Empty),
            [Item::Failed(error)] => Some(*error),
            _ => None,
        }
    }

    /// Keeps at most about `bytes` in each list.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.items.clear();
        self.items.shrink_to(bytes / size_of::<Item>());
        self.events.clear();
        self.events.shrink_to(bytes / size_of::<EventSpan>());
    }

    pub(crate) fn buffer_bytes(&self) -> usize {
        self.items.capacity() * size_of::<Item>() + self.events.capacity() * size_of::<EventSpan>()
    }
}

struct Reader<'t> {
    text: &'t [u8],
    limits: &'t Limits,
    scanner: Scanner<'t>,
    events: &'t mut Vec<EventSpan>,
}

impl Reader<'_> {
    /// Reads envelopes that follow each other with or without white space, or in one array.
    fn read_items(&mut self, items: &mut Vec<Item>) {
        let mut in_array = false;
        while let Some(token) = self.scanner.next_token() {
            let start = self.scanner.offset();
            match token {
                b'[' if !in_array => in_array = true,
                b',' if in_array => {}
                b']' if in_array => in_array = false,
                _ => {
                    if items.len() >= self.limits.envelopes {
                        items.push(Item::Failed(limit(
                            Limit::Envelopes,
                            self.limits.envelopes,
                            start,
                        )));
                        return;
                    }
                    if self.read_item(token, start, items).is_none() {
                        return;
                    }
                    continue;
                }
            }
            self.scanner.seek(start + 1);
        }
    }

    /// Reads one envelope; `None` if nothing behind it can be read.
    fn read_item(&mut self, token: u8, start: usize, items: &mut Vec<Item>) -> Option<()> {
        if token != b'{' {
            items.push(Item::Failed(Error::NotAnEnvelope { at: start }));
            return self.resume(start, start + 1);
        }
        let first_event = self.events.len() as u32;
        let mut envelope = Envelope {
            events: first_event..first_event,
            ..Envelope::default()
        };
        let outcome = self.envelope(&mut envelope);
        envelope.events.end = self.events.len() as u32;
        envelope.range = Span::new(start, self.scanner.offset(), 0);
        match outcome {
            Ok(()) if envelope.recognised => items.push(Item::Envelope(envelope)),
            Ok(()) => items.push(Item::Failed(Error::NotAnEnvelope { at: start })),
            Err(failure) => {
                if !envelope.events.is_empty() {
                    envelope.partial = true;
                    items.push(Item::Envelope(envelope));
                }
                items.push(Item::Failed(failure));
                if matches!(
                    failure,
                    Error::Limit {
                        what: Limit::Events,
                        ..
                    }
                ) {
                    return None;
                }
                let at = failure.offset().unwrap_or_else(|| self.scanner.offset());
                return self.resume(start, at);
            }
        }
        Some(())
    }

    /// Goes on at the next place where an envelope begins for certain.
    ///
    /// Neither mark can stand within a JSON string: the quote would be escaped, and so would the line feed. The first
    /// mark also counts before the failure: an envelope that was cut takes the next one for one of its values. Since
    /// values nest 64 deep at most, no byte is read more often than that.
    fn resume(&mut self, start: usize, failed_at: usize) -> Option<()> {
        let rest = self.text.get(start + 1..)?;
        let by_member = memmem::find(rest, ENVELOPE_MARK).map(|at| start + 1 + at);
        let lines = self
            .text
            .get(failed_at..by_member.unwrap_or(self.text.len()))
            .unwrap_or_default();
        let by_line = memmem::find(lines, b"\n{").map(|at| failed_at + at + 1);
        self.scanner.seek(by_line.or(by_member)?);
        Some(())
    }

    fn envelope(&mut self, envelope: &mut Envelope) -> Result<(), Error> {
        let depth = self.limits.json_depth;
        let stop = |stop: Stop| stop.error(depth);
        self.scanner.expect(b'{').map_err(stop)?;
        if self.scanner.next_token() == Some(b'}') {
            self.scanner.eat(b"}");
            return Ok(());
        }
        loop {
            self.scanner.skip_space();
            match EnvelopeMember::next(&mut self.scanner).map_err(stop)? {
                EnvelopeMember::MessageType => {
                    envelope.message_type = self.header_text().map_err(stop)?;
                    envelope.recognised = true;
                }
                EnvelopeMember::Owner => envelope.owner = self.header_text().map_err(stop)?,
                EnvelopeMember::LogGroup => {
                    envelope.log_group = self.header_text().map_err(stop)?
                }
                EnvelopeMember::LogStream => {
                    envelope.log_stream = self.header_text().map_err(stop)?
                }
                EnvelopeMember::PolicyLevel => {
                    envelope.policy_level = self.header_text().map_err(stop)?
                }
                EnvelopeMember::SubscriptionFilters => {
                    envelope.subscription_filters = self.filters().map_err(stop)?;
                }
                EnvelopeMember::LogEvents => {
                    // Of two members with the same name the last one counts.
                    self.events.truncate(envelope.events.start as usize);
                    envelope.recognised = true;
                    self.log_events()?;
                }
                EnvelopeMember::Unknown => drop(
                    self.scanner
                        .skip_value(depth.saturating_sub(1))
                        .map_err(stop)?,
                ),
            }
            match self.scanner.next_token() {
                Some(b',') => self.scanner.eat(b","),
                Some(b'}') => {
                    self.scanner.eat(b"}");
                    return Ok(());
                }
                _ => return Err(stop(self.scanner.unexpected())),
            };
        }
    }

    /// Reads a member that should be text. Null is empty, a number is its digits.
    fn header_text(&mut self) -> Result<Span, Stop> {
        let at = self.scanner.offset();
        match self.scanner.peek() {
            Some(b'"') => {
                let span = self.scanner.string()?;
                if span.is_invalid() {
                    return Err(Stop::Json {
                        problem: JsonProblem::BadString,
                        at,
                    });
                }
                Ok(span)
            }
            Some(b'n') => self.scanner.literal(b"null").map(|()| Span::default()),
            Some(b'-' | b'0'..=b'9') => self.scanner.number(),
            Some(b'{' | b'[' | b't' | b'f') => Err(Stop::Json {
                problem: JsonProblem::WrongType,
                at,
            }),
            _ => Err(self.scanner.unexpected()),
        }
    }

    /// Validates the filter names; what is not an array counts as an empty one.
    fn filters(&mut self) -> Result<Span, Stop> {
        let at = self.scanner.offset();
        let is_array = self.scanner.peek() == Some(b'[');
        let flags = self
            .scanner
            .skip_value(self.limits.json_depth.saturating_sub(1))?;
        if flags & INVALID != 0 {
            return Err(Stop::Json {
                problem: JsonProblem::BadString,
                at,
            });
        }
        Ok(if is_array {
            Span::new(at, self.scanner.offset(), 0)
        } else {
            Span::default()
        })
    }

    fn log_events(&mut self) -> Result<(), Error> {
        let depth = self.limits.json_depth;
        let stop = |stop: Stop| stop.error(depth);
        match self.scanner.peek() {
            Some(b'[') => self.scanner.eat(b"["),
            Some(b'n') => return self.scanner.literal(b"null").map_err(stop),
            Some(b'"' | b'{' | b't' | b'f' | b'-' | b'0'..=b'9') => {
                return Err(Error::Json {
                    problem: JsonProblem::WrongType,
                    at: self.scanner.offset(),
                });
            }
            _ => return Err(stop(self.scanner.unexpected())),
        };
        if self.scanner.next_token() == Some(b']') {
            self.scanner.eat(b"]");
            return Ok(());
        }
        loop {
            self.scanner.skip_space();
            if self.events.len() >= self.limits.events {
                return Err(limit(
                    Limit::Events,
                    self.limits.events,
                    self.scanner.offset(),
                ));
            }
            let event = match self.usual_event() {
                Some(event) => event,
                None => self.event().map_err(stop)?,
            };
            self.events.push(event);
            match self.scanner.next_token() {
                Some(b',') => self.scanner.eat(b","),
                Some(b']') => {
                    self.scanner.eat(b"]");
                    return Ok(());
                }
                _ => return Err(stop(self.scanner.unexpected())),
            };
        }
    }
}

members! {
    EnvelopeMember {
        MessageType = "messageType",
        Owner = "owner",
        LogGroup = "logGroup",
        LogStream = "logStream",
        SubscriptionFilters = "subscriptionFilters",
        LogEvents = "logEvents",
        PolicyLevel = "policyLevel",
    }
}

const fn limit(what: Limit, limit: usize, at: usize) -> Error {
    Error::Limit { what, limit, at }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How CloudWatch Logs begins an envelope.
const ENVELOPE_MARK: &[u8] = b"{\"messageType\"";
