//! Reading one event: a quick way for the form that CloudWatch Logs writes, a general one for every other.

use super::{EventSpan, Reader, Scanner, Span};
use crate::error::EventProblem;
use crate::scan::{INVALID, Stop, plain_run};
use crate::timestamp::Timestamp;

impl Reader<'_> {
    /// Reads an event in the very form in which CloudWatch Logs writes it; `None`, and nothing read, for any other.
    #[inline]
    pub(super) fn usual_event(&mut self) -> Option<EventSpan> {
        let start = self.scanner.offset();
        let event = self.try_usual_event(start);
        if event.is_none() {
            self.scanner.seek(start);
        }
        event
    }

    #[inline]
    fn try_usual_event(&mut self, start: usize) -> Option<EventSpan> {
        let rest = self.scanner.rest().strip_prefix(BEFORE_ID)?;
        let id_at = start + BEFORE_ID.len();
        let (id_len, id_flags) = if has_usual_id(rest) {
            (USUAL_ID, 0)
        } else {
            plain_run(rest)
        };
        let rest = rest.get(id_len..)?.strip_prefix(BEFORE_TIMESTAMP)?;
        let (timestamp, timestamp_len) = Timestamp::usual(rest)?;
        let rest = rest.get(timestamp_len..)?.strip_prefix(BEFORE_MESSAGE)?;
        let message_at =
            id_at + id_len + BEFORE_TIMESTAMP.len() + timestamp_len + BEFORE_MESSAGE.len();
        let (len, flags) = plain_run(rest);
        let end = message_at + len;
        let mut event = EventSpan {
            range: Span::new(start, end + AFTER_MESSAGE.len(), 0),
            id: Span::new(id_at, id_at + id_len, id_flags),
            message: Span::new(message_at, end, flags),
            extracted_fields: Span::default(),
            timestamp,
            problem: None,
        };
        if rest.get(len..)?.starts_with(AFTER_MESSAGE) {
            self.scanner.seek(end + AFTER_MESSAGE.len());
        } else {
            self.scanner.seek(end);
            self.rest_of_usual_event(&mut event)?;
        }
        (event.message.range().len() <= self.limits.event_bytes).then_some(event)
    }

    /// Reads the rest of a message with escapes, and the extracted fields.
    fn rest_of_usual_event(&mut self, event: &mut EventSpan) -> Option<()> {
        let scanner = &mut self.scanner;
        event.message = scanner.string_with_escapes(event.message).ok()?;
        if !scanner.eat(b"}") {
            if !scanner.eat(b",\"extractedFields\":") || scanner.peek() != Some(b'{') {
                return None;
            }
            let from = scanner.offset();
            let flags = scanner
                .skip_value(self.limits.json_depth.saturating_sub(EVENT_DEPTH))
                .ok()?;
            event.extracted_fields = Span::new(from, scanner.offset(), flags);
            if !scanner.eat(b"}") {
                return None;
            }
        }
        event.range = Span::new(event.range.range().start, scanner.offset(), 0);
        (!event.message.is_invalid() && !event.extracted_fields.is_invalid()).then_some(())
    }

    /// Reads an event in any form. Only text that is not JSON ends the reading.
    pub(super) fn event(&mut self) -> Result<EventSpan, Stop> {
        let start = self.scanner.offset();
        let inner_levels = self.limits.json_depth.saturating_sub(EVENT_DEPTH);
        let mut draft = EventDraft::new();
        if self.scanner.peek() != Some(b'{') {
            self.scanner.skip_value(inner_levels + 1)?;
            draft.not_an_object = true;
            return Ok(draft.finish(Span::new(start, self.scanner.offset(), 0)));
        }
        self.scanner.eat(b"{");
        if self.scanner.next_token() == Some(b'}') {
            self.scanner.eat(b"}");
            return Ok(draft.finish(Span::new(start, self.scanner.offset(), 0)));
        }
        loop {
            self.scanner.skip_space();
            match EventMember::next(&mut self.scanner)? {
                EventMember::Id => draft.id = self.id(inner_levels)?,
                EventMember::Timestamp => draft.timestamp = self.timestamp(inner_levels)?,
                EventMember::Message => draft.message = self.message(inner_levels)?,
                EventMember::ExtractedFields => {
                    draft.extracted_fields = self.extracted_fields(inner_levels)?
                }
                EventMember::Unknown => drop(self.scanner.skip_value(inner_levels)?),
            }
            match self.scanner.next_token() {
                Some(b',') => self.scanner.eat(b","),
                Some(b'}') => {
                    self.scanner.eat(b"}");
                    return Ok(draft.finish(Span::new(start, self.scanner.offset(), 0)));
                }
                _ => return Err(self.scanner.unexpected()),
            };
        }
    }

    /// An id is text, but a number has been seen; null and absence are the empty id.
    fn id(&mut self, levels: usize) -> Result<Member<Span>, Stop> {
        let at = self.scanner.offset();
        match self.scanner.peek() {
            Some(b'"') => self.valid_string(at),
            Some(b'n') => self.scanner.literal(b"null").map(|()| Ok(Span::default())),
            Some(b'-' | b'0'..=b'9') => self.scanner.number().map(Ok),
            _ => self.wrong(EventProblem::WrongType, at, levels),
        }
    }

    fn message(&mut self, levels: usize) -> Result<Member<Span>, Stop> {
        let at = self.scanner.offset();
        if self.scanner.peek() != Some(b'"') {
            return self.wrong(EventProblem::WrongType, at, levels);
        }
        let string = self.valid_string(at)?;
        Ok(match string {
            Ok(span) if span.text(self.text).value_len() > self.limits.event_bytes => Err(Flaw {
                problem: EventProblem::TooLarge,
                at,
                span,
            }),
            other => other,
        })
    }

    fn extracted_fields(&mut self, levels: usize) -> Result<Member<Span>, Stop> {
        let at = self.scanner.offset();
        match self.scanner.peek() {
            Some(b'n') => self.scanner.literal(b"null").map(|()| Ok(Span::default())),
            Some(b'{') => {
                let flags = self.scanner.skip_value(levels)?;
                let span = Span::new(at, self.scanner.offset(), 0);
                Ok(if flags & INVALID == 0 {
                    Ok(span)
                } else {
                    Err(Flaw::new(EventProblem::BadString, at))
                })
            }
            _ => self.wrong(EventProblem::WrongType, at, levels),
        }
    }

    fn timestamp(&mut self, levels: usize) -> Result<Member<Timestamp>, Stop> {
        let at = self.scanner.offset();
        let span = match self.scanner.peek() {
            Some(b'-' | b'0'..=b'9') => self.scanner.number()?,
            Some(b'"') => self.scanner.string()?,
            Some(b'n') => {
                self.scanner.literal(b"null")?;
                return Ok(Err(Flaw::new(EventProblem::NoTimestamp, at)));
            }
            _ => return self.wrong(EventProblem::BadTimestamp, at, levels),
        };
        let digits = self.text.get(span.range()).unwrap_or_default();
        Ok(Timestamp::parse(digits).ok_or_else(|| Flaw::new(EventProblem::BadTimestamp, at)))
    }

    fn valid_string(&mut self, at: usize) -> Result<Member<Span>, Stop> {
        let span = self.scanner.string()?;
        Ok(if span.is_invalid() {
            Err(Flaw::new(EventProblem::BadString, at))
        } else {
            Ok(span)
        })
    }

    fn wrong<T>(
        &mut self,
        problem: EventProblem,
        at: usize,
        levels: usize,
    ) -> Result<Member<T>, Stop> {
        self.scanner.skip_value(levels)?;
        Ok(Err(Flaw::new(problem, at)))
    }
}

