//! EC2: DescribeInstances and DescribeNetworkInterfaces from a fixture.

use crate::ServiceError;
use crate::route::REQUEST_ID;
use crate::wire::query::Parameters;
use crate::wire::xml::Xml;
use crate::wire::{decode_base64, encode_base64};

/// The instances and network interfaces of one account and region.
#[derive(Clone, Debug, Default)]
pub struct Ec2 {
    instances: Vec<Instance>,
    interfaces: Vec<NetworkInterface>,
}

/// An instance. Its network interfaces are those that name it.
#[expect(
    clippy::exhaustive_structs,
    reason = "fixtures are written as literals"
)]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Instance {
    /// `i-...`.
    pub id: String,
    /// `running`, `stopped`, ...; empty means `running`.
    pub state: String,
    /// The primary private IPv4 address.
    pub private_address: Option<String>,
    /// The public IPv4 address.
    pub public_address: Option<String>,
    /// `vpc-...`.
    pub vpc: Option<String>,
    /// `subnet-...`.
    pub subnet: Option<String>,
    /// Names and values of tags.
    pub tags: Vec<(String, String)>,
}

/// A network interface.
#[expect(
    clippy::exhaustive_structs,
    reason = "fixtures are written as literals"
)]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NetworkInterface {
    /// `eni-...`.
    pub id: String,
    /// The text AWS services tell themselves by, such as `ELB app/web/50dc6c495c0c9188`.
    pub description: String,
    /// `interface`, `nat_gateway`, `lambda`, ...; empty means `interface`.
    pub kind: String,
    /// Who made it, such as `amazon-elb` or an account.
    pub requester: Option<String>,
    /// Whether an AWS service manages it.
    pub requester_managed: bool,
    /// The instance it is attached to.
    pub instance: Option<String>,
    /// Private IPv4 addresses, the primary first.
    pub private_addresses: Vec<String>,
    /// IPv6 addresses.
    pub ipv6_addresses: Vec<String>,
    /// Public address of the primary private address.
    pub association: Option<Association>,
    /// `vpc-...`.
    pub vpc: Option<String>,
    /// `subnet-...`.
    pub subnet: Option<String>,
    /// Names and values of tags.
    pub tags: Vec<(String, String)>,
}

/// A public address and whose it is.
#[expect(
    clippy::exhaustive_structs,
    reason = "fixtures are written as literals"
)]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Association {
    /// The public IPv4 address.
    pub public_address: String,
    /// `amazon`, `amazon-elb`, `amazon-rds` or an account.
    pub owner: String,
}

impl Ec2 {
    /// Adds an instance.
    pub fn add_instance(&mut self, instance: Instance) {
        self.instances.push(instance);
    }

    /// Adds a network interface.
    pub fn add_interface(&mut self, interface: NetworkInterface) {
        self.interfaces.push(interface);
    }

    /// The instances, to change them.
    pub fn instances(&mut self) -> &mut Vec<Instance> {
        &mut self.instances
    }

    /// The network interfaces, to change them.
    pub fn interfaces(&mut self) -> &mut Vec<NetworkInterface> {
        &mut self.interfaces
    }

    /// Runs an operation of the EC2 query protocol; `None`: not modelled.
    pub(crate) fn call(
        &self,
        operation: &str,
        input: &Parameters,
        account: &str,
    ) -> Option<Result<String, ServiceError>> {
        match operation {
            "DescribeInstances" => Some(self.describe_instances(input, account)),
            "DescribeNetworkInterfaces" => Some(self.describe_interfaces(input, account)),
            _ => None,
        }
    }

    fn describe_instances(
        &self,
        input: &Parameters,
        account: &str,
    ) -> Result<String, ServiceError> {
        let filters = filters(input);
        let ids = input.list("InstanceId");
        if let Some(id) = ids
            .iter()
            .find(|id| !self.instances.iter().any(|instance| instance.id == **id))
        {
            return Err(ServiceError::client(
                "InvalidInstanceID.NotFound",
                format!("The instance ID '{id}' does not exist"),
            ));
        }
        let mut matching = Vec::new();
        for instance in &self.instances {
            let wanted = ids.is_empty() || ids.contains(&instance.id.as_str());
            if wanted && passes(&filters, |name| instance.property(name))? {
                matching.push(instance);
            }
        }
        let page = Page::of(&matching, input)?;
        Ok(answer("DescribeInstances", |xml| {
            xml.element("reservationSet", |xml| {
                for instance in page.items {
                    xml.element("item", |xml| {
                        xml.text("reservationId", instance.id.replacen("i-", "r-", 1));
                        xml.text("ownerId", account);
                        xml.element("instancesSet", |xml| {
                            xml.element("item", |xml| self.write_instance(xml, instance, account));
                        });
                    });
                }
            });
            xml.option("nextToken", page.next);
        }))
    }

