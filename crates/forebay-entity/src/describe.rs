//! From what AWS says about an interface to whose it is.
//!
//! Every rule needs only `ec2:DescribeNetworkInterfaces`: services that put an interface into a VPC
//! leave their mark in its type, its description or its requester. The table in the tests names the source of each.

use std::net::IpAddr;

use crate::{Kind, Prefix};

/// A network interface, reduced to what the rules and the index need.
///
/// Fill it with `..Default::default()`; empty text means unknown. The doc of each field names the
/// member of `DescribeNetworkInterfaces` it comes from.
#[expect(
    clippy::exhaustive_structs,
    reason = "an input that callers fill with `..Default::default()`"
)]
#[derive(Clone, Copy, Debug, Default)]
pub struct InterfaceDescription<'a> {
    /// `NetworkInterfaceId`.
    pub id: &'a str,
    /// `InterfaceType`, such as `interface`, `lambda`, `nat_gateway`.
    pub interface_type: &'a str,
    /// `Description`.
    pub description: &'a str,
    /// `RequesterId`: an account, a service (`amazon-elb`) or a role's session.
    pub requester: &'a str,
    /// `RequesterManaged`.
    pub requester_managed: bool,
    /// `Association.IpOwnerId` of the main association: an account or a service such as `amazon-elb`.
    pub address_owner: &'a str,
    /// `Attachment.InstanceId`.
    pub instance: &'a str,
    /// `OwnerId`.
    pub account: &'a str,
    /// `VpcId`.
    pub vpc: &'a str,
    /// `SubnetId`.
    pub subnet: &'a str,
    /// `PrivateIpAddresses` (primary and secondary), their public, carrier and customer-owned addresses, `Ipv6Addresses`.
    pub addresses: &'a [IpAddr],
    /// `Ipv4Prefixes`, `Ipv6Prefixes`.
    pub prefixes: &'a [Prefix],
    /// `TagSet`, as key and value.
    pub tags: &'a [(&'a str, &'a str)],
}

/// An EC2 instance on one of its interfaces. Call once per interface, so that each keeps its VPC and subnet.
///
/// Fill it with `..Default::default()`; empty text means unknown. The doc of each field names the
/// member of `DescribeInstances` it comes from.
#[expect(
    clippy::exhaustive_structs,
    reason = "an input that callers fill with `..Default::default()`"
)]
#[derive(Clone, Copy, Debug, Default)]
pub struct InstanceDescription<'a> {
    /// `InstanceId`.
    pub id: &'a str,
    /// `NetworkInterfaces[].NetworkInterfaceId`.
    pub interface: &'a str,
    /// `NetworkInterfaces[].OwnerId`.
    pub account: &'a str,
    /// `NetworkInterfaces[].VpcId`.
    pub vpc: &'a str,
    /// `NetworkInterfaces[].SubnetId`.
    pub subnet: &'a str,
    /// Private, public and IPv6 addresses of that interface.
    pub addresses: &'a [IpAddr],
    /// Ranges delegated to that interface.
    pub prefixes: &'a [Prefix],
    /// `Tags` of the instance, as key and value.
    pub tags: &'a [(&'a str, &'a str)],
}

/// A classic load balancer, from `DescribeLoadBalancers` of the 2012-06-01 API.
///
/// Fill it with `..Default::default()`; empty text means unknown.
#[expect(
    clippy::exhaustive_structs,
    reason = "an input that callers fill with `..Default::default()`"
)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadBalancerDescription<'a> {
    /// `LoadBalancerName`.
    pub name: &'a str,
    /// `DNSName`.
    pub dns_name: &'a str,
}

/// What the rules found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Identity<'a> {
    pub(crate) kind: Kind<'a>,
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) detail: &'a str,
}

impl<'a> Identity<'a> {
    fn new(kind: Kind<'a>, id: &'a str) -> Self {
        Self {
            kind,
            id,
            name: "",
            detail: "",
        }
    }
}

