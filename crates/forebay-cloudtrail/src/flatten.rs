//! [`Flattener`]: a record as flat fields, named as Graylog's AWS plugin names them.

use crate::event::{Event, Kind, MemberSpan};
use crate::field::{is_plugin_field, push_field_name};
use crate::member::{Known, Shown};
use crate::outline::is_blank;
use crate::scan::plain_run;
use crate::text::{Part, Parts, Text, TextForm, push_quoted, push_repaired};

/// Flattens events. Holds scratch space only: make one and use it for every event, then nothing is allocated.
///
/// The plugin's fields come with the plugin's names and values (those of Graylog 7). What the plugin drops follows one rule, in the complete
/// [`View`]:
///
/// - Every other member becomes a field: the names on its path in `snake_case`, joined by `_`. `userIdentity` counts as `user`,
///   `sessionContext` as `user_session`, `sessionIssuer` as `session_issuer_user`, `tlsDetails` as `tls`, `insightDetails` as `insight`,
///   `timeWindow` as `window`, and a word that the name repeats is said once: `tlsDetails.tlsVersion` is `tls_version`.
/// - Objects that AWS documents member by member are opened like that. Everything else that has a structure is one field with its JSON text,
///   cut at 32,766 bytes, because an index refuses a longer term together with its message.
/// - null, empty text and empty structures have no field. A name that would cover a field of Graylog or of the plugin gets `cloudtrail_` in
///   front.
///
/// ```
/// use forebay_cloudtrail::{Event, EventIndex, Flattener, Name, Value, View};
///
/// let record = r#"{"eventTime":"2024-07-10T16:48:26Z","eventSource":"ec2.amazonaws.com","eventName":"StopInstances",
///   "awsRegion":"us-east-2","sourceIPAddress":"192.0.2.1","errorCode":"Client.Denied","userIdentity":{"userName":"alice"}}"#;
/// let mut index = EventIndex::new();
/// let event = Event::parse(record, &mut index)?;
/// let mut lines = Vec::new();
/// Flattener::new(View::Complete).flatten(&event, |name, value| lines.push(match value {
///     Value::Text(text) => format!("{name}={text}"),
///     Value::Bool(flag) => format!("{name}={flag}"),
///     Value::Millis(millis) => format!("{name}={millis}"),
///     _ => unreachable!("no other values yet"),
/// }));
/// assert_eq!(lines[0], "message=ec2.amazonaws.com:StopInstances in us-east-2 by 192.0.2.1 / alice");
/// assert!(lines.contains(&"timestamp=1720630106000".to_owned()));
/// assert!(lines.contains(&"error_code=Client.Denied".to_owned()));
/// # Ok::<(), forebay_cloudtrail::RecordError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Flattener {
    name: String,
    value: String,
    view: View,
}

/// Which fields a [`Flattener`] shows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "with and without the additional fields is all there is"
)]
pub enum View {
    /// The plugin's fields, and one for every member that the plugin drops.
    #[default]
    Complete,
    /// The plugin's fields only.
    Plugin,
}

impl Flattener {
    /// A flattener that shows `view`.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self {
            view,
            ..Self::default()
        }
    }

    /// Calls `visit` for every field: message, source, timestamp and the constant ones first, then the others in the order of the record.
    /// A name may come twice only if two unknown members of the record lead to the same name.
    pub fn flatten(
        &mut self,
        event: &Event<'_>,
        mut visit: impl FnMut(Name<'_>, Value<'_>),
    ) -> Flattened {
        let mut work = Work {
            name: &mut self.name,
            value: &mut self.value,
            complete: self.view == View::Complete,
            event: *event,
            visit: &mut visit,
            done: Flattened::default(),
        };
        work.run();
        work.done
    }
}

/// The name of a field.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "these four are what a Graylog message has besides its fields"
)]
pub enum Name<'a> {
    /// `message`: one line that is never empty. Always there, always first.
    Message,
    /// `source`: always `aws-cloudtrail`.
    Source,
    /// `timestamp`.
    Timestamp,
    /// `full_message`: the request parameters.
    FullMessage,
    /// Any other field. ASCII letters, digits and underscores, at most 128 bytes.
    Field(&'a str),
}

