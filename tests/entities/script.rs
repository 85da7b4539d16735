//! A scripted AWS endpoint at the HTTP layer of the SDK.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use forebay_entity::{Origin, Target};

/// What the endpoint does with a call.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// 200 with this body.
    Xml(String),
    /// An error of the service: status, code, message.
    Error(u16, &'static str, &'static str),
    /// Nothing, for ever.
    Silence,
}

/// One call as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) service: String,
    pub(crate) region: String,
    pub(crate) action: String,
    /// `NextToken` or `Marker`; empty on the first page.
    pub(crate) token: String,
    /// `MaxResults` or `PageSize`.
    pub(crate) limit: String,
}

type Rule = dyn Fn(&Call) -> Answer + Send + Sync;

/// Answers by one rule that the test may replace, and remembers all calls.
#[derive(Clone)]
pub(crate) struct Endpoint {
    rule: Arc<Mutex<Arc<Rule>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Endpoint")
    }
}

impl Endpoint {
    pub(crate) fn new(rule: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            rule: Arc::new(Mutex::new(Arc::new(rule))),
            calls: Arc::default(),
        }
    }

    pub(crate) fn answer(&self, rule: impl Fn(&Call) -> Answer + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Arc::new(rule);
    }

    /// The calls since the last time this was asked.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    async fn config(&self, region: &str) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .credentials_provider(Credentials::new(
                "AKIDEXAMPLE",
                "secret",
                None,
                None,
                "script",
            ))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .load()
            .await
    }

    pub(crate) async fn target(&self, account: &str, region: &str) -> Target {
        let config = self.config(region).await;
        Target::new(
            Origin::new(account, region),
            aws_sdk_ec2::Client::new(&config),
        )
        .with_load_balancers(aws_sdk_elasticloadbalancing::Client::new(&config))
    }
}

impl HttpConnector for Endpoint {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().to_owned();
        let host = uri.split('/').nth(2).unwrap_or_default().to_owned();
        let mut labels = host.split('.').map(str::to_owned);
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let parameters: HashMap<&str, &str> = body
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let parameter = |names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| parameters.get(name))
                .copied()
                .unwrap_or_default()
                .to_owned()
        };
        let call = Call {
            service: labels.next().unwrap_or_default(),
            region: labels.next().unwrap_or_default(),
            action: parameter(["Action", "Action"]),
            token: parameter(["NextToken", "Marker"]),
            limit: parameter(["MaxResults", "PageSize"]),
        };
        let rule = self.rule.lock().unwrap().clone();
        self.calls.lock().unwrap().push(call.clone());
        let (status, text) = match rule(&call) {
            Answer::Silence => return HttpConnectorFuture::new(std::future::pending()),
            Answer::Xml(text) => (200, text),
            Answer::Error(status, code, message) if call.service == "ec2" => (
                status,
                format!(
                    "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r</RequestID></Response>"
                ),
            ),
            Answer::Error(status, code, message) => (
                status,
                format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
                ),
            ),
        };
        let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(text));
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// One page of `DescribeNetworkInterfaces`.
pub(crate) fn interfaces(items: &[String], next: &str) -> Answer {
    Answer::Xml(format!(
        "<DescribeNetworkInterfacesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>\
         <networkInterfaceSet>{}</networkInterfaceSet>{}</DescribeNetworkInterfacesResponse>",
        items.concat(),
        token("nextToken", next),
    ))
}

/// One page of `DescribeInstances`.
pub(crate) fn instances(items: &[String], next: &str) -> Answer {
    let mut reservations = String::new();
    for item in items {
        let _ = write!(
            reservations,
            "<item><reservationId>r-1</reservationId><ownerId>123456789012</ownerId><instancesSet>{item}</instancesSet></item>"
        );
    }
    Answer::Xml(format!(
        "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>\
         <reservationSet>{reservations}</reservationSet>{}</DescribeInstancesResponse>",
        token("nextToken", next),
    ))
}

/// One page of `DescribeLoadBalancers`, as name and DNS name.
pub(crate) fn balancers(items: &[(&str, &str)], next: &str) -> Answer {
    let mut members = String::new();
    for (name, dns_name) in items {
        let _ = write!(
            members,
            "<member><LoadBalancerName>{name}</LoadBalancerName><DNSName>{dns_name}</DNSName></member>"
        );
    }
    Answer::Xml(format!(
        "<DescribeLoadBalancersResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/\"><DescribeLoadBalancersResult>\
         <LoadBalancerDescriptions>{members}</LoadBalancerDescriptions>{}</DescribeLoadBalancersResult></DescribeLoadBalancersResponse>",
        token("NextMarker", next),
    ))
}

/// A network interface with one private address.
pub(crate) fn interface(id: &str, vpc: &str, address: &str, more: &str) -> String {
    format!(
        "<item><networkInterfaceId>{id}</networkInterfaceId><subnetId>subnet-1</subnetId><vpcId>{vpc}</vpcId><ownerId>123456789012</ownerId>\
         <privateIpAddress>{address}</privateIpAddress><privateIpAddressesSet><item><privateIpAddress>{address}</privateIpAddress>\
         <primary>true</primary></item></privateIpAddressesSet>{more}</item>"
    )
}

/// An instance with one interface and a Name tag.
pub(crate) fn instance(id: &str, name: &str, interface: &str, address: &str) -> String {
    format!(
        "<item><instanceId>{id}</instanceId><privateIpAddress>{address}</privateIpAddress><vpcId>vpc-1</vpcId>\
         <tagSet><item><key>Name</key><value>{name}</value></item></tagSet>\
         <networkInterfaceSet><item><networkInterfaceId>{interface}</networkInterfaceId><vpcId>vpc-1</vpcId><ownerId>123456789012</ownerId>\
         <privateIpAddress>{address}</privateIpAddress><ipv4PrefixSet><item><ipv4Prefix>10.0.9.16/28</ipv4Prefix></item></ipv4PrefixSet>\
         <ipv6AddressesSet><item><ipv6Address>2600:1f18::7</ipv6Address></item></ipv6AddressesSet></item></networkInterfaceSet></item>"
    )
}

fn token(name: &str, next: &str) -> String {
    if next.is_empty() {
        String::new()
    } else {
        format!("<{name}>{next}</{name}>")
    }
}
