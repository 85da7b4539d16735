//! The wall clock: the only place of the binary that reads it.

use std::time::SystemTime;

/// Now, for dead letters, first starts and reports. Never for ownership.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary hands the time to everything that takes it as an argument"
)]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since 1970.
pub(crate) fn wall_millis() -> i64 {
    millis(wall())
}

/// A time in milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
