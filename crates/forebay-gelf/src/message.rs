//! A message that owns its parts, for those who have few of them.

use std::fmt;

use crate::encode::{EncodeError, Encoded, Encoder};
use crate::escape::is_blank_text;
use crate::field_name::{FieldName, FieldNameError};
use crate::level::Level;

/// A GELF message. Its methods refuse what a receiver would drop; [`repaired_field`](Self::repaired_field) and
/// [`encode_repaired`](Self::encode_repaired) change it instead, and count.
///
/// For high rates write with an [`Encoder`] directly: it needs no message in between.
///
/// ```
/// use forebay_gelf::{Encoder, Level, Message};
///
/// let mut message = Message::new("web-1", "started");
/// message.set_level(Level::Informational);
/// message.set_field("port", 8080_i64)?;
/// assert!(message.set_field("_id", "7").is_err());
/// let mut encoder = Encoder::default();
/// assert_eq!(
///     message.encode(&mut encoder)?.as_str(),
///     r#"{"version":"1.1","host":"web-1","short_message":"started","level":6,"_port":8080}"#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    host: String,
    short_message: String,
    full_message: Option<String>,
    timestamp_millis: Option<i64>,
    level: Option<Level>,
    fields: Vec<(FieldName, Value)>,
    renamed: u32,
    duplicates: u32,
}

impl Message {
    /// A message from `host` that says `short_message`. Both are checked when it is encoded.
    #[must_use]
    pub fn new(host: impl Into<String>, short_message: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            short_message: short_message.into(),
            full_message: None,
            timestamp_millis: None,
            level: None,
            fields: Vec::new(),
            renamed: 0,
            duplicates: 0,
        }
    }

    /// Sets the long message.
    pub fn set_full_message(&mut self, text: impl Into<String>) -> &mut Self {
        self.full_message = Some(text.into());
        self
    }

    /// Sets the time, in milliseconds since 1970. Without it the receiver takes the time of reception.
    pub fn set_timestamp_millis(&mut self, millis: i64) -> &mut Self {
        self.timestamp_millis = Some(millis);
        self
    }

    /// Sets the severity.
    pub fn set_level(&mut self, level: Level) -> &mut Self {
        self.level = Some(level);
        self
    }

    /// Adds a field.
    ///
    /// # Errors
    /// [`MessageError`] if the name breaks a rule or was used before, or the value cannot be kept by a receiver.
    pub fn set_field(
        &mut self,
        name: &str,
        value: impl Into<Value>,
    ) -> Result<&mut Self, MessageError> {
        let name = FieldName::new(name).map_err(MessageError::Name)?;
        let value = value.into();
        if self.position(&name).is_some() {
            return Err(MessageError::Duplicate {
                name: name.as_str().into(),
            });
        }
        match &value {
            Value::Float(number) if !number.is_finite() => {
                return Err(MessageError::NotFinite {
                    name: name.as_str().into(),
                });
            }
            Value::Text(text) if is_blank_text(text) => {
                return Err(MessageError::BlankValue {
                    name: name.as_str().into(),
                });
            }
            _ => self.fields.push((name, value)),
        }
        Ok(self)
    }

    /// Adds a field whatever its name: a bad name is changed, and of two values with one name the later stays.
    pub fn repaired_field(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        let name = FieldName::new(name).unwrap_or_else(|_| {
            self.renamed += 1;
            FieldName::repaired(name)
        });
        match self.position(&name) {
            Some(index) => {
                self.duplicates += 1;
                self.fields[index].1 = value.into();
            }
            None => self.fields.push((name, value.into())),
        }
        self
    }

    /// Encodes the message.
    ///
    /// # Errors
    /// [`EncodeError`] if `host` or `short_message` is blank, or the message too long.
    pub fn encode<'e>(&self, encoder: &'e mut Encoder) -> Result<Encoded<'e>, EncodeError> {
        self.write(encoder, &self.host, &self.short_message)
    }

    /// Encodes the message; a blank `host` becomes `unknown` and a blank `short_message` becomes `-`.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] only.
    pub fn encode_repaired<'e>(
        &self,
        encoder: &'e mut Encoder,
    ) -> Result<Encoded<'e>, EncodeError> {
        let or = |text: &'_ str, default: &'static str| {
            if is_blank_text(text) {
                default.to_owned()
            } else {
                text.to_owned()
            }
        };
        self.write(
            encoder,
            &or(&self.host, "unknown"),
            &or(&self.short_message, "-"),
        )
    }

    fn write<'e>(
        &self,
        encoder: &'e mut Encoder,
        host: &str,
        short: &str,
    ) -> Result<Encoded<'e>, EncodeError> {
        let mut writer = encoder.begin(host);
        writer.short_message(short);
        if let Some(text) = &self.full_message {
            writer.full_message(text);
        }
        if let Some(millis) = self.timestamp_millis {
            writer.timestamp_millis(millis);
        }
        if let Some(level) = self.level {
            writer.level(level);
        }
        for (name, value) in &self.fields {
            match value {
                Value::Text(text) => writer.text(name, text),
                Value::Integer(number) => writer.integer(name, *number),
                Value::Float(number) => writer.float(name, *number),
                Value::Boolean(value) => writer.boolean(name, *value),
            };
        }
        writer.note_renamed(self.renamed, self.duplicates);
        writer.finish()
    }

    fn position(&self, name: &FieldName) -> Option<usize> {
        self.fields.iter().position(|(known, _)| known == name)
    }
}

/// The value of an additional field. GELF knows text and numbers.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// An integer of 64 bits.
    Integer(i64),
    /// A double; must be finite.
    Float(f64),
    /// Sent as the text `true` or `false`: receivers drop JSON booleans.
    Boolean(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

/// Why a field cannot be part of a message.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MessageError {
    /// The name breaks a rule.
    Name(FieldNameError),
    /// The message has this field already; the receiver would keep one of the two.
    Duplicate {
        /// The name.
        name: Box<str>,
    },
    /// NaN and infinities are no JSON: the receiver would drop the whole message.
    NotFinite {
        /// The name.
        name: Box<str>,
    },
    /// The receiver drops blank values.
    BlankValue {
        /// The name.
        name: Box<str>,
    },
}

impl fmt::Display for MessageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(_) => formatter.write_str("bad field name"),
            Self::Duplicate { name } => write!(formatter, "field `{name}` was set before"),
            Self::NotFinite { name } => write!(
                formatter,
                "the value of field `{name}` is not a finite number"
            ),
            Self::BlankValue { name } => write!(
                formatter,
                "the value of field `{name}` is blank; leave the field out"
            ),
        }
    }
}

impl std::error::Error for MessageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(error) => Some(error),
            _ => None,
        }
    }
}
