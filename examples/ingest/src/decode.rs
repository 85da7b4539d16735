//! `forebay decode`: captured files to GELF lines, without network.
//!
//! What a file is, is told from its bytes, never from its name: a Kinesis record (raw, base64, KPL-aggregated), a
//! subscription payload, a flow-log file, a CloudTrail file, an SQS or Lambda message that wraps one of these.

mod form;
mod printer;

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use forebay_cloudtrail::{FileDecoder, FileKind, Limits, Notice};
use forebay_entity::Index;
use forebay_flowlog::Field;
use forebay_gelf::{FieldBlock, Line};

use crate::{
    clock,
    collect::Collect,
    config::{Config, Decode, ObjectDecode, Objects},
    exit::Exit,
    log_reader::{LogReader, RecordOrigin},
    names::Names,
    route::{Route, Routes, flow_formats},
    shape::{Event, Shaper, is_blank},
};

use form::Form;
use printer::Printer;

/// How files are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Format of flow-log lines without a header: `default`, or the template given to AWS.
    pub flow_format: String,
    /// Tell for each file what it was and what it gave.
    pub summary: bool,
}

/// Decodes `files` to `out`, one message per line. What cannot be read is told on `errors` with file, position and
/// cause, and the rest goes on. A closed pipe ends quietly.
///
/// # Errors
///
/// `flow_format` does not parse, or `out` cannot be written.
pub fn files(
    files: &[PathBuf],
    options: &Options,
    out: &mut impl Write,
    errors: &mut impl Write,
) -> anyhow::Result<Exit> {
    let mut decoding = Decoding::new(options)?;
    let mut failed = false;
    for path in files {
        let mut printer = Printer::new(path, out, errors);
        let form = match read(path) {
            Ok(bytes) => decoding.bytes(&bytes, 0, &mut printer),
            Err(error) => printer.fault(&error, "not readable"),
        };
        match printer.finish(options.summary.then_some(form)) {
            Ok(faults) => failed |= faults > 0,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done),
            Err(error) => return Err(error).context("standard output"),
        }
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = FILE_BYTES + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?
            .take(most)
            .read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 == most {
        return Err(io::Error::other(format!(
            "the file is larger than {FILE_BYTES} bytes; cut it into pieces"
        )));
    }
    Ok(bytes)
}

/// A dead letter, read back.
#[derive(Debug)]
pub(crate) struct Letter<'a> {
    /// What it is called when something about it is told.
    pub(crate) name: &'a str,
    pub(crate) class: &'a str,
    pub(crate) origin: &'a str,
    pub(crate) position: &'a str,
    pub(crate) payload: &'a [u8],
}

/// What decoding one file after the other needs.
pub(crate) struct Decoding {
    logs: LogReader,
    shaper: Shaper,
    route: Route,
    names: Index,
    full_message: bool,
}

/// What of an input says how its records are read.
#[derive(Default)]
struct Manner<'a> {
    host: Option<&'a str>,
    flow_format: Option<&'a str>,
    field_prefix: bool,
    stream: &'a str,
    store_full_message: bool,
    full_message: bool,
}

impl Manner<'_> {
    fn decoding(self, routes: Option<Routes>) -> anyhow::Result<Decoding> {
        let route = || {
            let formats = flow_formats(self.flow_format.unwrap_or("default"))?;
            let names = Names::default();
            anyhow::Ok(Route::new(Decode::Auto, formats, self.field_prefix, &names))
        };
        let routes = match routes {
            Some(routes) => routes,
            None => Routes::only(route()?),
        };
        let shaper =
            || Shaper::new(&BTreeMap::new(), self.host).with_full_message(self.store_full_message);
        Ok(Decoding {
            logs: LogReader::new(shaper(), Arc::new(routes), self.stream.into()),
            shaper: shaper(),
            route: route()?,
            names: Index::empty(),
            full_message: self.full_message,
        })
    }
}

