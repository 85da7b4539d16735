//! What an HTTP status means for the messages of a request.

use std::time::Duration;

/// What became of one request.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Accepted,
    /// These messages will never be taken.
    Refused(u16),
    /// This sender is not welcome as it is set up, or the receiver is not the one it should be.
    Misconfigured {
        reason: Box<str>,
    },
    /// Try the same again.
    Transient {
        reason: Box<str>,
        retry_after: Option<Duration>,
    },
}

/// Sorts a status by who has to act. What is unknown is never blamed on the message.
pub(crate) fn classify(status: u16, retry_after: Option<&str>) -> Outcome {
    match status {
        200..=299 => Outcome::Accepted,
        400 | 413 | 415 | 431 => Outcome::Refused(status),
        408 | 425 | 429 | 500..=599 => Outcome::Transient {
            reason: format!("HTTP status {status}").into(),
            retry_after: retry_after.and_then(read_retry_after),
        },
        _ => Outcome::Misconfigured {
            reason: format!("HTTP status {status}: {}", advice(status)).into(),
        },
    }
}

/// What to do about a status that only a person can change.
fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => "check the token or header the receiver asks for",
        404 => "check the path; Graylog wants exactly /gelf",
        405 => "the receiver takes no POST here; check the URL",
        407 => "check user and password of the proxy",
        300..=399 => "redirects are not followed; name the final URL",
        _ => "check the URL and the receiver's settings",
    }
}

/// Seconds only: no sender of this header in front of a log receiver uses the date form, and its clock could be off.
fn read_retry_after(value: &str) -> Option<Duration> {
    let seconds = value.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_RETRY_AFTER)))
}

/// Five minutes: nobody should be able to silence a sender for a day.
const LONGEST_RETRY_AFTER: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_class() {
        for status in [200, 202, 204] {
            assert_eq!(classify(status, None), Outcome::Accepted);
        }
        for status in [400, 413, 415, 431] {
            assert_eq!(classify(status, None), Outcome::Refused(status));
        }
        for status in [301, 302, 307, 401, 403, 404, 405, 407, 418, 422] {
            assert!(
                matches!(classify(status, None), Outcome::Misconfigured { .. }),
                "{status}"
            );
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(
                matches!(
                    classify(status, None),
                    Outcome::Transient {
                        retry_after: None,
                        ..
                    }
                ),
                "{status}"
            );
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_capped() {
        let after = |value| match classify(429, Some(value)) {
            Outcome::Transient { retry_after, .. } => retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after(" 2 "), Some(Duration::from_secs(2)));
        assert_eq!(after("99999999"), Some(Duration::from_secs(300)));
        assert_eq!(after("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