impl<'a> Name<'a> {
    /// The name as the plugin writes it.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        match self {
            Self::Message => "message",
            Self::Source => "source",
            Self::Timestamp => "timestamp",
            Self::FullMessage => "full_message",
            Self::Field(name) => name,
        }
    }
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Text; [`Text::as_json`] is never `None` here and free of lone surrogates, so an encoder may copy it between two quotes.
    Text(Text<'a>),
    /// True or false. GELF receivers drop booleans: send the text `true` or `false` there.
    Bool(bool),
    /// Milliseconds since the Unix epoch; only for [`Name::Timestamp`].
    Millis(i64),
}

/// What [`Flattener::flatten`] has to say about its work.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Flattened {
    /// Values that were cut at 32,766 bytes.
    pub truncated: usize,
}

struct Work<'w, 'a, F> {
    name: &'w mut String,
    value: &'w mut String,
    complete: bool,
    event: Event<'a>,
    visit: &'w mut F,
    done: Flattened,
}

impl<F: FnMut(Name<'_>, Value<'_>)> Work<'_, '_, F> {
    fn run(&mut self) {
        let event = self.event;
        let own = event.user_name().filter(|name| !name.is_blank());
        let issuer = event
            .session_issuer_user_name()
            .filter(|name| !name.is_blank());
        let user = issuer.or(own);
        self.message(user);
        (self.visit)(
            Name::Source,
            Value::Text(Text::new(SOURCE, TextForm::Plain)),
        );
        if let Some(millis) = event.timestamp_millis() {
            (self.visit)(Name::Timestamp, Value::Millis(millis));
        }
        (self.visit)(Name::Field(AWS_SOURCE), Value::Bool(true));
        if let Some(user) = user {
            self.text(Name::Field(Known::UserName.field()), user);
        }
        if let (Some(own), Some(_), true) = (own, issuer, self.complete) {
            // The plugin shows one name only; the other one is a member like any other.
            self.text(Name::Field(OWN_NAME), own);
        }
        for (place, member) in event.index().members.iter().enumerate() {
            match member.known {
                // Of a repeated name the last one counts.
                Some(known) if event.index().counts(known, place) => self.known(known, member),
                Some(_) => {}
                None if self.complete => self.unknown(member),
                None => {}
            }
        }
    }

    /// `SOURCE:NAME in REGION by ADDRESS / USER`, absent parts as `null`, as the plugin has it. Insights events, which have
    /// neither source nor name, show those of the call that they are about.
    fn message(&mut self, user: Option<Text<'_>>) {
        let event = &self.event;
        let (mut source, mut name) = (event.event_source(), event.event_name());
        if source.is_none() && name.is_none() {
            (source, name) = (event.insight_event_source(), event.insight_event_name());
        }
        let parts = [
            ("", source),
            (":", name),
            (" in ", event.aws_region()),
            (" by ", event.source_ip_address()),
        ];
        self.value.clear();
        for (before, part) in parts {
            self.value.push_str(before);
            match part {
                Some(part) => part.push_json(self.value),
                None => self.value.push_str("null"),
            }
        }
        self.value.push_str(" / ");
        match user {
            Some(user) => user.push_json(self.value),
            None => self.value.push_str(UNKNOWN_USER),
        }
        (self.visit)(
            Name::Message,
            Value::Text(Text::new(self.value, TextForm::Escaped)),
        );
    }

