//! Forebay beside VRL, the language of Vector, on the same inputs in one run: `cargo run --release` in this folder.
//!
//! Times are those of the fastest of many rounds in turns: neighbours on the machine can only slow a round down. VRL
//! programs are compiled once; their input is made before the clock starts, except that the decode path hands each line
//! on as `parse_aws_cloudwatch_log_subscription_message` gives it.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::Instant;

use forebay_benches::{Shaping, Subscription, all_values, flow_lines, typed};
use forebay_cwlogs::Decoder;
use forebay_flowlog::{Field, Format};
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{Context, Program, TargetValue, TimeZone, compile};
use vrl::value::{Secrets, Value};

fn main() {
    println!("what                          forebay ns    VRL ns   times");
    let v2 = Format::v2();
    let names = || Field::all().filter(|field| field.since() != 6);
    let v11 = Format::from_names(names().map(Field::name)).expect("published names");
    let template: Vec<&str> = names().map(Field::column_name).collect();

    let lines = flow_lines(&v2, LINES);
    let mut vrl = Vrl::new("parse_aws_vpc_flow_log!(.message)", &lines);
    compare(
        "line, 14 fields typed",
        LINES,
        || vrl.run(),
        || {
            let mut record = v2.record();
            let mut good = 0;
            for line in &lines {
                record.read(black_box(line.as_bytes())).expect("good");
                good += usize::from(typed(&record).is_ok());
            }
            good
        },
    );
    let lines = flow_lines(&v11, LINES);
    let program = format!(
        "parse_aws_vpc_flow_log!(.message, \"{}\")",
        template.join(" ")
    );
    let mut vrl = Vrl::new(&program, &lines);
    compare(
        "line, 54 fields of version 11",
        LINES,
        || vrl.run(),
        || {
            let mut record = v11.record();
            let mut good = 0;
            for line in &lines {
                record.read(black_box(line.as_bytes())).expect("good");
                good += usize::from(all_values(&record).is_ok());
            }
            good
        },
    );

    let payload = Subscription::flow_logs(1, LINES).remove(0);
    let program = "payload = parse_aws_cloudwatch_log_subscription_message!(decode_gzip!(.message))\n\
        for_each(array!(payload.log_events)) -> |_index, event| {\n\
            encode_json(parse_aws_vpc_flow_log!(event.message))\n\
        }\ntrue";
    let mut vrl = Vrl::new(program, std::slice::from_ref(&payload.gzip));
    let (mut decoder, mut shaping) = (Decoder::new(), Shaping::new(&v2));
    compare(
        "payload of 300 events to JSON",
        LINES,
        || vrl.run(),
        || {
            shaping.batch.clear();
            for payload in decoder.decode(black_box(&payload.gzip)).expect("a payload") {
                let payload = payload.expect("a payload");
                shaping.payload(&payload);
                let mut record = v2.record();
                for (index, event) in payload.events().enumerate() {
                    let event = event.expect("an event");
                    record.read(event.message().raw()).expect("a line");
                    shaping.flow(&event, index as u32, &record);
                }
            }
            shaping.batch.len()
        },
    );
}

/// Prints the time per line of both.
fn compare(
    what: &str,
    lines: usize,
    mut vrl: impl FnMut() -> usize,
    mut forebay: impl FnMut() -> usize,
) {
    let time = |work: &mut dyn FnMut() -> usize| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_nanos() as f64 / lines as f64
    };
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        ours = ours.min(time(&mut forebay));
        theirs = theirs.min(time(&mut vrl));
    }
    println!("{what:<30}{ours:>10.0}{theirs:>10.0}{:>8.1}", theirs / ours);
}

/// A compiled program and its inputs.
struct Vrl {
    program: Program,
    targets: Vec<TargetValue>,
}

impl Vrl {
    fn new<T: Clone + Into<bytes::Bytes>>(source: &str, inputs: &[T]) -> Self {
        let target = |input: &T| TargetValue {
            value: Value::Object([("message".into(), Value::Bytes(input.clone().into()))].into()),
            metadata: Value::Object(Default::default()),
            secrets: Secrets::default(),
        };
        let program = compile(source, &vrl::stdlib::all());
        Self {
            program: program
                .map_err(|errors| format!("{errors:?}"))
                .expect("compiles")
                .program,
            targets: inputs.iter().map(target).collect(),
        }
    }

    fn run(&mut self) -> usize {
        let (mut state, zone) = (RuntimeState::default(), TimeZone::default());
        for target in &mut self.targets {
            let result = self
                .program
                .resolve(&mut Context::new(target, &mut state, &zone));
            black_box(result.expect("VRL takes it"));
        }
        self.targets.len()
    }
}

const LINES: usize = 300;
const ROUNDS: usize = 101;