    fn describe_interfaces(
        &self,
        input: &Parameters,
        account: &str,
    ) -> Result<String, ServiceError> {
        let filters = filters(input);
        let ids = input.list("NetworkInterfaceId");
        let mut matching = Vec::new();
        for interface in &self.interfaces {
            let wanted = ids.is_empty() || ids.contains(&interface.id.as_str());
            if wanted && passes(&filters, |name| interface.property(name))? {
                matching.push(interface);
            }
        }
        let page = Page::of(&matching, input)?;
        Ok(answer("DescribeNetworkInterfaces", |xml| {
            xml.element("networkInterfaceSet", |xml| {
                for interface in page.items {
                    xml.element("item", |xml| {
                        interface.write(xml, account);
                        xml.option("requesterId", interface.requester.as_ref());
                        xml.text("requesterManaged", interface.requester_managed);
                        xml.element("tagSet", |xml| write_tags(xml, &interface.tags));
                    });
                }
            });
            xml.option("nextToken", page.next);
        }))
    }

    fn write_instance(&self, xml: &mut Xml, instance: &Instance, account: &str) {
        let state = instance.state();
        let code = match state {
            "pending" => 0,
            "shutting-down" => 32,
            "terminated" => 48,
            "stopping" => 64,
            "stopped" => 80,
            _ => 16,
        };
        xml.text("instanceId", &instance.id);
        xml.element("instanceState", |xml| {
            xml.text("code", code);
            xml.text("name", state);
        });
        xml.option("privateIpAddress", instance.private_address.as_ref());
        xml.option("ipAddress", instance.public_address.as_ref());
        xml.option("vpcId", instance.vpc.as_ref());
        xml.option("subnetId", instance.subnet.as_ref());
        xml.element("networkInterfaceSet", |xml| {
            for interface in &self.interfaces {
                if interface.instance.as_ref() == Some(&instance.id) {
                    xml.element("item", |xml| interface.write(xml, account));
                }
            }
        });
        xml.element("tagSet", |xml| write_tags(xml, &instance.tags));
    }
}

impl Instance {
    fn state(&self) -> &str {
        if self.state.is_empty() {
            "running"
        } else {
            &self.state
        }
    }

    fn property(&self, name: &str) -> Option<Vec<String>> {
        Some(match name {
            "instance-id" => vec![self.id.clone()],
            "instance-state-name" => vec![self.state().to_owned()],
            "vpc-id" => self.vpc.iter().cloned().collect(),
            "private-ip-address" => self.private_address.iter().cloned().collect(),
            "ip-address" => self.public_address.iter().cloned().collect(),
            _ => return tag(name, &self.tags),
        })
    }
}

impl NetworkInterface {
    fn kind(&self) -> &str {
        if self.kind.is_empty() {
            "interface"
        } else {
            &self.kind
        }
    }

    fn property(&self, name: &str) -> Option<Vec<String>> {
        Some(match name {
            "network-interface-id" => vec![self.id.clone()],
            "interface-type" => vec![self.kind().to_owned()],
            "description" => vec![self.description.clone()],
            "requester-id" => self.requester.iter().cloned().collect(),
            "vpc-id" => self.vpc.iter().cloned().collect(),
            "subnet-id" => self.subnet.iter().cloned().collect(),
            "attachment.instance-id" => self.instance.iter().cloned().collect(),
            "private-ip-address" | "addresses.private-ip-address" => self.private_addresses.clone(),
            _ => return tag(name, &self.tags),
        })
    }

