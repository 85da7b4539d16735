//! Why a describe call gave nothing, and who can do something about it.

use std::error::Error as StdError;
use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::Origin;

/// A call the refresher makes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Call {
    /// `DescribeInstances`.
    Instances,
    /// `DescribeNetworkInterfaces`.
    Interfaces,
    /// `DescribeLoadBalancers` of the classic API.
    LoadBalancers,
}

impl Call {
    /// The right the call needs, as a policy names it. None of them can be limited to a resource.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Instances => "ec2:DescribeInstances",
            Self::Interfaces => "ec2:DescribeNetworkInterfaces",
            Self::LoadBalancers => "elasticloadbalancing:DescribeLoadBalancers",
        }
    }
}

/// What to do about a failure. The refresher itself tries again at the next interval in any case.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FailureKind {
    /// The policy lacks the action. A person must act; the other calls work on.
    Denied,
    /// The credentials are refused or have expired.
    Credentials,
    /// AWS asks for fewer calls. Passes by itself; a longer interval helps.
    Throttled,
    /// No answer in time, no connection, or a fault of AWS. Passes by itself.
    Unavailable,
    /// AWS refused the request as it is, or its answer does not decode.
    Refused,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Denied => "denied",
            Self::Credentials => "refused for its credentials",
            Self::Throttled => "throttled",
            Self::Unavailable => "unanswered",
            Self::Refused => "refused",
        })
    }
}

/// One call that failed, for one account and region.
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    call: Call,
    origin: Origin,
    cause: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Which call it was.
    #[must_use]
    pub fn call(&self) -> Call {
        self.call
    }

    /// Which account and region was asked.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What AWS said, as code and message; it names the caller where a right is missing.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }

    pub(super) fn of<E>(call: Call, origin: &Origin, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let service = error.as_service_error();
        let code = service
            .and_then(ProvideErrorMetadata::code)
            .unwrap_or_default();
        let message = service
            .and_then(ProvideErrorMetadata::message)
            .unwrap_or_default();
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let cause = match (code, message) {
            ("", _) => error.to_string(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        let kind = match &error {
            SdkError::ServiceError(_) => classify(code, status.unwrap_or_default()),
            SdkError::ConstructionFailure(_) => FailureKind::Credentials,
            SdkError::ResponseError(_) if status.is_some_and(|status| status < 500) => {
                FailureKind::Refused
            }
            _ => FailureKind::Unavailable,
        };
        Self {
            kind,
            call,
            origin: origin.clone(),
            cause,
            source: Some(Box::new(error)),
        }
    }

    pub(super) fn local(kind: FailureKind, call: Call, origin: &Origin, cause: String) -> Self {
        Self {
            kind,
            call,
            origin: origin.clone(),
            cause,
            source: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, account, region) = (
            self.call.action(),
            self.origin.account(),
            self.origin.region(),
        );
        match self.kind {
            FailureKind::Denied => {
                write!(
                    out,
                    "needs `{action}` on `*` (account `{account}`, region `{region}`)"
                )
            }
            kind => write!(
                out,
                "`{action}` was {kind} (account `{account}`, region `{region}`)"
            ),
        }
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// Error codes: "Error codes for the Amazon EC2 API" and "Common errors" of Elastic Load Balancing.
fn classify(code: &str, status: u16) -> FailureKind {
    match code {
        "UnauthorizedOperation"
        | "AccessDenied"
        | "AccessDeniedException"
        | "OptInRequired"
        | "Blocked" => FailureKind::Denied,
        "AuthFailure"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "RequestTimeTooSkewed" => FailureKind::Credentials,
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestThrottled"
        | "SlowDown"
        | "EC2ThrottledException"
        | "PriorRequestNotComplete" => FailureKind::Throttled,
        // A page token that ran out: the next refresh starts from the first page.
        "InvalidNextToken" | "ExpiredNextToken" | "InternalError" | "InternalFailure"
        | "Unavailable" | "ServiceUnavailable" | "RequestTimeout" => FailureKind::Unavailable,
        _ => match status {
            401 | 403 => FailureKind::Denied,
            429 => FailureKind::Throttled,
            500.. => FailureKind::Unavailable,
            _ => FailureKind::Refused,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_kind() {
        for (code, status, kind) in [
            ("UnauthorizedOperation", 403, FailureKind::Denied),
            ("AccessDenied", 403, FailureKind::Denied),
            ("OptInRequired", 401, FailureKind::Denied),
            ("AuthFailure", 401, FailureKind::Credentials),
            ("ExpiredToken", 400, FailureKind::Credentials),
            ("RequestExpired", 400, FailureKind::Credentials),
            ("RequestLimitExceeded", 503, FailureKind::Throttled),
            ("Throttling", 400, FailureKind::Throttled),
            ("InvalidNextToken", 400, FailureKind::Unavailable),
            ("InternalError", 500, FailureKind::Unavailable),
            ("InvalidParameterValue", 400, FailureKind::Refused),
            ("", 403, FailureKind::Denied),
            ("", 429, FailureKind::Throttled),
            ("", 502, FailureKind::Unavailable),
            ("Novel", 418, FailureKind::Refused),
        ] {
            assert_eq!(classify(code, status), kind, "{code} {status}");
        }
    }

    #[test]
    fn a_missing_right_is_named_as_a_policy_writes_it() {
        let origin = Origin::new("audit", "eu-west-1");
        let failure = Failure::local(
            FailureKind::Denied,
            Call::Interfaces,
            &origin,
            String::new(),
        );
        assert_eq!(
            failure.to_string(),
            "needs `ec2:DescribeNetworkInterfaces` on `*` (account `audit`, region `eu-west-1`)"
        );
        let failure = Failure::local(
            FailureKind::Throttled,
            Call::Instances,
            &origin,
            String::new(),
        );
        assert_eq!(
            failure.to_string(),
            "`ec2:DescribeInstances` was throttled (account `audit`, region `eu-west-1`)"
        );
    }
}
