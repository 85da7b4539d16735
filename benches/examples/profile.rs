//! Instruction counts of one stage: `profile STAGE EVENTS ROUNDS` runs a stage over 3,000 events, so that valgrind can
//! count. `benches/README.md` has the command.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "tells what was run")]

use std::hint::black_box;

use forebay_benches::stages::{columns, envelope, gunzip, path};
use forebay_benches::{Subscription, all_values, flow_lines, typed};
use forebay_flowlog::{Field, FieldError, Format, Record};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let stage = arguments.next().unwrap_or_default();
    let mut number = |default| {
        let argument = arguments.next();
        argument
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (events, rounds) = (number(300).max(1), number(10));
    let input = Subscription::flow_logs((EVENTS / events).max(1), events);
    let v2 = Format::v2();
    let names = Field::all().filter(|field| field.since() != 6);
    let v11 = Format::from_names(names.map(Field::name)).expect("published names");
    let mut work: Box<dyn FnMut() -> usize + '_> = match stage.as_str() {
        "gunzip" => Box::new(gunzip(&input)),
        "envelope" => Box::new(envelope(&input)),
        "columns" => Box::new(columns(&input, &v2)),
        "path" => Box::new(path(&input, &v2)),
        "tokenise-v2" => Box::new(lines(&v2, |record| Ok(record.line().len()))),
        "typed-v2" => Box::new(lines(&v2, typed)),
        "tokenise-v11" => Box::new(lines(&v11, |record| Ok(record.line().len()))),
        "typed-v11" => Box::new(lines(&v11, all_values)),
        _ => {
            println!(
                "stages: gunzip envelope columns path tokenise-v2 typed-v2 tokenise-v11 typed-v11"
            );
            return;
        }
    };
    // Grows the buffers.
    black_box(work());
    for _ in 0..rounds {
        measured(&mut work);
    }
    println!("{stage}: {rounds} rounds of {EVENTS} events, {events} a payload");
}

/// What valgrind is told to count.
#[inline(never)]
fn measured(work: &mut dyn FnMut() -> usize) {
    black_box(work());
}

fn lines<'a>(
    format: &'a Format,
    decode: impl Fn(&Record<'_>) -> Result<usize, FieldError> + 'a,
) -> impl FnMut() -> usize + 'a {
    let lines = flow_lines(format, EVENTS);
    move || {
        let mut record = format.record();
        let mut count = 0;
        for line in &lines {
            record
                .read(black_box(line.as_bytes()))
                .expect("a good line");
            count += decode(&record).expect("good values");
        }
        count
    }
}

const EVENTS: usize = 3000;
