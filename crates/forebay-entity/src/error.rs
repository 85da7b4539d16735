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
}
