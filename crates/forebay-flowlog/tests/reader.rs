//! Reading whole files: headers, blank lines, bad lines, limits, positions.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::error::Error as _;
use std::io::{self, BufReader, Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use forebay_flowlog::{
    Error, ErrorKind, Format, FormatSet, LineError, NotText, Position, Reader, RecordBuf, Wrapping,
};

const A: &str = "2 123456789010 eni-1 198.51.100.1 192.0.2.1 443 49152 6 10 840 1439387263 1439387264 ACCEPT OK";

#[test]
fn line_ends_blank_lines_and_byte_order_marks_are_passed_over() {
    check(
        "end start\n2 840\n\n  \t\n2 841\n",
        &[(2, 10, "2 840"), (5, 21, "2 841")],
    );
    check(
        "end start\r\n2 840\r\n\r\n\r\n2 841",
        &[(2, 11, "2 840"), (5, 22, "2 841")],
    );
    check(
        "\n end  start \n2 840 \n2 841\r",
        &[(3, 14, "2 840"), (4, 21, "2 841")],
    );
    check(
        "\u{feff}end start\n2 840\n\u{feff}end start\n\u{feff}2 841\n",
        &[(2, 13, "2 840"), (4, 32, "2 841")],
    );
    check("\n\nend start\n", &[]);
    check("", &[]);
}

/// Each expected record: line number, byte offset, text.
fn check(text: &str, expected: &[(u64, u64, &str)]) {
    let records: Vec<RecordBuf> = Reader::new(text.as_bytes())
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let found: Vec<(u64, u64, String)> = records
        .iter()
        .map(|record| (record.position().unwrap(), record))
        .map(|(position, record)| (position.line, position.offset, record.to_string()))
        .collect();
    let expected: Vec<(u64, u64, String)> = expected
        .iter()
        .map(|&(line, offset, text)| (line, offset, text.to_owned()))
        .collect();
    assert_eq!(found, expected, "{text:?}");
    assert!(
        records
            .iter()
            .all(|record| record.format().to_string() == "${end} ${start}")
    );
}

#[test]
fn a_repeated_header_switches_the_format() {
    let text = "version bytes\n2 840\nversion bytes\n2 841\nbytes version new-field\n842 3 text\n";
    let mut reader = Reader::new(text.as_bytes());
    let found: Vec<(Option<u64>, Option<u32>, usize)> = reader
        .records()
        .map(|record| record.unwrap())
        .map(|record| {
            (
                record.as_record().bytes().unwrap(),
                record.as_record().version().unwrap(),
                record.format().len(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (Some(840), Some(2), 2),
            (Some(841), Some(2), 2),
            (Some(842), Some(3), 3)
        ]
    );
    assert_eq!(
        reader.header().unwrap().to_string(),
        "${bytes} ${version} ${new-field}"
    );
}

#[test]
fn lines_without_a_header_have_the_configured_or_the_default_format() {
    let tgw = vec!["-"; 36].join(" ");
    let text = format!("{A}\n{tgw}\n{A}\n");
    let lengths: Vec<usize> = Reader::new(text.as_bytes())
        .into_iter()
        .map(|record| record.unwrap().format().len())
        .collect();
    assert_eq!(lengths, [14, 36, 14]);

    let pair = Format::from_template("${interface-id} ${bytes}").unwrap();
    let mut reader = Reader::new(&b"eni-1 840\n"[..]).with_formats(pair.clone());
    assert_eq!(
        reader
            .records()
            .next()
            .unwrap()
            .unwrap()
            .as_record()
            .bytes(),
        Ok(Some(840))
    );

    let text = format!("eni-1 840\n{A}\n1 2 3\n");
    let mut reader =
        Reader::new(text.as_bytes()).with_formats(FormatSet::new([pair, Format::v2()]));
    assert_eq!(reader.formats().formats().len(), 2);
    let results: Vec<Result<RecordBuf, Error>> = reader.records().collect();
    assert!(results[0].is_ok() && results[1].is_ok());
    let error = results[2].as_ref().unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::Line(LineError::UnknownCount { found: 3 })
    ));
    insta::assert_snapshot!(error, @"line 3 (byte 105): no known format has 3 columns; set the format to the `LogFormat` that EC2 `DescribeFlowLogs` shows for this flow log, such as `${version} ${srcaddr}`");
    assert_eq!(error.line(), b"1 2 3");
}

#[test]
fn a_bad_line_is_an_item_and_reading_goes_on() {
    let text = format!("{A}\nbogus line\r\n{A}\n");
    let mut reader = Reader::new(text.as_bytes()).with_formats(Format::v2());
    let mut record = RecordBuf::new();
    assert!(reader.read_record(&mut record).unwrap());
    let error = reader.read_record(&mut record).unwrap_err();
    insta::assert_snapshot!(error, @"line 2 (byte 95): expected 14 columns, found 2 when the line ended at byte 10; check the format against the flow log's `LogFormat`");
    assert_eq!(
        (error.line(), error.is_fatal()),
        (&b"bogus line"[..], false)
    );
    assert_eq!(
        record,
        RecordBuf::new(),
        "the record of a bad line is of no line"
    );
    assert!(reader.read_record(&mut record).unwrap());
    assert_eq!(
        reader.position(),
        Position {
            line: 3,
            offset: 107
        }
    );
    assert!(!reader.read_record(&mut record).unwrap());
    assert!(!reader.read_record(&mut record).unwrap());
}

#[test]
fn lines_under_an_unusable_header_are_not_guessed_at() {
    let text = format!("version bytes version\n{A}\nversion bytes\n2 840\n");
    let results: Vec<Result<RecordBuf, Error>> = Reader::new(text.as_bytes()).into_iter().collect();
    insta::assert_snapshot!(results[0].as_ref().unwrap_err(), @"line 1 (byte 0): this header line cannot be used: column 2 repeats `version` of column 0 (counted from 0); name each field once");
    insta::assert_snapshot!(results[1].as_ref().unwrap_err(), @"line 2 (byte 22): skipped, because the header line above it could not be used; correct that header");
    assert_eq!(
        results[2].as_ref().unwrap().as_record().bytes(),
        Ok(Some(840))
    );
    assert_eq!(results.len(), 3);
}

#[test]
fn a_line_over_the_limit_is_cut_and_reading_goes_on_below_it() {
    for end in ["\n", "\r\n"] {
        for (length, is_good) in [
            (8, true),
            (9, false),
            (10, false),
            (11, false),
            (5000, false),
        ] {
            let long = format!("2 {}", "8".repeat(length - 2));
            let text = format!("version account-id\n{long}{end}2 7\n");
            // A small buffer, so that one line takes several reads.
            let source = BufReader::with_capacity(4, text.as_bytes());
            // The header is longer than the limit of the lines: set by configuration instead.
            let mut reader = Reader::new(source)
                .with_formats(Format::from_template("version account-id").unwrap())
                .with_max_line(8);
            let results: Vec<Result<RecordBuf, Error>> = reader.records().collect();
            assert_eq!(results.len(), 3, "{length}");
            assert!(matches!(
                results[0].as_ref().unwrap_err().kind(),
                ErrorKind::Line(LineError::TooLong { limit: 8 })
            ));
            assert_eq!(results[1].is_ok(), is_good, "{length}");
            if let Err(error) = &results[1] {
                assert_eq!(error.line(), &long.as_bytes()[..8]);
                assert_eq!(
                    error.position(),
                    Position {
                        line: 2,
                        offset: 19
                    }
                );
            }
            let last = results[2].as_ref().unwrap();
            assert_eq!(last.to_string(), "2 7");
            assert_eq!(
                last.position().unwrap().offset,
                19 + (long.len() + end.len()) as u64
            );
        }
    }
}

#[test]
fn a_long_last_line_without_an_end_is_cut_too() {
    let text = "9".repeat(70_000);
    let results: Vec<Result<RecordBuf, Error>> = Reader::new(text.as_bytes()).into_iter().collect();
    assert_eq!(results.len(), 1);
    assert_eq!(
        results[0].as_ref().unwrap_err().line().len(),
        Format::MAX_LINE
    );
}

#[test]
fn what_is_not_text_is_named_and_ends_the_reading() {
    let cases: [(&[u8], NotText); 4] = [
        (b"PAR1\x15\x04\x15\n", NotText::Parquet),
        (b"\x1f\x8b\x08\0\0\0\0\0\nPAR1\n", NotText::Gzip),
        (b"\x28\xb5\x2f\xfd\n", NotText::Zstandard),
        (b"\xff\xfev\0e\0r\0", NotText::Utf16),
    ];
    for (start, expected) in cases {
        let mut reader = Reader::new(start);
        let results: Vec<Result<RecordBuf, Error>> = reader.records().collect();
        assert_eq!(results.len(), 1, "{expected}");
        let error = results[0].as_ref().unwrap_err();
        assert!(error.is_fatal());
        assert!(
            matches!(error.kind(), ErrorKind::NotText(found) if *found == expected),
            "{error}"
        );
    }
    insta::assert_snapshot!(Reader::new(&b"PAR1"[..]).records().next().unwrap().unwrap_err(), @"line 1 (byte 0): this is a Parquet file; publish the flow log as plain text, or convert the file first");
}

#[test]
fn a_failing_source_ends_the_reading() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the network went away"))
        }
    }
    let text = format!("{A}\n2 1234");
    let mut reader = Reader::new(BufReader::new(text.as_bytes().chain(Broken)));
    let mut record = RecordBuf::new();
    assert!(reader.read_record(&mut record).unwrap());
    let error = reader.read_record(&mut record).unwrap_err();
    insta::assert_snapshot!(error, @"line 2 (byte 95): the source of the lines failed");
    assert_eq!(error.source().unwrap().to_string(), "the network went away");
    assert_eq!((error.is_fatal(), error.line()), (true, &b"2 1234"[..]));
    assert!(!reader.read_record(&mut record).unwrap());
}

