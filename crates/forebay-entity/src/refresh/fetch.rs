//! The describe calls, page by page, straight into a part.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_ec2::types::{Instance, InstanceNetworkInterface, NetworkInterface, Tag};

use super::{Call, Config, Failure, FailureKind, Target};
use crate::{
    InstanceDescription, InterfaceDescription, LoadBalancerDescription, Part, PartBuilder, Prefix,
    Source,
};

/// Names and DNS names of an account's classic load balancers.
pub(super) type Balancers = Arc<Vec<(String, String)>>;

/// What one call gave. The call for interfaces asks for load balancers on its way.
pub(super) struct Answer {
    pub(super) call: Call,
    pub(super) part: Result<Part, Failure>,
    pub(super) balancers: Option<Result<Balancers, Failure>>,
}

/// Makes one call with all its pages, within the time set.
pub(super) async fn fetch(
    call: Call,
    target: &Target,
    known: Balancers,
    config: &Config,
    now: SystemTime,
) -> Answer {
    let builder = |source| {
        PartBuilder::new(target.origin().clone(), source)
            .taken(now)
            .tags(config.tags.iter().cloned())
    };
    if call == Call::Instances {
        let part = within(
            config,
            target,
            call,
            instances(target, config, builder(Source::Instances)),
        )
        .await;
        return Answer {
            call,
            part,
            balancers: None,
        };
    }
    let balancers = match &target.balancers {
        Some(client) => Some(
            within(
                config,
                target,
                Call::LoadBalancers,
                load_balancers(target, client, config),
            )
            .await,
        ),
        None => None,
    };
    let mut part = builder(Source::Interfaces);
    // An answer that failed leaves what was known.
    let current = balancers
        .as_ref()
        .and_then(|answer| answer.as_ref().ok())
        .unwrap_or(&known);
    for (name, dns_name) in current.iter() {
        part.load_balancer(&LoadBalancerDescription { name, dns_name });
    }
    let part = within(config, target, call, interfaces(target, config, part)).await;
    Answer {
        call,
        part,
        balancers,
    }
}

async fn within<T>(
    config: &Config,
    target: &Target,
    call: Call,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(config.call_timeout, work).await {
        Ok(done) => done,
        Err(_) => {
            let cause = format!("not complete within {:?}", config.call_timeout);
            Err(Failure::local(
                FailureKind::Unavailable,
                call,
                target.origin(),
                cause,
            ))
        }
    }
}

async fn instances(
    target: &Target,
    config: &Config,
    mut part: PartBuilder,
) -> Result<Part, Failure> {
    let mut pages = Pages::new(Call::Instances, target);
    while let Some(token) = pages.next() {
        let request = target
            .ec2
            .describe_instances()
            .max_results(i32::from(config.page_size))
            .set_next_token(token);
        let page = request
            .send()
            .await
            .map_err(|error| Failure::of(Call::Instances, target.origin(), error))?;
        let found = page.reservations().iter().flat_map(|reservation| {
            let owner = reservation.owner_id().unwrap_or_default();
            reservation
                .instances()
                .iter()
                .map(move |instance| (instance, owner))
        });
        for (instance, owner) in found {
            add_instance(&mut part, instance, owner);
        }
        pages.turn(page.next_token())?;
    }
    finish(part, Call::Instances, target)
}

async fn interfaces(
    target: &Target,
    config: &Config,
    mut part: PartBuilder,
) -> Result<Part, Failure> {
    let mut pages = Pages::new(Call::Interfaces, target);
    while let Some(token) = pages.next() {
        let request = target
            .ec2
            .describe_network_interfaces()
            .max_results(i32::from(config.page_size))
            .set_next_token(token);
        let page = request
            .send()
            .await
            .map_err(|error| Failure::of(Call::Interfaces, target.origin(), error))?;
        for interface in page.network_interfaces() {
            add_interface(&mut part, interface);
        }
        pages.turn(page.next_token())?;
    }
    finish(part, Call::Interfaces, target)
}