impl Decoding {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let manner = Manner {
            flow_format: Some(&options.flow_format),
            ..Manner::default()
        };
        manner.decoding(None).context("`--flow-format`")
    }

    /// Decodes as the input `name` of `config` does, except that addresses get no names; as [`files`] does if there is no
    /// such input.
    pub(crate) fn of_input(config: &Config, name: &str) -> anyhow::Result<Self> {
        let (mut manner, mut routes) = (Manner::default(), None);
        if let Some(input) = config.kinesis.get(name) {
            manner = Manner {
                host: input.source.as_deref(),
                flow_format: Some(&input.flow_format),
                field_prefix: input.field_prefix,
                stream: input.stream_name(),
                store_full_message: input.store_full_message,
                full_message: false,
            };
            routes = Some(Routes::new(input, &Names::default())?);
        } else if let Some(input) = config.cloudtrail.get(name) {
            manner.host = input.source.as_deref();
            manner.full_message = input.full_message;
        } else if let Some(input) = config.s3.get(name) {
            manner.host = input.source.as_deref();
            manner.full_message = input.full_message;
            manner.field_prefix = input.field_prefix;
            let flow_logs = |objects: &&Objects| objects.decode == ObjectDecode::Flowlog;
            let objects = input.objects.iter().find(flow_logs);
            manner.flow_format = objects.map(|objects| objects.flow_format.as_str());
        }
        manner.decoding(routes)
    }

    /// Decodes the payload of a dead letter to `out`, one message per line. Returns the number of faults, each told on
    /// `errors`.
    pub(crate) fn letter(
        &mut self,
        letter: &Letter<'_>,
        out: &mut Vec<u8>,
        errors: &mut impl Write,
    ) -> anyhow::Result<u64> {
        let mut printer = Printer::new(Path::new(letter.name), out, errors);
        match letter.class {
            // One event of a payload: an envelope around it makes it a payload again.
            "event" => {
                let mut payload = br#"{"messageType":"DATA_MESSAGE","owner":"","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":["#.to_vec();
                payload.extend_from_slice(letter.payload);
                payload.extend_from_slice(b"]}");
                self.logs.read(&payload, None, &self.names, &mut printer);
            }
            "payload" => {
                // The same record gives the same message ids as at its first reading.
                let (number, sub) = letter
                    .position
                    .split_once('/')
                    .unwrap_or((letter.position, "0"));
                let sub = sub
                    .split(',')
                    .next()
                    .and_then(|sub| sub.parse().ok())
                    .unwrap_or(0);
                let origin = RecordOrigin {
                    shard: letter.origin,
                    sequence_number: number,
                    sub_sequence: sub,
                    arrival: 0,
                };
                self.logs
                    .read(letter.payload, Some(&origin), &self.names, &mut printer);
            }
            "flow-log" => self.line(letter.payload, &mut printer),
            _ => {
                self.bytes(letter.payload, 1, &mut printer);
            }
        }
        Ok(printer.finish(None)?)
    }

    /// Decodes a captured file to `out`, one message per line. Returns the number of faults, each told on `errors`.
    pub(crate) fn file(
        &mut self,
        path: &Path,
        bytes: &[u8],
        out: &mut Vec<u8>,
        errors: &mut impl Write,
    ) -> anyhow::Result<u64> {
        let mut printer = Printer::new(path, out, errors);
        self.bytes(bytes, 0, &mut printer);
        Ok(printer.finish(None)?)
    }

    /// Decodes bytes of any known form; `depth` counts the wrappings taken off so far. Returns what they were.
    fn bytes(&mut self, bytes: &[u8], depth: usize, printer: &mut Printer<'_>) -> &'static str {
        if depth > DEPTH {
            return printer.fault(&"too many wrappings around each other", "wrapped too deep");
        }
        let form = match form::recognise(bytes) {
            Ok(form) => form,
            Err(error) => return printer.fault(&error, "not readable"),
        };
        match form {
            Form::Empty => printer.fault(&"there is nothing in it", "empty"),
            Form::Unknown(what) => printer.fault(&what, "unknown"),
            Form::Subscription => {
                self.logs.read(bytes, None, &self.names, printer);
                "subscription payload"
            }
            Form::CloudTrail => self.cloudtrail(bytes, printer),
            Form::Wrapped(name, pieces) => {
                for (number, piece) in pieces.into_iter().enumerate() {
                    printer.enter(format!("record {number}"));
                    match piece {
                        Ok(piece) => {
                            self.bytes(&piece, depth + 1, printer);
                        }
                        Err(error) => {
                            printer.fault(&error, "");
                        }
                    }
                    printer.leave();
                }
                name
            }
            Form::Notice => self.notices(bytes, printer),
            Form::Text(text) => {
                if depth > 0 && !text.contains(&b'\n') {
                    self.line(&text, printer);
                    "text"
                } else {
                    self.flow_log(&text, printer);
                    "flow log"
                }
            }
        }
    }

    fn cloudtrail(&mut self, bytes: &[u8], printer: &mut Printer<'_>) -> &'static str {
        let mut decoder = FileDecoder::new(Limits::default());
        let mut rest = bytes;
        while !rest.is_empty() {
            match decoder.feed(rest) {
                Ok(used) => rest = rest.get(used..).unwrap_or_default(),
                Err(error) => {
                    self.records(&mut decoder, printer);
                    return printer.fault(&error, "CloudTrail file, damaged");
                }
            }
            self.records(&mut decoder, printer);
        }
        decoder.end();
        self.records(&mut decoder, printer);
        match decoder.finish() {
            Ok(summary) => match summary.kind {
                FileKind::Digest => "CloudTrail digest, holds no records",
                FileKind::Other => {
                    printer.fault(&"JSON, but no form that is known", "unknown JSON")
                }
                _ => "CloudTrail file",
            },
            Err(error) => printer.fault(&error, "CloudTrail file, damaged"),
        }
    }

    fn records(&mut self, decoder: &mut FileDecoder, printer: &mut Printer<'_>) {
        while let Some(record) = decoder.next_record() {
            match record {
                Ok(record) => match self.shaper.trail(
                    &record.event(),
                    self.full_message,
                    clock::wall_millis(),
                ) {
                    Ok(message) => printer.message(&message),
                    Err(error) if is_blank(&error) => {}
                    Err(error) => {
                        let position =
                            format!("record {}, byte {}", record.index(), record.offset());
                        printer.fault_at(&position, &error);
                    }
                },
                Err(bad) => {
                    printer.fault_at("", &bad.error());
                }
            }
        }
    }

    /// A message of a queue, or a Lambda event with several: one GELF message per announced object.
    fn notices(&mut self, bytes: &[u8], printer: &mut Printer<'_>) -> &'static str {
        let notices = match Notice::from_lambda_event(bytes) {
            Ok(notices) => notices,
            Err(error) => return printer.fault(&error, "notice, refused"),
        };
        for (number, notice) in notices.into_iter().enumerate() {
            printer.enter(format!("notice {number}"));
            match notice {
                Ok(notice) => self.notice(&notice, printer),
                Err(error) => {
                    printer.fault(&error, "");
                }
            }
            printer.leave();
        }
        "notices"
    }

    fn notice(&mut self, notice: &Notice, printer: &mut Printer<'_>) {
        use forebay_cloudtrail::Disposition;
        match notice.disposition() {
            Disposition::Objects => {
                for object in &notice.objects {
                    match self.shaper.announced(notice.form, object) {
                        Ok(message) => printer.message(&message),
                        Err(error) => printer.fault_at("", &error),
                    }
                }
            }
            Disposition::Record => {
                let payload = notice.payload.clone().unwrap_or_default();
                self.cloudtrail(payload.as_bytes(), printer);
            }
            Disposition::Nothing(why) => printer.note(&why),
            _ => {
                printer.fault(&"no form of notice that is known", "");
            }
        }
    }

    fn flow_log(&mut self, text: &[u8], printer: &mut Printer<'_>) {
        let mut reader =
            forebay_flowlog::Reader::new(text).with_formats(self.route.formats.clone());
        let mut record = forebay_flowlog::RecordBuf::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => self.flow(&record.as_record(), printer),
                Ok(false) => return,
                Err(error) => {
                    let fatal = error.is_fatal();
                    printer.fault_at("", &error);
                    if fatal {
                        return;
                    }
                }
            }
        }
    }

    fn flow(&mut self, record: &forebay_flowlog::Record<'_>, printer: &mut Printer<'_>) {
        let time = |field| record.timestamp(field).ok().flatten();
        // CloudWatch Logs gives a record the time of its `start`.
        let time = time(Field::Start).or_else(|| time(Field::End));
        let context =
            context(time.map_or(0, |time| i64::try_from(time.unix_millis()).unwrap_or(0)));
        let plan;
        let plan = if self.route.formats.formats().contains(record.format()) {
            self.route.plan(record)
        } else {
            plan = crate::shape::FlowPlan::new(record.format(), false, &Names::default());
            &plan
        };
        match self.shaper.flow(
            &context,
            plan,
            record,
            &Line::new(record.line()),
            &self.names,
        ) {
            Ok(message) => printer.message(&message),
            Err(error) => printer.fault_at("", &error),
        }
    }

    /// One line that came wrapped: a flow log, or text as it is.
    fn line(&mut self, line: &[u8], printer: &mut Printer<'_>) {
        let formats = self.route.formats.clone();
        match formats.parse(line) {
            Ok(record) if crate::log_reader::looks_like_flow_log(&record) => {
                self.flow(&record, printer)
            }
            _ => match self.shaper.line(&context(0), line) {
                Ok(message) => printer.message(&message),
                Err(error) => printer.fault_at("", &error),
            },
        }
    }
}

/// A line outside CloudWatch Logs: it has no group and no stream.
fn context(timestamp: i64) -> Event<'static> {
    Event {
        origin: &NOWHERE,
        timestamp,
        id: None,
    }
}

static NOWHERE: FieldBlock = FieldBlock::new();

/// Lambda event around base64 around gzip around a payload is three.
const DEPTH: usize = 5;

/// Longest file: a captured record is small, a CloudTrail file has at most 50 MB.
const FILE_BYTES: u64 = 256 << 20;