/// Tells whose interface it is. The order is part of the rule:
///
/// 1. an interface on an instance is the instance's;
/// 2. the plugin's own signs: addresses owned by `amazon-elb` or `amazon-rds`, requester `amazon-rds`;
/// 3. descriptions: also of interfaces that AWS does not mark as managed, because DMS, Glue or the pod
///    controller create theirs with a role of the customer;
/// 4. interface types; 5. requesters; 6. a managed interface of unknown kind; 7. a plain interface.
pub(crate) fn identify<'a>(interface: &InterfaceDescription<'a>) -> Identity<'a> {
    // An interface of a service may be attached to an instance of the service's account; such an
    // attachment shows no instance id, so an id here is one of ours.
    if !interface.instance.is_empty() {
        return Identity::new(Kind::Instance, interface.instance);
    }
    let described = by_description(interface.description);
    if interface.address_owner == "amazon-elb" || interface.requester == "amazon-elb" {
        return described
            .filter(|found| found.kind.is_load_balancer())
            .unwrap_or_else(|| {
                Identity::new(
                    Kind::ClassicLoadBalancer,
                    plugin_name(interface.description),
                )
            });
    }
    if interface.address_owner == "amazon-rds" || interface.requester == "amazon-rds" {
        return described
            .filter(|found| found.kind == Kind::DatabaseProxy)
            .unwrap_or_else(|| Identity::new(Kind::Database, ""));
    }
    described
        .or_else(|| by_type(interface.interface_type))
        .or_else(|| by_requester(interface.requester))
        .unwrap_or_else(|| {
            let other = match interface.interface_type {
                "" | "interface" => interface.requester,
                unknown => unknown,
            };
            let managed = interface.requester_managed || special_type(interface.interface_type);
            if managed && !other.is_empty() && is_service(other) {
                Identity::new(Kind::Other(other), "")
            } else {
                Identity::new(Kind::NetworkInterface, interface.id)
            }
        })
}

/// The plugin's name of a load balancer, whatever the first word is: the second of exactly two, else its word for one
/// that it cannot read.
fn plugin_name(description: &str) -> &str {
    match description.split_once(' ') {
        Some((_, name)) if !name.is_empty() && !name.contains(' ') => name,
        _ => "unknown-name",
    }
}

/// Types of interfaces that only AWS creates. `efa` and `trunk` are types a user may choose.
fn special_type(interface_type: &str) -> bool {
    !matches!(
        interface_type,
        "" | "interface" | "efa" | "efa-only" | "trunk"
    )
}

/// Requesters that are accounts or role sessions name nobody a reader knows.
fn is_service(requester: &str) -> bool {
    !requester.contains(':') && !requester.bytes().all(|byte| byte.is_ascii_digit())
}

fn by_description(description: &str) -> Option<Identity<'_>> {
    let description = description.trim();
    load_balancer(description)
        .or_else(|| lambda(description))
        .or_else(|| file_system(description))
        .or_else(|| arn(description))
        .or_else(|| {
            let rule = |&(start, kind): &(&str, Kind<'static>)| {
                let rest = description.strip_prefix(start)?;
                Some(Identity::new(kind, first_word(rest)))
            };
            PREFIXES.iter().find_map(rule)
        })
}

/// Descriptions that start with a fixed text; the word behind it is the identity. Longer texts first.
const PREFIXES: [(&str, Kind<'static>); 21] = [
    ("Interface for NAT Gateway ", Kind::NatGateway),
    ("VPC Endpoint Interface ", Kind::VpcEndpoint),
    (
        "Network Interface for Transit Gateway Attachment ",
        Kind::TransitGateway,
    ),
    ("Network interface for DBProxy ", Kind::DatabaseProxy),
    ("RDSNetworkInterface", Kind::Database),
    ("RedshiftNetworkInterface", Kind::Warehouse),
    ("DMSNetworkInterface", Kind::ReplicationInstance),
    ("Amazon EKS ", Kind::EksCluster),
    ("aws-k8s-branch-eni", Kind::EksPod),
    ("ElastiCache ", Kind::Cache),
    ("ElastiCache+", Kind::Cache),
    ("DAX ", Kind::Accelerator),
    ("ES ", Kind::SearchDomain),
    (
        "AWS created network interface for directory ",
        Kind::Directory,
    ),
    (
        "Created By Amazon Workspaces for AWS Account ID ",
        Kind::Workspace,
    ),
    ("Route 53 Resolver: ", Kind::Resolver),
    ("ENI managed by APIGateway", Kind::ApiGatewayLink),
    ("Amazon Kinesis Firehose - ", Kind::DeliveryStream),
    (
        "CloudHSM Management Interface",
        Kind::HardwareSecurityModule,
    ),
    ("AWS CodeStar Connections", Kind::CodeConnection),
    ("[DO NOT DELETE] ENI managed by SageMaker", Kind::Notebook),
];

/// The word behind a fixed text: `vpce-…` of `VPC Endpoint Interface vpce-…`. The Resolver puts its
/// interface behind a colon, Directory Service and Firehose end with a full stop.
fn first_word(rest: &str) -> &str {
    let word = rest.split([' ', ':', '(']).next().unwrap_or_default();
    word.strip_suffix('.').unwrap_or(word)
}

/// `ELB <name>`, `ELB app/<name>/<id>`, `net/`, `gwy/`. As in the plugin, exactly two words.
fn load_balancer(description: &str) -> Option<Identity<'_>> {
    let id = description.strip_prefix("ELB ")?;
    if id.is_empty() || id.contains(' ') {
        return None;
    }
    let mut pieces = id.split('/');
    let kind = match pieces.next() {
        Some("app") => Kind::ApplicationLoadBalancer,
        Some("net") => Kind::NetworkLoadBalancer,
        Some("gwy") => Kind::GatewayLoadBalancer,
        _ => {
            return Some(Identity {
                name: id,
                ..Identity::new(Kind::ClassicLoadBalancer, id)
            });
        }
    };
    Some(Identity {
        name: pieces.next().unwrap_or_default(),
        ..Identity::new(kind, id)
    })
}

