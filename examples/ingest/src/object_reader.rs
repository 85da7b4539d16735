//! From the records of an S3 object to messages: CloudTrail records, flow-log lines, any lines.

use forebay_entity::Index;
use forebay_flowlog::{Field, Format, FormatError, FormatSet};
use forebay_gelf::{EncodeError, Encoded, FieldBlock, Line};
use forebay_s3::{Batch, ObjectId};

use crate::{
    collect::{Bad, Collect, Collector},
    config::{self, S3},
    dead_letter::Class,
    message_id::MessageId,
    names::Names,
    route::{Route, flow_formats},
    shape::{Event, FlowError, Origin, Shaper, is_blank},
};

/// What the objects of each entry of the configuration hold.
#[derive(Debug)]
pub(crate) struct Contents {
    contents: Vec<Content>,
    field_prefix: bool,
    full_message: bool,
}

#[derive(Debug)]
enum Content {
    CloudTrail,
    /// Flow logs: how to read a file without header line.
    FlowLog(Box<Route>),
    Lines,
}

impl Contents {
    /// As configured; the configuration was checked.
    pub(crate) fn new(input: &S3, names: &Names) -> Result<Self, FormatError> {
        let content = |objects: &config::Objects| {
            Ok(match objects.decode {
                config::ObjectDecode::Cloudtrail => Content::CloudTrail,
                config::ObjectDecode::Lines => Content::Lines,
                config::ObjectDecode::Flowlog => {
                    let formats = flow_formats(&objects.flow_format)?;
                    Content::FlowLog(Box::new(route(formats, input.field_prefix, names)))
                }
            })
        };
        Ok(Self {
            contents: input
                .objects
                .iter()
                .map(content)
                .collect::<Result<_, _>>()?,
            field_prefix: input.field_prefix,
            full_message: input.full_message,
        })
    }
}

fn route(formats: FormatSet, field_prefix: bool, names: &Names) -> Route {
    Route::new(config::Decode::Flowlog, formats, field_prefix, names)
}

/// Reads batches. One per task: it owns the buffers.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    shaper: Shaper,
    /// The fields that say where the lines of the object come from.
    origin: FieldBlock,
    names: Names,
    /// The header line read last, and what it says.
    header: Option<(Vec<u8>, Result<Route, FormatError>)>,
}

impl ObjectReader {
    pub(crate) fn new(shaper: Shaper, names: &Names) -> Self {
        Self {
            shaper,
            origin: FieldBlock::default(),
            names: names.clone(),
            header: None,
        }
    }

    /// Reads every record of a batch. `read_at` (milliseconds since 1970) stands in where a record tells no time.
    pub(crate) fn read(
        &mut self,
        batch: &Batch,
        contents: &Contents,
        names: &Index,
        read_at: i64,
        collector: &mut Collector,
    ) {
        match batch.rule().and_then(|rule| contents.contents.get(rule)) {
            // Without a list of buckets only CloudTrail's own files are read.
            None | Some(Content::CloudTrail) => {
                self.trail(batch, contents.full_message, read_at, collector);
            }
            Some(content) => {
                let object = Object::of(batch.object());
                let mut origin = std::mem::take(&mut self.origin);
                self.shaper.origin(&object.origin(), &mut origin);
                self.header(batch.header(), contents.field_prefix);
                for (offset, (number, line)) in
                    (batch.first_index()..).zip(batch.records()).enumerate()
                {
                    collector.begin(offset, format_args!("record {number}"));
                    let event = Event {
                        origin: &origin,
                        timestamp: read_at,
                        id: Some(object.id.number(number)),
                    };
                    match content {
                        Content::FlowLog(route) => {
                            self.flow(line, route, &event, names, collector);
                        }
                        _ => {
                            let message = self.shaper.line(&event, line);
                            collect(message, (Class::Event, line), collector);
                        }
                    }
                }
                self.origin = origin;
            }
        }
        self.shaper.flush();
    }

    fn trail(
        &mut self,
        batch: &Batch,
        full_message: bool,
        read_at: i64,
        collector: &mut Collector,
    ) {
        for (offset, (number, event)) in (batch.first_index()..).zip(batch.events()).enumerate() {
            collector.begin(offset, format_args!("record {number}"));
            let message = self.shaper.trail(&event, full_message, read_at);
            collect(message, (Class::Record, event.raw().as_bytes()), collector);
        }
    }

    /// Reads the header line, unless it is the one that was read last.
    fn header(&mut self, header: Option<&[u8]>, field_prefix: bool) {
        let known = self.header.as_ref().map(|(line, _)| line.as_slice());
        if known != header {
            let names = &self.names;
            self.header = header.map(|line| {
                let format = Format::from_header(line);
                (
                    line.to_vec(),
                    format.map(|format| route(format.into(), field_prefix, names)),
                )
            });
        }
    }

    fn flow(
        &mut self,
        line: &[u8],
        configured: &Route,
        event: &Event<'_>,
        names: &Index,
        collector: &mut Collector,
    ) {
        let route = match &self.header {
            None => configured,
            Some((_, Ok(route))) => route,
            Some((_, Err(error))) => return collector.bad(Bad::new(Class::FlowLog, error, line)),
        };
        let record = match route.formats.parse(line) {
            Ok(record) => record,
            Err(error) => return collector.bad(Bad::new(Class::FlowLog, &error, line)),
        };
        // CloudWatch Logs gives a record the time of its `start`.
        let time = |field| record.timestamp(field).ok().flatten();
        let time = time(Field::Start).or_else(|| time(Field::End));
        let timestamp = time.and_then(|time| i64::try_from(time.unix_millis()).ok());
        let event = Event {
            timestamp: timestamp.unwrap_or(event.timestamp),
            ..*event
        };
        let text = Line::new(record.line());
        match self
            .shaper
            .flow(&event, route.plan(&record), &record, &text, names)
        {
            Ok(message) => collector.message(&message),
            Err(FlowError::Encode(error)) if is_blank(&error) => {}
            Err(error) => collector.bad(Bad::new(Class::FlowLog, &error, line)),
        }
    }
}

/// An object as the messages of its lines name it: the bucket as log group, the key as log stream.
struct Object {
    bucket: String,
    /// Content of a JSON string.
    key: String,
    id: MessageId,
}

impl Object {
    fn of(object: &ObjectId) -> Self {
        let quoted = serde_json::Value::from(object.key.as_str()).to_string();
        let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        Self {
            bucket: object.bucket.clone(),
            key: inner.to_owned(),
            id: MessageId::new()
                .text(object.bucket.as_bytes())
                .text(object.key.as_bytes())
                .text(object.etag.as_deref().unwrap_or_default().as_bytes()),
        }
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            log_group: self.bucket.as_bytes(),
            log_stream: self.key.as_bytes(),
            owner: b"",
            stream: "",
        }
    }
}

fn collect(
    message: Result<Encoded<'_>, EncodeError>,
    (class, record): (Class, &[u8]),
    collector: &mut Collector,
) {
    match message {
        Ok(message) => collector.message(&message),
        Err(error) if is_blank(&error) => {}
        Err(error) => collector.bad(Bad::new(class, &error, record)),
    }
}
