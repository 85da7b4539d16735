//! [`Flattener`]: a record as flat fields, named as Graylog's AWS plugin names them.

use crate::event::{Event, Kind, MemberSpan};
use crate::field::{AWS_SOURCE, Field, OWN_NAME, is_plugin_field, push_field_name};
use crate::member::{Known, Shown};
use crate::outline::is_blank;
use crate::scan::plain_run;
use crate::text::{Text, TextForm, push_repaired};

/// Flattens events. Holds scratch space only: make one and use it for every event, then nothing is allocated.
///
/// The plugin's fields come with the plugin's names and values (those of Graylog 7). What the plugin drops follows one rule, in the complete
/// [`View`]:
///
/// - Every other member becomes a field: the names on its path in `snake_case`, joined by `_`. `userIdentity` counts as `user`,
///   `sessionContext` as `user_session`, `sessionIssuer` as `session_issuer_user`, `tlsDetails` as `tls`, `insightDetails` as `insight`,
///   `timeWindow` as `window`, and a word that the name repeats is said once: `tlsDetails.tlsVersion` is `tls_version`.
/// - Objects that AWS documents member by member are opened like that. Everything else that has a structure is one field with its JSON text.
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
///     Value::Structure(json) => format!("{name}={json}"),
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
    /// A name may come twice only if two unknown members of the record lead to the same name. No value is cut: an index refuses
    /// terms above 32,766 bytes, so let the encoder have a limit.
    pub fn flatten(&mut self, event: &Event<'_>, mut visit: impl FnMut(Name<'_>, Value<'_>)) {
        Work {
            name: &mut self.name,
            value: &mut self.value,
            complete: self.view == View::Complete,
            time: event.millis(Known::EventTime),
            event: *event,
            visit: &mut visit,
        }
        .run();
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
    /// Any other field.
    Field(Field<'a>),
}

impl<'a> Name<'a> {
    /// The name as the plugin writes it.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        match self {
            Self::Message => "message",
            Self::Source => "source",
            Self::Timestamp => "timestamp",
            Self::FullMessage => "full_message",
            Self::Field(field) => field.as_str(),
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
    /// The JSON text of an object or list. It has quotes: as a string it must be escaped.
    Structure(&'a str),
    /// True or false. GELF receivers drop booleans: send the text `true` or `false` there.
    Bool(bool),
    /// Milliseconds since the Unix epoch; only for [`Name::Timestamp`].
    Millis(i64),
}

struct Work<'w, 'a, F> {
    name: &'w mut String,
    value: &'w mut String,
    complete: bool,
    /// `eventTime`, if it can be read.
    time: Option<i64>,
    event: Event<'a>,
    visit: &'w mut F,
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
        if let Some(millis) = self.time.or_else(|| event.timestamp_millis()) {
            (self.visit)(Name::Timestamp, Value::Millis(millis));
        }
        (self.visit)(Name::Field(AWS_SOURCE), Value::Bool(true));
        if let Some(user) = user {
            self.text(Field::of(Known::UserName), user);
        }
        if let (Some(own), Some(_), true) = (own, issuer, self.complete) {
            // The plugin shows one name only; the other one is a member like any other.
            self.text(OWN_NAME, own);
        }
        for (place, member) in event.spans.iter().enumerate() {
            match member.known {
                // Of a repeated name the last one counts.
                Some(known) if event.places.counts(known, place) => self.known(known, member),
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
        self.show_built(Name::Message);
    }

    fn known(&mut self, known: Known, member: &MemberSpan) {
        let (field, details) = (Field::of(known), known.details());
        let is_shown = self.complete || is_plugin_field(details.field);
        if details.shown == Shown::Text
            && let Some(text) = member.plain(self.event.raw())
        {
            // The way of nearly all members.
            if is_shown && !text.is_blank() {
                (self.visit)(Name::Field(field), Value::Text(text));
            }
            return;
        }
        if known == Known::SessionAttributes && member.kind == Kind::Object {
            let mfa = self.event.mfa_authenticated();
            let mfa = mfa.is_some_and(|mfa| mfa.to_cow().eq_ignore_ascii_case("true"));
            (self.visit)(
                Name::Field(Field::of(Known::MfaAuthenticated)),
                Value::Bool(mfa),
            );
        }
        let Some(text) = member.text(self.event.raw()) else {
            return;
        };
        let object = member.kind == Kind::Object;
        match details.shown {
            Shown::UserName | Shown::IssuerName | Shown::Mfa => {}
            Shown::Opened if object => {}
            Shown::Request if object && is_empty_structure(text.raw()) => {}
            Shown::Request if object => self.bracket(Name::FullMessage, text, ('[', ']')),
            Shown::Bracket if object => self.bracket(Name::Field(field), text, ('{', '}')),
            Shown::Response if object && !self.event.places.more_response_elements => {}
            Shown::Time if self.time.is_some() => {}
            _ if !is_shown => {}
            Shown::Flag => match flag(text) {
                Some(flag) => (self.visit)(Name::Field(field), Value::Bool(flag)),
                None => self.text(field, text),
            },
            _ => self.text(field, text),
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
        self.text(Field::made(&name), text);
        *self.name = name;
    }

    /// Shows a text unless it is blank or an empty structure.
    fn text(&mut self, field: Field<'_>, text: Text<'_>) {
        let name = Name::Field(field);
        if text.is_structure() {
            if !is_empty_structure(text.raw()) {
                (self.visit)(name, Value::Structure(text.raw()));
            }
        } else if text.has_lone_surrogates() {
            self.value.clear();
            text.push_json(self.value);
            self.show_built(name);
        } else if !text.is_blank() {
            (self.visit)(name, Value::Text(text));
        }
    }

    /// The plugin's text of an object.
    fn bracket(&mut self, name: Name<'_>, text: Text<'_>, (open, close): (char, char)) {
        self.value.clear();
        let json = text.raw();
        let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or("");
        self.value.push(open);
        push_bracket_text(inner, self.value);
        self.value.push(close);
        self.show_built(name);
    }

    fn show_built(&mut self, name: Name<'_>) {
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

const SOURCE: &str = "aws-cloudtrail";
const UNKNOWN_USER: &str = "<unknown user_name>";

#[cfg(test)]
mod tests;
