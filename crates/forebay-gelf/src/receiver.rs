//! What a Graylog server keeps of a GELF message: its acceptance rules as a function.
//!
//! Written from observation of the server's behaviour, versions 2.5 to 7.1. It is stricter in one point: unescaped
//! control characters and trailing commas, which the server tolerates, are refused here.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Number, Value};

/// A message as a Graylog server stores it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// From `host`; `None` if it was missing and the server takes the peer's address.
    pub source: Option<String>,
    /// From `short_message`, trimmed.
    pub message: String,
    /// From `full_message`, unless empty.
    pub full_message: Option<String>,
    /// In milliseconds since 1970; `None` means the time of reception.
    pub timestamp_millis: Option<i64>,
    /// From `level`.
    pub level: Option<i64>,
    /// Additional fields, without the leading underscore.
    pub fields: BTreeMap<String, Stored>,
    /// Members that were dropped without a word, by name.
    pub dropped: Vec<String>,
}

/// A stored value.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Text, trimmed.
    Text(String),
    /// An integer of 64 bits.
    Integer(i64),
    /// A double.
    Float(f64),
}

/// Why a message is dropped whole.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rejection {
    /// Not JSON.
    Json,
    /// The first JSON value is no object.
    NotAnObject,
    /// `host` is no text.
    HostNotText,
    /// `host` is blank.
    BlankHost,
    /// `short_message` (or `message`) is no text.
    MessageNotText,
    /// Neither `short_message` nor `message` holds anything.
    BlankMessage,
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Json => "the payload is not JSON",
            Self::NotAnObject => "the payload is no JSON object",
            Self::HostNotText => "`host` is no text",
            Self::BlankHost => "`host` is blank",
            Self::MessageNotText => "`short_message` is no text",
            Self::BlankMessage => "`short_message` is missing or blank",
        })
    }
}

impl std::error::Error for Rejection {}

/// Reads one payload as a Graylog server does. Text after the first JSON value is ignored, as there.
///
/// # Errors
/// [`Rejection`]: the server drops the message and tells nobody.
pub fn receive(payload: &[u8]) -> Result<Received, Rejection> {
    let first = serde_json::Deserializer::from_slice(payload)
        .into_iter::<Value>()
        .next();
    let members = match first {
        Some(Ok(Value::Object(members))) => members,
        Some(Ok(_)) => return Err(Rejection::NotAnObject),
        Some(Err(_)) | None => return Err(Rejection::Json),
    };
    let source = match members.get("host") {
        None => None,
        Some(Value::String(host)) if is_blank(host) => return Err(Rejection::BlankHost),
        Some(Value::String(host)) => Some(trim(host).to_owned()),
        Some(_) => return Err(Rejection::HostNotText),
    };
    let message = match (text(&members, "short_message")?, text(&members, "message")?) {
        (Some(short), _) if !is_blank(short) => short,
        (_, Some(message)) if !is_blank(message) => message,
        _ => return Err(Rejection::BlankMessage),
    };
    let message = trim(message);
    if message.is_empty() {
        // Control characters alone pass the check of the decoder, but not the one before storage.
        return Err(Rejection::BlankMessage);
    }
    let mut received = Received {
        source,
        message: message.to_owned(),
        full_message: members
            .get("full_message")
            .and_then(Value::as_str)
            .map(trim)
            .and_then(non_empty),
        timestamp_millis: members
            .get("timestamp")
            .and_then(number)
            .and_then(to_millis),
        level: members.get("level").and_then(number).and_then(to_level),
        fields: BTreeMap::new(),
        dropped: Vec::new(),
    };
    for (member, value) in &members {
        if MEMBERS.contains(&member.as_str()) {
            continue;
        }
        let name = member.strip_prefix('_').unwrap_or(member).trim();
        match stored(value).filter(|_| is_storable(name)) {
            Some(value) => drop(received.fields.insert(name.to_owned(), value)),
            None => received.dropped.push(member.clone()),
        }
    }
    Ok(received)
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, Rejection> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Rejection::MessageNotText),
    }
}