/// A member of an event, or what is wrong with it.
type Member<T> = Result<T, Flaw>;

#[derive(Clone, Copy)]
struct Flaw {
    problem: EventProblem,
    at: usize,
    /// The message, if it is merely too large.
    span: Span,
}

impl Flaw {
    fn new(problem: EventProblem, at: usize) -> Self {
        Self {
            problem,
            at,
            span: Span::default(),
        }
    }
}

/// An event while its members arrive; a repeated member replaces the earlier one, flaw or not.
struct EventDraft {
    id: Member<Span>,
    timestamp: Member<Timestamp>,
    message: Member<Span>,
    extracted_fields: Member<Span>,
    not_an_object: bool,
}

impl EventDraft {
    fn new() -> Self {
        Self {
            id: Ok(Span::default()),
            timestamp: Err(Flaw::new(EventProblem::NoTimestamp, usize::MAX)),
            message: Err(Flaw::new(EventProblem::NoMessage, usize::MAX)),
            extracted_fields: Ok(Span::default()),
            not_an_object: false,
        }
    }

    fn finish(self, range: Span) -> EventSpan {
        let start = range.range().start;
        let flaw = if self.not_an_object {
            Some(Flaw::new(EventProblem::NotAnObject, start))
        } else {
            let members = [
                self.message.err(),
                self.timestamp.err(),
                self.id.err(),
                self.extracted_fields.err(),
            ];
            members.into_iter().flatten().next()
        };
        let oversized = self.message.unwrap_or_else(|flaw| flaw.span);
        EventSpan {
            range,
            id: self.id.unwrap_or_default(),
            message: oversized,
            extracted_fields: self.extracted_fields.unwrap_or_default(),
            timestamp: self.timestamp.unwrap_or_default(),
            // A member that is not there is reported where the event begins.
            problem: flaw.map(|flaw| {
                let at = if flaw.at == usize::MAX {
                    start
                } else {
                    flaw.at
                };
                (flaw.problem, at as u32)
            }),
        }
    }
}

members! {
    EventMember {
        Id = "id",
        Timestamp = "timestamp",
        Message = "message",
        ExtractedFields = "extractedFields",
    }
}

/// Says whether the string that begins here is an id as live data has it.
#[inline]
fn has_usual_id(bytes: &[u8]) -> bool {
    let Some((id, rest)) = bytes.split_first_chunk::<USUAL_ID>() else {
        return false;
    };
    // Without a branch, so that the compiler can take many digits at once.
    rest.first() == Some(&b'"')
        && id
            .iter()
            .fold(true, |digits, byte| digits & byte.is_ascii_digit())
}

const BEFORE_ID: &[u8] = b"{\"id\":\"";
const BEFORE_TIMESTAMP: &[u8] = b"\",\"timestamp\":";
const BEFORE_MESSAGE: &[u8] = b",\"message\":\"";
const AFTER_MESSAGE: &[u8] = b"\"}";
const USUAL_ID: usize = 56;

/// Envelope, list of events, event.
const EVENT_DEPTH: usize = 3;
