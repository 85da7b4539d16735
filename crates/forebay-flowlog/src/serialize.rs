//! Serde forms. See the section "Serde" in the crate's README: these are promises about a format.

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

use crate::format::{Column, Format};
use crate::record::{Record, Value};
use crate::record_buf::RecordBuf;
use crate::timestamp::Timestamp;

impl Serialize for Record<'_> {
    /// A map of the columns that have a value, in column order. Keys are field names with underscores.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = || {
            let columns = self.format().columns().iter().zip(self.iter());
            columns.filter(|(_, text)| !matches!(text, [] | [b'-']))
        };
        let mut map = serializer.serialize_map(Some(columns().count()))?;
        for (column, text) in columns() {
            match column {
                Column::Field(field) => {
                    map.serialize_key(field.column_name())?;
                    match self.value(*field) {
                        Ok(Some(value)) => map.serialize_value(&value)?,
                        // What does not decode is better shown as it stands than lost with the whole record.
                        Ok(None) | Err(_) => map.serialize_value(&String::from_utf8_lossy(text))?,
                    }
                }
                Column::Other(name) => {
                    map.serialize_entry(&**name, &String::from_utf8_lossy(text))?
                }
            }
        }
        map.end()
    }
}

impl Serialize for RecordBuf {
    /// As [`Record`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_record().serialize(serializer)
    }
}

impl Serialize for Value<'_> {
    /// Text, tags (decoded) and addresses as strings; numbers as `u64`; times as [`Timestamp`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Tag(tag) => serializer.serialize_str(&tag.text()),
            Self::Address(address) => serializer.collect_str(address),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Timestamp(time) => time.serialize(serializer),
        }
    }
}

impl Serialize for Timestamp {
    /// Unix seconds: an integer, or a fraction where the log gave milliseconds within the second.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.subsec_millis() == 0 {
            serializer.serialize_u64(self.unix_seconds())
        } else {
            serializer.serialize_f64(self.since_epoch().as_secs_f64())
        }
    }
}

impl Serialize for Format {
    /// The template, as [`Format`] prints it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Format {
    /// A template, as [`Format::from_template`] reads it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TemplateVisitor)
    }
}

struct TemplateVisitor;

impl Visitor<'_> for TemplateVisitor {
    type Value = Format;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flow-log format such as \"${version} ${srcaddr}\"")
    }

    fn visit_str<E: de::Error>(self, template: &str) -> Result<Format, E> {
        Format::from_template(template).map_err(E::custom)
    }
}
