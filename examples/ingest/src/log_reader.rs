//! From one Kinesis record to messages: inflate, envelope, route, flow log or text; or the record as text.

use std::{fmt, sync::Arc};

use forebay_cwlogs::{Decoder, LogEvent, MessageType, Payload};
use forebay_entity::Index;
use forebay_flowlog::{Field, Record};
use forebay_gelf::{FieldBlock, Line};

use crate::{
    collect::{Bad, Collect},
    config::Decode,
    dead_letter::Class,
    message_id::MessageId,
    pipeline::SharedName,
    route::{Route, Routes},
    shape::{Event, FlowError, Origin, Shaper, is_blank},
};

/// Reads subscription payloads. One per task: it owns the buffers.
#[derive(Debug)]
pub(crate) struct LogReader {
    decoder: Decoder,
    shaper: Shaper,
    routes: Arc<Routes>,
    stream: SharedName,
    /// A line whose JSON text has escapes, without them.
    line: Vec<u8>,
    /// The fields of the current payload.
    fields: FieldBlock,
}

/// Where a record came from, for message ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordOrigin<'a> {
    pub(crate) shard: &'a str,
    pub(crate) sequence_number: &'a str,
    pub(crate) sub_sequence: u64,
    /// Milliseconds since 1970 at which the stream took the record in; 0 if nobody knows.
    pub(crate) arrival: i64,
}

impl LogReader {
    /// A reader of the payloads of `stream` (empty outside Kinesis).
    pub(crate) fn new(shaper: Shaper, routes: Arc<Routes>, stream: SharedName) -> Self {
        Self {
            decoder: Decoder::default(),
            shaper,
            routes,
            stream,
            line: Vec::new(),
            fields: FieldBlock::new(),
        }
    }

    /// Reads one record: one or more payloads, plain or compressed, or a text.
    pub(crate) fn read(
        &mut self,
        data: &[u8],
        origin: Option<&RecordOrigin<'_>>,
        names: &Index,
        collect: &mut impl Collect,
    ) {
        let id = origin.map(|origin| {
            MessageId::new()
                .text(self.stream.as_bytes())
                .text(origin.shard.as_bytes())
                .text(origin.sequence_number.as_bytes())
                .number(origin.sub_sequence)
        });
        if self.routes.is_raw() {
            let arrival = origin.map_or(0, |origin| origin.arrival);
            return self.raw(data, arrival, id, collect);
        }
        let payloads = match self.decoder.decode(data) {
            Ok(payloads) => payloads,
            Err(error) => {
                collect.bad(Bad::new(Class::Payload, &error, data));
                return;
            }
        };
        let mut reading = Reading {
            shaper: &mut self.shaper,
            routes: &self.routes,
            stream: &self.stream,
            line: &mut self.line,
            names,
            id,
            index: 0,
        };
        for payload in payloads {
            match payload {
                Ok(payload) => reading.payload(&payload, &mut self.fields, collect),
                Err(error) => {
                    collect.bad(Bad::new(Class::Payload, &error, data));
                }
            }
        }
        self.shaper.flush();
        if self.decoder.buffer_bytes() > MUCH {
            self.decoder.shrink_to(MUCH / 4);
        }
    }

    /// A record that is a text.
    fn raw(
        &mut self,
        data: &[u8],
        arrival: i64,
        id: Option<MessageId>,
        collect: &mut impl Collect,
    ) {
        let origin = Origin {
            log_group: b"",
            log_stream: b"",
            owner: b"",
            stream: &self.stream,
        };
        self.shaper.origin(&origin, &mut self.fields);
        let event = Event {
            origin: &self.fields,
            timestamp: arrival,
            id,
        };
        match self.shaper.line(&event, data) {
            Ok(message) => return collect.message(&message),
            Err(error) if is_blank(&error) => return,
            Err(error) => collect.bad(Bad::new(Class::Payload, &error, data)),
        }
        // The beginning of what is too long for one message; the whole is a dead letter.
        let beginning = data.get(..OVERSIZED_BYTES).unwrap_or(data);
        if let Ok(message) = self.shaper.line(&event, beginning) {
            collect.message(&message);
        }
    }
}

/// One record being read.
struct Reading<'a> {
    shaper: &'a mut Shaper,
    routes: &'a Routes,
    stream: &'a str,
    line: &'a mut Vec<u8>,
    names: &'a Index,
    id: Option<MessageId>,
    /// Index of the event within the record, over all its payloads.
    index: u32,
}

