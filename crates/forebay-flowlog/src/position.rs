/// Where a line stands in its source.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a line number and an offset are all there is to a position"
)]
pub struct Position {
    /// Line number, from 1. Header lines and blank lines count.
    pub line: u64,
    /// Offset of the line's first byte in the source, from 0.
    pub offset: u64,
}

impl Position {
    pub(crate) const START: Self = Self { line: 1, offset: 0 };
}
