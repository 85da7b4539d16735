use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::{Error, ErrorKind};

/// A call this crate makes to AWS.
///
/// Every call is sent once, with retries of the SDK turned off, and within [`Call::attempt_timeout`]; whoever made
/// the call decides whether and when to repeat it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Call {
    /// Lists the shards of a stream.
    ListShards,
    /// Asks for a place to read from.
    GetShardIterator,
    /// Reads one batch of records.
    GetRecords,
    /// Asks for the retention and the ARN of the stream.
    DescribeStreamSummary,
    /// Asks whether a fan-out consumer is there.
    DescribeStreamConsumer,
    /// Registers a fan-out consumer.
    RegisterStreamConsumer,
    /// Has the records of a shard pushed.
    SubscribeToShard,
    /// Asks whether the lease table exists.
    DescribeTable,
    /// Creates the lease table.
    CreateTable,
    /// Reads one page of all leases.
    Scan,
    /// Reads one lease, consistently.
    GetItem,
    /// Creates one lease if it does not exist.
    PutItem,
    /// Changes named attributes of one lease under a condition.
    UpdateItem,
    /// Removes one lease.
    DeleteItem,
    /// Reports metrics.
    PutMetricData,
}

impl Call {
    /// The IAM action that permits the call.
    pub fn action(self) -> &'static str {
        match self {
            Self::ListShards => "kinesis:ListShards",
            Self::GetShardIterator => "kinesis:GetShardIterator",
            Self::GetRecords => "kinesis:GetRecords",
            Self::DescribeStreamSummary => "kinesis:DescribeStreamSummary",
            Self::DescribeStreamConsumer => "kinesis:DescribeStreamConsumer",
            Self::RegisterStreamConsumer => "kinesis:RegisterStreamConsumer",
            Self::SubscribeToShard => "kinesis:SubscribeToShard",
            Self::DescribeTable => "dynamodb:DescribeTable",
            Self::CreateTable => "dynamodb:CreateTable",
            Self::Scan => "dynamodb:Scan",
            Self::GetItem => "dynamodb:GetItem",
            Self::PutItem => "dynamodb:PutItem",
            Self::UpdateItem => "dynamodb:UpdateItem",
            Self::DeleteItem => "dynamodb:DeleteItem",
            Self::PutMetricData => "cloudwatch:PutMetricData",
        }
    }

    /// How long one attempt may take before it counts as without an answer.
    ///
    /// The SDK itself limits only the connect time; a call without an own limit can hang for ever.
    pub fn attempt_timeout(self) -> Duration {
        match self {
            // A renewal has to come back well within a third of the default failover time.
            Self::UpdateItem | Self::PutItem | Self::GetItem | Self::DeleteItem => {
                Duration::from_secs(2)
            }
            Self::Scan | Self::DescribeTable | Self::CreateTable => Duration::from_secs(5),
            Self::GetRecords | Self::SubscribeToShard => Duration::from_secs(15),
            Self::ListShards
            | Self::GetShardIterator
            | Self::DescribeStreamSummary
            | Self::DescribeStreamConsumer
            | Self::RegisterStreamConsumer
            | Self::PutMetricData => Duration::from_secs(10),
        }
    }

    /// Whether an attempt without an answer may have changed something.
    pub fn is_write(self) -> bool {
        matches!(self, Self::PutItem | Self::UpdateItem | Self::DeleteItem)
    }

    fn is_kinesis(self) -> bool {
        self.action().starts_with("kinesis:")
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How an attempt ended that was not a success.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure<'a> {
    /// The service answered with an error.
    Answer { code: Option<&'a str>, status: u16 },
    /// The request left, or may have left, and no usable answer came.
    NoAnswer,
    /// The request was never sent.
    NotSent,
}

/// Runs one attempt within its time limit and types its error.
///
/// # Cancel safety
/// Dropping the future abandons the request; a write may still land.
pub(crate) async fn attempt<O, E>(
    call: Call,
    resource: &str,
    send: impl Future<Output = Result<O, SdkError<E, HttpResponse>>>,
) -> Result<O, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match tokio::time::timeout(call.attempt_timeout(), send).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => {
            let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
            Err(typed(call, resource, error, status))
        }
        Err(_) => Err(
            Error::of_call(classify(call, Failure::NoAnswer), call, resource).with_detail(format!(
                "no answer within {} s",
                call.attempt_timeout().as_secs()
            )),
        ),
    }
}