    /// The members that an interface has alone and inside an instance.
    fn write(&self, xml: &mut Xml, account: &str) {
        xml.text("networkInterfaceId", &self.id);
        xml.option("subnetId", self.subnet.as_ref());
        xml.option("vpcId", self.vpc.as_ref());
        xml.text("description", &self.description);
        xml.text("ownerId", account);
        xml.text(
            "status",
            if self.instance.is_some() {
                "in-use"
            } else {
                "available"
            },
        );
        xml.text("interfaceType", self.kind());
        xml.option("privateIpAddress", self.private_addresses.first());
        if let Some(instance) = &self.instance {
            xml.element("attachment", |xml| {
                xml.text("instanceId", instance);
                xml.text("status", "attached");
                xml.text("deviceIndex", 0);
            });
        }
        if let Some(association) = &self.association {
            association.write(xml);
        }
        xml.element("privateIpAddressesSet", |xml| {
            for (position, address) in self.private_addresses.iter().enumerate() {
                xml.element("item", |xml| {
                    xml.text("privateIpAddress", address);
                    xml.text("primary", position == 0);
                    if let (0, Some(association)) = (position, &self.association) {
                        association.write(xml);
                    }
                });
            }
        });
        xml.element("ipv6AddressesSet", |xml| {
            for address in &self.ipv6_addresses {
                xml.element("item", |xml| xml.text("ipv6Address", address));
            }
        });
    }
}

impl Association {
    fn write(&self, xml: &mut Xml) {
        xml.element("association", |xml| {
            xml.text("publicIp", &self.public_address);
            xml.text("ipOwnerId", &self.owner);
        });
    }
}

/// One page of a listing.
struct Page<'a, T> {
    items: &'a [&'a T],
    next: Option<String>,
}

impl<'a, T> Page<'a, T> {
    /// `MaxResults` from 5 to 1,000; all at once without it.
    fn of(all: &'a [&'a T], input: &Parameters) -> Result<Self, ServiceError> {
        let start = match input.get("NextToken") {
            None => 0,
            Some(token) => decode_base64(token)
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .and_then(|text| text.strip_prefix("forebay ")?.parse::<usize>().ok())
                .ok_or_else(|| {
                    ServiceError::client("InvalidNextToken", "The token is not valid")
                })?,
        };
        let limit = match input.get("MaxResults") {
            None => usize::MAX,
            Some(text) => text
                .parse::<usize>()
                .ok()
                .filter(|limit| (5..=1_000).contains(limit))
                .ok_or_else(|| {
                    ServiceError::client("InvalidParameterValue", format!("Value ( {text} ) for parameter maxResults is invalid. Expecting a value from 5 to 1000."))
                })?,
        };
        let rest = all.get(start..).unwrap_or_default();
        let items = rest.get(..limit.min(rest.len())).unwrap_or_default();
        let next = (items.len() < rest.len())
            .then(|| encode_base64(format!("forebay {}", start + items.len()).as_bytes()));
        Ok(Self { items, next })
    }
}

/// `Filter.n.Name` with its `Filter.n.Value.m`.
fn filters(input: &Parameters) -> Vec<(&str, Vec<&str>)> {
    (1..)
        .map_while(|number| {
            let name = input.get(&format!("Filter.{number}.Name"))?;
            Some((name, input.list(&format!("Filter.{number}.Value"))))
        })
        .collect()
}

fn passes(
    filters: &[(&str, Vec<&str>)],
    property: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<bool, ServiceError> {
    for (name, wanted) in filters {
        let values = property(name).ok_or_else(|| {
            ServiceError::client(
                "InvalidParameterValue",
                format!("The filter '{name}' is invalid, or unknown to forebay-localaws"),
            )
        })?;
        if !values.iter().any(|value| wanted.contains(&value.as_str())) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn tag(name: &str, tags: &[(String, String)]) -> Option<Vec<String>> {
    let name = name.strip_prefix("tag:")?;
    Some(
        tags.iter()
            .filter(|(tag, _)| tag == name)
            .map(|(_, value)| value.clone())
            .collect(),
    )
}

fn write_tags(xml: &mut Xml, tags: &[(String, String)]) {
    for (name, value) in tags {
        xml.element("item", |xml| {
            xml.text("key", name);
            xml.text("value", value);
        });
    }
}

fn answer(operation: &str, fill: impl FnOnce(&mut Xml)) -> String {
    Xml::document(
        &format!("{operation}Response"),
        "http://ec2.amazonaws.com/doc/2016-11-15/",
        |xml| {
            xml.text("requestId", REQUEST_ID);
            fill(xml);
        },
    )
}
