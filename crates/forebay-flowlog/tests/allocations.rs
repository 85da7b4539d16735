//! Once warm, no record costs an allocation.

use allocation_counter::measure;
use forebay_flowlog::{Field, Format, FormatSet, Reader, RecordBuf};

const LINES: [&str; 4] = [
    "2 123456789010 eni-102010ab 198.51.100.1 2001:db8::1 443 49152 6 10 840 1439387263 1439387264 ACCEPT OK",
    "2 123456789010 eni-102010cd 192.0.2.1 198.51.100.1 49152 443 17 20 1680 1439387263 1439387266 REJECT OK",
    "2 123456789010 eni-1a2b3c4d - - - - - - - 1431280876 1431280934 - NODATA",
    "2 unknown eni-4b118871 - - - - - - - 1431280876 1431280934 - SKIPDATA",
];

#[test]
fn parsing_and_decoding_allocate_nothing() {
    let format = Format::v2();
    let set = FormatSet::default();
    let mut present = 0;
    let allocations = measure(|| {
        for line in LINES.iter().cycle().take(1000) {
            let record = format.parse(line.as_bytes()).unwrap();
            for field in Field::all() {
                present += usize::from(record.value(field).unwrap().is_some());
            }
            assert_eq!(set.parse(line.as_bytes()).unwrap(), record);
        }
    });
    assert_eq!(allocations.count_total, 0);
    assert_eq!(present, 250 * (14 + 14 + 6 + 6));
}

#[test]
fn reading_allocates_nothing_once_warm() {
    let mut text = String::new();
    for _ in 0..250 {
        text.push_str(&LINES.join("\n"));
        text.push('\n');
    }
    let mut reader = Reader::new(text.as_bytes());
    let mut record = RecordBuf::new();
    // The longest line comes first; after one round the record has its memory and format.
    for _ in 0..LINES.len() {
        assert!(reader.read_record(&mut record).unwrap());
    }
    let mut records = 0;
    let allocations = measure(|| {
        while reader.read_record(&mut record).unwrap() {
            records += 1;
        }
    });
    assert_eq!((allocations.count_total, records), (0, 1000 - LINES.len()));
}

#[test]
fn borrowed_lines_allocate_nothing() {
    let format = Format::v2();
    let text = LINES.join("\r\n");
    let mut bytes = 0;
    let allocations = measure(|| {
        for record in format.records(text.as_bytes()) {
            bytes += record.unwrap().bytes().unwrap().unwrap_or(0);
        }
    });
    assert_eq!((allocations.count_total, bytes), (0, 2520));
}