#[test]
fn concatenated_gzip_members_read_as_one_file() {
    let member = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let file = [
        member("version bytes\n2 840\n"),
        member("\u{feff}bytes version\r\n841 3\r\n"),
    ]
    .concat();
    let reader = Reader::new(BufReader::new(MultiGzDecoder::new(&file[..])));
    let bytes: Vec<Option<u64>> = reader
        .into_iter()
        .map(|record| record.unwrap().as_record().bytes().unwrap())
        .collect();
    assert_eq!(bytes, [Some(840), Some(841)]);
}

#[test]
fn lines_are_unwrapped_on_request() {
    let cases = [
        (
            Wrapping::Quoted,
            "\"version bytes\"\r\n\"2 840\"\r\n2 840\n",
        ),
        (
            Wrapping::Timestamped,
            "version bytes\n2024-04-05T19:33:20.000Z 2 840\n2 840\n",
        ),
    ];
    for (wrapping, text) in cases {
        let reader = Reader::new(text.as_bytes()).with_wrapping(wrapping);
        let lines: Vec<String> = reader
            .into_iter()
            .map(|record| record.unwrap().to_string())
            .collect();
        assert_eq!(lines, ["2 840", "2 840"], "{wrapping:?}");
        let bare = Reader::new(text.as_bytes()).into_iter().next().unwrap();
        assert!(
            bare.is_err() || bare.unwrap().to_string() != "2 840",
            "only on request"
        );
    }
}