    fn known(&mut self, known: Known, member: &MemberSpan) {
        let name = Name::Field(known.field());
        if known == Known::SessionAttributes && member.kind == Kind::Object {
            let mfa = self.event.mfa_authenticated();
            let mfa = mfa.is_some_and(|mfa| mfa.to_cow().eq_ignore_ascii_case("true"));
            (self.visit)(
                Name::Field(Known::MfaAuthenticated.field()),
                Value::Bool(mfa),
            );
        }
        let Some(text) = member.text(self.event.raw()) else {
            return;
        };
        let object = member.kind == Kind::Object;
        match known.shown() {
            Shown::UserName | Shown::IssuerName | Shown::Mfa => {}
            Shown::Opened if object => {}
            Shown::Request if object => self.bracket(Name::FullMessage, text, true),
            Shown::Bracket if object => self.bracket(name, text, false),
            Shown::Response if object && !self.event.index().more_response_elements => {}
            Shown::Time if self.event.millis(Known::EventTime).is_some() => {}
            _ if !self.complete && !is_plugin_field(known.field()) => {}
            Shown::Flag => match flag(text) {
                Some(flag) => (self.visit)(name, Value::Bool(flag)),
                None => self.text(name, text),
            },
            _ => self.text(name, text),
        }
    }

    fn unknown(&mut self, member: &MemberSpan) {
        let Some(text) = member.text(self.event.raw()) else {
            return;
        };
        let mut name = std::mem::take(self.name);
        push_field_name(
            member.scope,
            &member.name(self.event.raw()).to_cow(),
            &mut name,
        );
        self.text(Name::Field(&name), text);
        *self.name = name;
    }

    /// Shows a text unless it is blank or an empty structure.
    fn text(&mut self, name: Name<'_>, text: Text<'_>) {
        if text.is_blank() {
            return;
        }
        if text.is_structure() {
            if !is_empty_structure(text.raw()) {
                self.value.clear();
                push_quoted(text.raw(), self.value);
                self.show_built(name);
            }
        } else if text.raw_len() > VALUE_BYTES || text.has_lone_surrogates() {
            self.value.clear();
            text.push_json(self.value);
            self.show_built(name);
        } else {
            (self.visit)(name, Value::Text(text));
        }
    }

    /// The plugin's text of an object; the request parameters stand in brackets and are shown only if there are any.
    fn bracket(&mut self, name: Name<'_>, text: Text<'_>, request: bool) {
        if request && is_empty_structure(text.raw()) {
            return;
        }
        self.value.clear();
        let inner = text
            .raw()
            .get(1..text.raw_len().saturating_sub(1))
            .unwrap_or("");
        self.value.push(if request { '[' } else { '{' });
        push_bracket_text(inner, self.value);
        self.value.push(if request { ']' } else { '}' });
        if request {
            (self.visit)(name, Value::Text(Text::new(self.value, TextForm::Escaped)));
        } else {
            self.show_built(name);
        }
    }

    /// Shows what was built, cut where an index would refuse it.
    fn show_built(&mut self, name: Name<'_>) {
        if self.value.len() > VALUE_BYTES {
            let end = cut_at(self.value, VALUE_BYTES);
            if end < self.value.len() {
                self.value.truncate(end);
                self.done.truncated += 1;
            }
        }
        (self.visit)(name, Value::Text(Text::new(self.value, TextForm::Escaped)));
    }
}

/// `true` and `false`, also as strings.
fn flag(text: Text<'_>) -> Option<bool> {
    let text = text.as_plain()?;
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn is_empty_structure(json: &str) -> bool {
    json.get(1..json.len().saturating_sub(1))
        .is_none_or(|inner| inner.bytes().all(is_blank))
}

/// Writes valid JSON the way the plugin prints it: strings bare, `=` for the colon, `, ` between entries. The result is the
/// content of a JSON string: escapes stay.
fn push_bracket_text(json: &str, out: &mut String) {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let start = at + 1;
                let (end, escaped) = string_end(bytes, start);
                let content = json.get(start..end).unwrap_or("");
                if escaped {
                    push_repaired(content, out)
                } else {
                    out.push_str(content)
                }
                at = end;
            }
            b':' => out.push('='),
            b',' => out.push_str(", "),
            _ if is_blank(byte) => {}
            _ => out.push(char::from(byte)),
        }
        at += 1;
    }
}

/// Where the string's closing quote is, and whether there were escapes before it.
fn string_end(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut escaped = false;
    loop {
        at = plain_run(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => {
                escaped = true;
                at += 2;
            }
            Some(byte) if *byte != b'"' => at += 1,
            _ => return (at, escaped),
        }
    }
}

