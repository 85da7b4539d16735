//! Envelopes in every form the specification knows, good and bad.

use forebay_cwlogs::{
    Decoder, Error, EventProblem, FieldValue, JsonProblem, Limit, Limits, MessageType, Payload,
    PolicyLevel,
};

const ONE: &str = r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"group","logStream":"stream","subscriptionFilters":["first","second"],"logEvents":[{"id":"7","timestamp":1763029869851,"message":"hello"}]}"#;

/// Decodes and writes down what came out: payloads by group with their messages, problems by name and offset.
fn outcome(input: impl AsRef<[u8]>) -> Vec<String> {
    let mut decoder = Decoder::new();
    match decoder.decode(input.as_ref()) {
        Err(error) => vec![format!("refused: {error:?}")],
        Ok(payloads) => payloads
            .map(|item| match item {
                Ok(payload) => {
                    format!("{}: {}", payload.log_group(), messages(&payload).join(", "))
                }
                Err(error) => format!("{error:?}"),
            })
            .collect(),
    }
}

fn messages(payload: &Payload<'_>) -> Vec<String> {
    payload
        .events()
        .map(|event| match event {
            Ok(event) => event.message().to_string(),
            Err(error) => format!("<{:?} at {}>", error.problem, error.offset),
        })
        .collect()
}

