//! What can go wrong while a snapshot is built or read. A lookup cannot fail.

/// Why a snapshot, a prefix or a file was refused.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// More records or text than 32-bit positions can count (2^31 records, 4 GiB of text).
    #[error(
        "a snapshot holds at most 2^31 records and 4 GiB of text; scan fewer accounts or regions per process"
    )]
    TooLarge,
    /// The text is not an address range such as `10.0.0.0/28`.
    #[error(
        "`{text}` is not an address range; expected a form such as `10.0.0.0/28` or `2600:1f18::/80`"
    )]
    Prefix {
        /// The text as found.
        text: String,
    },
    /// The JSON of a saved snapshot or of a published ranges file does not decode.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// Line of the fault, counted from 1; 0 when unknown.
        line: usize,
        /// Column of the fault, counted from 1; 0 when unknown.
        column: usize,
        /// What was found and what was expected.
        reason: String,
    },
    /// The saved snapshot was written by a version of this crate with another layout.
    #[error(
        "the saved snapshot has layout {found}, this version reads {expected}; delete the file, the next refresh writes it anew"
    )]
    Layout {
        /// Layout number in the file.
        found: u32,
        /// Layout number this version reads.
        expected: u32,
    },
    /// A setting of the refresher is out of its bounds.
    #[error("`{name}` {reason}")]
    Setting {
        /// The field of the settings.
        name: &'static str,
        /// What it must be.
        reason: &'static str,
    },
}

#[cfg(feature = "json")]
impl Error {
    pub(crate) fn from_json(error: serde_json::Error) -> Self {
        // The text of a serde_json error ends with its place, which has members of its own here.
        let text = error.to_string();
        let reason = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(reason, _)| reason)
            .to_owned();
        Self::Json {
            line: error.line(),
            column: error.column(),
            reason,
        }
    }
}