/// Where to cut escaped text so that at most `limit` bytes are left once its escapes are resolved, and no escape and no
/// character is split.
fn cut_at(escaped: &str, limit: usize) -> usize {
    let mut bytes = 0;
    let mut at = 0;
    for part in Parts::new(escaped) {
        match part {
            Part::Run(run) if bytes + run.len() > limit => {
                return at + floor_char_boundary(run, limit - bytes);
            }
            Part::Run(run) => {
                bytes += run.len();
                at += run.len();
            }
            Part::Char { value, written, .. } => {
                bytes += value.len_utf8();
                if bytes > limit {
                    return at;
                }
                at += written.len();
            }
        }
    }
    at
}

fn floor_char_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

const SOURCE: &str = "aws-cloudtrail";
pub(crate) const AWS_SOURCE: &str = "aws_source";
const UNKNOWN_USER: &str = "<unknown user_name>";
/// The caller's own name where the issuer's is shown.
pub(crate) const OWN_NAME: &str = "user_identity_user_name";
/// Bytes of UTF-8 that one term of the index may have.
const VALUE_BYTES: usize = 32_766;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventIndex;

    fn fields(view: View, record: &str) -> Vec<(String, String)> {
        let mut index = EventIndex::new();
        let event = Event::parse(record, &mut index).expect("a record");
        let mut fields = Vec::new();
        Flattener::new(view).flatten(&event, |name, value| {
            let value = match value {
                Value::Text(text) => {
                    let json = text.as_json().expect("content of a string");
                    serde_json::from_str(&format!("\"{json}\"")).expect("valid content")
                }
                Value::Bool(flag) => format!("bool {flag}"),
                Value::Millis(millis) => millis.to_string(),
            };
            fields.push((name.to_string(), value));
        });
        fields
    }

    fn check(record: &str, field: &str, expected: Option<&str>) {
        let fields = fields(View::Complete, record);
        let found: Vec<_> = fields
            .iter()
            .filter(|(name, _)| name == field)
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(
            found,
            expected.into_iter().collect::<Vec<_>>(),
            "{field} of {record}: {fields:#?}"
        );
    }

    #[test]
    fn every_kind_of_value_has_its_field() {
        let cases = [
            (
                r#"{}"#,
                "message",
                Some("null:null in null by null / <unknown user_name>"),
            ),
            (
                r#"{"eventSource":"a\"b","eventName":"N"}"#,
                "message",
                Some("a\"b:N in null by null / <unknown user_name>"),
            ),
            (
                r#"{"insightDetails":{"eventSource":"s","eventName":"n"},"awsRegion":"r"}"#,
                "message",
                Some("s:n in r by null / <unknown user_name>"),
            ),
            (
                r#"{"eventSource":"s"}"#,
                "message",
                Some("s:null in null by null / <unknown user_name>"),
            ),
            (r#"{"eventSource":7}"#, "event_source", Some("7")),
            (
                r#"{"eventSource":{"a":1}}"#,
                "event_source",
                Some(r#"{"a":1}"#),
            ),
            (r#"{"eventSource":null}"#, "event_source", None),
            (r#"{"eventSource":"  "}"#, "event_source", None),
            (
                r#"{"eventSource":"\ud800x"}"#,
                "event_source",
                Some("\u{fffd}x"),
            ),
            (r#"{}"#, "source", Some("aws-cloudtrail")),
            (r#"{}"#, "aws_source", Some("bool true")),
            (r#"{}"#, "timestamp", None),
            (
                r#"{"eventTime":"2024-07-10T16:48:26Z"}"#,
                "timestamp",
                Some("1720630106000"),
            ),
            (
                r#"{"eventTime":"2024-07-10T16:48:26Z"}"#,
                "event_time",
                None,
            ),
            (r#"{"eventTime":"noon"}"#, "event_time", Some("noon")),
            (
                r#"{"timeWindow":{"windowStart":"2024-07-10T16:43:26Z","windowEnd":"2024-07-10T16:48:26Z"}}"#,
                "timestamp",
                Some("1720630106000"),
            ),
            (
                r#"{"timeWindow":{"windowSize":"PT5M"}}"#,
                "window_size",
                Some("PT5M"),
            ),
            (r#"{"eventId":"x"}"#, "event_id", Some("x")),
            (
                r#"{"requestParameters":{"a":"b","c":{"d":null,"e":[1,"f",{}]}, "g h": true}}"#,
                "full_message",
                Some("[a=b, c={d=null, e=[1, f, {}]}, g h=true]"),
            ),
            (
                r#"{"requestParameters":{"q":"x\"y\n,:{"}}"#,
                "full_message",
                Some("[q=x\"y\n,:{]"),
            ),
            (r#"{"requestParameters":{ }}"#, "full_message", None),
            (r#"{"requestParameters":null}"#, "full_message", None),
            (
                r#"{"requestParameters":"text"}"#,
                "request_parameters",
                Some("text"),
            ),
            (
                r#"{"requestParameters":[1,2]}"#,
                "request_parameters",
                Some("[1,2]"),
            ),
            (
                r#"{"additionalEventData":{"MFAUsed":"No","n":{"a":1}}}"#,
                "additional_event_data",
                Some("{MFAUsed=No, n={a=1}}"),
            ),
            (
                r#"{"additionalEventData":{}}"#,
                "additional_event_data",
                Some("{}"),
            ),
            (
                r#"{"additionalEventData":"text"}"#,
                "additional_event_data",
                Some("text"),
            ),
            (r#"{"errorMessage":"no"}"#, "errorMessage", Some("no")),
            (r#"{"errorCode":"Denied"}"#, "error_code", Some("Denied")),
            (r#"{"readOnly":true}"#, "read_only", Some("bool true")),
            (r#"{"readOnly":"False"}"#, "read_only", Some("bool false")),
            (r#"{"readOnly":"maybe"}"#, "read_only", Some("maybe")),
            (
                r#"{"resources":[{"ARN":"a"}]}"#,
                "resources",
                Some(r#"[{"ARN":"a"}]"#),
            ),
            (r#"{"resources":[]}"#, "resources", None),
            (
                r#"{"tlsDetails":{"tlsVersion":"TLSv1.3","newThing":"n"}}"#,
                "tls_version",
                Some("TLSv1.3"),
            ),
            (
                r#"{"tlsDetails":{"tlsVersion":"TLSv1.3","newThing":"n"}}"#,
                "tls_new_thing",
                Some("n"),
            ),
            (r#"{"tlsDetails":"text"}"#, "tls_details", Some("text")),
            (
                r#"{"insightDetails":{"insightContext":{"a":[1]}}}"#,
                "insight_context",
                Some(r#"{"a":[1]}"#),
            ),
            (
                r#"{"responseElements":{"ConsoleLogin":"Success"}}"#,
                "consoleLogin",
                Some("Success"),
            ),
            (
                r#"{"responseElements":{"ConsoleLogin":"Success"}}"#,
                "response_elements",
                None,
            ),
            (
                r#"{"responseElements":{"status":{"a":1},"x":2}}"#,
                "status",
                Some(r#"{"a":1}"#),
            ),
            (
                r#"{"responseElements":{"status":{"a":1},"x":2}}"#,
                "response_elements",
                Some(r#"{"status":{"a":1},"x":2}"#),
            ),
            (
                r#"{"responseElements":{"_return":true}}"#,
                "returnValue",
                Some("true"),
            ),
            (
                r#"{"responseElements":"text"}"#,
                "response_elements",
                Some("text"),
            ),
            (
                r#"{"userIdentity":{"accessKeyId":""}}"#,
                "user_access_key_id",
                None,
            ),
            (r#"{"userIdentity":"text"}"#, "user_identity", Some("text")),
            (
                r#"{"userIdentity":{"userName":"own"}}"#,
                "user_name",
                Some("own"),
            ),
            (
                r#"{"userIdentity":{"sessionContext":{"sessionIssuer":{"userName":"role"}}}}"#,
                "user_name",
                Some("role"),
            ),
            (
                r#"{"userIdentity":{"userName":"own","sessionContext":{"sessionIssuer":{"userName":"role"}}}}"#,
                "user_name",
                Some("role"),
            ),
            (
                r#"{"userIdentity":{"userName":"own","sessionContext":{"sessionIssuer":{"userName":"role"}}}}"#,
                "user_identity_user_name",
                Some("own"),
            ),
            (
                r#"{"userIdentity":{"userName":"own","sessionContext":{"sessionIssuer":{"userName":" "}}}}"#,
                "user_name",
                Some("own"),
            ),
            (
                r#"{"userIdentity":{"sessionContext":{"sessionIssuer":{"arn":"a"}}}}"#,
                "session_issuer_user_principal_arn",
                Some("a"),
            ),
            (
                r#"{"userIdentity":{"sessionContext":{"attributes":{}}}}"#,
                "user_session_mfa_authenticated",
                Some("bool false"),
            ),
            (
                r#"{"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":"TRUE"}}}}"#,
                "user_session_mfa_authenticated",
                Some("bool true"),
            ),
            (
                r#"{"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":true}}}}"#,
                "user_session_mfa_authenticated",
                Some("bool true"),
            ),
            (
                r#"{"userIdentity":{"sessionContext":{}}}"#,
                "user_session_mfa_authenticated",
                None,
            ),
            (
                r#"{"userIdentity":{"onBehalfOf":{"userId":"u","identityStoreArn":"s"}}}"#,
                "user_on_behalf_of_identity_store_arn",
                Some("s"),
            ),
            (
                r#"{"userIdentity":{"inScopeOf":{"issuerType":"t"}}}"#,
                "user_in_scope_of_issuer_type",
                Some("t"),
            ),
            (
                r#"{"userIdentity":{"brandNew":{"a":1}}}"#,
                "user_brand_new",
                Some(r#"{"a":1}"#),
            ),
            (r#"{"brandNewID":"x"}"#, "brand_new_id", Some("x")),
            (r#"{"message":"x"}"#, "cloudtrail_message", Some("x")),
            (r#"{"user_name":"x"}"#, "cloudtrail_user_name", Some("x")),
            (
                r#"{"gl2_source_node":"x"}"#,
                "cloudtrail_gl2_source_node",
                Some("x"),
            ),
            (r#"{"_id":"x"}"#, "cloudtrail_id", Some("x")),
            (r#"{"we ird.$näme":"x"}"#, "we_ird_n_me", Some("x")),
            (
                r#"{"eventSource":"first","eventSource":"last"}"#,
                "event_source",
                Some("last"),
            ),
            (r#"{"event\u0053ource":"x"}"#, "event_source", Some("x")),
        ];
        for (record, field, expected) in cases {
            check(record, field, expected);
        }
    }

    #[test]
    fn the_plugins_view_has_only_the_plugins_fields() {
        let record = r#"{"eventName":"N","errorCode":"E","readOnly":true,"x":1,"tlsDetails":{"tlsVersion":"1"},"responseElements":{"y":1},
            "userIdentity":{"userName":"o","invokedBy":"i","sessionContext":{"sessionIssuer":{"userName":"r","type":"Role"}}}}"#;
        let names: Vec<_> = fields(View::Plugin, record)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            names,
            [
                "message",
                "source",
                "aws_source",
                "user_name",
                "event_name",
                "session_issuer_user_type"
            ]
        );
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        for filler in ["x", "é", "😀", "\\\"", "\\u00e9", "\\ud83d\\ude00"] {
            let record = format!(r#"{{"eventName":"{}"}}"#, filler.repeat(40_000));
            let fields = fields(View::Complete, &record);
            let (_, value) = fields
                .iter()
                .find(|(name, _)| name == "event_name")
                .expect("a field");
            assert!(
                value.len() <= VALUE_BYTES && value.len() > VALUE_BYTES - 4,
                "{filler}: {}",
                value.len()
            );
        }
        let record = format!(
            r#"{{"serviceEventDetails":{{"a":"{}"}}}}"#,
            "\\\"".repeat(20_000)
        );
        let fields = fields(View::Complete, &record);
        assert!(
            fields
                .iter()
                .any(|(name, value)| name == "service_event_details" && value.len() <= VALUE_BYTES)
        );
    }
}