/// Types an error of a call, or of the event stream that a call began.
pub(crate) fn typed<E, R>(call: Call, resource: &str, error: SdkError<E, R>, status: u16) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    let (code, message) = match &error {
        SdkError::ServiceError(context) => {
            let error = context.err();
            (
                error.code().map(str::to_owned),
                error.message().map(str::to_owned),
            )
        }
        _ => (None, None),
    };
    let failure = match &error {
        SdkError::ConstructionFailure(_) => Failure::NotSent,
        SdkError::ServiceError(_) => Failure::Answer {
            code: code.as_deref(),
            status,
        },
        _ => Failure::NoAnswer,
    };
    let kind = classify(call, failure);
    let mut typed = Error::of_call(kind, call, resource).with_code(code.as_deref());
    if let Some(message) = message {
        typed = typed.with_detail(message);
    }
    typed.with_source(error)
}

/// The one place where error codes get their meaning.
pub(crate) fn classify(call: Call, failure: Failure<'_>) -> ErrorKind {
    match failure {
        Failure::NotSent => ErrorKind::Config,
        Failure::NoAnswer => unanswered(call),
        Failure::Answer { code, status } => {
            let known = code.and_then(|code| {
                // Some protocols prefix the code with a namespace, or append a link to it.
                let code = code.rsplit('#').next().unwrap_or(code);
                let code = code.split(':').next().unwrap_or(code);
                let means = |(_, codes): &&(Meaning, &[&str])| codes.contains(&code);
                CODES.iter().find(means).map(|(meaning, _)| *meaning)
            });
            match known {
                Some(Meaning::Is(kind)) => kind,
                Some(Meaning::Fault) => unanswered(call),
                Some(Meaning::Argument)
                    if matches!(call, Call::GetShardIterator | Call::SubscribeToShard) =>
                {
                    ErrorKind::Position
                }
                // The service also answers so to an iterator that it no longer understands.
                Some(Meaning::Argument) if call == Call::GetRecords => ErrorKind::Expired,
                Some(Meaning::Argument) => ErrorKind::Config,
                Some(Meaning::Limit) if call.is_kinesis() => ErrorKind::Busy,
                Some(Meaning::Limit) => ErrorKind::Throttled,
                None => match status {
                    429 => ErrorKind::Throttled,
                    500.. => unanswered(call),
                    // The services say why they refuse, so this answer was cut on its way. A proxy need not say it.
                    _ if code.is_none() && !matches!(status, 401 | 403 | 407) => unanswered(call),
                    // An unknown refusal needs a person; it is never the fault of the data.
                    _ => ErrorKind::Denied,
                },
            }
        }
    }
}

fn unanswered(call: Call) -> ErrorKind {
    if call.is_write() {
        ErrorKind::Unknown
    } else {
        ErrorKind::Unavailable
    }
}

#[derive(Clone, Copy, Debug)]
enum Meaning {
    Is(ErrorKind),
    /// The service failed; whether a write landed is open.
    Fault,
    /// An argument was refused; which one depends on the call.
    Argument,
    /// Too many of something at once.
    Limit,
}

