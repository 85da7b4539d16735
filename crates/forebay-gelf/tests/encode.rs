//! The encoder against independent decoders: serde_json, and a port of Graylog's acceptance rules.
#![cfg(feature = "receiver")]

use forebay_gelf::{
    Batch, EncodeError, EncodeLimits, Encoder, FieldBlock, FieldName, Level, Line, Literal,
    Message, PartField, Piece, Repairs, Stored, Value, receive,
};
use proptest::prelude::*;

static TEXT: FieldName = FieldName::literal("text");
static NUMBER: FieldName = FieldName::literal("number");
static OTHER: FieldName = FieldName::literal("other");

fn parse(json: &[u8]) -> serde_json::Value {
    serde_json::from_slice(json).expect("an encoder writes JSON")
}

#[test]
fn a_whole_message_has_this_form() {
    let mut encoder = Encoder::default();
    let block = FieldBlock::new()
        .text(&FieldName::literal("environment"), "prod")
        .integer(&OTHER, -1);
    let mut message = encoder.begin("aws \"flow\"");
    message
        .short_message_with(|text| {
            text.push("eni-1")
                .push(" ")
                .push("\u{e9}\n")
                .push_json_text(r"a\tb");
        })
        .full_message("line 1\nline 2\u{0}")
        .timestamp_millis(1_712_345_678_900)
        .level(Level::Informational)
        .text(&TEXT, "say \"hi\" \\ \u{1f600}")
        .boolean(&FieldName::literal("aws_source"), true)
        .number_text(&NUMBER, "0")
        .float(&FieldName::literal("ratio"), 0.1)
        .unsigned(&FieldName::literal("large"), i64::MAX as u64)
        .fields(&block);
    let json = message.finish().unwrap();
    insta::assert_snapshot!(json.as_str(), @r#"{"version":"1.1","host":"aws \"flow\"","short_message":"eni-1 é\na\tb","full_message":"line 1\nline 2\u0000","timestamp":1712345678.9,"level":6,"_text":"say \"hi\" \\ 😀","_aws_source":"true","_number":0,"_ratio":0.1,"_large":9223372036854775807,"_environment":"prod","_other":-1}"#);
    assert!(json.repairs().is_empty());
}

#[test]
fn times_have_at_most_three_decimals() {
    let cases = [
        (1, "0.001"),
        (10, "0.01"),
        (1000, "1"),
        (1_712_345_678_901, "1712345678.901"),
        (i64::MAX, "9223372036854775.807"),
    ];
    for (millis, expected) in cases {
        let mut encoder = Encoder::default();
        let mut message = encoder.begin("h");
        message.short_message("m").timestamp_millis(millis);
        assert!(
            message
                .finish()
                .unwrap()
                .as_str()
                .ends_with(&format!("\"timestamp\":{expected}}}")),
            "{millis}"
        );
    }
    for millis in [0, -1, i64::MIN] {
        let mut encoder = Encoder::default();
        let mut message = encoder.begin("h");
        message.short_message("m").timestamp_millis(millis);
        let json = message.finish().unwrap();
        assert!(!json.as_str().contains("timestamp"));
        assert_eq!(json.repairs().refused_values, 1);
    }
}

#[test]
fn what_a_receiver_would_drop_is_an_error() {
    let mut encoder = Encoder::default();
    assert_eq!(
        encoder.begin("h").finish().unwrap_err(),
        EncodeError::MissingShortMessage
    );
    for blank in ["", " ", "\t\r\n", "\u{0}", "\u{2003}\u{3000}"] {
        let mut message = encoder.begin("h");
        message.short_message(blank);
        assert_eq!(
            message.finish().unwrap_err(),
            EncodeError::BlankShortMessage,
            "{blank:?}"
        );
        let mut message = encoder.begin(blank);
        message.short_message("m");
        assert_eq!(
            message.finish().unwrap_err(),
            EncodeError::BlankHost,
            "{blank:?}"
        );
    }
    let mut message = encoder.begin("h");
    message.short_message_json_text(r"\u0009\n ");
    assert_eq!(
        message.finish().unwrap_err(),
        EncodeError::BlankShortMessage
    );
    // The encoder is as good as new after each error.
    let mut message = encoder.begin("h");
    message.short_message("m");
    assert_eq!(
        message.finish().unwrap().as_str(),
        r#"{"version":"1.1","host":"h","short_message":"m"}"#
    );
}

#[test]
fn a_message_beyond_the_limit_is_an_error() {
    let limits = EncodeLimits::default();
    let mut encoder = Encoder::new(limits);
    let mut message = encoder.begin("h");
    message
        .short_message("m")
        .full_message("\u{1f600}\n".repeat(500_000));
    assert!(
        matches!(message.finish(), Err(EncodeError::TooLong { bytes, .. }) if bytes > limits.message_bytes)
    );
}

#[test]
fn the_names_of_the_encoder_are_not_for_log_data() {
    for name in ["truncated_bytes", "truncated.bytes", "surplus_fields"] {
        assert!(FieldName::new(name).is_err(), "{name}");
        let repaired = FieldName::repaired(name);
        assert_eq!(repaired.as_str(), format!("field_{name}"));
    }
}

#[test]
fn numbers_that_are_none_are_left_out() {
    let cases: [(&str, Option<serde_json::Value>); 14] = [
        ("0", Some(0.into())),
        ("443", Some(443.into())),
        ("007", Some(7.into())),
        ("-5", Some((-5).into())),
        ("+5", Some(5.into())),
        ("9223372036854775807", Some(i64::MAX.into())),
        ("9223372036854775808", None),
        ("1.50", Some(1.5.into())),
        ("1e3", Some(1000.0.into())),
        ("", None),
        ("-", None),
        ("1a", None),
        ("12345678:", None),
        ("NaN", None),
    ];
    for (digits, expected) in cases {
        let mut encoder = Encoder::default();
        let mut message = encoder.begin("h");
        message.short_message("m").number_text(&NUMBER, digits);
        let json = message.finish().unwrap();
        assert_eq!(
            parse(json.as_bytes()).get("_number"),
            expected.as_ref(),
            "{digits}"
        );
        assert_eq!(json.repairs().refused_values, u32::from(expected.is_none()));
    }
    let mut encoder = Encoder::default();
    let mut message = encoder.begin("h");
    message
        .short_message("m")
        .float(&NUMBER, f64::NAN)
        .unsigned(&OTHER, u64::MAX);
    let json = message.finish().unwrap();
    assert_eq!(
        (
            parse(json.as_bytes()).as_object().unwrap().len(),
            json.repairs().refused_values
        ),
        (3, 2)
    );
}

#[test]
fn json_text_is_repaired_where_it_is_none() {
    let cases: [(&[u8], &str, u32); 10] = [
        (
            br#"plain \"quoted\" \u00e9 \ud83d\ude00"#,
            "plain \"quoted\" \u{e9} \u{1f600}",
            0,
        ),
        (b"raw \" quote", "raw \" quote", 1),
        (b"raw \n control \x00", "raw \n control \0", 2),
        (br"bad \x escape", r"bad \x escape", 1),
        (br"end \", r"end \", 1),
        (br"lone \ud800 surrogate", "lone \u{fffd} surrogate", 1),
        (br"lone \udc00", "lone \u{fffd}", 1),
        (br"pair \ud800\ud800", "pair \u{fffd}\u{fffd}", 2),
        (br"short \u12", r"short \u12", 1),
        (b"bytes \xff\xc3", "bytes \u{fffd}\u{fffd}", 2),
    ];
    for (content, expected, replaced) in cases {
        let mut encoder = Encoder::default();
        let mut message = encoder.begin("h");
        message.short_message("m").json_text(&TEXT, content);
        let json = message.finish().unwrap();
        assert_eq!(parse(json.as_bytes())["_text"], expected);
        assert_eq!(json.repairs().replaced, replaced, "{expected}");
    }
}

#[test]
fn long_values_are_cut_between_characters() {
    for (value, kept) in [
        ("x".repeat(32_766), 32_766),
        ("x".repeat(40_000), 32_766),
        ("\u{20ac}".repeat(20_000), 32_766),
    ] {
        let mut encoder = Encoder::default();
        let mut message = encoder.begin("h");
        message
            .short_message("m")
            .text(&TEXT, &value)
            .json_text(&OTHER, &value);
        let json = message.finish().unwrap();
        let parsed = parse(json.as_bytes());
        let removed = value.len() - kept;
        for name in ["_text", "_other"] {
            assert_eq!(parsed[name].as_str().unwrap(), &value[..kept]);
        }
        assert_eq!(
            parsed["_truncated_bytes"].as_u64().unwrap_or(0),
            2 * removed as u64
        );
        assert_eq!(json.repairs().truncated_bytes, 2 * removed as u64);
    }
}

#[test]
fn fields_beyond_the_cap_are_folded_into_one() {
    let names: Vec<_> = (0..260)
        .map(|index| FieldName::new(&format!("f{index}")).unwrap())
        .collect();
    let mut encoder = Encoder::default();
    for _ in 0..2 {
        let mut message = encoder.begin("h");
        message.short_message("m");
        for (index, name) in names.iter().enumerate() {
            if index % 2 == 0 {
                message.text(name, "v \"q\"");
            } else {
                message.integer(name, 5);
            }
        }
        let json = message.finish().unwrap();
        assert_eq!(json.repairs().surplus_fields, 4);
        let parsed = parse(json.as_bytes());
        assert_eq!(
            parsed["_surplus_fields"],
            "f256=v \"q\"\nf257=5\nf258=v \"q\"\nf259=5"
        );
        assert_eq!(parsed.as_object().unwrap().len(), 3 + 256 + 1);
    }
    assert_eq!(encoder.repairs().surplus_fields, 8);
}

#[test]
fn the_checked_builder_refuses_and_the_repairing_one_counts() {
    let mut message = Message::new(" ", "");
    assert!(message.set_field("a b", 1_i64).is_err());
    assert!(message.set_field("a", f64::INFINITY).is_err());
    assert!(message.set_field("a", " ").is_err());
    message.set_field("a", 1_i64).unwrap();
    insta::assert_snapshot!(message.set_field("a", 2_i64).unwrap_err(), @"field `a` was set before");
    message
        .repaired_field("a", Value::Text("x".into()))
        .repaired_field("gl2_source_node", "evil");
    let mut encoder = Encoder::default();
    assert_eq!(
        message.encode(&mut encoder).unwrap_err(),
        EncodeError::BlankShortMessage
    );
    let json = message.encode_repaired(&mut encoder).unwrap();
    insta::assert_snapshot!(json.as_str(), @r#"{"version":"1.1","host":"unknown","short_message":"-","_a":"x","_field_gl2_source_node":"evil"}"#);
    assert_eq!((json.repairs().renamed, json.repairs().duplicates), (1, 1));
}

#[test]
fn nothing_is_allocated_per_message_once_warm() {
    let mut encoder = Encoder::default();
    let mut batch = Batch::new();
    let mut write = |batch: &mut Batch| {
        batch.clear();
        for index in 0..300_i64 {
            let mut message = encoder.begin("aws-flowlogs");
            message
                .short_message_with(|text| {
                    text.push("eni-0123456789abcdef0")
                        .push(" ACCEPT ")
                        .push("caf\u{e9} \"x\"");
                })
                .timestamp_millis(1_712_345_678_901 + index)
                .text(&TEXT, b"10.0.0.1 \xff")
                .json_text(&OTHER, r"a\u00e9\n")
                .number_text(&NUMBER, "007")
                .float(&NUMBER, 1.5)
                .integer(&NUMBER, index);
            batch.push(&message.finish().unwrap());
        }
    };
    write(&mut batch);
    write(&mut batch);
    let counted = allocation_counter::measure(|| write(&mut batch));
    assert_eq!(counted.count_total, 0);
}

#[test]
fn parts_of_lines_take_no_memory_once_warm() {
    let names = ["action", "dst_port", "bytes"].map(FieldName::repaired);
    let fields = [
        PartField::text(&names[0], 0),
        PartField::number(&names[1], 65_535, 1),
        PartField::other(),
    ];
    let pieces = [Piece::new(&BEGIN, 1), Piece::new(&ARROW, 0)];
    let span = |column: usize| [0..6, 7..10, 11..15][column].clone();
    let (mut encoder, mut batch, mut origin) =
        (Encoder::default(), Batch::new(), FieldBlock::new());
    let mut copied = 0;
    let mut write = |batch: &mut Batch| {
        batch.clear();
        // Once per payload.
        encoder.render(&mut origin, |message| {
            message.json_text(&TEXT, r"/vpc/flow-\u006cogs");
        });
        for index in 0..300_i64 {
            let line = Line::within(
                b"ACCEPT 443 8400\"},{\"id\":\"3931610660696600000000000\"",
                15,
            );
            let mut message = encoder.begin("aws-flowlogs");
            message.short_message_with(|text| copied += text.push_parts(&pieces, &line, span));
            message
                .timestamp_millis(1_712_345_678_901 + index)
                .fields(&origin);
            copied += message.parts(&fields, &line, span);
            message.number_text(&names[2], line.part(span(2)));
            batch.push(&message.finish().unwrap());
        }
    };
    write(&mut batch);
    write(&mut batch);
    let counted = allocation_counter::measure(|| write(&mut batch));
    assert_eq!(counted.count_total, 0);
    let all = 3 * 300 * (pieces.len() + fields.len() - 1);
    assert_eq!(copied, all, "nothing took the way of other text");
}

static BEGIN: Literal = Literal::new("to ");
static ARROW: Literal = Literal::new(" -> ");

#[derive(Clone, Debug)]
enum Field {
    Text(Vec<u8>),
    JsonText(Vec<u8>),
    Integer(i64),
    Float(f64),
    Digits(String),
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        any::<Vec<u8>>().prop_map(Field::Text),
        any::<String>().prop_map(|text| Field::Text(text.into_bytes())),
        any::<Vec<u8>>().prop_map(Field::JsonText),
        r#"([a-z"]|\\[nu"\\]|\\ud8[0-9a-f]{2}|\\udc[0-9]{2}){0,12}"#
            .prop_map(|text| Field::JsonText(text.into_bytes())),
        any::<i64>().prop_map(Field::Integer),
        any::<f64>().prop_map(Field::Float),
        "[-+0-9.e]{0,22}".prop_map(Field::Digits),
    ]
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

/// Text is written in blocks of 8 bytes and pieces of 512.
#[test]
fn escapes_are_right_at_every_place_of_a_block_and_of_a_piece() {
    let mut encoder = Encoder::default();
    for length in (0..20).chain(500..530) {
        for end in ["", "b", "\u{1}", "é", "0123456789"] {
            let text = format!(
                "{}{}\"\\\n\r\t\u{8}\u{c}{end}",
                "a".repeat(length),
                "\"".repeat(length)
            );
            let quoted = serde_json::to_string(&text).unwrap();
            let mut message = encoder.begin("h");
            message
                .short_message("m")
                .text(&TEXT, &text)
                .full_message_json_text(&quoted[1..quoted.len() - 1]);
            let json = message.finish().unwrap();
            assert_eq!(json.repairs(), Repairs::default());
            let json = parse(json.as_bytes());
            assert_eq!(json["_text"], text.as_str());
            assert_eq!(json["full_message"], text.as_str());
        }
    }
}

/// serde_json reads a double only nearly right; the text itself is exact.
fn near(read: f64, number: f64) -> bool {
    read == number || read.to_bits().abs_diff(number.to_bits()) <= 4
}

#[test]
fn the_smallest_doubles_are_kept() {
    let number = -8.332_089_072_289_9e-310;
    let mut encoder = Encoder::default();
    let mut message = encoder.begin("h");
    let name = FieldName::new("small").unwrap();
    message.short_message("m").float(&name, number);
    let json = message.finish().unwrap();
    let text = std::str::from_utf8(json.as_bytes()).unwrap();
    let (_, rest) = text.split_once("\"_small\":").unwrap();
    assert_eq!(rest.trim_end_matches('}').parse(), Ok(number), "{text}");
}

proptest! {
    #[test]
    fn any_message_is_kept_by_the_receiver_with_every_field(
        host in any::<String>(),
        short in any::<Vec<u8>>(),
        names in prop::collection::hash_set(any::<String>(), 0..12),
        values in prop::collection::vec(field(), 12),
    ) {
        let mut encoder = Encoder::default();
        let names: std::collections::BTreeMap<_, _> =
            names.iter().map(|name| FieldName::repaired(name)).map(|name| (name.as_str().to_owned(), name)).collect();
        let mut message = encoder.begin(&host);
        message.short_message(&short);
        for (name, value) in names.values().zip(&values) {
            match value {
                Field::Text(text) => message.text(name, text),
                Field::JsonText(text) => message.json_text(name, text),
                Field::Integer(number) => message.integer(name, *number),
                Field::Float(number) => message.float(name, *number),
                Field::Digits(digits) => message.number_text(name, digits),
            };
        }
        let Ok(json) = message.finish() else {
            let blank = |text: &str| text.chars().all(|character| character <= ' ' || character.is_whitespace());
            prop_assert!(blank(&host) || blank(&String::from_utf8_lossy(&short)));
            return Ok(());
        };
        // A frame must not end early, on any transport.
        prop_assert!(!json.as_bytes().iter().any(|byte| *byte < b' '));
        let received = receive(json.as_bytes()).expect("the receiver keeps what the encoder lets through");
        prop_assert_eq!(received.dropped, Vec::<String>::new());
        prop_assert!(received.message == trimmed(&String::from_utf8_lossy(&short)));
        for (name, value) in names.values().zip(&values) {
            let stored = received.fields.get(name.as_str());
            match value {
                Field::Text(text) => {
                    let text = String::from_utf8_lossy(text);
                    let kept = matches!(stored, Some(Stored::Text(stored)) if stored == trimmed(&text));
                    prop_assert!(kept || stored.is_none() && text.chars().all(|c| c <= ' ' || c.is_whitespace()));
                }
                Field::Integer(number) => prop_assert_eq!(stored, Some(&Stored::Integer(*number))),
                Field::Float(number) if number.is_finite() => {
                    prop_assert!(matches!(stored, Some(Stored::Float(stored)) if near(*stored, *number)));
                }
                Field::Float(_) => prop_assert_eq!(stored, None),
                Field::Digits(digits) => {
                    let integer = digits.parse::<i64>().ok().map(Stored::Integer);
                    let is_float = digits.contains(['.', 'e']);
                    let float = digits.parse().ok().filter(|value: &f64| is_float && value.is_finite()).map(Stored::Float);
                    match (stored, integer.or(float)) {
                        (Some(Stored::Float(stored)), Some(Stored::Float(number))) => prop_assert!(near(*stored, number)),
                        (stored, expected) => prop_assert!(stored == expected.as_ref()),
                    }
                }
                Field::JsonText(_) => prop_assert!(matches!(stored, None | Some(Stored::Text(_)))),
            }
        }
    }

    #[test]
    fn json_text_that_is_valid_passes_unchanged(text in any::<String>()) {
        let quoted = serde_json::to_string(&text).unwrap();
        let content = &quoted[1..quoted.len() - 1];
        let mut encoder = Encoder::default();
        let mut message = encoder.begin("h");
        message.short_message("m").full_message("x").json_text(&TEXT, content);
        let json = message.finish().unwrap();
        prop_assert_eq!(json.repairs().replaced, 0);
        if !text.chars().all(|c| c <= ' ' || c.is_whitespace()) {
            prop_assert!(parse(json.as_bytes())["_text"] == text.as_str());
        }
    }

    #[test]
    fn field_names_from_input_never_pose_as_something_else(name in any::<String>()) {
        let repaired = FieldName::repaired(&name);
        prop_assert_eq!(FieldName::new(repaired.as_str()), Ok(repaired));
        let stored = repaired.as_str().replace('.', "_");
        let reserved = ["id", "_id", "source", "message", "timestamp", "streams", "host", "short_message", "full_message",
            "level", "version"];
        prop_assert!(!stored.starts_with("gl2_") && !reserved.contains(&stored.as_str()));
    }
}

/// Three fields and a short message from columns of a line. Whatever is no copy is written by the general methods, and
/// with `copies` off all of it is.
fn from_columns(context: &[u8], length: usize, spans: &[(usize, usize)], copies: bool) -> String {
    static NOTHING: Literal = Literal::new("");
    static ARROW: Literal = Literal::new(" -> ");
    let line = Line::within(context, length);
    let span = |column: usize| spans[column].0..spans[column].1;
    let fields = [
        PartField::text(&TEXT, 0),
        PartField::number(&NUMBER, 65_535, 1),
        PartField::text(&OTHER, 2).absent(b'-'),
    ];
    let mut encoder = Encoder::default();
    let mut message = encoder.begin("h");
    message.short_message_with(|text| {
        text.push("m");
        let pieces = [Piece::new(&NOTHING, 1), Piece::new(&ARROW, 2).except(b'-')];
        let mut next = 0;
        while next < pieces.len() {
            if copies {
                next += text.push_parts(&pieces[next..], &line, span);
            }
            if let Some(piece) = pieces.get(next) {
                let part = line.part(span(piece.column()));
                let special = part == b"-" && piece.is_except();
                text.push(piece.before())
                    .push(if special { b"none" } else { part });
                next += 1;
            }
        }
    });
    let mut next = 0;
    while next < fields.len() {
        if copies {
            next += message.parts(&fields[next..], &line, span);
        }
        let part = if next < fields.len() {
            line.part(span(next))
        } else {
            b"-"
        };
        let number = std::str::from_utf8(part)
            .ok()
            .and_then(|text| text.parse().ok());
        match next {
            0 => drop(message.text(&TEXT, part)),
            1 => match number {
                Some(number @ 0..=65_535) => drop(message.unsigned(&NUMBER, number)),
                _ => drop(message.text(&NUMBER, "no port")),
            },
            2 if part != b"-" => drop(message.text(&OTHER, part)),
            _ => {}
        }
        next += 1;
    }
    let message = message.finish().expect("the message has a text");
    message.as_str().to_owned()
}

proptest! {
    #[test]
    fn parts_of_lines_are_written_as_any_other_text(
        text in "[ -~]{0,40}|é|\"|\t",
        number in "0|[1-9][0-9]{0,5}|00[0-9]{1,17}|[0-9a]{1,20}|-",
        other in "-|[a-z]{1,33}|\\\\",
        behind in "[a-z\"]{0,40}",
    ) {
        let line = format!("{text} {number} {other}");
        let second = text.len() + 1;
        let third = second + number.len() + 1;
        let spans = [(0, text.len()), (second, third - 1), (third, line.len())];
        let context = format!("{line}{behind}");
        let general = from_columns(line.as_bytes(), line.len(), &spans, false);
        prop_assert_eq!(from_columns(context.as_bytes(), line.len(), &spans, true), general);
    }
}

#[test]
fn columns_outside_of_the_line_are_left_to_the_caller() {
    let context = b"a 1 b and much more text behind the end of the line".as_slice();
    for spans in [
        [(0, 1), (2, 3), (4, 6)],
        [(0, 1), (3, 2), (4, 5)],
        [(0, 1), (2, 3), (90, 91)],
    ] {
        let general = from_columns(&context[..5], 5, &spans, false);
        assert_eq!(from_columns(context, 5, &spans, true), general);
    }
}

#[test]
fn the_limit_on_fields_counts_parts_too() {
    let mut limits = EncodeLimits::default();
    limits.fields = 1;
    let mut encoder = Encoder::new(limits);
    let line = Line::new(b"one two and thirty-two bytes behind it");
    let fields = [PartField::text(&TEXT, 0), PartField::text(&OTHER, 1)];
    let mut message = encoder.begin("h");
    message.short_message("m");
    let span = |column: usize| [0..3, 4..7][column].clone();
    assert_eq!(message.parts(&fields, &line, span), 0);
    assert_eq!(message.parts(&fields[..1], &line, span), 1);
}

#[test]
fn a_block_tells_what_was_changed_in_it() {
    let mut encoder = Encoder::default();
    let mut block = FieldBlock::new();
    encoder.render(&mut block, |message| {
        message.text(&TEXT, b"\xff").text(&OTHER, "good");
    });
    assert_eq!(block.len(), 2);
    for _ in 0..2 {
        let mut message = encoder.begin("h");
        message.short_message("m").fields(&block);
        let json = message.finish().unwrap();
        assert!(
            json.as_str()
                .ends_with("\"_text\":\"\u{fffd}\",\"_other\":\"good\"}")
        );
        assert_eq!(json.repairs().replaced, 1);
    }
    encoder.render(&mut block, |message| {
        message.text(&OTHER, "better");
    });
    let mut message = encoder.begin("h");
    message.short_message("m").fields(&block);
    let json = message.finish().unwrap();
    assert!(json.as_str().ends_with("\"m\",\"_other\":\"better\"}") && json.repairs().is_empty());
}
