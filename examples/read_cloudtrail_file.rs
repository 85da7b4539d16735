//! Prints the records of CloudTrail log files: `read_cloudtrail_file FILE...`, or the standard input without arguments.
//!
//! One line per record, and what is wrong with a file on the standard error. Try it with a file from your own bucket:
//! `aws s3 cp s3://BUCKET/AWSLogs/…/….json.gz - | cargo run -p forebay-examples --example read_cloudtrail_file`
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a command"
)]

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};

use forebay_cloudtrail::{FileReader, Flattener, Name, Value, View};

fn main() -> Result<(), Box<dyn Error>> {
    let mut names = std::env::args().skip(1).peekable();
    if names.peek().is_none() {
        return print("standard input", io::stdin().lock());
    }
    for name in names {
        print(&name, File::open(&name)?)?;
    }
    Ok(())
}

/// Prints one file. A bad record is reported and passed over; a damaged file ends with an error.
fn print(name: &str, source: impl Read) -> Result<(), Box<dyn Error>> {
    let mut reader = FileReader::new(source);
    let mut flattener = Flattener::new(View::Complete);
    while let Some(record) = reader.next_record() {
        match record {
            Ok(record) => {
                let mut fields = 0;
                flattener.flatten(&record.event(), |name, value| match (name, value) {
                    (Name::Message, Value::Text(text)) => print!("{text}"),
                    _ => fields += 1,
                });
                println!(" ({fields} fields, {} bytes)", record.text().len());
            }
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) => eprintln!(
                "{name}: {}",
                error.source().map(ToString::to_string).unwrap_or_default()
            ),
        }
    }
    if let Some(summary) = reader.summary() {
        eprintln!(
            "{name}: {}, {} records, {} bad",
            summary.kind, summary.records, summary.bad_records
        );
    }
    Ok(())
}