async fn load_balancers(
    target: &Target,
    client: &aws_sdk_elasticloadbalancing::Client,
    config: &Config,
) -> Result<Balancers, Failure> {
    let mut found = Vec::new();
    let mut pages = Pages::new(Call::LoadBalancers, target);
    while let Some(token) = pages.next() {
        let request = client
            .describe_load_balancers()
            .page_size(i32::from(config.page_size.min(400)))
            .set_marker(token);
        let page = request
            .send()
            .await
            .map_err(|error| Failure::of(Call::LoadBalancers, target.origin(), error))?;
        found.extend(
            page.load_balancer_descriptions()
                .iter()
                .filter_map(|balancer| {
                    Some((
                        balancer.load_balancer_name()?.to_owned(),
                        balancer.dns_name()?.to_owned(),
                    ))
                }),
        );
        pages.turn(page.next_marker())?;
    }
    Ok(Arc::new(found))
}

/// The page tokens of one listing.
struct Pages<'a> {
    call: Call,
    target: &'a Target,
    state: Page,
}

enum Page {
    First,
    Next(String),
    Done,
}

impl<'a> Pages<'a> {
    fn new(call: Call, target: &'a Target) -> Self {
        Self {
            call,
            target,
            state: Page::First,
        }
    }

    /// The token for the next request; `None` when there is no further page.
    fn next(&self) -> Option<Option<String>> {
        match &self.state {
            Page::First => Some(None),
            Page::Next(token) => Some(Some(token.clone())),
            Page::Done => None,
        }
    }

    /// Takes the token of a page. The last page has none, or an empty one.
    fn turn(&mut self, token: Option<&str>) -> Result<(), Failure> {
        let token = token.filter(|token| !token.is_empty());
        self.state = match (token, &self.state) {
            (None, _) => Page::Done,
            // An endpoint that does not know pages would be asked for ever.
            (Some(token), Page::Next(before)) if token == before => {
                let cause = "the same page token came twice".to_owned();
                return Err(Failure::local(
                    FailureKind::Refused,
                    self.call,
                    self.target.origin(),
                    cause,
                ));
            }
            (Some(token), _) => Page::Next(token.to_owned()),
        };
        Ok(())
    }
}

fn finish(part: PartBuilder, call: Call, target: &Target) -> Result<Part, Failure> {
    part.finish().map_err(|error| {
        Failure::local(
            FailureKind::Refused,
            call,
            target.origin(),
            error.to_string(),
        )
    })
}

fn add_instance(part: &mut PartBuilder, instance: &Instance, owner: &str) {
    let tags = tags(instance.tags());
    let id = instance.instance_id().unwrap_or_default();
    let mut primary: Vec<IpAddr> = Vec::new();
    for interface in instance.network_interfaces() {
        let addresses = instance_addresses(interface);
        let prefixes = interface
            .ipv4_prefixes()
            .iter()
            .filter_map(|prefix| prefix.ipv4_prefix())
            .chain(
                interface
                    .ipv6_prefixes()
                    .iter()
                    .filter_map(|prefix| prefix.ipv6_prefix()),
            );
        let prefixes: Vec<Prefix> = prefixes.filter_map(|prefix| prefix.parse().ok()).collect();
        part.instance(&InstanceDescription {
            id,
            interface: interface.network_interface_id().unwrap_or_default(),
            account: interface.owner_id().unwrap_or(owner),
            vpc: interface.vpc_id().unwrap_or_default(),
            subnet: interface.subnet_id().unwrap_or_default(),
            addresses: &addresses,
            prefixes: &prefixes,
            tags: &tags,
        });
        primary.extend(addresses);
    }
    // What the instance itself shows is the primary interface's, unless the answer has no interfaces.
    let own = [
        instance.private_ip_address(),
        instance.public_ip_address(),
        instance.ipv6_address(),
    ];
    let rest: Vec<IpAddr> = parsed(own)
        .filter(|address| !primary.contains(address))
        .collect();
    if !rest.is_empty() {
        let first = instance.network_interfaces().first();
        part.instance(&InstanceDescription {
            id,
            interface: first
                .and_then(|interface| interface.network_interface_id())
                .unwrap_or_default(),
            account: owner,
            vpc: instance.vpc_id().unwrap_or_default(),
            subnet: instance.subnet_id().unwrap_or_default(),
            addresses: &rest,
            prefixes: &[],
            tags: &tags,
        });
    }
}