/// Decodes an envelope whose only event is `event` and returns its message or its problem.
fn event(event: &str) -> String {
    let text = format!(r#"{{"messageType":"DATA_MESSAGE","logGroup":"","logEvents":[{event}]}}"#);
    let mut decoder = Decoder::new();
    let payload = decoder
        .decode(text.as_bytes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    messages(&payload).join(", ")
}

#[test]
fn every_member_is_delivered() {
    let mut decoder = Decoder::new();
    let mut payloads = decoder.decode(ONE.as_bytes()).unwrap();
    let payload = payloads.next().unwrap().unwrap();
    assert_eq!(payload.message_type(), MessageType::Data);
    assert_eq!(payload.owner(), "123456789012");
    assert_eq!(payload.log_group(), "group");
    assert_eq!(payload.log_stream(), "stream");
    assert_eq!(
        payload
            .subscription_filters()
            .map(|name| name.to_string())
            .collect::<Vec<_>>(),
        ["first", "second"]
    );
    assert_eq!(payload.policy_level(), None);
    assert_eq!(payload.raw(), ONE.as_bytes());
    assert_eq!((payload.len(), payload.is_partial()), (1, false));
    let event = payload.events().next().unwrap().unwrap();
    assert_eq!(event.id(), "7");
    assert_eq!(
        (event.timestamp(), event.sent_timestamp()),
        (1_763_029_869_851, 1_763_029_869_851)
    );
    assert_eq!(event.message().as_plain(), Some(&b"hello"[..]));
    assert_eq!(
        event.raw(),
        br#"{"id":"7","timestamp":1763029869851,"message":"hello"}"#
    );
    assert_eq!(
        (event.account().to_string(), event.region()),
        ("123456789012".to_owned(), None)
    );
    assert_eq!(event.extracted_fields().count(), 0);
    assert!(payloads.next().is_none());
}

#[test]
fn members_come_in_any_order() {
    let last = r#"{"logEvents":[{"message":"m","id":"1","timestamp":1763029869851}],"logGroup":"g","messageType":"CONTROL_MESSAGE"}"#;
    assert_eq!(outcome(last), ["g: m"]);
    let mut decoder = Decoder::new();
    let payload = decoder
        .decode(last.as_bytes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(payload.message_type(), MessageType::Control);
}

#[test]
fn unknown_values_are_kept() {
    let text = r#"{"messageType":"NEWS","policyLevel":"ORGANIZATION_POLICY","logEvents":[],"extra":{"a":[1,{"b":null}]}}"#;
    let mut decoder = Decoder::new();
    let payload = decoder
        .decode(text.as_bytes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert!(matches!(payload.message_type(), MessageType::Other(text) if text == "NEWS"));
    assert!(
        matches!(payload.policy_level(), Some(PolicyLevel::Other(text)) if text == "ORGANIZATION_POLICY")
    );
    assert!(payload.is_empty());
    for (value, expected) in [
        ("ACCOUNT_LEVEL_POLICY", PolicyLevel::Account),
        ("LOG_GROUP_LEVEL_POLICY", PolicyLevel::LogGroup),
    ] {
        let text = format!(r#"{{"messageType":"DATA_MESSAGE","policyLevel":"{value}"}}"#);
        let payload = decoder
            .decode(text.as_bytes())
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(payload.policy_level(), Some(expected));
    }
}

#[test]
fn absent_and_null_members_are_empty() {
    for text in [
        r#"{"messageType":"DATA_MESSAGE"}"#,
        r#"{"messageType":"DATA_MESSAGE","owner":null,"logGroup":null,"logStream":null,"policyLevel":null,"subscriptionFilters":null,"logEvents":null}"#,
        r#"{"logEvents":[]}"#,
    ] {
        let mut decoder = Decoder::new();
        let payload = decoder
            .decode(text.as_bytes())
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert!(
            payload.owner().is_empty()
                && payload.log_group().is_empty()
                && payload.log_stream().is_empty()
        );
        assert_eq!((payload.len(), payload.policy_level()), (0, None));
        assert_eq!(payload.subscription_filters().count(), 0);
    }
}

#[test]
fn filters_that_are_not_text_are_left_out() {
    let text = r#"{"messageType":"DATA_MESSAGE","subscriptionFilters":["a", 5 ,["x"], {"y":["z"]}, null,"b\n"]}"#;
    let mut decoder = Decoder::new();
    let payload = decoder
        .decode(text.as_bytes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(
        payload
            .subscription_filters()
            .map(|name| name.to_string())
            .collect::<Vec<_>>(),
        ["a", "b\n"]
    );
}

#[test]
fn of_repeated_members_the_last_counts() {
    let text = r#"{"messageType":"X","messageType":"DATA_MESSAGE","logGroup":"a","logEvents":[{"id":"","timestamp":1,"message":"old"}],"logGroup":"b","logEvents":[{"id":"","timestamp":1,"message":5,"message":"new"}]}"#;
    assert_eq!(outcome(text), ["b: new"]);
}

#[test]
fn names_with_escapes_are_the_names_they_spell() {
    let text = r#"{"message\u0054ype":"DATA_MESSAGE","log\u0047roup":"g","log\u0045vents":[{"\u0069d":"","timestamp":1,"messag\u0065":"m"}]}"#;
    assert_eq!(outcome(text), ["g: m"]);
}

#[test]
fn envelopes_follow_each_other_in_every_way_that_firehose_joins_them() {
    let expected = ["group: hello", "group: hello"];
    assert_eq!(outcome(format!("{ONE}{ONE}")), expected);
    assert_eq!(outcome(format!("{ONE}\n{ONE}\n")), expected);
    assert_eq!(outcome(format!("\u{feff} {ONE}\r\n\t{ONE}")), expected);
    assert_eq!(outcome(format!("[{ONE},{ONE}]")), expected);
    assert_eq!(outcome(format!("[{ONE}]\n[{ONE}]")), expected);
}

#[test]
fn what_is_no_envelope_is_said_so() {
    let cases = [
        ("", "refused: Empty"),
        (" \n", "refused: Empty"),
        ("[]", "refused: Empty"),
        ("\u{feff}", "refused: Empty"),
        ("null", "refused: NotAnEnvelope { at: 0 }"),
        ("hello world", "refused: NotAnEnvelope { at: 0 }"),
        ("{}", "refused: NotAnEnvelope { at: 0 }"),
        (
            r#"{"metric_stream_name":"m","value":{"max":1.0}}"#,
            "refused: NotAnEnvelope { at: 0 }",
        ),
        ("{", "refused: Json { problem: Truncated, at: 1 }"),
        (
            r#"{"messageType":"DATA"#,
            "refused: Json { problem: Truncated, at: 20 }",
        ),
        (
            r#"{"messageType":[]}"#,
            "refused: Json { problem: WrongType, at: 15 }",
        ),
        (
            r#"{"logEvents":{}}"#,
            "refused: Json { problem: WrongType, at: 13 }",
        ),
        (
            "{\"messageType\":\"\n\"}",
            "refused: Json { problem: BadString, at: 15 }",
        ),
        (
            r#"{"messageType":"D" "x":1}"#,
            "refused: Json { problem: Unexpected { found: 34 }, at: 19 }",
        ),
        ("\u{1}", "refused: NotAnEnvelope { at: 0 }"),
    ];
    for (text, expected) in cases {
        assert_eq!(outcome(text), [expected], "{text:?}");
    }
    assert!(matches!(
        Decoder::new().decode(b"\xF3\x89\x9A\xC2"),
        Err(Error::Unsupported { .. })
    ));
    assert!(matches!(
        Decoder::new().decode(b"\x28\xB5\x2F\xFD"),
        Err(Error::Unsupported { .. })
    ));
}

#[test]
fn the_next_envelope_is_read_after_a_bad_one() {
    let at = |text: &str| text.len();
    assert_eq!(
        outcome(format!("{{\"messageType\":nope}}{ONE}")),
        [
            format!("{:?}", unexpected(b'o', at("{\"messageType\":n"))),
            "group: hello".to_owned()
        ]
    );
    assert_eq!(
        outcome(format!("text\n{ONE}")),
        ["NotAnEnvelope { at: 0 }", "group: hello"]
    );
    assert_eq!(
        outcome(format!("{{}}{ONE}")),
        ["NotAnEnvelope { at: 0 }", "group: hello"]
    );
    assert_eq!(
        outcome(format!("{ONE}null")),
        [
            "group: hello".to_owned(),
            format!("NotAnEnvelope {{ at: {} }}", ONE.len())
        ]
    );
}

#[test]
fn an_envelope_cut_within_a_string_does_not_take_the_next_one_along() {
    // The cut string seems to end at the first quote of the next envelope.
    for cut in 1..ONE.len() {
        let found = outcome(format!("{}{ONE}", &ONE[..cut]));
        assert_eq!(
            found.last().map(String::as_str),
            Some("group: hello"),
            "cut at {cut}: {found:?}"
        );
    }
}

#[test]
fn events_before_a_cut_are_delivered() {
    let text = r#"{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{"id":"1","timestamp":1763029869851,"message":"a"},{"id":"2","timestamp":1763029869852,"message":"b"}"#;
    let truncated = |at| {
        format!(
            "{:?}",
            Error::Json {
                problem: JsonProblem::Truncated,
                at
            }
        )
    };
    assert_eq!(outcome(text), ["g: a, b".to_owned(), truncated(text.len())]);
    let cut = &text[..text.len() - 5];
    assert_eq!(outcome(cut), ["g: a".to_owned(), truncated(cut.len())]);
    let mut decoder = Decoder::new();
    assert!(
        decoder
            .decode(text.as_bytes())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .is_partial()
    );
}

#[test]
fn events_in_any_form_are_read_and_bad_ones_named() {
    let cases = [
        (r#"{"id":"1","timestamp":1763029869851,"message":"m"}"#, "m"),
        (
            r#" { "id" : "1" , "timestamp" : 1763029869851 , "message" : "m" } "#,
            "m",
        ),
        (r#"{"timestamp":1763029869851,"message":"m"}"#, "m"),
        (r#"{"id":null,"timestamp":0,"message":""}"#, ""),
        (r#"{"id":3865,"timestamp":-5,"message":"m"}"#, "m"),
        (
            r#"{"id":"1","timestamp":"1763029869851","message":"m"}"#,
            "m",
        ),
        (
            r#"{"id":"1","timestamp":1.5e12,"message":"m","new":{"a":[]}}"#,
            "m",
        ),
        (
            r#"{"id":"1","timestamp":1763029869851,"message":"a\"b\\c\u00e9\ud83d\ude00\/"}"#,
            "a\"b\\cé😀/",
        ),
        (
            r#"{"id":"1","timestamp":1763029869851,"message":"lone \ud800 \udc00\ud800"}"#,
            "lone \u{fffd} \u{fffd}\u{fffd}",
        ),
        (
            r#"{"id":"1","timestamp":1763029869851,"message":"nul \u0000"}"#,
            "nul \0",
        ),
        (
            r#"{"id":"1","timestamp":1763029869851,"message":"m","extractedFields":null}"#,
            "m",
        ),
        (
            r#"{"id":"1","timestamp":1763029869851,"message":"m","extractedFields":{}}"#,
            "m",
        ),
        ("{}", "<NoMessage at 58>"),
        (r#"{"message":"m"}"#, "<NoTimestamp at 58>"),
        (r#"{"message":"m","timestamp":null}"#, "<NoTimestamp at 85>"),
        (r#"{"timestamp":1}"#, "<NoMessage at 58>"),
        (r#"{"timestamp":1,"message":null}"#, "<WrongType at 83>"),
        (
            r#"{"timestamp":1,"message":{"a":"b"}}"#,
            "<WrongType at 83>",
        ),
        (
            r#"{"timestamp":true,"message":"m"}"#,
            "<BadTimestamp at 71>",
        ),
        (
            r#"{"timestamp":"soon","message":"m"}"#,
            "<BadTimestamp at 71>",
        ),
        (
            r#"{"timestamp":99999999999999999999,"message":"m"}"#,
            "<BadTimestamp at 71>",
        ),
        (
            r#"{"id":[],"timestamp":1,"message":"m"}"#,
            "<WrongType at 64>",
        ),
        (
            r#"{"id":"1","timestamp":1,"message":"m","extractedFields":[]}"#,
            "<WrongType at 114>",
        ),
        (
            r#"{"id":"1","timestamp":1763029869851,"message":"\x"}"#,
            "<BadString at 104>",
        ),
        (
            r#"{"id":"1","timestamp":1763029869851,"message":"\u12g4"}"#,
            "<BadString at 104>",
        ),
        (
            "{\"id\":\"1\",\"timestamp\":1763029869851,\"message\":\"\t\"}",
            "<BadString at 104>",
        ),
        (
            "{\"id\":\"\n\",\"timestamp\":1763029869851,\"message\":\"m\"}",
            "<BadString at 64>",
        ),
        (
            r#"{"id":"1","timestamp":1763029869851,"message":"m","extractedFields":{"a":"\q"}}"#,
            "<BadString at 126>",
        ),
        ("5", "<NotAnObject at 58>"),
        ("null", "<NotAnObject at 58>"),
        (r#"["x"]"#, "<NotAnObject at 58>"),
    ];
    for (text, expected) in cases {
        // The blank before the event keeps offsets the same for all cases.
        assert_eq!(event(&format!(" {text}")), expected, "{text}");
    }
}

#[test]
fn a_bad_event_costs_only_itself() {
    let good = r#"{"id":"1","timestamp":1763029869851,"message":"good"}"#;
    for bad in [
        "{}",
        "7",
        r#"{"id":"1","timestamp":1763029869851,"message":"\z"}"#,
    ] {
        let found = event(&format!("{good},{bad},{good}"));
        assert!(
            found.starts_with("good, <") && found.ends_with(">, good"),
            "{found}"
        );
    }
}

#[test]
fn a_bad_event_can_be_kept_apart() {
    let bad = r#"{"id":"1","timestamp":[],"message":"m"}"#;
    let text = format!(r#"{{"logEvents":[{{"id":"","timestamp":1,"message":"x"}}, {bad} ]}}"#);
    let mut decoder = Decoder::new();
    let mut payloads = decoder.decode(text.as_bytes()).unwrap();
    assert_eq!(payloads.text(), text.as_bytes());
    let payload = payloads.next().unwrap().unwrap();
    let error = payload.events().nth(1).unwrap().unwrap_err();
    assert_eq!(
        (error.index, error.problem),
        (1, EventProblem::BadTimestamp)
    );
    assert_eq!(payload.raw_event(&error), bad.as_bytes());
    assert!(payload.oversized(&error).is_none());
    assert_eq!(
        error.to_string(),
        "log event 1 at byte 75: `timestamp` is not a 64-bit number"
    );
}

#[test]
fn an_event_that_is_too_large_can_still_be_cut() {
    let mut decoder = Decoder::with_limits(Limits::default().with_event_bytes(4));
    let text = r#"{"logEvents":[{"id":"a","timestamp":1763029869851,"message":"1234"},{"id":"b","timestamp":1763029869851,"message":"12345"},{"id":"c","timestamp":1763029869851,"message":"\"\\\n\t"}]}"#;
    let payload = decoder
        .decode(text.as_bytes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    // The limit counts the bytes of the value: four escapes take eight bytes of text.
    assert_eq!(
        messages(&payload),
        ["1234", "<TooLarge at 114>", "\"\\\n\t"]
    );
    let error = payload.events().nth(1).unwrap().unwrap_err();
    let event = payload.oversized(&error).unwrap();
    assert_eq!(
        (event.id(), event.message().raw(), event.timestamp()),
        (event.id(), &b"12345"[..], 1_763_029_869_851)
    );
    assert_eq!(event.id(), "b");
}

#[test]
fn seconds_are_told_from_milliseconds() {
    let text = r#"{"logEvents":[{"id":"","timestamp":1763029869,"message":""}]}"#;
    let mut decoder = Decoder::new();
    let payload = decoder
        .decode(text.as_bytes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let event = payload.events().next().unwrap().unwrap();
    assert_eq!(
        (event.timestamp(), event.sent_timestamp()),
        (1_763_029_869_000, 1_763_029_869)
    );
}

#[test]
fn system_fields_decide_account_and_region_of_each_event() {
    let text = r#"{"owner":"111111111111","logEvents":[
        {"id":"","timestamp":1763029869851,"message":"","extractedFields":{"$1":"x","@aws.account":"222222222222","@aws.region":"eu-west-1"}},
        {"id":"","timestamp":1763029869851,"message":"","extractedFields":{"\u0040aws.account":"333333333333"}},
        {"id":"","timestamp":1763029869851,"message":"","extractedFields":{"@aws.account":5,"n":{"a":["}"]},"e":""}},
        {"id":"","timestamp":1763029869851,"message":"","extractedFields":{"a":"1","a":"2"}}]}"#;
    let mut decoder = Decoder::new();
    let payload = decoder
        .decode(text.as_bytes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let events: Vec<_> = payload.events().map(Result::unwrap).collect();
    let found: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event.account().to_string(),
                event.region().map(|region| region.to_string()),
            )
        })
        .collect();
    let account = |digit: &str, region: Option<&str>| (digit.repeat(12), region.map(str::to_owned));
    assert_eq!(
        found,
        [
            account("2", Some("eu-west-1")),
            account("3", None),
            account("1", None),
            account("1", None)
        ]
    );
    let fields: Vec<_> = events[2]
        .extracted_fields()
        .map(|(name, value)| (name.to_string(), value))
        .collect();
    assert_eq!(fields.len(), 3);
    assert_eq!(
        fields[0],
        ("@aws.account".to_owned(), FieldValue::Json(b"5"))
    );
    assert_eq!(
        fields[1],
        ("n".to_owned(), FieldValue::Json(br#"{"a":["}"]}"#))
    );
    assert!(matches!(fields[2].1, FieldValue::Text(text) if text.is_empty()));
    assert_eq!(
        events[3]
            .extracted_field("a")
            .map(|value| value.to_string())
            .as_deref(),
        Some("2")
    );
}

#[test]
fn text_shows_what_it_costs() {
    let text =
        "{\"logEvents\":[{\"id\":\"plain\",\"timestamp\":1763029869851,\"message\":\"é\\n\"}]}";
    let mut decoder = Decoder::new();
    let payload = decoder
        .decode(text.as_bytes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let event = payload.events().next().unwrap().unwrap();
    assert!(event.id().is_ascii() && !event.id().has_escapes());
    let message = event.message();
    assert!(!message.is_ascii() && message.has_escapes());
    assert_eq!(
        (message.raw(), message.as_plain()),
        ("é\\n".as_bytes(), None)
    );
    assert_eq!(
        (message.value_len(), &*message.to_cow()),
        (3, "é\n".as_bytes())
    );
}

#[test]
fn bytes_that_are_not_utf8_stay_bytes() {
    let mut text = br#"{"logEvents":[{"id":"","timestamp":1763029869851,"message":"#.to_vec();
    text.extend_from_slice(b"\"a\xff\xc3b\"}]}");
    let mut decoder = Decoder::new();
    let payload = decoder.decode(&text).unwrap().next().unwrap().unwrap();
    let message = payload.events().next().unwrap().unwrap().message();
    assert_eq!(message.as_plain(), Some(&b"a\xff\xc3b"[..]));
    assert_eq!(message.to_string(), "a\u{fffd}\u{fffd}b");
    assert!(!message.is_ascii());
}

#[test]
fn surrogates_without_a_partner_are_counted() {
    let text = r#"{"logEvents":[{"id":"","timestamp":1763029869851,"message":"\ud83d\ude00 \ude00 \ud83d\u0041"}]}"#;
    let mut decoder = Decoder::new();
    let payload = decoder
        .decode(text.as_bytes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let mut out = b"> ".to_vec();
    let replaced = payload
        .events()
        .next()
        .unwrap()
        .unwrap()
        .message()
        .unescape_into(&mut out);
    assert_eq!(
        (replaced, String::from_utf8(out).unwrap().as_str()),
        (2, "> 😀 \u{fffd} \u{fffd}A")
    );
}

#[test]
fn numbers_of_things_are_limited() {
    let event = r#"{"id":"","timestamp":1763029869851,"message":"m"}"#;
    let text = format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{event},{event},{event}]}}"#);
    let mut decoder = Decoder::with_limits(Limits::default().with_events(2));
    let items: Vec<_> = decoder.decode(text.as_bytes()).unwrap().collect();
    assert_eq!(items.len(), 2);
    assert_eq!(
        items[0]
            .as_ref()
            .map(|payload| (payload.len(), payload.is_partial())),
        Ok((2, true))
    );
    assert!(matches!(
        items[1],
        Err(Error::Limit {
            what: Limit::Events,
            limit: 2,
            ..
        })
    ));

    let mut decoder = Decoder::with_limits(Limits::default().with_envelopes(2));
    let text = ONE.repeat(3);
    let items: Vec<_> = decoder.decode(text.as_bytes()).unwrap().collect();
    assert_eq!(items.len(), 3);
    assert!(
        matches!(items[2], Err(Error::Limit { what: Limit::Envelopes, limit: 2, at }) if at == 2 * ONE.len()),
        "{:?}",
        items[2]
    );
}

#[test]
fn depth_is_limited() {
    let nested = |levels: usize| {
        format!(
            r#"{{"messageType":"X","a":{}1{}}}"#,
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    let mut decoder = Decoder::new();
    assert!(decoder.decode(nested(63).as_bytes()).is_ok());
    assert!(matches!(
        decoder.decode(nested(64).as_bytes()),
        Err(Error::Limit {
            what: Limit::JsonDepth,
            limit: 64,
            at: 86
        })
    ));
    assert!(decoder.decode(nested(1_000_000).as_bytes()).is_err());
    let mut decoder = Decoder::with_limits(Limits::default().with_json_depth(2));
    assert!(decoder.decode(nested(1).as_bytes()).is_ok());
    assert!(decoder.decode(nested(2).as_bytes()).is_err());
}

#[test]
fn errors_say_where_and_what() {
    let text = |input: &[u8]| Decoder::new().decode(input).unwrap_err().to_string();
    insta::assert_snapshot!(text(b""), @"input is empty");
    insta::assert_snapshot!(text(b"hello"), @"no CloudWatch Logs envelope at byte 0; is this stream fed by a subscription?");
    insta::assert_snapshot!(text(b"{\"owner\":\"x"), @"text is not JSON at byte 11: it ends too early");
    insta::assert_snapshot!(text(b"{\"owner\":\x02"), @r"text is not JSON at byte 9: unexpected byte `\x02`");
    insta::assert_snapshot!(text(b"\x1f\x8b\x08"), @"gzip data is damaged at byte 3: it ends too early");
    insta::assert_snapshot!(text(b"\xF3\x89\x9A\xC2"), @"record is a KPL aggregate; split it first");
}

fn unexpected(found: u8, at: usize) -> Error {
    Error::Json {
        problem: JsonProblem::Unexpected { found },
        at,
    }
}