/// Codes of Kinesis, DynamoDB, CloudWatch, KMS and STS, as their API references list them under "Common Errors" and
/// under each operation.
const CODES: &[(Meaning, &[&str])] = &[
    (
        Meaning::Is(ErrorKind::Throttled),
        &[
            "ProvisionedThroughputExceededException",
            "ThrottlingException",
            "Throttling",
            "ThrottledException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "TooManyRequestsException",
            "SlowDown",
            "KMSThrottlingException",
        ],
    ),
    (Meaning::Limit, &["LimitExceededException"]),
    (
        Meaning::Is(ErrorKind::Busy),
        &["ResourceInUseException", "TransactionConflictException"],
    ),
    (
        Meaning::Fault,
        &[
            "InternalFailure",
            "InternalFailureException",
            "InternalServerError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ],
    ),
    (
        Meaning::Is(ErrorKind::Expired),
        &["ExpiredIteratorException", "ExpiredNextTokenException"],
    ),
    (
        Meaning::Argument,
        &["InvalidArgumentException", "ValidationException"],
    ),
    (Meaning::Is(ErrorKind::Gone), &["ResourceNotFoundException"]),
    (
        Meaning::Is(ErrorKind::Fenced),
        &["ConditionalCheckFailedException"],
    ),
    (
        Meaning::Is(ErrorKind::Denied),
        &[
            "AccessDenied",
            "AccessDeniedException",
            "NotAuthorized",
            "OptInRequired",
            "KMSAccessDeniedException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
            "KMSOptInRequired",
        ],
    ),
    (
        Meaning::Is(ErrorKind::Credentials),
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "IncompleteSignature",
            "MissingAuthenticationTokenException",
        ],
    ),
    (Meaning::Is(ErrorKind::Clock), &["RequestTimeTooSkewed"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(call: Call, code: &str, status: u16, expected: ErrorKind) {
        let failure = Failure::Answer {
            code: Some(code),
            status,
        };
        assert_eq!(classify(call, failure), expected, "{call} {code} {status}");
    }

    #[test]
    fn every_code_has_its_kind() {
        use ErrorKind::*;
        let cases = [
            (
                Call::GetRecords,
                "ProvisionedThroughputExceededException",
                400,
                Throttled,
            ),
            (
                Call::UpdateItem,
                "ProvisionedThroughputExceededException",
                400,
                Throttled,
            ),
            (Call::Scan, "ThrottlingException", 400, Throttled),
            (Call::PutMetricData, "Throttling", 400, Throttled),
            (Call::GetItem, "RequestLimitExceeded", 400, Throttled),
            (Call::GetRecords, "TooManyRequestsException", 429, Throttled),
            (Call::GetRecords, "SlowDown", 503, Throttled),
            (Call::GetRecords, "KMSThrottlingException", 400, Throttled),
            (Call::ListShards, "LimitExceededException", 400, Busy),
            (Call::CreateTable, "LimitExceededException", 400, Throttled),
            (Call::ListShards, "ResourceInUseException", 400, Busy),
            (Call::UpdateItem, "TransactionConflictException", 400, Busy),
            (Call::GetRecords, "InternalFailure", 500, Unavailable),
            (Call::Scan, "InternalServerError", 500, Unavailable),
            (Call::Scan, "ServiceUnavailable", 503, Unavailable),
            (Call::UpdateItem, "InternalServerError", 500, Unknown),
            (Call::PutItem, "ServiceUnavailable", 503, Unknown),
            (Call::GetRecords, "ExpiredIteratorException", 400, Expired),
            (Call::ListShards, "ExpiredNextTokenException", 400, Expired),
            (
                Call::GetShardIterator,
                "InvalidArgumentException",
                400,
                Position,
            ),
            (Call::GetRecords, "InvalidArgumentException", 400, Expired),
            (
                Call::SubscribeToShard,
                "InvalidArgumentException",
                400,
                Position,
            ),
            (Call::SubscribeToShard, "ResourceInUseException", 400, Busy),
            (Call::SubscribeToShard, "LimitExceededException", 400, Busy),
            (
                Call::SubscribeToShard,
                "InternalFailureException",
                500,
                Unavailable,
            ),
            (Call::ListShards, "InvalidArgumentException", 400, Config),
            (Call::UpdateItem, "ValidationException", 400, Config),
            (Call::GetRecords, "ResourceNotFoundException", 400, Gone),
            (Call::Scan, "ResourceNotFoundException", 400, Gone),
            (
                Call::UpdateItem,
                "ConditionalCheckFailedException",
                400,
                Fenced,
            ),
            (Call::GetRecords, "AccessDeniedException", 400, Denied),
            (Call::GetRecords, "AccessDenied", 403, Denied),
            (Call::GetRecords, "KMSAccessDeniedException", 400, Denied),
            (Call::GetRecords, "KMSDisabledException", 400, Denied),
            (Call::GetRecords, "KMSInvalidStateException", 400, Denied),
            (Call::GetRecords, "KMSNotFoundException", 400, Denied),
            (Call::GetRecords, "KMSOptInRequired", 400, Denied),
            (Call::GetRecords, "ExpiredTokenException", 400, Credentials),
            (Call::GetRecords, "ExpiredToken", 403, Credentials),
            (Call::GetRecords, "RequestExpired", 400, Credentials),
            (Call::GetRecords, "InvalidClientTokenId", 403, Credentials),
            (
                Call::GetRecords,
                "UnrecognizedClientException",
                400,
                Credentials,
            ),
            (Call::GetRecords, "SignatureDoesNotMatch", 403, Credentials),
            (
                Call::GetRecords,
                "InvalidSignatureException",
                400,
                Credentials,
            ),
            (Call::GetRecords, "RequestTimeTooSkewed", 403, Clock),
            (Call::GetRecords, "SomethingNew", 400, Denied),
            (Call::GetRecords, "SomethingNew", 503, Unavailable),
            (Call::UpdateItem, "SomethingNew", 503, Unknown),
            (Call::UpdateItem, "SomethingNew", 429, Throttled),
            (
                Call::UpdateItem,
                "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                400,
                Fenced,
            ),
            (Call::Scan, "ThrottledException", 400, Throttled),
            (Call::Scan, "RequestThrottled", 400, Throttled),
            (Call::Scan, "RequestThrottledException", 400, Throttled),
            (Call::PutItem, "ServiceUnavailableException", 503, Unknown),
            (Call::PutMetricData, "NotAuthorized", 400, Denied),
            (Call::ListShards, "OptInRequired", 403, Denied),
            (Call::GetItem, "IncompleteSignature", 400, Credentials),
            (
                Call::GetItem,
                "MissingAuthenticationTokenException",
                400,
                Credentials,
            ),
        ];
        for (call, code, status, expected) in cases {
            check(call, code, status, expected);
        }
        for code in CODES.iter().flat_map(|(_, codes)| *codes) {
            let tested = cases.iter().any(|(_, tested, _, _)| tested == code);
            assert!(tested, "{code} has no case");
        }
    }

    #[test]
    fn every_code_is_listed_once() {
        let codes: Vec<&str> = CODES
            .iter()
            .flat_map(|(_, codes)| *codes)
            .copied()
            .collect();
        for (at, code) in codes.iter().enumerate() {
            assert!(!codes[..at].contains(code), "{code} twice");
        }
    }

    #[test]
    fn an_answer_without_a_code_was_cut_unless_a_proxy_gave_it() {
        let answer = |call, status| classify(call, Failure::Answer { code: None, status });
        assert_eq!(answer(Call::Scan, 400), ErrorKind::Unavailable);
        assert_eq!(answer(Call::UpdateItem, 400), ErrorKind::Unknown);
        assert_eq!(answer(Call::Scan, 500), ErrorKind::Unavailable);
        assert_eq!(answer(Call::Scan, 429), ErrorKind::Throttled);
        for status in [401, 403, 407] {
            assert_eq!(answer(Call::Scan, status), ErrorKind::Denied);
        }
    }

    #[test]
    fn a_write_without_an_answer_is_unknown_and_a_read_is_unavailable() {
        for call in [Call::UpdateItem, Call::PutItem, Call::DeleteItem] {
            assert_eq!(classify(call, Failure::NoAnswer), ErrorKind::Unknown);
            assert_eq!(classify(call, Failure::NotSent), ErrorKind::Config);
        }
        for call in [
            Call::GetRecords,
            Call::Scan,
            Call::GetItem,
            Call::ListShards,
        ] {
            assert_eq!(classify(call, Failure::NoAnswer), ErrorKind::Unavailable);
        }
    }
}
