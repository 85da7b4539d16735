//! Values that carry a unit.

use std::{fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A number of bytes, written as `64MiB` or as an integer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ByteSize(pub u64);

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a size such as \"64MiB\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<ByteSize, E> {
                u64::try_from(value)
                    .map(ByteSize)
                    .map_err(|_| E::custom("a size cannot be negative"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
                let shift = match text[digits.len()..].trim() {
                    "" | "B" => 0,
                    "KiB" => 10,
                    "MiB" => 20,
                    "GiB" => 30,
                    unit => {
                        return Err(E::custom(format!(
                            "unknown unit `{unit}`: use B, KiB, MiB or GiB"
                        )));
                    }
                };
                let number: u64 = digits
                    .parse()
                    .map_err(|_| E::custom("a size such as \"64MiB\" was expected"))?;
                number
                    .checked_mul(1 << shift)
                    .map(ByteSize)
                    .ok_or_else(|| E::custom("the size does not fit 64 bits"))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)?$"},
        ]})
    }
}

/// A duration written with its unit, such as `10s` or `2m 30s`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Duration;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a duration with its unit, such as \"10s\" or \"2m 30s\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            let signed: jiff::SignedDuration = text.parse().map_err(E::custom)?;
            Duration::try_from(signed).map_err(|_| E::custom("a duration cannot be negative"))
        }
    }
    deserializer.deserialize_any(Visitor)
}
