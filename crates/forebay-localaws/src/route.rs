use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::kinesis::consumer::arn_parts;
use crate::s3::S3Request;
use crate::wire::query::{Parameters, decode};
use crate::wire::xml::Xml;
use crate::wire::{cbor, json};
use crate::{Reply, Request, Service, ServiceError, Settings};

/// A request after reading: who asks which service for what.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) resource: Option<String>,
    pub(crate) caller: Caller,
    pub(crate) protocol: Protocol,
    pub(crate) input: Input,
}

/// Who signed the request. The signature itself is not checked.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) access_key: String,
    pub(crate) account: String,
    pub(crate) region: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// `x-amz-target` and JSON, with the content type to answer with.
    Json(&'static str),
    /// `Action=` and XML.
    Query,
    /// The query protocol with EC2's shape of errors.
    Ec2Query,
    /// `POST /service/NAME/operation/NAME` and CBOR.
    Cbor,
    /// S3's REST with XML.
    S3,
}

#[derive(Debug)]
pub(crate) enum Input {
    Json(Value),
    Query(Parameters),
    S3(Box<S3Request>),
}

/// A request that cannot be read, with the answer it gets.
#[derive(Debug)]
pub(crate) struct Unroutable {
    pub(crate) service: Option<Service>,
    pub(crate) operation: String,
    pub(crate) reply: Reply,
}

/// Finds the service by the signing scope, then the operation by target, action or path.
pub(crate) fn route(request: &Request, settings: &Settings) -> Result<Call, Box<Unroutable>> {
    let Some((service, caller)) = scope(request, settings) else {
        return Err(Box::new(Unroutable {
            service: None,
            operation: format!("{} {}", request.method, request.path),
            reply: not_implemented("the signing scope names no service of the model"),
        }));
    };
    if service == Service::S3 {
        let (operation, resource, input) = S3Request::read(request);
        return Ok(Call {
            service,
            operation,
            resource,
            caller,
            protocol: Protocol::S3,
            input: Input::S3(Box::new(input)),
        });
    }
    let target = request.header("x-amz-target");
    let (protocol, operation) = if let Some((_, name)) = target.and_then(|t| t.rsplit_once('.')) {
        let version = match service {
            Service::Kinesis => "application/x-amz-json-1.1",
            _ => "application/x-amz-json-1.0",
        };
        (Protocol::Json(version), name.to_owned())
    } else if let Some((_, name)) = request.path.rsplit_once("/operation/") {
        (Protocol::Cbor, name.to_owned())
    } else {
        let protocol = if service == Service::Ec2 {
            Protocol::Ec2Query
        } else {
            Protocol::Query
        };
        (protocol, String::new())
    };
    let broken = |operation: &str, text: &str| {
        let error = ServiceError::client("SerializationException", text);
        Box::new(Unroutable {
            service: Some(service),
            operation: operation.to_owned(),
            reply: error_reply(protocol, service, &error),
        })
    };
    let Some(body) = inflate(request) else {
        return Err(broken(&operation, "the body is not gzip"));
    };
    let (operation, input) = match protocol {
        Protocol::Json(_) if body.is_empty() => {
            (operation, Input::Json(Value::Object(Default::default())))
        }
        Protocol::Json(_) => match serde_json::from_slice(&body) {
            Ok(value) => (operation, Input::Json(value)),
            Err(error) => return Err(broken(&operation, &error.to_string())),
        },
        Protocol::Cbor if body.is_empty() => {
            (operation, Input::Json(Value::Object(Default::default())))
        }
        Protocol::Cbor => match cbor::decode(&body) {
            Some(value) => (operation, Input::Json(value)),
            None => return Err(broken(&operation, "the body is not CBOR")),
        },
        _ => {
            let text = if body.is_empty() {
                request.query.as_bytes()
            } else {
                &body
            };
            let parameters = Parameters::parse(&String::from_utf8_lossy(text));
            let operation = parameters.get("Action").unwrap_or("?").to_owned();
            (operation, Input::Query(parameters))
        }
    };
    Ok(Call {
        service,
        resource: resource(&input),
        operation,
        caller,
        protocol,
        input,
    })
}

/// The answer to an operation the model does not know.
pub(crate) fn not_implemented(operation: &str) -> Reply {
    let body = serde_json::json!({"__type": "NotImplemented", "message": format!("forebay-localaws does not know: {operation}")});
    Reply::new(501, "application/json", body.to_string())
        .with_header("x-amzn-errortype", "NotImplemented")
}

