//! Values that carry a unit or must not be shown.

use std::{fmt, path::PathBuf, time::Duration};

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

/// Where a secret is found. The secret itself never stands in the file, and `Debug` shows only the place.
#[derive(Clone, Debug)]
pub enum Secret {
    /// In a file; surrounding white space is removed.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Secret;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(SECRET_FORMS)
            }

            // Written out, because an error of serde would repeat what stands in the file.
            fn visit_str<E: de::Error>(self, _text: &str) -> Result<Secret, E> {
                Err(E::custom(format_args!(
                    "a secret is not written here: use {SECRET_FORMS}"
                )))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                let form: Option<String> = map.next_key()?;
                let secret = match form.as_deref() {
                    Some("file") => Secret::File(map.next_value()?),
                    Some("env") => Secret::Env(map.next_value()?),
                    _ => {
                        return Err(de::Error::custom(format_args!(
                            "a secret is {SECRET_FORMS}"
                        )));
                    }
                };
                if map.next_key::<String>()?.is_some() {
                    return Err(de::Error::custom(format_args!(
                        "a secret is one of {SECRET_FORMS}"
                    )));
                }
                Ok(secret)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

const SECRET_FORMS: &str = "{ file = \"PATH\" } or { env = \"NAME\" }";

impl Secret {
    /// Reads the secret.
    ///
    /// # Errors
    ///
    /// Names the file or variable that cannot be read.
    pub fn read(&self) -> anyhow::Result<String> {
        match self {
            Self::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim().to_owned())
                .map_err(|error| {
                    anyhow::anyhow!(
                        "the secret file `{}` cannot be read: {error}",
                        path.display()
                    )
                }),
            Self::Env(name) => std::env::var(name).map_err(|_| {
                anyhow::anyhow!(
                    "the environment variable `{name}`, which holds a secret, is not set"
                )
            }),
        }
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