/// `AWS Lambda VPC ENI-<function>-<uuid>`; before 2019 `AWS Lambda VPC ENI: <uuid>`, which names nobody.
fn lambda(description: &str) -> Option<Identity<'_>> {
    let rest = description.strip_prefix("AWS Lambda VPC ENI")?;
    let Some(function) = rest.strip_prefix('-') else {
        return Some(Identity::new(Kind::LambdaFunction, ""));
    };
    let cut = function
        .len()
        .checked_sub(UUID_LENGTH + 1)
        .filter(|&cut| function.is_char_boundary(cut));
    let id = match cut.map(|cut| function.split_at(cut)) {
        Some((name, tail)) if tail.strip_prefix('-').is_some_and(is_uuid) => name,
        _ => function,
    };
    Some(Identity::new(Kind::LambdaFunction, id))
}

/// `EFS mount target for fs-… (fsmt-…)`.
fn file_system(description: &str) -> Option<Identity<'_>> {
    let rest = description.strip_prefix("EFS mount target for ")?;
    let (id, target) = rest.split_once(" (").unwrap_or((rest, ""));
    Some(Identity {
        detail: target.trim_end_matches(')'),
        ..Identity::new(Kind::FileSystem, first_word(id))
    })
}

/// Descriptions that are or carry a resource name: ECS attachments, MSK clusters, Glue's role.
fn arn(description: &str) -> Option<Identity<'_>> {
    if let Some(rest) = description.strip_prefix("arn:") {
        // `arn:<partition>:ecs:<region>:<account>:attachment/<id>`
        let mut pieces = rest.splitn(5, ':');
        let (_partition, service) = (pieces.next()?, pieces.next()?);
        let id = pieces.nth(2)?.strip_prefix("attachment/")?;
        return (service == "ecs").then(|| Identity {
            detail: description,
            ..Identity::new(Kind::EcsTask, id)
        });
    }
    if let Some((_, cluster)) = description.split_once("Amazon MSK network interface for cluster ")
    {
        // `arn:<partition>:kafka:<region>:<account>:cluster/<name>/<uuid>`
        let name = cluster.split('/').nth(1).unwrap_or_default();
        return Some(Identity {
            detail: cluster.trim_end_matches('.'),
            ..Identity::new(Kind::KafkaCluster, name)
        });
    }
    let role = description.strip_prefix("Attached to Glue using role: ")?;
    Some(Identity {
        detail: role,
        ..Identity::new(Kind::GlueConnection, "")
    })
}

/// Interface types, "InterfaceType" of `NetworkInterface` in the EC2 API reference.
fn by_type(interface_type: &str) -> Option<Identity<'_>> {
    let kind = match interface_type {
        "lambda" => Kind::LambdaFunction,
        // The reference lists `natGateway`; answers carry `nat_gateway`.
        "nat_gateway" | "natGateway" => Kind::NatGateway,
        "vpc_endpoint" => Kind::VpcEndpoint,
        "gateway_load_balancer_endpoint" => Kind::GatewayLoadBalancerEndpoint,
        "transit_gateway" => Kind::TransitGateway,
        "network_load_balancer" => Kind::NetworkLoadBalancer,
        "gateway_load_balancer" => Kind::GatewayLoadBalancer,
        "load_balancer" => Kind::ApplicationLoadBalancer,
        "efs" => Kind::FileSystem,
        "api_gateway_managed" => Kind::ApiGatewayLink,
        "aws_codestar_connections_managed" => Kind::CodeConnection,
        "global_accelerator_managed" => Kind::GlobalAccelerator,
        "iot_rules_managed" => Kind::IotRule,
        "quicksight" => Kind::QuickSight,
        "branch" => Kind::EksPod,
        _ => return None,
    };
    Some(Identity::new(kind, ""))
}

fn by_requester(requester: &str) -> Option<Identity<'_>> {
    let kind = match requester {
        "amazon-elasticache" => Kind::Cache,
        "amazon-redshift" => Kind::Warehouse,
        "amazon-elasticsearch" => Kind::SearchDomain,
        _ => return None,
    };
    Some(Identity::new(kind, ""))
}

fn is_uuid(text: &str) -> bool {
    text.len() == UUID_LENGTH
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

const UUID_LENGTH: usize = 36;

#[cfg(test)]
mod tests;
