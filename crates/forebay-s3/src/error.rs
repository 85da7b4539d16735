//! What can go wrong between a queue and an accepted record, told by what the caller would do about it.

use std::{error::Error as StdError, fmt};

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::source::redirected;

/// A failure with its resource. `Display` names kind, resource and remedy; the cause is `source()`.
#[derive(Debug, thiserror::Error)]
#[error("{kind} ({context})")]
pub struct Error {
    kind: ErrorKind,
    context: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What the caller should do.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// Throttled, unreachable or failing. The same call is repeated later; no attempt of a notice is used up.
    Unavailable,
    /// Credentials or policy. A person must act; reading pauses and tries again.
    Denied,
    /// The queue or bucket does not exist under that name and region. A person must act.
    NoSuchResource,
    /// The object does not exist, any more or yet.
    MissingObject,
    /// The object is archived: it must be restored before it can be read.
    Archived,
    /// The object changed between the notice and the read.
    Changed,
    /// The content is not what it should be: compression, JSON or limits. Reading again rarely helps.
    Corrupt,
    /// The content is of a kind that is not read, or larger than allowed. Reading again never helps.
    Unsupported,
    /// A notice that names what it may not, or that is no notice.
    Refused,
    /// The notice can no longer be held: somebody else may have it.
    Expired,
    /// The processor dropped records instead of accepting them.
    Abandoned,
    /// The reader is stopping.
    Stopping,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unavailable => "the service is throttling or unreachable",
            Self::Denied => "access was denied",
            Self::NoSuchResource => "the queue or bucket does not exist in this region",
            Self::MissingObject => "the object does not exist",
            Self::Archived => "the object is archived and must be restored first",
            Self::Changed => "the object changed after its notice",
            Self::Corrupt => "the object is damaged",
            Self::Unsupported => "the object is of a kind that is not read",
            Self::Refused => "the notice was refused",
            Self::Expired => "the notice could not be held any longer",
            Self::Abandoned => "the processor gave records back",
            Self::Stopping => "the reader is stopping",
        })
    }
}

impl ErrorKind {
    /// Whether the environment is at fault, not the input: such a failure never uses up an attempt.
    #[must_use]
    pub const fn is_environment(self) -> bool {
        matches!(
            self,
            Self::Unavailable
                | Self::Denied
                | Self::NoSuchResource
                | Self::Abandoned
                | Self::Stopping
        )
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self {
            kind,
            context: context.into(),
            source: None,
        }
    }

    /// For [`Processor::reject`](crate::Processor::reject): what was rejected could not be kept at `place`.
    pub fn not_kept(
        place: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::new(ErrorKind::Unavailable, place).caused_by(source)
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Classifies a failed SDK call. `action` is the IAM action that the call needs, `resource` what it was for.
    pub(crate) fn from_sdk<E>(
        error: SdkError<E, HttpResponse>,
        action: &str,
        resource: &str,
    ) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let code = error.code().map(str::to_owned);
        let kind = classify(code.as_deref(), status);
        let answered = match (&code, status) {
            (Some(code), _) => format!(", answered {code}"),
            (None, Some(status)) => format!(", HTTP status {status}"),
            (None, None) => String::new(),
        };
        let context = match (kind, redirected(&error)) {
            (ErrorKind::NoSuchResource, Some(region)) => {
                format!("{resource} is in region {region}{answered}; set that region")
            }
            (ErrorKind::Denied, _) => {
                let needs = missing_right(code.as_deref(), error.message(), action, resource);
                format!("{needs}{answered}")
            }
            _ => format!("{resource}{answered}"),
        };
        Self::new(kind, context).caused_by(error)
    }

    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable | ErrorKind::Abandoned | ErrorKind::Changed
        )
    }
}

/// What a denied call lacks. S3 and KMS often name action and resource themselves; these may be other ones than the call's own.
fn missing_right(code: Option<&str>, message: Option<&str>, action: &str, of: &str) -> String {
    let named = message.and_then(|message| {
        let (_, rest) = message.split_once("not authorized to perform: ")?;
        let (action, rest) = rest.split_once(" on resource: ")?;
        let resource = rest.split_whitespace().next()?;
        Some((action, resource.trim_matches(['"', '.'])))
    });
    match (named, code) {
        (Some((action, resource)), _) if !resource.is_empty() => {
            format!("{of}: needs `{action}` on {resource}")
        }
        (_, Some(code)) if code.starts_with("KMS") => {
            format!("{of}: needs `kms:Decrypt` on the key that encrypts it, and the key enabled")
        }
        _ if action.starts_with("s3:") => {
            let missing = match action {
                "s3:GetObject" => "for a missing object if `s3:ListBucket` is missing too, ",
                _ => "",
            };
            format!(
                "needs `{action}` on {of}; S3 answers like this also {missing}for a bucket of another account than expected, and \
                 for a requester-pays bucket unless `requester_pays` is set"
            )
        }
        _ => format!("needs `{action}` on {of}"),
    }
}

/// Whether a refusal says nothing about rights: the credentials themselves are not, or no longer, good.
pub(crate) fn is_of_credentials(code: Option<&str>) -> bool {
    matches!(
        code,
        Some(
            "ExpiredToken"
                | "ExpiredTokenException"
                | "InvalidAccessKeyId"
                | "InvalidClientTokenId"
                | "InvalidToken"
                | "RequestExpired"
                | "RequestTimeTooSkewed"
                | "SignatureDoesNotMatch"
                | "UnrecognizedClientException"
        )
    )
}

