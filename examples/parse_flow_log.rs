//! Sums bytes per destination of a flow-log file: `parse_flow_log FILE`, with or without `.gz`.
//!
//! A file with a header line, as S3 has them, needs nothing else. For records without one, pass the format as the flow
//! log's `LogFormat` shows it: `parse_flow_log FILE '${interface-id} ${dstaddr} ${bytes}'`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Write, stderr, stdout};
use std::net::IpAddr;

use flate2::bufread::MultiGzDecoder;
use forebay_flowlog::{Format, Reader, RecordBuf, RecordKind};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: parse_flow_log FILE [FORMAT]")?;
    let mut file = BufReader::new(File::open(&path)?);
    // The bytes tell, not the name: clients may have taken the compression off already.
    let is_gzip = file.fill_buf()?.starts_with(&[0x1F, 0x8B]);
    let lines: Box<dyn BufRead> = if is_gzip {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    };

    let mut reader = Reader::new(lines);
    if let Some(template) = arguments.next() {
        reader = reader.with_formats(template.parse::<Format>()?);
    }

    let mut bytes: BTreeMap<IpAddr, u64> = BTreeMap::new();
    let mut lost = 0_u64;
    let mut record = RecordBuf::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {
                let record = record.as_record();
                match (record.kind(), record.dst_addr()?, record.bytes()?) {
                    (RecordKind::Traffic, Some(address), Some(count)) => {
                        *bytes.entry(address).or_default() += count
                    }
                    (RecordKind::SkipData, ..) => lost += 1,
                    _ => {}
                }
            }
            Ok(false) => break,
            Err(error) if error.is_fatal() => return Err(error.into()),
            // One bad line costs itself only.
            Err(error) => writeln!(stderr(), "{path}: {error}")?,
        }
    }
    for (address, count) in &bytes {
        writeln!(stdout(), "{count:>16} {address}")?;
    }
    if lost > 0 {
        writeln!(
            stderr(),
            "{lost} records say that AWS lost flows (SKIPDATA)"
        )?;
    }
    Ok(())
}
