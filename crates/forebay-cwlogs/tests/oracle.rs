//! Properties, with `serde_json` as the independent reader.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use forebay_cwlogs::{Decoder, Limits, MessageType, Payload};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// What must come out of one event: id, milliseconds, message, fields.
type Expected = (String, i64, String, Vec<(String, Value)>);

fn expected(event: &Value) -> Expected {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let fields = event["extractedFields"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    (
        text("id"),
        event["timestamp"].as_i64().unwrap(),
        text("message"),
        fields.into_iter().collect(),
    )
}

fn found(payload: &Payload<'_>) -> Vec<Expected> {
    payload
        .events()
        .map(|event| {
            let event = event.unwrap();
            let fields = event.extracted_fields().map(|(name, value)| {
                let value = match value.as_text() {
                    Some(text) => Value::String(text.to_string()),
                    None => panic!("{value:?}"),
                };
                (name.to_string(), value)
            });
            (
                event.id().to_string(),
                event.sent_timestamp(),
                event.message().to_string(),
                fields.collect(),
            )
        })
        .collect()
}

/// Text with everything that JSON escapes and much that it does not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => "[ -~]{0,70}",
        1 => "\\PC{0,40}",
        1 => vec(select(vec!['"', '\\', '\n', '\u{0}', '\u{1f}', ' ', 'é', '😀', '\u{2028}', 'a', '/']), 0..40)
            .prop_map(|characters| characters.into_iter().collect::<String>()),
    ]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{56}", text()]
}

fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 1_000_000_000_000..9_999_999_999_999i64, 1 => any::<i64>(), 1 => -5..5i64]
}