/// One table for every code of SQS and S3: what is not listed follows its HTTP status.
fn classify(code: Option<&str>, status: Option<u16>) -> ErrorKind {
    match code {
        code if is_of_credentials(code) => ErrorKind::Denied,
        Some(
            "AccessDenied"
            | "AccessDeniedException"
            | "AllAccessDisabled"
            | "AccountProblem"
            | "KMS.AccessDeniedException"
            | "KMSAccessDenied"
            | "KMS.DisabledException"
            | "KMSDisabled"
            | "KMS.NotFoundException"
            | "KMSNotFound"
            | "KMS.KMSInvalidStateException"
            | "KMSInvalidState"
            | "KMSOptInRequired"
            | "OptInRequired",
        ) => ErrorKind::Denied,
        Some(
            "AWS.SimpleQueueService.NonExistentQueue"
            | "QueueDoesNotExist"
            | "NoSuchBucket"
            | "PermanentRedirect"
            | "AuthorizationHeaderMalformed",
        ) => ErrorKind::NoSuchResource,
        Some("NoSuchKey" | "NoSuchVersion") => ErrorKind::MissingObject,
        Some("InvalidObjectState") => ErrorKind::Archived,
        Some("PreconditionFailed") => ErrorKind::Changed,
        Some(
            "ReceiptHandleIsInvalid"
            | "InvalidParameterValue"
            | "MessageNotInflight"
            | "AWS.SimpleQueueService.MessageNotInflight",
        ) => ErrorKind::Expired,
        Some(
            "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "RequestThrottled"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "KMS.ThrottlingException"
            | "KmsThrottled"
            | "OverLimit"
            | "InternalError"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "RequestTimeout",
        ) => ErrorKind::Unavailable,
        _ => match status {
            Some(401 | 403) => ErrorKind::Denied,
            Some(404) => ErrorKind::MissingObject,
            Some(412) => ErrorKind::Changed,
            Some(301 | 307) => ErrorKind::NoSuchResource,
            // An unknown refusal is a person's matter, never a reason to drop input.
            Some(400..=499) => ErrorKind::Denied,
            _ => ErrorKind::Unavailable,
        },
    }
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{setting}` must be {range}")]
pub struct ConfigError {
    setting: &'static str,
    range: &'static str,
}

impl ConfigError {
    pub(crate) fn new(setting: &'static str, range: &'static str) -> Self {
        Self { setting, range }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class() {
        for (code, status, expected) in [
            (Some("AccessDenied"), Some(403), ErrorKind::Denied),
            (Some("KMS.DisabledException"), Some(400), ErrorKind::Denied),
            (Some("ExpiredToken"), Some(400), ErrorKind::Denied),
            (Some("NoSuchKey"), Some(404), ErrorKind::MissingObject),
            (Some("NoSuchBucket"), Some(404), ErrorKind::NoSuchResource),
            (
                Some("QueueDoesNotExist"),
                Some(400),
                ErrorKind::NoSuchResource,
            ),
            (Some("InvalidObjectState"), Some(403), ErrorKind::Archived),
            (Some("PreconditionFailed"), Some(412), ErrorKind::Changed),
            (
                Some("ReceiptHandleIsInvalid"),
                Some(400),
                ErrorKind::Expired,
            ),
            (Some("SlowDown"), Some(503), ErrorKind::Unavailable),
            (Some("OverLimit"), Some(403), ErrorKind::Unavailable),
            (Some("NewlyInvented"), Some(418), ErrorKind::Denied),
            (Some("NewlyInvented"), Some(503), ErrorKind::Unavailable),
            (None, Some(301), ErrorKind::NoSuchResource),
            (None, Some(403), ErrorKind::Denied),
            (None, None, ErrorKind::Unavailable),
        ] {
            assert_eq!(classify(code, status), expected, "{code:?} {status:?}");
        }
    }

    #[test]
    fn a_denied_call_names_the_right_it_lacks() {
        for (code, message, expected) in [
            (
                Some("AccessDenied"),
                Some(
                    "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/2 because no policy allows it",
                ),
                "s3://b/k: needs `kms:Decrypt` on arn:aws:kms:eu-west-1:1:key/2",
            ),
            (
                Some("AccessDenied"),
                Some(
                    "User: arn:aws:iam::1:user/a is not authorized to perform: s3:GetObject on resource: \"arn:aws:s3:::b/k\" because",
                ),
                "s3://b/k: needs `s3:GetObject` on arn:aws:s3:::b/k",
            ),
            (
                Some("KMS.DisabledException"),
                None,
                "s3://b/k: needs `kms:Decrypt` on the key that encrypts it, and the key enabled",
            ),
            (
                Some("AccessDenied"),
                Some("Access Denied"),
                "needs `s3:GetObject` on s3://b/k; S3 answers like this also for a missing object if `s3:ListBucket` is missing too, for a bucket of another account than expected, and for a requester-pays bucket unless `requester_pays` is set",
            ),
        ] {
            assert_eq!(
                missing_right(code, message, "s3:GetObject", "s3://b/k"),
                expected
            );
        }
        assert_eq!(
            missing_right(None, None, "sqs:ReceiveMessage", "queue `q`"),
            "needs `sqs:ReceiveMessage` on queue `q`"
        );
    }

    #[test]
    fn only_the_environment_pauses_without_using_up_an_attempt() {
        assert!(ErrorKind::Denied.is_environment());
        assert!(!ErrorKind::Corrupt.is_environment());
        assert!(!ErrorKind::MissingObject.is_environment());
    }
}
