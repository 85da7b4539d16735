//! Log files of every shape, whole, cut, damaged and in pieces.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use forebay_cloudtrail::{
    FileDecoder, FileError, FileKind, FileReader, Limits, ReadError, RecordFault, RecordSplitter,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a file gave: records as text, `!` and the fault for what is none, and how it ended.
#[derive(Debug, Eq, PartialEq)]
struct Outcome {
    items: Vec<String>,
    end: Result<(FileKind, u64, u64), String>,
}

fn decode(pieces: &[&[u8]], limits: Limits) -> Outcome {
    let mut decoder = FileDecoder::new(limits);
    let mut items = Vec::new();
    let mut failed = None;
    let take = |decoder: &mut FileDecoder, items: &mut Vec<String>| {
        while let Some(item) = decoder.next_record() {
            items.push(match item {
                Ok(record) => record.text().to_owned(),
                Err(bad) => format!(
                    "!{:?} {}",
                    bad.error().fault(),
                    String::from_utf8_lossy(bad.bytes())
                ),
            });
        }
    };
    'pieces: for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            match decoder.feed(rest) {
                Ok(used) => rest = &rest[used..],
                Err(error) => {
                    failed = Some(error);
                    take(&mut decoder, &mut items);
                    break 'pieces;
                }
            }
            take(&mut decoder, &mut items);
        }
    }
    decoder.end();
    take(&mut decoder, &mut items);
    let end = decoder.finish();
    if let Some(failed) = failed {
        assert_eq!(end.as_ref().err(), Some(&failed), "an error stays");
    }
    Outcome {
        items,
        end: end
            .map(|summary| (summary.kind, summary.records, summary.bad_records))
            .map_err(|error| error.to_string()),
    }
}