fn instance_addresses(interface: &InstanceNetworkInterface) -> Vec<IpAddr> {
    let private = interface.private_ip_addresses().iter().flat_map(|address| {
        let association = address.association();
        [
            address.private_ip_address(),
            association.and_then(|association| association.public_ip()),
            association.and_then(|association| association.carrier_ip()),
            association.and_then(|association| association.customer_owned_ip()),
        ]
    });
    let main = interface.association();
    let rest = [
        interface.private_ip_address(),
        main.and_then(|association| association.public_ip()),
    ];
    let v6 = interface
        .ipv6_addresses()
        .iter()
        .map(|address| address.ipv6_address());
    distinct(parsed(private.chain(rest).chain(v6)))
}

fn add_interface(part: &mut PartBuilder, interface: &NetworkInterface) {
    let private = interface.private_ip_addresses().iter().flat_map(|address| {
        let association = address.association();
        [
            address.private_ip_address(),
            association.and_then(|association| association.public_ip()),
            association.and_then(|association| association.carrier_ip()),
            association.and_then(|association| association.customer_owned_ip()),
        ]
    });
    let main = interface.association();
    let rest = [
        interface.private_ip_address(),
        main.and_then(|association| association.public_ip()),
        main.and_then(|association| association.carrier_ip()),
        main.and_then(|association| association.customer_owned_ip()),
        interface.ipv6_address(),
    ];
    let v6 = interface
        .ipv6_addresses()
        .iter()
        .map(|address| address.ipv6_address());
    let addresses = distinct(parsed(private.chain(rest).chain(v6)));
    let prefixes = interface
        .ipv4_prefixes()
        .iter()
        .filter_map(|prefix| prefix.ipv4_prefix())
        .chain(
            interface
                .ipv6_prefixes()
                .iter()
                .filter_map(|prefix| prefix.ipv6_prefix()),
        );
    let prefixes: Vec<Prefix> = prefixes.filter_map(|prefix| prefix.parse().ok()).collect();
    part.interface(&InterfaceDescription {
        id: interface.network_interface_id().unwrap_or_default(),
        interface_type: interface.interface_type().map_or("", |kind| kind.as_str()),
        description: interface.description().unwrap_or_default(),
        requester: interface.requester_id().unwrap_or_default(),
        requester_managed: interface.requester_managed().unwrap_or_default(),
        address_owner: main
            .and_then(|association| association.ip_owner_id())
            .unwrap_or_default(),
        instance: interface
            .attachment()
            .and_then(|attachment| attachment.instance_id())
            .unwrap_or_default(),
        account: interface.owner_id().unwrap_or_default(),
        vpc: interface.vpc_id().unwrap_or_default(),
        subnet: interface.subnet_id().unwrap_or_default(),
        addresses: &addresses,
        prefixes: &prefixes,
        tags: &tags(interface.tag_set()),
    });
}

fn tags(tags: &[Tag]) -> Vec<(&str, &str)> {
    tags.iter()
        .filter_map(|tag| Some((tag.key()?, tag.value()?)))
        .collect()
}

fn parsed<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> impl Iterator<Item = IpAddr> {
    texts
        .into_iter()
        .flatten()
        .filter_map(|text| text.parse().ok())
}

/// AWS shows the primary address twice, alone and in the list.
fn distinct(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = addresses.collect();
    found.sort_unstable();
    found.dedup();
    found
}
