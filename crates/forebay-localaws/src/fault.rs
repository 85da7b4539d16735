use crate::random::Random;
use crate::{Service, ServiceError};

/// What goes wrong, when and how often: an ordered list of rules.
///
/// For each call the first rule that matches and fires decides. Chance comes from the seed of the `Cloud`.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    rules: Vec<FaultRule>,
}

impl FaultPlan {
    /// Appends a rule.
    pub fn push(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    /// Removes all rules: the network is well again.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn pick(&mut self, call: &Target<'_>, random: &mut Random) -> Option<Fault> {
        self.rules
            .iter_mut()
            .find_map(|rule| rule.fires(call, random))
    }
}

/// One rule of a [`FaultPlan`]: a fault and which calls it hits. Without narrowing it hits all.
///
/// ```
/// use forebay_localaws::{Fault, FaultRule, Service};
/// let rule = FaultRule::new(Fault::LoseAnswer)
///     .service(Service::DynamoDb)
///     .operation("UpdateItem")
///     .skip(2)
///     .times(1);
/// # let _ = rule;
/// ```
#[derive(Clone, Debug)]
pub struct FaultRule {
    fault: Fault,
    service: Option<Service>,
    operation: Option<String>,
    resource: Option<String>,
    caller: Option<String>,
    per_million: u32,
    skip: u64,
    times: u64,
    from: u64,
    until: u64,
}

impl FaultRule {
    /// A rule that hits every call.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            service: None,
            operation: None,
            resource: None,
            caller: None,
            per_million: 1_000_000,
            skip: 0,
            times: u64::MAX,
            from: 0,
            until: u64::MAX,
        }
    }

    /// Only calls of this service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Only calls of this operation, such as `GetRecords`.
    #[must_use]
    pub fn operation(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// Only calls on this stream, `stream/shard` (GetRecords), table, queue, bucket or `bucket/key`.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Only calls signed with this access key.
    #[must_use]
    pub fn caller(mut self, access_key: impl Into<String>) -> Self {
        self.caller = Some(access_key.into());
        self
    }

    /// Fires with this chance in a million instead of always.
    #[must_use]
    pub fn per_million(mut self, parts: u32) -> Self {
        self.per_million = parts;
        self
    }

    /// Lets the first `calls` matching calls pass.
    #[must_use]
    pub fn skip(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    /// Fires at most this often.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Only from `from` (inclusive) to `until` (exclusive), in Unix milliseconds.
    #[must_use]
    pub fn between(mut self, from: u64, until: u64) -> Self {
        self.from = from;
        self.until = until;
        self
    }

    fn fires(&mut self, call: &Target<'_>, random: &mut Random) -> Option<Fault> {
        let in_scope = self.times > 0
            && (self.from..self.until).contains(&call.now)
            && self.service.is_none_or(|service| service == call.service)
            && self
                .operation
                .as_deref()
                .is_none_or(|name| name == call.operation)
            && self
                .caller
                .as_deref()
                .is_none_or(|name| name == call.caller)
            && self
                .resource
                .as_deref()
                .is_none_or(|name| covers(name, call.resource));
        if !in_scope {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        if !random.chance(self.per_million) {
            return None;
        }
        self.times -= 1;
        Some(self.fault.clone())
    }
}

/// What happens to a call.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Refused with the throttling error of the service; nothing was done.
    Throttle,
    /// HTTP 500; nothing was done.
    ServerError,
    /// HTTP 500 after the work was done.
    ServerErrorAfterEffect,
    /// Refused for want of permission.
    AccessDenied,
    /// Refused with exactly this error.
    Error(ServiceError),
    /// Done, and answered this many milliseconds late.
    Delay(u64),
    /// The connection breaks before the request arrives.
    LoseRequest,
    /// The work is done, then the connection breaks.
    LoseAnswer,
    /// Done, but the body of the answer ends after this many bytes, short of its stated length.
    CutBody(usize),
    /// Done, but a bit of the body's last byte changes on the way.
    AlterBody,
    /// A DynamoDB read without `ConsistentRead` shows the state of `DynamoDbSettings::stale_ms` ago.
    StaleRead,
}

/// The call a rule is held against.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) service: Service,
    pub(crate) operation: &'a str,
    pub(crate) resource: Option<&'a str>,
    pub(crate) caller: &'a str,
    pub(crate) now: u64,
}

/// The throttling error of a service.
pub(crate) fn throttled(service: Service, operation: &str) -> ServiceError {
    let (code, status) = match (service, operation) {
        (Service::Kinesis, "GetRecords" | "PutRecord" | "PutRecords" | "GetShardIterator")
        | (Service::DynamoDb, _) => ("ProvisionedThroughputExceededException", 400),
        (Service::Kinesis, _) => ("LimitExceededException", 400),
        (Service::Sqs, _) => ("RequestThrottled", 403),
        (Service::S3, _) => ("SlowDown", 503),
        (Service::Ec2, _) => ("RequestLimitExceeded", 503),
        _ => ("Throttling", 400),
    };
    ServiceError::new(code, status, "Rate exceeded")
}

/// The server error of a service.
pub(crate) fn broken(service: Service) -> ServiceError {
    let code = match service {
        Service::DynamoDb => "InternalServerError",
        Service::S3 | Service::Ec2 => "InternalError",
        _ => "InternalFailure",
    };
    ServiceError::new(code, 500, "an internal error, made by the fault plan")
}

/// The permission error of a service.
pub(crate) fn denied(service: Service, operation: &str) -> ServiceError {
    let (code, status) = match service {
        Service::Kinesis | Service::DynamoDb => ("AccessDeniedException", 400),
        Service::Ec2 => ("UnauthorizedOperation", 403),
        _ => ("AccessDenied", 403),
    };
    let action = format!("{}:{operation}", service.iam_prefix());
    ServiceError::new(code, status, format!("not authorized to perform: {action}"))
}

fn covers(rule: &str, resource: Option<&str>) -> bool {
    resource.is_some_and(|found| {
        found
            .strip_prefix(rule)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
