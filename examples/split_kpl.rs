//! Splits KPL-aggregated Kinesis records: `cargo run --example split_kpl [FILE...]`.
//!
//! Each file is the data of one Kinesis record. Without arguments an aggregate is made and split.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the output of the example"
)]

use std::error::Error;
use std::{env, fs};

use forebay_kpl::{Aggregator, HashKey, HashRange, Splitter};

fn main() -> Result<(), Box<dyn Error>> {
    // One splitter for all records: its index is reused.
    let mut splitter = Splitter::new();
    let files: Vec<_> = env::args_os().skip(1).collect();
    if files.is_empty() {
        return show(&mut splitter, &sample()?);
    }
    for file in files {
        show(&mut splitter, &fs::read(file)?)?;
    }
    Ok(())
}

fn show(splitter: &mut Splitter, record: &[u8]) -> Result<(), Box<dyn Error>> {
    if let Some(reason) = splitter.plain_reason(record) {
        println!("plain record of {} bytes: {reason}", record.len());
        return Ok(());
    }
    let Some(aggregate) = splitter.split(record)? else {
        return Ok(());
    };
    println!("{} user records", aggregate.len());
    for record in aggregate.records() {
        match record {
            Ok(record) => {
                let key = record.partition_key_lossy();
                println!(
                    "  {} {key}: {}",
                    record.sub_sequence,
                    String::from_utf8_lossy(record.data)
                );
            }
            Err(error) => eprintln!("  skipped: {error}"),
        }
    }
    // After a split of the shard, readers of the children drop what does not belong to them whole.
    let lower =
        HashRange::new(HashKey::MIN, HashKey::new(u128::MAX / 2)).ok_or("the range is empty")?;
    println!(
        "all within the lower half of the hash space: {}",
        aggregate.is_within(&lower)
    );
    Ok(())
}

fn sample() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut aggregator = Aggregator::new(51_200);
    aggregator.add("host-1", None, b"first")?;
    aggregator.add("host-2", None, b"second")?;
    aggregator.add("host-1", Some(HashKey::MIN), b"third")?;
    Ok(aggregator.finish().ok_or("nothing was added")?)
}