impl Reading<'_> {
    fn payload(
        &mut self,
        payload: &Payload<'_>,
        fields: &mut FieldBlock,
        collect: &mut impl Collect,
    ) {
        match payload.message_type() {
            MessageType::Data => {}
            // The type was behind the place where a payload was cut: what could be read of it is delivered.
            MessageType::Other(text) if text.is_empty() => {}
            // A probe of the destination, no log data.
            MessageType::Control => return,
            other => {
                let reason = format!("message type {other:?} is not known");
                collect.bad(Bad::new(Class::Payload, &reason, payload.raw()));
                return;
            }
        }
        let routes = self.routes;
        let route = routes.find(&payload.log_group().to_cow());
        let mut record = route.formats.record();
        let mut origin = (None, fields);
        for event in payload.events() {
            let position = Position(self.index);
            let id = self.id.map(|id| id.index(self.index));
            match event {
                Ok(event) => {
                    let context = self.context(payload, &event, id, &mut origin);
                    self.event(&context, route, &mut record, &event, collect);
                }
                Err(error) => {
                    let raw = payload.raw_event(&error);
                    collect.bad(Bad::new(Class::Event, &error, raw).at(&position));
                    // Too large to be kept whole: its beginning is delivered, the original is the letter above.
                    if let Some(event) = payload.oversized(&error) {
                        let context = self.context(payload, &event, id, &mut origin);
                        self.beginning(&context, event.message().raw(), collect);
                    }
                }
            }
            self.index += 1;
        }
    }

    /// What an event brings along. `origin` holds the fields of the payload and the account for which they were rendered:
    /// with log centralisation each event can be of another one.
    fn context<'f, 'p>(
        &mut self,
        payload: &Payload<'p>,
        event: &LogEvent<'p>,
        id: Option<MessageId>,
        (rendered, fields): &'f mut (Option<&'p [u8]>, &mut FieldBlock),
    ) -> Event<'f> {
        let owner = event.account().raw();
        if *rendered != Some(owner) {
            *rendered = Some(owner);
            let origin = Origin {
                log_group: payload.log_group().raw(),
                log_stream: payload.log_stream().raw(),
                owner,
                stream: self.stream,
            };
            self.shaper.origin(&origin, fields);
        }
        Event {
            origin: fields,
            timestamp: event.timestamp(),
            id,
        }
    }

    fn event<'p>(
        &mut self,
        context: &Event<'_>,
        route: &'p Route,
        record: &mut Record<'p>,
        event: &LogEvent<'p>,
        collect: &mut impl Collect,
    ) {
        let position = Position(self.index);
        let text = event.message();
        if route.decode != Decode::Cloudwatch {
            let unescaped;
            let (parsed, line, context_text) = match text.as_plain() {
                Some(line) => {
                    let parsed = route.formats.read(record, line).map(|()| &*record);
                    (parsed, line, event.text_from_message())
                }
                None => {
                    self.line.clear();
                    text.unescape_into(self.line);
                    let parsed = match route.formats.parse(self.line) {
                        Ok(record) => {
                            unescaped = record;
                            Ok(&unescaped)
                        }
                        Err(error) => Err(error),
                    };
                    (parsed, self.line.as_slice(), self.line.as_slice())
                }
            };
            match parsed {
                Ok(record) if route.decode == Decode::Flowlog || looks_like_flow_log(record) => {
                    let line_of_record = Line::within(context_text, record.line().len());
                    match self.shaper.flow(
                        context,
                        route.plan(record),
                        record,
                        &line_of_record,
                        self.names,
                    ) {
                        Ok(message) => collect.message(&message),
                        Err(FlowError::Encode(error)) if is_blank(&error) => {}
                        Err(error) => {
                            collect.bad(Bad::new(Class::FlowLog, &error, line).at(&position));
                        }
                    }
                    return;
                }
                Err(error) if route.decode == Decode::Flowlog => {
                    collect.bad(Bad::new(Class::FlowLog, &error, line).at(&position));
                    return;
                }
                _ => {}
            }
        }
        match self.shaper.plain(context, text.raw()) {
            Ok(message) => collect.message(&message),
            Err(error) if is_blank(&error) => {}
            Err(error) => {
                collect.bad(Bad::new(Class::Event, &error, event.raw()).at(&position));
                self.beginning(context, text.raw(), collect);
            }
        }
    }

    /// The beginning of a text that is too long for one message; the whole is a dead letter.
    fn beginning(&mut self, context: &Event<'_>, text: &[u8], collect: &mut impl Collect) {
        let text = text.get(..OVERSIZED_BYTES).unwrap_or(text);
        if let Ok(message) = self.shaper.plain(context, text) {
            collect.message(&message);
        }
    }
}

/// Whether a line that has the right number of columns is a flow log and not text that happens to have as many words.
pub(crate) fn looks_like_flow_log(record: &Record<'_>) -> bool {
    let digits = |field| {
        record
            .raw(field)
            .is_none_or(|raw| raw.iter().all(u8::is_ascii_digit))
    };
    let status = record.raw(Field::LogStatus);
    digits(Field::Version)
        && digits(Field::Start)
        && digits(Field::End)
        && status.is_none_or(|status| matches!(status, b"OK" | b"NODATA" | b"SKIPDATA"))
        && record.address(Field::SrcAddr).is_ok()
        && record.address(Field::DstAddr).is_ok()
}

/// Which event of its record.
struct Position(u32);

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "event {}", self.0)
    }
}

/// Buffers of more than this, which some large record has left, are given back.
const MUCH: usize = 4 << 20;

/// What is delivered of a message that is too large: the receiver's index takes no more in one term anyway.
const OVERSIZED_BYTES: usize = 32_000;