#[test]
fn a_text_in_memory_gives_borrowed_records() {
    let text = b"\xEF\xBB\xBFversion bytes\r\n2 840\r\n\nbogus\n2 841\nbytes version\n842 2";
    let format = Format::from_template("${version} ${bytes}").unwrap();
    let mut lines = format.records(text);
    assert_eq!(lines.next().unwrap().unwrap().line(), b"2 840");
    assert_eq!(
        lines.position(),
        Position {
            line: 2,
            offset: 18
        }
    );
    let bad = lines.next().unwrap().unwrap_err();
    insta::assert_snapshot!(bad, @"line 4 (byte 26): expected 2 columns, found 1 when the line ended at byte 5; check the format against the flow log's `LogFormat`");
    assert_eq!(
        (bad.line(), bad.position()),
        (
            &b"bogus"[..],
            Position {
                line: 4,
                offset: 26
            }
        )
    );
    assert_eq!(lines.next().unwrap().unwrap().bytes(), Ok(Some(841)));
    assert_eq!(
        lines.next().unwrap().unwrap_err().error(),
        LineError::OtherHeader
    );
    // Values under another header would be taken for those of the wrong fields.
    let under = lines.next().unwrap().unwrap_err();
    assert_eq!(
        (under.line(), under.error()),
        (&b"842 2"[..], LineError::OtherHeader)
    );
    assert!(lines.next().is_none());
    assert_eq!(format.records(b"").count(), 0);
}

#[test]
fn concatenated_texts_in_memory_go_on_under_their_own_header() {
    let text = "bytes version\n840 2\n\u{feff}version bytes\n\u{feff}2 841\n2 842\n";
    let format = Format::from_template("${version} ${bytes}").unwrap();
    let found: Vec<_> = format
        .records(text.as_bytes())
        .map(|item| item.map(|record| record.line()).map_err(|bad| bad.error()))
        .collect();
    assert_eq!(
        found,
        [
            Err(LineError::OtherHeader),
            Err(LineError::OtherHeader),
            Ok(&b"2 841"[..]),
            Ok(&b"2 842"[..]),
        ]
    );
}
