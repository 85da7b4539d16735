use std::collections::BTreeMap;

use serde_json::Value;

use crate::fault::{Target, broken, denied, throttled};
use crate::random::Random;
use crate::route::{Call, Caller, Input, error_reply, not_implemented, route, value_reply};
use crate::{
    CallLog, CallRecord, CloudWatch, Delivery, DynamoDb, Ec2, Elb, EventMessage, Fault, FaultPlan,
    Kinesis, Outcome, Push, Reply, Request, S3, Service, ServiceError, Settings, Sqs, Subscription,
    sts,
};

/// A small AWS: the services, their faults and the log of calls.
///
/// It is pure: no clock, no socket and no chance of its own. Time is handed in as Unix milliseconds with each call
/// and must not run backwards; chance comes from the seed. Two clouds with the same settings and seed
/// that get the same calls at the same times answer the same bytes.
#[derive(Debug)]
pub struct Cloud {
    settings: Settings,
    random: Random,
    faults: FaultPlan,
    log: CallLog,
    kinesis: Kinesis,
    dynamodb: DynamoDb,
    sqs: Sqs,
    s3: S3,
    /// Keyed by account and region, for callers that assume a role in another account.
    ec2: BTreeMap<(String, String), Ec2>,
    elb: BTreeMap<(String, String), Elb>,
    cloudwatch: CloudWatch,
}