fn stored(value: &Value) -> Option<Stored> {
    match value {
        Value::Null | Value::Bool(_) => None,
        Value::Number(number) => Some(stored_number(number)),
        Value::String(text) => non_empty(trim(text)).map(Stored::Text),
        Value::Array(_) | Value::Object(_) => Some(Stored::Text(value.to_string())),
    }
}

fn stored_number(number: &Number) -> Stored {
    match (number.as_i64(), number.as_u64()) {
        (Some(value), _) => Stored::Integer(value),
        (None, Some(value)) => Stored::Integer(value as i64),
        (None, None) => Stored::Float(number.as_f64().unwrap_or_default()),
    }
}

fn is_storable(name: &str) -> bool {
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.@-".contains(&byte));
    !name.is_empty() && is_name && !NEVER_STORED.contains(&name)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn to_millis(seconds: f64) -> Option<i64> {
    (seconds > 0.0).then(|| (seconds * 1000.0).round() as i64)
}

fn to_level(level: f64) -> Option<i64> {
    (level >= 0.0).then_some(level as i64)
}

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

/// As the server trims: everything up to the space.
fn trim(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Members with a meaning of their own.
const MEMBERS: [&str; 7] = [
    "version",
    "host",
    "short_message",
    "message",
    "full_message",
    "timestamp",
    "level",
];

/// Names that are set already, or that the index keeps for itself.
const NEVER_STORED: [&str; 14] = [
    "source",
    "message",
    "timestamp",
    "full_message",
    "level",
    "host",
    "short_message",
    "_id",
    "_ttl",
    "_source",
    "_all",
    "_index",
    "_type",
    "_score",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_for_a_drop() {
        let cases: [(&str, Rejection); 9] = [
            ("", Rejection::Json),
            ("{\"host\":", Rejection::Json),
            ("[1]", Rejection::NotAnObject),
            (r#"{"host":1,"short_message":"m"}"#, Rejection::HostNotText),
            (r#"{"host":" ","short_message":"m"}"#, Rejection::BlankHost),
            (r#"{"host":"h"}"#, Rejection::BlankMessage),
            (
                r#"{"host":"h","short_message":"\t"}"#,
                Rejection::BlankMessage,
            ),
            (
                r#"{"host":"h","short_message":"\u0000"}"#,
                Rejection::BlankMessage,
            ),
            (
                r#"{"host":"h","short_message":5}"#,
                Rejection::MessageNotText,
            ),
        ];
        for (payload, rejection) in cases {
            assert_eq!(receive(payload.as_bytes()), Err(rejection), "{payload}");
        }
    }

    #[test]
    fn fields_are_kept_as_the_server_keeps_them() {
        let payload = br#"{"host":"h","short_message":" m ","timestamp":1712345678.9014,"level":"6","_a":" x ",
            "_b":true,"_c":null,"_d":[1],"_e":1.5,"_f":-3,"_source":"no","__id":"no","_g h":"no","i":"bare","_e2":" "}"#;
        let received = receive(payload).unwrap();
        assert_eq!((received.message.as_str(), received.level), ("m", Some(6)));
        assert_eq!(received.timestamp_millis, Some(1_712_345_678_901));
        let fields: Vec<_> = received.fields.into_iter().collect();
        let text = |text: &str| Stored::Text(text.to_owned());
        let expected = [
            ("a", text("x")),
            ("d", text("[1]")),
            ("e", Stored::Float(1.5)),
            ("f", Stored::Integer(-3)),
            ("i", text("bare")),
        ];
        assert_eq!(
            fields,
            expected.map(|(name, value)| (name.to_owned(), value))
        );
        assert_eq!(
            received.dropped,
            ["__id", "_b", "_c", "_e2", "_g h", "_source"]
        );
    }
}