fn event() -> impl Strategy<Value = Value> {
    let fields = proptest::option::of(proptest::collection::btree_map(text(), text(), 0..4));
    (id(), timestamp(), text(), fields).prop_map(|(id, timestamp, message, fields)| match fields {
        None => json!({"id": id, "timestamp": timestamp, "message": message}),
        Some(fields) => {
            json!({"id": id, "timestamp": timestamp, "message": message, "extractedFields": fields})
        }
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The members of an envelope, to be written in any order.
fn envelope() -> impl Strategy<Value = Vec<(String, Value)>> {
    (
        text(),
        text(),
        text(),
        vec(text(), 0..3),
        vec(event(), 0..6),
        vec(any_json(), 0..3),
    )
        .prop_map(|(owner, group, stream, filters, events, unknown)| {
            let mut members = vec![
                ("messageType".to_owned(), json!("DATA_MESSAGE")),
                ("owner".to_owned(), json!(owner)),
                ("logGroup".to_owned(), json!(group)),
                ("logStream".to_owned(), json!(stream)),
                ("subscriptionFilters".to_owned(), json!(filters)),
                ("logEvents".to_owned(), json!(events)),
            ];
            members.extend(
                unknown
                    .into_iter()
                    .enumerate()
                    .map(|(n, value)| (format!("unknown{n}"), value)),
            );
            members
        })
}

/// Writes an object with its members in the given order, compact or with white space.
fn write(members: &[(String, Value)], pretty: bool) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| {
            let value = if pretty {
                serde_json::to_string_pretty(value)
            } else {
                serde_json::to_string(value)
            };
            let colon = if pretty { " :\t" } else { ":" };
            format!("{}{colon}{}", json!(name), value.unwrap())
        })
        .collect();
    let comma = if pretty { " ,\r\n" } else { "," };
    format!("{{{}}}", members.join(comma))
}

fn gzip(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Walks over everything that can be asked, so that a panic anywhere shows.
fn exhaust(decoder: &mut Decoder, input: &[u8]) -> usize {
    let mut touched = 0;
    let mut buffer = Vec::new();
    let Ok(payloads) = decoder.decode(input) else {
        return 0;
    };
    for payload in payloads.flatten() {
        touched += payload.raw().len() + payload.subscription_filters().count();
        touched += usize::from(payload.message_type() == MessageType::Data);
        touched += payload
            .policy_level()
            .map_or(0, |level| format!("{level:?}").len());
        for event in payload.events() {
            match event {
                Ok(event) => {
                    buffer.clear();
                    touched += event.message().unescape_into(&mut buffer);
                    assert_eq!(buffer.len(), event.message().value_len());
                    assert_eq!(buffer, &*event.message().to_cow());
                    touched += event.extracted_fields().count()
                        + event.account().raw().len()
                        + event.raw().len();
                }
                Err(error) => touched += payload.raw_event(&error).len() + error.to_string().len(),
            }
        }
    }
    touched
}

proptest! {
    #[test]
    fn events_are_those_that_serde_reads(
        members in envelope().prop_shuffle(),
        pretty: bool,
    ) {
        let text = write(&members, pretty);
        let value: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let events: Vec<Expected> = value["logEvents"].as_array().unwrap().iter().map(expected).collect();
        for input in [text.clone().into_bytes(), gzip(text.as_bytes(), 6), gzip(text.as_bytes(), 0), zlib(text.as_bytes())] {
            let mut decoder = Decoder::new();
            let mut payloads = decoder.decode(&input).unwrap();
            let payload = payloads.next().unwrap().unwrap();
            prop_assert!(payloads.next().is_none());
            prop_assert_eq!(payload.message_type(), MessageType::Data);
            prop_assert_eq!(payload.owner().to_string(), value["owner"].as_str().unwrap());
            prop_assert_eq!(payload.log_group().to_string(), value["logGroup"].as_str().unwrap());
            prop_assert_eq!(payload.log_stream().to_string(), value["logStream"].as_str().unwrap());
            let filters: Vec<Value> = payload.subscription_filters().map(|name| json!(name.to_string())).collect();
            prop_assert_eq!(&Value::from(filters), &value["subscriptionFilters"]);
            prop_assert_eq!(&found(&payload), &events);
        }
    }

    #[test]
    fn the_raw_text_of_a_string_is_json(message in text()) {
        let text = json!({"logEvents": [{"id": "", "timestamp": 0, "message": message}]}).to_string();
        let mut decoder = Decoder::new();
        let payload = decoder.decode(text.as_bytes()).unwrap().next().unwrap().unwrap();
        let raw = payload.events().next().unwrap().unwrap().message().raw();
        let quoted = [b"\"", raw, b"\""].concat();
        prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), message);
    }

    #[test]
    fn what_is_delivered_without_an_error_is_json(
        members in envelope(),
        at in any::<Index>(),
        with in select(b"\"\\{}[]:,0e.-tn \x01u".to_vec()),
    ) {
        // Members that nobody asked for may hold bad strings, so they are left out here.
        let members: Vec<_> = members.into_iter().filter(|(name, _)| !name.starts_with("unknown")).collect();
        let mut text = write(&members, false).into_bytes();
        let at = at.index(text.len());
        text[at] = with;
        let mut decoder = Decoder::new();
        let sound = decoder.decode(&text).is_ok_and(|mut payloads| {
            payloads.all(|payload| payload.is_ok_and(|payload| payload.events().all(|event| event.is_ok())))
        });
        // The change may have broken a character; bytes that are not UTF-8 are for the receiver to replace.
        let text = String::from_utf8_lossy(&text);
        prop_assert!(!sound || serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn several_envelopes_come_out_in_order(envelopes in vec(envelope(), 1..4), separator in select(vec!["", "\n", " \r\n"])) {
        let texts: Vec<String> = envelopes.iter().map(|members| write(members, false)).collect();
        let joined = texts.join(separator);
        let members: Vec<u8> = texts.iter().flat_map(|text| gzip(text.as_bytes(), 1)).collect();
        for input in [joined.into_bytes(), members] {
            let mut decoder = Decoder::new();
            let payloads: Vec<_> = decoder.decode(&input).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(payloads.len(), texts.len());
            for (payload, text) in payloads.iter().zip(&texts) {
                prop_assert_eq!(payload.raw(), text.as_bytes());
            }
        }
    }

    #[test]
    fn a_cut_text_delivers_the_events_before_the_cut(members in envelope(), at in any::<Index>()) {
        let text = write(&members, false);
        let value: Value = serde_json::from_str(&text).unwrap();
        let events: Vec<Expected> = value["logEvents"].as_array().unwrap().iter().map(expected).collect();
        let cut = &text.as_bytes()[..at.index(text.len())];
        let mut decoder = Decoder::new();
        if let Ok(payloads) = decoder.decode(cut) {
            let items: Vec<_> = payloads.collect();
            prop_assert_eq!(items.len(), 2);
            let payload = items[0].as_ref().unwrap();
            prop_assert!(payload.is_partial() && items[1].is_err());
            let before = found(payload);
            prop_assert_eq!(&before[..], &events[..before.len()]);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), prefix in select(vec![&b""[..], b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"\x78\x9c", b"{\"logEvents\":[{\"id\":\"", b"[{"])) {
        let mut decoder = Decoder::with_limits(Limits::default().with_layers(2));
        let input = [prefix, &bytes].concat();
        exhaust(&mut decoder, &input);
        exhaust(&mut decoder, &gzip(&input, 1));
        drop(decoder.decode_base64(&bytes));
    }

    #[test]
    fn damaged_payloads_never_panic(members in envelope(), changes in vec((any::<Index>(), any::<u8>()), 1..6), packed: bool) {
        let text = write(&members, false).into_bytes();
        let mut input = if packed { gzip(&text, 6) } else { text };
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        exhaust(&mut Decoder::new(), &input);
    }
}
