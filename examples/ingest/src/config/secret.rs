//! Values that must not be shown.

use std::{borrow::Cow, path::PathBuf, process::Command};

use anyhow::Context;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// Where a secret is found. The secret itself never stands in the file, and `Debug` shows only the place.
#[derive(Clone, Debug)]
pub enum Secret {
    /// In a file; surrounding white space is removed.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
    /// On the standard output of a command; surrounding white space is removed. No shell is involved.
    Command(Vec<String>),
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand, because an error of serde would repeat what stands in the file.
        let refuse = |why: &str| de::Error::custom(format_args!("{why}: use {SECRET_FORMS}"));
        let toml::Value::Table(table) = toml::Value::deserialize(deserializer)? else {
            return Err(refuse("a secret is not written here"));
        };
        let mut entries = table.into_iter();
        let form = match (entries.next(), entries.next()) {
            (Some((form, value)), None) => match (form.as_str(), value) {
                ("file", toml::Value::String(path)) => Some(Self::File(path.into())),
                ("env", toml::Value::String(name)) => Some(Self::Env(name)),
                ("command", toml::Value::Array(words)) => {
                    let words = words.into_iter().map(|word| match word {
                        toml::Value::String(word) => Some(word),
                        _ => None,
                    });
                    words.collect::<Option<_>>().map(Self::Command)
                }
                _ => None,
            },
            _ => None,
        };
        form.ok_or_else(|| refuse("this is no place of a secret"))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
            "properties": {
                "file": {"type": "string"},
                "env": {"type": "string"},
                "command": {"type": "array", "items": {"type": "string"}},
            },
        })
    }
}

const SECRET_FORMS: &str =
    "{ file = \"PATH\" }, { env = \"NAME\" } or { command = [\"PROGRAM\", \"ARGUMENT\"] }";

impl Secret {
    /// Reads the secret.
    ///
    /// # Errors
    ///
    /// Names the file, variable or command that gives none.
    pub fn read(&self) -> anyhow::Result<String> {
        let (secret, place) = match self {
            Self::File(path) => {
                let place = format!("the secret file `{}`", path.display());
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("{place} cannot be read"))?;
                (text.trim().to_owned(), place)
            }
            Self::Env(name) => {
                let place = format!("the environment variable `{name}`, which holds a secret,");
                let text =
                    std::env::var(name).with_context(|| format!("{place} cannot be read"))?;
                (text, place)
            }
            Self::Command(words) => {
                let (program, arguments) = words
                    .split_first()
                    .context("the command of a secret is empty")?;
                let output = Command::new(program)
                    .args(arguments)
                    .stderr(std::process::Stdio::inherit())
                    .output()
                    .with_context(|| format!("the secret's command `{program}` does not start"))?;
                anyhow::ensure!(
                    output.status.success(),
                    "the secret's command `{program}` failed: {}",
                    output.status
                );
                let place = format!("what the secret's command `{program}` prints");
                let text = String::from_utf8(output.stdout)
                    .map_err(|_| anyhow::anyhow!("{place} is no text"))?;
                (text.trim().to_owned(), place)
            }
        };
        // As a token it would match callers who send none.
        anyhow::ensure!(!secret.is_empty(), "{place} is empty");
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Holder {
        key: Secret,
    }

    #[test]
    fn a_secret_comes_from_a_file_or_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "hunter2\n").unwrap();
        let read = |text: &str| toml::from_str::<Holder>(text).unwrap().key.read();
        let file = format!("key = {{ file = {:?} }}", path.display().to_string());
        assert_eq!(read(&file).unwrap(), "hunter2");
        assert_eq!(
            read("key = { command = [\"echo\", \"hunter2\"] }").unwrap(),
            "hunter2"
        );
        let failed = read("key = { command = [\"false\"] }")
            .unwrap_err()
            .to_string();
        assert!(failed.contains("`false` failed"), "{failed}");
        let empty = read("key = { command = [\"true\"] }")
            .unwrap_err()
            .to_string();
        assert!(empty.contains("`true` prints is empty"), "{empty}");
    }

    #[test]
    fn what_stands_in_its_place_is_never_repeated() {
        for text in [
            "key = \"hunter2\"",
            "key = 4711",
            "key = { hunter2 = 4711 }",
            "key = { env = 4711 }",
        ] {
            let error = toml::from_str::<Holder>(text).unwrap_err();
            let message = error.message();
            assert!(
                !message.contains("hunter2") && !message.contains("4711"),
                "{message}"
            );
        }
    }
}
