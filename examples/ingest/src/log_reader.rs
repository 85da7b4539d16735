//! From one Kinesis record to messages: inflate, envelope, route, flow log or text.

use std::{fmt, sync::Arc};

use forebay_cwlogs::{Decoder, LogEvent, MessageType, Payload};
use forebay_entity::Index;
use forebay_flowlog::{Field, Record};

use crate::{
    collect::{Bad, Collect},
    config::Decode,
    dead_letter::Class,
    message_id::MessageId,
    pipeline::SharedName,
    route::{Route, Routes},
    shape::{Event, FlowError, Shaper, is_blank},
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
}

/// Where a record came from, for message ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordOrigin<'a> {
    pub(crate) shard: &'a str,
    pub(crate) sequence_number: &'a str,
    pub(crate) sub_sequence: u64,
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
        }
    }

    /// Reads one record: one or more payloads, plain or compressed.
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
        let payloads = match self.decoder.decode(data) {
            Ok(payloads) => payloads,
            Err(error) => {
                collect.bad(Bad {
                    class: Class::Payload,
                    position: &"",
                    reason: &error,
                    payload: data,
                });
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
                Ok(payload) => reading.payload(&payload, collect),
                Err(error) => {
                    collect.bad(Bad {
                        class: Class::Payload,
                        position: &"",
                        reason: &error,
                        payload: data,
                    });
                }
            }
        }
        self.shaper.flush();
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
    fn payload(&mut self, payload: &Payload<'_>, collect: &mut impl Collect) {
        match payload.message_type() {
            MessageType::Data => {}
            // The type was behind the place where a payload was cut: what could be read of it is delivered.
            MessageType::Other(text) if text.is_empty() => {}
            // A probe of the destination, no log data.
            MessageType::Control => return,
            other => {
                let reason = format!("message type {other:?} is not known");
                collect.bad(Bad {
                    class: Class::Payload,
                    position: &"",
                    reason: &reason,
                    payload: payload.raw(),
                });
                return;
            }
        }
        let route = self.routes.find(&payload.log_group().to_cow());
        for event in payload.events() {
            let position = Position(self.index);
            let id = self.id.map(|id| id.index(self.index));
            self.index += 1;
            match event {
                Ok(event) => {
                    self.event(
                        &context(payload, &event, self.stream, id),
                        route,
                        &event,
                        &position,
                        collect,
                    );
                }
                Err(error) => {
                    let raw = payload.raw_event(&error);
                    collect.bad(Bad {
                        class: Class::Event,
                        position: &position,
                        reason: &error,
                        payload: raw,
                    });
                    // Too large to be kept whole: its beginning is delivered, the original is the letter above.
                    if let Some(event) = payload.oversized(&error) {
                        let context = context(payload, &event, self.stream, id);
                        self.beginning(&context, event.message().raw(), collect);
                    }
                }
            }
        }
    }

    fn event(
        &mut self,
        context: &Event<'_>,
        route: &Route,
        event: &LogEvent<'_>,
        position: &Position,
        collect: &mut impl Collect,
    ) {
        let text = event.message();
        let line: &[u8] = match text.as_plain() {
            Some(line) => line,
            None if route.decode == Decode::Cloudwatch => &[],
            None => {
                self.line.clear();
                text.unescape_into(self.line);
                self.line
            }
        };
        if route.decode != Decode::Cloudwatch {
            match route.format.parse(line) {
                Ok(record) if route.decode == Decode::Flowlog || looks_like_flow_log(&record) => {
                    match self.shaper.flow(context, &route.plan, &record, self.names) {
                        Ok(message) => collect.message(&message),
                        Err(FlowError::Encode(error)) if is_blank(&error) => {}
                        Err(error) => {
                            collect.bad(Bad {
                                class: Class::FlowLog,
                                position,
                                reason: &error,
                                payload: line,
                            });
                        }
                    }
                    return;
                }
                Err(error) if route.decode == Decode::Flowlog => {
                    collect.bad(Bad {
                        class: Class::FlowLog,
                        position,
                        reason: &error,
                        payload: line,
                    });
                    return;
                }
                _ => {}
            }
        }
        match self.shaper.plain(context, text.raw()) {
            Ok(message) => collect.message(&message),
            Err(error) if is_blank(&error) => {}
            Err(error) => {
                collect.bad(Bad {
                    class: Class::Event,
                    position,
                    reason: &error,
                    payload: event.raw(),
                });
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

fn context<'a>(
    payload: &Payload<'a>,
    event: &LogEvent<'a>,
    stream: &'a str,
    id: Option<MessageId>,
) -> Event<'a> {
    Event {
        log_group: payload.log_group().raw(),
        log_stream: payload.log_stream().raw(),
        owner: event.account().raw(),
        stream,
        timestamp: event.timestamp(),
        id,
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

/// What is delivered of a message that is too large: the receiver's index takes no more in one term anyway.
const OVERSIZED_BYTES: usize = 32_000;