/// An error in the shape of the protocol.
pub(crate) fn error_reply(protocol: Protocol, service: Service, error: &ServiceError) -> Reply {
    let (code, message) = (error.code(), error.message());
    match protocol {
        Protocol::Json(content_type) => {
            let mut body = error.members().clone();
            body.insert("__type".into(), json_type(service, code).into());
            body.insert("message".into(), message.into());
            let reply = Reply::new(
                error.status(),
                content_type,
                Value::Object(body).to_string(),
            )
            .with_header("x-amzn-errortype", code);
            match crate::sqs::query_error(service, code) {
                Some(old) => reply.with_header("x-amzn-query-error", old),
                None => reply,
            }
        }
        Protocol::Cbor => {
            let body = serde_json::json!({"__type": format!("com.amazonaws.cloudwatch#{code}"), "message": message});
            Reply::new(error.status(), "application/cbor", cbor::encode(&body))
                .with_header("smithy-protocol", "rpc-v2-cbor")
        }
        Protocol::Query => {
            let body = Xml::document("ErrorResponse", "https://aws.amazon.com/errors/", |xml| {
                xml.element("Error", |xml| {
                    xml.text(
                        "Type",
                        if error.status() < 500 {
                            "Sender"
                        } else {
                            "Receiver"
                        },
                    );
                    xml.text("Code", code);
                    xml.text("Message", message);
                });
                xml.text("RequestId", REQUEST_ID);
            });
            Reply::new(error.status(), "text/xml", body)
        }
        Protocol::Ec2Query => {
            let body = Xml::document(
                "Response",
                "http://ec2.amazonaws.com/doc/2016-11-15/",
                |xml| {
                    xml.element("Errors", |xml| {
                        xml.element("Error", |xml| {
                            xml.text("Code", code);
                            xml.text("Message", message);
                        });
                    });
                    xml.text("RequestID", REQUEST_ID);
                },
            );
            Reply::new(error.status(), "text/xml", body)
        }
        Protocol::S3 => {
            let body = Xml::document("Error", "", |xml| {
                xml.text("Code", code);
                xml.text("Message", message);
                xml.text("RequestId", REQUEST_ID);
            });
            // S3 writes its errors without a namespace.
            Reply::new(
                error.status(),
                "application/xml",
                body.replace(" xmlns=\"\"", ""),
            )
        }
    }
}

/// A JSON (or CBOR) answer in the shape of the protocol.
pub(crate) fn value_reply(protocol: Protocol, value: &Value) -> Reply {
    match protocol {
        Protocol::Cbor => Reply::new(200, "application/cbor", cbor::encode(value))
            .with_header("smithy-protocol", "rpc-v2-cbor"),
        Protocol::Json(content_type) => Reply::new(200, content_type, value.to_string()),
        _ => Reply::new(
            200,
            "text/xml",
            value.as_str().unwrap_or_default().to_owned(),
        ),
    }
    .with_header("x-amzn-requestid", REQUEST_ID)
}

/// Every answer carries the same request id: nothing of ours may depend on it.
pub(crate) const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

fn json_type(service: Service, code: &str) -> String {
    match service {
        Service::DynamoDb => format!("com.amazonaws.dynamodb.v20120810#{code}"),
        Service::Sqs => format!("com.amazonaws.sqs#{code}"),
        _ => code.to_owned(),
    }
}

/// `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...`
fn scope(request: &Request, settings: &Settings) -> Option<(Service, Caller)> {
    let header = request.header("authorization")?;
    let credential = header.split("Credential=").nth(1)?.split(',').next()?;
    let mut parts = credential.trim().split('/').rev().skip(1);
    let service = Service::from_signing_scope(parts.next()?)?;
    let region = parts.next()?.to_owned();
    let access_key = parts.nth(1)?.to_owned();
    let account = crate::sts::account_of(&access_key)
        .unwrap_or(&settings.account)
        .to_owned();
    Some((
        service,
        Caller {
            access_key,
            account,
            region,
        },
    ))
}

fn inflate(request: &Request) -> Option<Bytes> {
    if request.header("content-encoding") != Some("gzip") {
        return Some(request.body.clone());
    }
    let mut out = Vec::new();
    // PutMetricData is limited to 1 MB; ten times that is surely an attack on a test.
    GzDecoder::new(request.body.as_ref())
        .take(10 << 20)
        .read_to_end(&mut out)
        .ok()?;
    Some(out.into())
}

fn resource(input: &Input) -> Option<String> {
    match input {
        Input::Json(value) => json::text(value, "StreamName")
            .map(str::to_owned)
            .or_else(|| {
                let (stream, _) = arn_parts(json::text(value, "ConsumerARN")?)?;
                Some(match json::text(value, "ShardId") {
                    Some(shard) => format!("{stream}/{shard}"),
                    None => stream.to_owned(),
                })
            })
            .or_else(|| {
                json::text(value, "ShardIterator").and_then(crate::kinesis::iterator_resource)
            })
            .or_else(|| {
                let name =
                    json::text(value, "StreamARN").or_else(|| json::text(value, "QueueUrl"))?;
                name.rsplit('/').next().map(str::to_owned)
            })
            .or_else(|| json::text(value, "TableName").map(str::to_owned))
            .or_else(|| json::text(value, "QueueName").map(str::to_owned)),
        Input::Query(parameters) => parameters.get("RoleArn").map(|name| decode(name, false)),
        Input::S3(_) => None,
    }
}