impl Cloud {
    /// An empty cloud.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            faults: FaultPlan::default(),
            log: CallLog::new(settings.call_log_capacity),
            kinesis: Kinesis::new(&settings),
            dynamodb: DynamoDb::new(&settings),
            sqs: Sqs::new(&settings, seed),
            s3: S3::new(&settings),
            ec2: BTreeMap::new(),
            elb: BTreeMap::new(),
            cloudwatch: CloudWatch::default(),
            settings,
        }
    }

    /// Answers one HTTP request at `now`, in Unix milliseconds.
    ///
    /// The front owes the caller what the reply asks for: the delay, the lost connection, the long poll.
    pub fn call(&mut self, request: &Request, now: u64) -> Reply {
        let call = match route(request, &self.settings) {
            Ok(call) => call,
            Err(refused) => {
                let outcome = match refused.reply.status {
                    501 => Outcome::Unknown,
                    _ => Outcome::Refused("SerializationException".to_owned()),
                };
                self.log.push(CallRecord {
                    at: now,
                    service: refused.service,
                    operation: refused.operation,
                    resource: None,
                    caller: String::new(),
                    outcome,
                });
                return refused.reply;
            }
        };
        let fault = self.faults.pick(
            &Target {
                service: call.service,
                operation: &call.operation,
                resource: call.resource.as_deref(),
                caller: &call.caller.access_key,
                now,
            },
            &mut self.random,
        );
        let (reply, outcome) = self.answer(&call, fault, now);
        self.log.push(CallRecord {
            at: now,
            service: Some(call.service),
            operation: call.operation,
            resource: call.resource,
            caller: call.caller.access_key,
            outcome,
        });
        reply
    }

    /// Looks again for the messages of a long poll; neither logged nor hit by faults.
    pub fn poll_again(&mut self, request: &Request, now: u64) -> Reply {
        match route(request, &self.settings) {
            Ok(call) => self.answer(&call, None, now).0,
            Err(refused) => refused.reply,
        }
    }

    /// The next message of a subscription. Faults aim at it as operation `SubscribeToShardEvent` on `stream/shard`:
    /// an error becomes the last message, a lost answer breaks the connection, a delay makes it silent.
    pub fn next_push(&mut self, subscription: &mut Subscription, now: u64) -> Push {
        let mut ahead = subscription.clone();
        let push = self.kinesis.next_push(&mut ahead, now);
        if !matches!(push, Push::Message(_) | Push::Last(_)) {
            return push;
        }
        let target = Target {
            service: Service::Kinesis,
            operation: "SubscribeToShardEvent",
            resource: Some(&subscription.resource()),
            caller: &subscription.caller,
            now,
        };
        let exception = |error: &ServiceError| Push::Last(EventMessage::exception(error));
        match self.faults.pick(&target, &mut self.random) {
            Some(Fault::Error(error)) => exception(&error),
            Some(Fault::Throttle) => exception(&throttled(Service::Kinesis, "SubscribeToShard")),
            Some(Fault::ServerError | Fault::ServerErrorAfterEffect) => {
                exception(&broken(Service::Kinesis))
            }
            Some(Fault::LoseRequest | Fault::LoseAnswer) => Push::Broken,
            Some(Fault::Delay(milliseconds)) => {
                subscription.hold_until(now + milliseconds);
                Push::NotBefore(now + milliseconds)
            }
            _ => {
                *subscription = ahead;
                push
            }
        }
    }

    /// Kinesis Data Streams.
    pub fn kinesis(&mut self) -> &mut Kinesis {
        &mut self.kinesis
    }

    /// DynamoDB.
    pub fn dynamodb(&mut self) -> &mut DynamoDb {
        &mut self.dynamodb
    }

    /// SQS.
    pub fn sqs(&mut self) -> &mut Sqs {
        &mut self.sqs
    }

    /// S3.
    pub fn s3(&mut self) -> &mut S3 {
        &mut self.s3
    }

    /// EC2 of the default account and region.
    pub fn ec2(&mut self) -> &mut Ec2 {
        let (account, region) = (self.settings.account.clone(), self.settings.region.clone());
        self.ec2_in(&account, &region)
    }

    /// EC2 of another account or region, made empty when first named.
    pub fn ec2_in(&mut self, account: &str, region: &str) -> &mut Ec2 {
        self.ec2
            .entry((account.to_owned(), region.to_owned()))
            .or_default()
    }

    /// Classic load balancers of the default account and region.
    pub fn elb(&mut self) -> &mut Elb {
        let (account, region) = (self.settings.account.clone(), self.settings.region.clone());
        self.elb_in(&account, &region)
    }

    /// Classic load balancers of another account or region, made empty when first named.
    pub fn elb_in(&mut self, account: &str, region: &str) -> &mut Elb {
        self.elb
            .entry((account.to_owned(), region.to_owned()))
            .or_default()
    }

    /// CloudWatch metrics.
    pub fn cloudwatch(&mut self) -> &mut CloudWatch {
        &mut self.cloudwatch
    }

    /// What goes wrong. Empty at first.
    pub fn faults(&mut self) -> &mut FaultPlan {
        &mut self.faults
    }

    /// The calls so far.
    pub fn calls(&self) -> &CallLog {
        &self.log
    }

    /// The settings the cloud was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn answer(&mut self, call: &Call, fault: Option<Fault>, now: u64) -> (Reply, Outcome) {
        let refusal = match &fault {
            Some(Fault::Throttle) => Some(throttled(call.service, &call.operation)),
            Some(Fault::ServerError) => Some(broken(call.service)),
            Some(Fault::AccessDenied) => Some(denied(call.service, &call.operation)),
            Some(Fault::Error(error)) => Some(error.clone()),
            _ => None,
        };
        if let Some(error) = refusal {
            return refuse(call, &error);
        }
        if fault == Some(Fault::LoseRequest) {
            let mut reply = error_reply(call.protocol, call.service, &broken(call.service));
            reply.delivery = Delivery::RequestLost;
            return (reply, Outcome::RequestLost);
        }
        self.dynamodb.set_stale(fault == Some(Fault::StaleRead));
        let (mut reply, outcome) = match self.dispatch(call, now) {
            Ok(Some(reply)) => (reply, Outcome::Done),
            Ok(None) => (
                not_implemented(&format!("{}:{}", call.service, call.operation)),
                Outcome::Unknown,
            ),
            Err(error) => refuse(call, &error),
        };
        match fault {
            Some(Fault::LoseAnswer) => {
                reply.delivery = Delivery::AnswerLost;
                (reply, Outcome::AnswerLost)
            }
            Some(Fault::ServerErrorAfterEffect) => refuse(call, &broken(call.service)),
            Some(Fault::CutBody(bytes)) => {
                reply.body.truncate(bytes);
                (reply, outcome)
            }
            Some(Fault::AlterBody) => {
                let mut body = reply.body.to_vec();
                if let Some(last) = body.last_mut() {
                    *last ^= 1;
                }
                reply.body = body.into();
                (reply, outcome)
            }
            Some(Fault::Delay(milliseconds)) => {
                reply.delay_ms = milliseconds;
                (reply, outcome)
            }
            _ => (reply, outcome),
        }
    }

    /// Runs the operation. `None`: the service does not know it.
    fn dispatch(&mut self, call: &Call, now: u64) -> Result<Option<Reply>, ServiceError> {
        let operation = call.operation.as_str();
        let value = match (&call.input, call.service) {
            (Input::Json(input), Service::Kinesis) if operation == "SubscribeToShard" => {
                let mut subscription = self.kinesis.subscribe(input, now)?;
                subscription.caller.clone_from(&call.caller.access_key);
                let mut reply = Reply::new(200, "application/vnd.amazon.eventstream", "");
                reply.events = Some(subscription);
                return Ok(Some(reply));
            }
            (Input::Json(input), Service::Kinesis) => self.kinesis.call(operation, input, now),
            (Input::Json(input), Service::DynamoDb) => self.dynamodb.call(operation, input, now),
            (Input::Json(input), Service::Sqs) => {
                let Some(answer) = self.sqs.call(operation, input, now).transpose()? else {
                    return Ok(None);
                };
                let mut reply = value_reply(call.protocol, &answer.value);
                reply.wait = answer.wait;
                return Ok(Some(reply));
            }
            (Input::Json(input), Service::CloudWatch) => {
                self.cloudwatch.call(operation, input, now)
            }
            (Input::S3(input), Service::S3) => {
                let region = &call.caller.region;
                return self.s3.call(operation, input, region, now).transpose();
            }
            (Input::Query(input), service) => {
                let Caller {
                    account,
                    region,
                    access_key,
                } = &call.caller;
                let body = match service {
                    Service::Ec2 => self.ec2_in(account, region).call(operation, input, account),
                    Service::Elb => self.elb_in(account, region).call(operation, input),
                    Service::Sts => sts::call(operation, input, (account, access_key), now),
                    _ => None,
                };
                body.map(|body| body.map(Value::String))
            }
            _ => None,
        };
        Ok(value
            .transpose()?
            .map(|value| value_reply(call.protocol, &value)))
    }
}

fn refuse(call: &Call, error: &ServiceError) -> (Reply, Outcome) {
    let mut reply = error_reply(call.protocol, call.service, error);
    if call.operation.starts_with("Head") {
        // The answer to HEAD has no body, so callers see only the status.
        reply.body.clear();
    }
    (reply, Outcome::Refused(error.code().to_owned()))
}
