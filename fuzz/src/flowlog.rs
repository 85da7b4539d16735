//! Targets of `forebay-flowlog`.

use std::io::BufReader;
use std::sync::LazyLock;

use forebay_flowlog::{Field, Format, FormatSet, Reader, Record, RecordBuf, TagValue};

/// Target `flowlog_line`: a line in the known formats. Every accessor answers, and all ways to a record agree.
pub fn line(data: &[u8]) {
    for format in FORMATS.formats() {
        let parsed = format.parse(data);
        let owned = RecordBuf::parse(format, data.to_vec());
        assert_eq!(parsed.is_ok(), owned.is_ok());
        if let (Ok(record), Ok(owned)) = (parsed, owned) {
            assert_eq!(owned, record);
            check(&record);
        }
    }
    let _ = FORMATS.parse(data);
    let _ = Format::is_header(data);
    let tag = TagValue::new(data);
    assert_eq!(tag.is_malformed(), tag.decode().is_none());
}

/// Target `flowlog_format`: bytes as a template and as a header line. What is read prints and reads back.
pub fn format(data: &[u8]) {
    let header = Format::from_header(data);
    let template = str::from_utf8(data).ok().map(Format::from_template);
    for format in header.into_iter().chain(template.into_iter().flatten()) {
        assert_eq!(format.to_string().parse::<Format>().as_ref(), Ok(&format));
        for (position, column) in format.columns().iter().enumerate() {
            assert_eq!(format.position_of(column.name()), Some(position));
            assert_eq!(
                column
                    .field()
                    .map_or(Some(position), |field| format.position(field)),
                Some(position)
            );
        }
    }
}

/// Target `flowlog_reader`: a file. Size of the source's buffer makes no difference, positions rise and are true.
pub fn reader(data: &[u8]) {
    let mut small = Reader::new(BufReader::with_capacity(3, data))
        .with_formats(FORMATS.clone())
        .with_max_line(512);
    let mut whole = Reader::new(data)
        .with_formats(FORMATS.clone())
        .with_max_line(512);
    let (mut left, mut right) = (RecordBuf::new(), RecordBuf::new());
    let mut last = None;
    loop {
        match (small.read_record(&mut left), whole.read_record(&mut right)) {
            (Ok(true), Ok(true)) => {
                assert_eq!((&left, left.position()), (&right, right.position()));
                check(&left.as_record());
                check_position(&mut last, data, whole.position().offset, left.line());
            }
            (Ok(false), Ok(false)) => break,
            (Err(left), Err(right)) => {
                assert_eq!(
                    (left.to_string(), left.line()),
                    (right.to_string(), right.line())
                );
                check_position(&mut last, data, right.position().offset, left.line());
            }
            (left, right) => panic!("{left:?} and {right:?}"),
        }
    }
    let mut last = None;
    for item in FORMATS.formats()[0].records(data) {
        match item {
            Ok(record) => check(&record),
            Err(bad) => check_position(&mut last, data, bad.position().offset, bad.line()),
        }
    }
}

/// Inputs to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "2 123456789010 eni-102010ab 198.51.100.1 192.0.2.1 443 49152 6 10 840 1439387263 1439387264 ACCEPT OK",
        "2 unknown eni-1a2b3c4d - - - - - - - 1431280876000 1431280934000 - SKIPDATA\r",
        "${version} ${account-id} ${New-Field} ${pkt_src_aws_service}",
        "\u{feff}version srcaddr DSTADDR \"bytes\"\r\n5 2001:db8::1%eth0 ::ffff:192.0.2.1 18446744073709551615\r\n\nbogus\n",
        "11 web%20tier eni-0 19\nversion instance-tag interface-id tcp-flags\n11 caf%C3%A9 - 255\nversion version\n1 2\n",
        "${name'} $${bytes} \"version\" 'end' `start`",
        "PAR1",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}

fn check(record: &Record<'_>) {
    let texts: Vec<&[u8]> = record.iter().collect();
    assert_eq!(texts.len(), record.format().len());
    assert!(texts.iter().all(|text| !text.is_empty()));
    let joined = texts.join(&b' ');
    assert_eq!(
        &record.format().parse(&joined).expect("the same columns"),
        record
    );
    if record.line().is_ascii() {
        assert_eq!(record.to_string().as_bytes(), record.line());
    }
    for field in Field::all() {
        if let Err(error) = record.value(field) {
            let raw = record.raw(field).expect("what does not decode is there");
            assert!(record.line()[error.offset()..].starts_with(raw));
        }
        let _ = (record.text(field), record.address(field), record.tag(field));
        let digits = record
            .number_text(field)
            .map(|digits| digits.map(<[u8]>::to_vec));
        assert_eq!(
            digits,
            record
                .number(field)
                .map(|number| number.map(|number| number.to_string().into_bytes()))
        );
    }
    let _ = (
        record.kind(),
        record.window(),
        record.action(),
        record.log_status(),
        format!("{record:?}"),
    );
}

fn check_position(last: &mut Option<u64>, data: &[u8], offset: u64, line: &[u8]) {
    assert!(last.is_none_or(|last| offset > last));
    *last = Some(offset);
    let at = &data[offset as usize..];
    assert!(
        at.strip_prefix(b"\xEF\xBB\xBF")
            .unwrap_or(at)
            .starts_with(line)
            || at.starts_with(line)
    );
}

/// Formats of many widths, two of them with the same number of columns.
static FORMATS: LazyLock<FormatSet> = LazyLock::new(|| {
    let custom = [
        "version instance-tag interface-id tcp-flags",
        "version srcaddr dstaddr bytes",
        "region",
        "srcport start",
    ];
    let custom = custom.map(|template| Format::from_template(template).expect("a format"));
    let all = Format::from_names(Field::all().map(Field::name)).expect("a format");
    FormatSet::new(
        [Format::v2(), Format::transit_gateway(), all]
            .into_iter()
            .chain(custom),
    )
});
