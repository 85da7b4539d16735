//! Syslog severities, as GELF's `level` uses them.

/// Severity of a message (RFC 5424, section 6.2.1).
#[expect(clippy::exhaustive_enums, reason = "the RFC closed this list")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// 0: the system is unusable.
    Emergency,
    /// 1: action must be taken immediately.
    Alert,
    /// 2: critical conditions.
    Critical,
    /// 3: error conditions.
    Error,
    /// 4: warning conditions.
    Warning,
    /// 5: normal but significant conditions.
    Notice,
    /// 6: informational messages.
    Informational,
    /// 7: debug messages.
    Debug,
}

impl Level {
    /// The number that is sent, 0 to 7.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}
