use std::fmt;

use crate::call::Call;

type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, where, and what to do about it.
///
/// [`Error::kind`] is the part to act on. `Display` names the call, the resource and, where a person must act, the
/// remedy; it never prints the [source](std::error::Error::source), so that reporters can walk the chain.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    call: Option<Call>,
    resource: String,
    code: Option<String>,
    detail: Option<String>,
    source: Option<BoxError>,
}

impl Error {
    /// An error of our own making, with the resource it is about (a table, a stream, a shard, a setting).
    pub fn new(kind: ErrorKind, resource: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            call: None,
            resource: resource.into(),
            code: None,
            detail: Some(detail.into()),
            source: None,
        }
    }

    /// An error that one call to AWS (or to another store) ended with.
    pub fn of_call(kind: ErrorKind, call: Call, resource: impl Into<String>) -> Self {
        Self {
            kind,
            call: Some(call),
            resource: resource.into(),
            code: None,
            detail: None,
            source: None,
        }
    }

    /// Adds the service's error code, as sent.
    #[must_use]
    pub fn with_code(mut self, code: Option<&str>) -> Self {
        self.code = code.map(str::to_owned);
        self
    }

    /// Adds one sentence of what is wrong.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The call that failed, if it was one.
    pub fn call(&self) -> Option<Call> {
        self.call
    }

    /// The service's error code, if it sent one.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The stream, table, shard or setting the error is about.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Whether the same call can succeed later without anyone doing anything.
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        match self.call {
            Some(call) => write!(f, ": {call} on `{}`", self.resource)?,
            None => write!(f, ": `{}`", self.resource)?,
        }
        if let Some(code) = &self.code {
            write!(f, " answered `{code}`")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, ", {detail}")?;
        }
        if let (ErrorKind::Denied, Some(call)) = (self.kind, self.call) {
            write!(
                f,
                " (the caller needs `{}` on `{}`)",
                call.action(),
                self.resource
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What the caller of a failed operation should do.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// The service asks for fewer calls. Repeat the call later and more slowly.
    Throttled,
    /// The resource is changing. Repeat the call in a few seconds; what is known stays valid.
    Busy,
    /// Unreachable, slow or failing. Back off and repeat the same call.
    Unavailable,
    /// A write got no clear answer and may have landed. Read it back before anything else.
    Unknown,
    /// An iterator or a listing token is too old. Ask for a new one at the last position.
    Expired,
    /// The position does not belong to this shard, or to this stream. A person must decide where to go on.
    Position,
    /// The row is not as the writer believed: another worker moved it. Do not retry.
    Fenced,
    /// Not permitted. A person must change a policy or a key.
    Denied,
    /// The credentials are expired or unknown to AWS. Fetch new ones.
    Credentials,
    /// The clock of this machine is too far off for signed requests.
    Clock,
    /// The stream, shard or table does not exist.
    Gone,
    /// A row or an answer does not decode. Neither a retry nor a restart helps.
    Corrupt,
    /// A setting cannot work.
    Config,
    /// A task of the worker, or the processor in it, panicked.
    Panicked,
}

impl ErrorKind {
    /// Whether the same call can succeed later without anyone doing anything.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::Busy | Self::Unavailable | Self::Expired | Self::Credentials
        )
    }

    /// A short label for counters, stable across releases.
    pub fn label(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Position => "position",
            Self::Fenced => "fenced",
            Self::Denied => "denied",
            Self::Credentials => "credentials",
            Self::Clock => "clock",
            Self::Gone => "gone",
            Self::Corrupt => "corrupt",
            Self::Config => "config",
            Self::Panicked => "panicked",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throttled => "the service asks for fewer calls",
            Self::Busy => "the resource is changing",
            Self::Unavailable => "the service is not available",
            Self::Unknown => "the outcome of the write is not known",
            Self::Expired => "the token has expired",
            Self::Position => "the position does not belong to the shard",
            Self::Fenced => "the row was changed by another worker",
            Self::Denied => "not permitted",
            Self::Credentials => "the credentials were not accepted",
            Self::Clock => "the clock of this machine is off",
            Self::Gone => "the resource does not exist",
            Self::Corrupt => "the answer does not decode",
            Self::Config => "the setting cannot work",
            Self::Panicked => "a task panicked",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_call_names_the_action_and_the_resource() {
        let error = Error::of_call(
            ErrorKind::Denied,
            Call::GetRecords,
            "arn:aws:kinesis:eu-west-1:1:stream/s",
        )
        .with_code(Some("AccessDeniedException"));
        assert_eq!(
            error.to_string(),
            "not permitted: GetRecords on `arn:aws:kinesis:eu-west-1:1:stream/s` answered `AccessDeniedException` \
             (the caller needs `kinesis:GetRecords` on `arn:aws:kinesis:eu-west-1:1:stream/s`)"
        );
    }

    #[test]
    fn display_does_not_print_the_source() {
        let error =
            Error::new(ErrorKind::Corrupt, "table", "no counter").with_source("inner".to_owned());
        assert_eq!(
            error.to_string(),
            "the answer does not decode: `table`, no counter"
        );
        assert_eq!(
            std::error::Error::source(&error).map(ToString::to_string),
            Some("inner".to_owned())
        );
    }
}
