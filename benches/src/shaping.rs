//! The shaping of `examples/ingest`, compiled from its own files but without the SDK that the binary brings along.

use std::collections::BTreeMap;

use forebay_cloudtrail::{Event as TrailEvent, Form, ObjectRef};
use forebay_cwlogs::{LogEvent, Payload};
use forebay_entity::{FieldSet, Table};
use forebay_flowlog::{Format, Record};
use forebay_gelf::{Batch, FieldBlock, Line};

use crate::message_id::MessageId;
use crate::names::Names;
use crate::shape::{Event, FlowError, FlowPlan, Origin, Shaper, is_blank};

/// Makes messages as the binary does and collects them.
#[derive(Debug)]
pub struct Shaping {
    shaper: Shaper,
    plan: FlowPlan,
    fields: FieldBlock,
    id: MessageId,
    names: Names,
    /// The messages.
    pub batch: Batch,
}

impl Shaping {
    /// Shapes flow logs of `format`, without names for addresses.
    #[must_use]
    pub fn new(format: &Format) -> Self {
        Self::with_names(format, Table::default())
    }

    /// Shapes flow logs of `format`, with names from `table` as the plugin gives them.
    #[must_use]
    pub fn with_names(format: &Format, table: Table) -> Self {
        let fields = ["src_addr".to_owned(), "dst_addr".to_owned()];
        let names = Names::new(table, &fields, FieldSet::Plugin);
        Self {
            shaper: Shaper::new(&BTreeMap::new(), None)
                .with_names(&names)
                .with_full_message(false),
            plan: FlowPlan::new(format, false, &names),
            fields: FieldBlock::new(),
            id: MessageId::new(),
            names,
            batch: Batch::new(),
        }
    }

    /// Begins a payload.
    pub fn payload(&mut self, payload: &Payload<'_>) {
        let origin = Origin {
            log_group: payload.log_group().raw(),
            log_stream: payload.log_stream().raw(),
            owner: payload.owner().raw(),
            stream: "flow-logs",
        };
        self.shaper.origin(&origin, &mut self.fields);
        self.id = MessageId::new().text(b"shardId-000000000001").number(7);
    }

    /// Adds the message of a flow-log record, unless it is blank.
    ///
    /// # Panics
    ///
    /// If its columns are not what the format says.
    #[inline]
    pub fn flow(&mut self, event: &LogEvent<'_>, index: u32, record: &Record<'_>) {
        let context = context(&self.fields, event, self.id.index(index));
        let line = Line::within(event.text_from_message(), record.line().len());
        match self
            .shaper
            .flow(&context, &self.plan, record, &line, &self.names.load())
        {
            Ok(message) => self.batch.push(&message),
            Err(FlowError::Encode(error)) => assert!(is_blank(&error), "{error}"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Adds the message of an event as it is, unless it is blank.
    pub fn plain(&mut self, event: &LogEvent<'_>, index: u32) {
        let context = context(&self.fields, event, self.id.index(index));
        match self.shaper.plain(&context, event.message().raw()) {
            Ok(message) => self.batch.push(&message),
            Err(error) => assert!(is_blank(&error), "{error}"),
        }
    }

    /// Adds the message of a line of a file, unless it is blank.
    pub fn line(&mut self, event: &LogEvent<'_>, index: u32, line: &[u8]) {
        let context = context(&self.fields, event, self.id.index(index));
        match self.shaper.line(&context, line) {
            Ok(message) => self.batch.push(&message),
            Err(error) => assert!(is_blank(&error), "{error}"),
        }
    }

    /// Adds the message of a CloudTrail record.
    pub fn trail(&mut self, event: &TrailEvent<'_>) {
        if let Ok(message) = self.shaper.trail(event, false, 1) {
            self.batch.push(&message);
        }
    }

    /// The length of the message of a CloudTrail record, which is not kept.
    pub fn trail_len(&mut self, event: &TrailEvent<'_>) -> usize {
        let message = self.shaper.trail(event, false, 1);
        message.map_or(0, |message| message.as_bytes().len())
    }

    /// How lookups of names ended so far: each result and how often.
    pub fn lookups(&mut self) -> BTreeMap<String, u64> {
        self.shaper.flush();
        self.names.counts().by_result()
    }

    /// Adds the message of an announced object.
    pub fn announced(&mut self, form: Form, object: &ObjectRef) {
        if let Ok(message) = self.shaper.announced(form, object) {
            self.batch.push(&message);
        }
    }
}

fn context<'a>(fields: &'a FieldBlock, event: &LogEvent<'_>, id: MessageId) -> Event<'a> {
    Event {
        origin: fields,
        timestamp: event.timestamp(),
        id: Some(id),
    }
}