fn split(pieces: &[&[u8]]) -> Outcome {
    let mut splitter = RecordSplitter::new(Limits::default());
    let mut items = Vec::new();
    let mut take = |splitter: &mut RecordSplitter| {
        while let Some(item) = splitter.next_record() {
            items.push(match item {
                Ok(record) => record.text().to_owned(),
                Err(bad) => format!(
                    "!{:?} {}",
                    bad.error().fault(),
                    String::from_utf8_lossy(bad.bytes())
                ),
            });
        }
    };
    for piece in pieces {
        splitter.feed(piece);
        take(&mut splitter);
    }
    splitter.end();
    take(&mut splitter);
    let end = splitter
        .finish()
        .map(|summary| (summary.kind, summary.records, summary.bad_records))
        .map_err(|error| error.to_string());
    Outcome { items, end }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn check(text: &str, items: &[&str], kind: FileKind) {
    let outcome = decode(&[text.as_bytes()], Limits::default());
    assert_eq!(outcome.items, items, "{text}");
    let bad = items.iter().filter(|item| item.starts_with('!')).count() as u64;
    assert_eq!(
        outcome.end,
        Ok((kind, items.len() as u64 - bad, bad)),
        "{text}"
    );
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(
        decode(&bytes, Limits::default()),
        outcome,
        "byte by byte: {text}"
    );
    let zipped = gzip(text.as_bytes());
    assert_eq!(
        decode(&zipped.chunks(3).collect::<Vec<_>>(), Limits::default()),
        outcome,
        "zipped: {text}"
    );
}

const A: &str = r#"{"eventVersion":"1.08","eventName":"A"}"#;
const B: &str = r#"{"eventVersion":"1.08","eventName":"B","requestParameters":{"text":"]}\"{["}}"#;

#[test]
fn log_files_come_in_many_shapes() {
    check("", &[], FileKind::Empty);
    check(" \n", &[], FileKind::Empty);
    check(r#"{"Records":[]}"#, &[], FileKind::Records);
    check(
        &format!(r#"{{"Records":[{A},{B}]}}"#),
        &[A, B],
        FileKind::Records,
    );
    check(
        &format!("\u{feff}{{ \"Records\" :\n [ {A} ,\r\n\t{B} ]\n}}\n"),
        &[A, B],
        FileKind::Records,
    );
    check(
        &format!(
            r#"{{"a":[1,{{"Records":[{A}]}}],"b":"x]}}","Records":[{A},{B}],"c":{{}},"d":null}}"#
        ),
        &[A, B],
        FileKind::Records,
    );
    check(
        &format!(r#"{{"Records":[{A}]}}{{"Records":[{B}]}}"#),
        &[A, B],
        FileKind::Records,
    );
    check(&format!("[{A},{B}]"), &[A, B], FileKind::List);
    check("[]", &[], FileKind::List);
    check(A, &[A], FileKind::Lines);
    check(&format!("{A}\n{B}\r\n\n{A}"), &[A, B, A], FileKind::Lines);
    check(&format!("{A}{B}"), &[A, B], FileKind::Lines);
    let envelope = format!(
        r#"{{"version":"0","detail-type":"AWS API Call via CloudTrail","source":"aws.ec2","detail":{B},"region":"x"}}"#
    );
    check(&envelope, &[B], FileKind::EventBridge);
    check(
        &format!("{envelope}\n{envelope}"),
        &[B, B],
        FileKind::EventBridge,
    );
    check(r#"{"Records":null}"#, &[], FileKind::NullRecords);
    check(
        r#"{"awsAccountId":"1","digestStartTime":"x","logFiles":[]}"#,
        &[],
        FileKind::Digest,
    );
    check("null", &[], FileKind::Other);
    check(
        r#"{"Records":"text"}"#,
        &[r#"!NotARecord {"Records":"text"}"#],
        FileKind::Other,
    );
    check(r#"{"a":1}"#, &[r#"!NotARecord {"a":1}"#], FileKind::Other);
}

#[test]
fn one_bad_record_costs_no_other() {
    let fault = |text: &str, bad: &str, fault: &str| {
        check(
            &text.replace('#', bad),
            &[A, &format!("!{fault} {bad}"), B],
            FileKind::Records,
        );
    };
    let list = format!(r#"{{"Records":[{A},#,{B}]}}"#);
    fault(
        &list,
        r#"{"eventName":nonsense}"#,
        r#"Syntax { at: 13, expected: "a value" }"#,
    );
    fault(
        &list,
        r#"{"a":[1,2}}"#,
        r#"Syntax { at: 9, expected: "`,` or `]`" }"#,
    );
    fault(&list, r#"{"a" 1}"#, r#"Syntax { at: 5, expected: "`:`" }"#);
    fault(&list, "null", "NotAnObject");
    fault(&list, "12.5", "NotAnObject");
    fault(&list, r#""text, with ] and }""#, "NotAnObject");
    fault(&list, "[1,[2]]", "NotAnObject");
    // Quotes and brackets that are missing: the next record is found by its beginning.
    fault(
        &list,
        r#"{"eventVersion":"1.0,"a":1}"#,
        r#"Syntax { at: 22, expected: "`,` or `}`" }"#,
    );
    fault(
        &list,
        r#"{"a":{"b":1}"#,
        r#"Syntax { at: 13, expected: "a member name" }"#,
    );
    let lines = format!("{A}\n#\n{B}\n");
    let line = |bad: &str, fault: &str| {
        check(
            &lines.replace('#', bad),
            &[A, &format!("!{fault} {bad}"), B],
            FileKind::Lines,
        )
    };
    line("not json at all", "NotAnObject");
    line(
        r#"{"eventVersion":"1.0"#,
        r#"Syntax { at: 20, expected: "an escape instead of a control character" }"#,
    );
    line(
        r#"{"eventVersion":"1.0","a":{"b":1"#,
        r#"Syntax { at: 33, expected: "`,` or `}`" }"#,
    );
}

#[test]
fn invalid_utf_8_is_replaced_and_flagged() {
    let text = b"{\"Records\":[{\"eventName\":\"a\xffb\"},{\"eventName\":\"c\"}]}";
    let mut reader = FileReader::new(text.as_slice());
    let record = reader.next_record().expect("one").expect("good");
    assert!(record.is_repaired());
    assert_eq!(record.event().event_name().expect("there"), "a\u{fffd}b");
    assert!(
        !reader
            .next_record()
            .expect("one")
            .expect("good")
            .is_repaired()
    );
}

#[test]
fn long_records_are_bad_and_what_follows_is_read() {
    let long = format!(r#"{{"eventName":"{}"}}"#, "x".repeat(3000));
    let mut limits = Limits::default();
    limits.record_bytes = 1000;
    let shown = format!("!TooLong {{ limit: 1000 }} {}", &long[..1000]);
    for text in [
        format!(r#"{{"Records":[{A},{long},{B}]}}"#),
        format!("[{A},{long},{B}]"),
    ] {
        for size in [1, 7, 500, 100_000] {
            let outcome = decode(
                &text.as_bytes().chunks(size).collect::<Vec<_>>(),
                limits.clone(),
            );
            assert_eq!(outcome.items, [A, &shown, B], "{size}");
            assert!(outcome.end.is_ok(), "{outcome:?}");
        }
    }
    let outcome = decode(&[format!("{A}\n{long}\n{B}").as_bytes()], limits.clone());
    assert_eq!(outcome.items.len(), 3, "{outcome:?}");
    assert_eq!(
        (outcome.items[0].as_str(), outcome.items[2].as_str()),
        (A, B)
    );
    // A digest of any length is a digest.
    let digest = format!(
        r#"{{"digestStartTime":"x","logFiles":[{}0]}}"#,
        "1,".repeat(2000)
    );
    assert_eq!(
        decode(&[digest.as_bytes()], limits).end,
        Ok((FileKind::Digest, 0, 0))
    );
}

#[test]
fn positions_are_those_of_the_inflated_file() {
    let text = format!("{{\"Records\":[\n{A},\n{{]}},\n{B}]}}");
    let mut decoder = FileDecoder::new(Limits::default());
    decoder.feed(text.as_bytes()).expect("good");
    let mut found = Vec::new();
    while let Some(item) = decoder.next_record() {
        found.push(match item {
            Ok(record) => (
                record.index(),
                record.offset() as usize,
                record.text().len(),
            ),
            Err(bad) => {
                assert!(matches!(
                    bad.error().fault(),
                    RecordFault::Syntax { at: 1, .. }
                ));
                (
                    bad.error().index(),
                    bad.error().offset() as usize,
                    bad.bytes().len(),
                )
            }
        });
    }
    let at = |part: &str| text.find(part).expect("there");
    assert_eq!(
        found,
        [(0, at(A), A.len()), (1, at("{]"), 3), (2, at(B), B.len())]
    );
}

fn end_of(bytes: &[u8]) -> (usize, FileError) {
    let mut reader = FileReader::new(bytes);
    let mut records = 0;
    loop {
        match reader.next_record().expect("an error comes before the end") {
            Ok(_) => records += 1,
            Err(ReadError::File(error)) => {
                assert!(reader.next_record().is_none(), "nothing follows");
                return (records, error);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn cut_and_damaged_files_give_what_is_whole_and_then_say_so() {
    let text = format!(r#"{{"Records":[{}]}}"#, [B; 200].join(","));
    let file = gzip(text.as_bytes());
    for cut in (1..file.len()).step_by(7) {
        let error = end_of(&file[..cut]).1;
        assert!(
            matches!(
                error,
                FileError::TruncatedCompression { .. } | FileError::NotALogFile { .. }
            ),
            "{cut}: {error}"
        );
    }
    assert_eq!(end_of(&file[..file.len() - 1]).0, 200);
    let mut wrong = file.clone();
    let crc = file.len() - 8;
    wrong[crc] ^= 1;
    assert!(matches!(
        end_of(&wrong),
        (
            200,
            FileError::Corrupt {
                what: "the checksum of a gzip member is wrong",
                ..
            }
        )
    ));
    let mut wrong = file.clone();
    *wrong.last_mut().expect("not empty") ^= 1;
    assert!(matches!(
        end_of(&wrong),
        (
            200,
            FileError::Corrupt {
                what: "the length of a gzip member is wrong",
                ..
            }
        )
    ));
    let trailing = [file.as_slice(), b"x"].concat();
    assert!(matches!(
        end_of(&trailing),
        (
            200,
            FileError::Corrupt {
                what: "other bytes follow the compressed data",
                ..
            }
        )
    ));
    for cut in 1..text.len() {
        assert!(
            matches!(
                end_of(&text.as_bytes()[..cut]).1,
                FileError::Unclosed { .. }
            ),
            "{cut}"
        );
    }
    assert!(matches!(
        end_of(format!(r#"{{"Records":[{A}}}"#).as_bytes()),
        (1, FileError::Unclosed { .. })
    ));
}

#[test]
fn other_files_are_told_by_what_they_are() {
    for (bytes, expected) in [
        (
            b"\x28\xb5\x2f\xfdxxxx".as_slice(),
            "the file is compressed with zstd; gzip, zlib and plain JSON are read",
        ),
        (
            b"BZh91AY",
            "the file is compressed with bzip2; gzip, zlib and plain JSON are read",
        ),
        (
            b"\xff\xfe{\0",
            "not a CloudTrail log file: UTF-16 text; check the rule that chose this object",
        ),
        (
            b"PAR1....",
            "not a CloudTrail log file: an Apache Parquet file; check the rule that chose this object",
        ),
        (
            b"<Error>",
            "not a CloudTrail log file: no JSON object or list at its beginning; check the rule that chose this object",
        ),
        (
            b"x",
            "not a CloudTrail log file: no JSON object or list at its beginning; check the rule that chose this object",
        ),
    ] {
        assert_eq!(end_of(bytes).1.to_string(), expected);
    }
}

#[test]
fn compressed_files_come_in_many_shapes() {
    let text = format!(r#"{{"Records":[{A},{B}]}}"#);
    let whole = gzip(text.as_bytes());
    let (front, back) = text.as_bytes().split_at(30);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(text.as_bytes()).expect("memory");
    let named = flate2::GzBuilder::new()
        .filename("a.json")
        .comment("c")
        .extra("extra")
        .write(Vec::new(), Compression::default());
    let named = {
        let mut named = named;
        named.write_all(text.as_bytes()).expect("memory");
        named.finish().expect("memory")
    };
    let cases = [
        ("one member", whole.clone()),
        (
            "several members",
            [gzip(front), gzip(b""), gzip(back)].concat(),
        ),
        ("zero padding", [whole.as_slice(), &[0; 600]].concat()),
        ("zlib", zlib.finish().expect("memory")),
        ("header with everything", named),
        ("gzip in gzip", gzip(&whole)),
        ("members in gzip", gzip(&[gzip(front), gzip(back)].concat())),
    ];
    for (name, file) in cases {
        for size in [1, 2, 5, 64, 100_000] {
            let outcome = decode(&file.chunks(size).collect::<Vec<_>>(), Limits::default());
            assert_eq!(outcome.items, [A, B], "{name} by {size}");
            assert_eq!(
                outcome.end,
                Ok((FileKind::Records, 2, 0)),
                "{name} by {size}"
            );
        }
    }
    assert!(matches!(
        end_of(&gzip(&gzip(&whole))).1,
        FileError::NotALogFile { .. }
    ));
}

#[test]
fn limits_end_a_file() {
    let text = format!(r#"{{"Records":[{}]}}"#, vec![A; 5000].join(","));
    let file = gzip(text.as_bytes());
    let ended = |change: &dyn Fn(&mut Limits), file: &[u8]| {
        let mut limits = Limits::default();
        change(&mut limits);
        decode(&[file], limits).end.expect_err("over the limit")
    };
    assert!(ended(&|limits| limits.inflated_bytes = 1000, &file).contains("inflated_bytes"));
    assert!(
        ended(
            &|limits| (limits.inflate_ratio, limits.ratio_after) = (10, 1000),
            &file
        )
        .contains("inflate_ratio")
    );
    let members = [gzip(b"{\"Records\":["), gzip(b" "), gzip(b"]}")].concat();
    assert!(ended(&|limits| limits.members = 2, &members).contains("members"));

    let records = |limit| {
        let mut limits = Limits::default();
        limits.records = limit;
        let outcome = decode(&[&file], limits);
        (outcome.items.len(), outcome.end)
    };
    assert_eq!(records(5000), (5000, Ok((FileKind::Records, 5000, 0))));
    let (found, end) = records(4999);
    let why = end.expect_err("over the limit");
    assert!(found == 4999 && why.contains("`records` of 4999"), "{why}");
}

#[test]
fn all_three_ways_of_reading_give_the_same() {
    let text = format!(r#"{{"Records":[{A},{{]}},{B}]}}"#);
    let owned: Vec<_> = FileReader::new(text.as_bytes())
        .records()
        .map(|record| record.map_err(|error| error.is_fatal()))
        .collect();
    assert_eq!(owned, [Ok(A.to_owned()), Err(false), Ok(B.to_owned())]);
    let mut reader = FileReader::new(text.as_bytes());
    let mut buffer = Vec::new();
    let mut found = Vec::new();
    loop {
        match reader.read_record(&mut buffer) {
            Ok(true) => found.push(String::from_utf8(buffer.clone()).expect("text")),
            Ok(false) => break,
            Err(error) => assert!(!error.is_fatal()),
        }
    }
    assert_eq!(found, [A, B]);
    assert_eq!(
        reader
            .summary()
            .map(|summary| (summary.records, summary.bad_records)),
        Some((2, 1))
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~é😀\n\"\\\\{}\\[\\],:]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z \"\\\\é]{0,8}",
        prop::sample::select(vec![
            "eventName",
            "eventVersion",
            "userIdentity",
            "sessionContext",
            "type",
            "responseElements",
            "status",
            "detail"
        ])
        .prop_map(str::to_owned),
    ]
}

#[test]
fn a_bracket_too_many_between_records_costs_one_of_them_at_most() {
    let record = |name: usize| format!(r#"{{"eventVersion":"1.08","eventName":"N{name}"}}"#);
    for damaged in ["[", "[ ", ",[", "[[", "]", "] ", "}", "} "] {
        let text = (1..20).map(record).collect::<Vec<_>>().join(",");
        let text = format!(r#"{{"Records":[{}{damaged}{text}]}}"#, record(0));
        for size in [1, 7, text.len()] {
            let outcome = split(&cut(text.as_bytes(), &[size]));
            let good = outcome.items.iter().filter(|item| !item.starts_with('!'));
            assert!(good.count() >= 19, "{damaged}: {outcome:?}");
        }
    }
}

fn record() -> impl Strategy<Value = Value> {
    proptest::collection::vec((key(), value()), 0..6)
        .prop_map(|members| members.into_iter().collect())
}

fn cut<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

proptest! {
    #[test]
    fn records_equal_those_of_serde_json_however_they_are_cut(records in proptest::collection::vec(record(), 0..6), pretty in any::<bool>(),
        sizes in proptest::collection::vec(1..40usize, 1..8)) {
        let whole = json!({"before": {"Records": [1]}, "Records": records, "zzz": [{}]});
        let text = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) }.expect("JSON");
        let whole: Value = serde_json::from_str(&text).expect("JSON");
        let expected = whole["Records"].as_array().expect("a list");
        let outcome = split(&[text.as_bytes()]);
        let found: Vec<Value> = outcome.items.iter().map(|item| serde_json::from_str(item).expect("JSON")).collect();
        prop_assert_eq!(&found, expected);
        prop_assert_eq!(&outcome.end, &Ok((FileKind::Records, expected.len() as u64, 0)));
        prop_assert_eq!(&split(&cut(text.as_bytes(), &sizes)), &outcome);
        let file = gzip(text.as_bytes());
        prop_assert_eq!(&decode(&cut(&file, &sizes), Limits::default()), &outcome);
    }

    #[test]
    fn lines_equal_those_of_serde_json(records in proptest::collection::vec(record(), 1..5), sizes in proptest::collection::vec(1..40usize, 1..8)) {
        let text: String = records.iter().map(|record| {
            let mut record = record.clone();
            record["eventVersion"] = json!("1.08");
            record.as_object_mut().expect("object").remove("detail");
            format!("{record}\n")
        }).collect();
        let outcome = split(&[text.as_bytes()]);
        prop_assert_eq!(outcome.items.iter().map(|item| format!("{item}\n")).collect::<String>(), text.clone());
        prop_assert_eq!(&split(&cut(text.as_bytes(), &sizes)), &outcome);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_stall(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&[&bytes], Limits::default());
        let text = [br#"{"Records":[{"a":"#.as_slice(), &bytes].concat();
        let _ = decode(&[&text], Limits::default());
    }

    #[test]
    fn brackets_and_quotes_in_any_order_never_stall(text in "[\\[\\]{}\",:\\\\ \na1]{0,80}", limit in 2..50usize, size in 1..20usize) {
        let mut limits = Limits::default();
        limits.record_bytes = limit;
        let text = format!("{{\"Records\":[{text}");
        let _ = decode(&text.as_bytes().chunks(size).collect::<Vec<_>>(), limits.clone());
        let _ = decode(&text.as_bytes()[12..].chunks(size).collect::<Vec<_>>(), limits);
    }

    #[test]
    fn damage_to_one_record_leaves_most_others(at in 0..200usize, byte in any::<u8>()) {
        let record = |name: usize| format!(r#"{{"eventVersion":"1.08","eventName":"N{name}","requestParameters":{{"k":["v",{{"a":"b"}}]}}}}"#);
        let text = format!(r#"{{"Records":[{}]}}"#, (0..20).map(record).collect::<Vec<_>>().join(","));
        let mut bytes = text.into_bytes();
        bytes[800 + at] = byte;
        let outcome = split(&[&bytes]);
        let good = outcome.items.iter().filter(|item| !item.starts_with('!')).count();
        prop_assert!(good >= 16, "{} good: {:?}", good, outcome);
    }
}
