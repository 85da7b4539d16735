//! One part of a snapshot: what one source told about one account and region.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use crate::describe::{Identity, identify};
use crate::{
    Entity, Error, InstanceDescription, InterfaceDescription, Kind, LoadBalancerDescription, Prefix,
};

/// Where a part comes from: a label for the account, and a region.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Origin {
    account: String,
    region: String,
}

impl Origin {
    /// An origin. The account is its number or any label the operator gave; it is the account of
    /// entities that do not say theirs, if it has the form of a number (twelve digits).
    #[must_use]
    pub fn new(account: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            account: account.into(),
            region: region.into(),
        }
    }

    /// The account's number or label.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }
}

/// What told the entities of a part.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Source {
    /// `DescribeInstances`.
    Instances,
    /// `DescribeNetworkInterfaces`, with `DescribeLoadBalancers` for the details of classic load balancers.
    Interfaces,
    /// The published AWS address ranges.
    ServiceRanges,
    /// Anything the caller added by hand.
    Manual,
}

impl Source {
    /// The name: `instances`, `interfaces`, `service-ranges`, `manual`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instances => "instances",
            Self::Interfaces => "interfaces",
            Self::ServiceRanges => "service-ranges",
            Self::Manual => "manual",
        }
    }

    /// The source with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Instances,
            Self::Interfaces,
            Self::ServiceRanges,
            Self::Manual,
        ]
        .into_iter()
        .find(|source| source.as_str() == name)
    }
}

/// An entity as plain text, for callers that know something AWS does not describe.
///
/// Fill it with `..Default::default()`; empty text means unknown.
#[expect(
    clippy::exhaustive_structs,
    reason = "an input that callers fill with `..Default::default()`"
)]
#[derive(Clone, Copy, Debug)]
pub struct EntityDescription<'a> {
    /// The sort of entity.
    pub kind: Kind<'a>,
    /// Identity within its kind.
    pub id: &'a str,
    /// Name a person gave.
    pub name: &'a str,
    /// Anything else worth showing.
    pub detail: &'a str,
    /// The VPC, as `vpc-…`.
    pub vpc: &'a str,
    /// The subnet, as `subnet-…`.
    pub subnet: &'a str,
    /// The network interface, as `eni-…`.
    pub interface: &'a str,
    /// The owner's account number; empty takes the part's, when that is a number.
    pub account: &'a str,
    /// The region; empty takes the part's.
    pub region: &'a str,
    /// Addresses it has: private, secondary, public, of both families.
    pub addresses: &'a [IpAddr],
    /// Ranges delegated to it.
    pub prefixes: &'a [Prefix],
}

impl Default for EntityDescription<'_> {
    fn default() -> Self {
        Self {
            kind: Kind::NetworkInterface,
            id: "",
            name: "",
            detail: "",
            vpc: "",
            subnet: "",
            interface: "",
            account: "",
            region: "",
            addresses: &[],
            prefixes: &[],
        }
    }
}

/// The entities one source told about one account and region, packed and immutable.
///
/// Snapshots share parts: when one region cannot be read, its old part goes into the next snapshot
/// as it is.
#[derive(Debug)]
pub struct Part {
    origin: Origin,
    source: Source,
    taken: Option<SystemTime>,
    text: Box<str>,
    records: Box<[Record]>,
    pub(crate) v4: Box<[(u32, u32)]>,
    pub(crate) v6: Box<[(u128, u32)]>,
    pub(crate) prefixes: Box<[(Prefix, u32)]>,
}

impl Part {
    /// Which account and region.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What told it.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// When it was told, by the caller's clock.
    #[must_use]
    pub fn taken(&self) -> Option<SystemTime> {
        self.taken
    }

    /// Number of entities; an instance with two interfaces counts as two.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it holds no entity.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Number of addresses, without delegated ranges.
    #[must_use]
    pub fn address_count(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// All entities, in the order they were told.
    pub fn entities(&self) -> impl ExactSizeIterator<Item = Entity<'_>> {
        self.records.iter().map(|record| Entity::new(self, record))
    }

    /// All addresses with their entities, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, Entity<'_>)> {
        let v4 = self
            .v4
            .iter()
            .map(|&(address, at)| (IpAddr::V4(Ipv4Addr::from_bits(address)), at));
        let v6 = self
            .v6
            .iter()
            .map(|&(address, at)| (IpAddr::V6(Ipv6Addr::from_bits(address)), at));
        v4.chain(v6)
            .filter_map(|(address, at)| Some((address, self.entity(at)?)))
    }

    /// All delegated or published ranges with their entities.
    pub fn prefixes(&self) -> impl Iterator<Item = (Prefix, Entity<'_>)> {
        self.prefixes
            .iter()
            .filter_map(|&(prefix, at)| Some((prefix, self.entity(at)?)))
    }

    #[inline]
    pub(crate) fn entity(&self, at: u32) -> Option<Entity<'_>> {
        self.records
            .get(at as usize)
            .map(|record| Entity::new(self, record))
    }

    #[inline]
    pub(crate) fn text(&self, span: Span) -> &str {
        let start = span.start as usize;
        self.text
            .get(start..start + span.length as usize)
            .unwrap_or_default()
    }
}

/// Collects what one source tells and packs it into a [`Part`].
#[derive(Debug)]
pub struct PartBuilder {
    part: Part,
    text: String,
    records: Vec<Record>,
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u32)>,
    prefixes: Vec<(Prefix, u32)>,
    tags: Vec<String>,
    balancers: HashMap<String, String>,
    seen: HashMap<u64, Span>,
    hasher: RandomState,
    account: Span,
    region: Span,
    too_large: bool,
}

impl PartBuilder {
    /// An empty part. Names come from the tag `Name` until [`PartBuilder::tags`] says otherwise.
    #[must_use]
    pub fn new(origin: Origin, source: Source) -> Self {
        let part = Part {
            origin,
            source,
            taken: None,
            text: Box::default(),
            records: Box::default(),
            v4: Box::default(),
            v6: Box::default(),
            prefixes: Box::default(),
        };
        let mut builder = Self {
            part,
            text: String::new(),
            records: Vec::new(),
            v4: Vec::new(),
            v6: Vec::new(),
            prefixes: Vec::new(),
            tags: vec!["Name".to_owned()],
            balancers: HashMap::new(),
            seen: HashMap::new(),
            hasher: RandomState::new(),
            account: Span::default(),
            region: Span::default(),
            too_large: false,
        };
        let Origin { account, region } = builder.part.origin.clone();
        builder.region = builder.shared(&region);
        if is_account(&account) {
            builder.account = builder.shared(&account);
        }
        builder
    }

    /// Sets when the source was asked. Between two answers for one address in one VPC the newer wins.
    #[must_use]
    pub fn taken(mut self, at: SystemTime) -> Self {
        self.part.taken = Some(at);
        self
    }

    /// Sets which tags name an entity: the first of these keys that is present and not empty.
    #[must_use]
    pub fn tags(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = keys.into_iter().map(Into::into).collect();
        self
    }

    /// Adds what is known about a classic load balancer. Call it before [`PartBuilder::interface`].
    ///
    /// `DescribeLoadBalancers` gives no addresses; the interfaces do. This adds the DNS name to them.
    pub fn load_balancer(&mut self, balancer: &LoadBalancerDescription<'_>) {
        self.balancers
            .insert(balancer.name.to_owned(), balancer.dns_name.to_owned());
    }

    /// Adds an instance with the addresses of one of its interfaces, or of all when the source does not split them.
    pub fn instance(&mut self, instance: &InstanceDescription<'_>) {
        let name = self.name_of(instance.tags);
        self.entity(&EntityDescription {
            kind: Kind::Instance,
            id: instance.id,
            name,
            vpc: instance.vpc,
            subnet: instance.subnet,
            interface: instance.interface,
            account: instance.account,
            addresses: instance.addresses,
            prefixes: instance.prefixes,
            ..EntityDescription::default()
        });
    }

    /// Adds a network interface; its type, description and requester tell whose it is.
    pub fn interface(&mut self, interface: &InterfaceDescription<'_>) {
        let Identity {
            kind,
            id,
            name,
            mut detail,
        } = identify(interface);
        let tag = self.name_of(interface.tags);
        // An instance's interface may have a Name tag of its own; the plugin's description is the
        // instance's, so nothing is better than the wrong one.
        let name = if kind == Kind::Instance {
            ""
        } else if tag.is_empty() {
            name
        } else {
            tag
        };
        let dns_name = match kind {
            Kind::ClassicLoadBalancer => self.balancers.get(id).cloned(),
            _ => None,
        };
        if let Some(dns_name) = &dns_name {
            detail = dns_name;
        }
        self.entity(&EntityDescription {
            kind,
            id,
            name,
            detail,
            vpc: interface.vpc,
            subnet: interface.subnet,
            interface: interface.id,
            account: interface.account,
            addresses: interface.addresses,
            prefixes: interface.prefixes,
            ..EntityDescription::default()
        });
    }

    /// Adds an entity as it is.
    pub fn entity(&mut self, entity: &EntityDescription<'_>) {
        let Ok(at) = u32::try_from(self.records.len()) else {
            self.too_large = true;
            return;
        };
        let record = Record {
            kind: entity.kind.code(),
            other: if let Kind::Other(text) = entity.kind {
                self.shared(text)
            } else {
                Span::default()
            },
            id: self.append(entity.id),
            // Names repeat (groups of equal instances), ids do not.
            name: self.shared(entity.name),
            detail: self.shared(entity.detail),
            vpc: self.shared(entity.vpc),
            subnet: self.shared(entity.subnet),
            interface: self.append(entity.interface),
            account: if entity.account.is_empty() {
                self.account
            } else {
                self.shared(entity.account)
            },
            region: if entity.region.is_empty() {
                self.region
            } else {
                self.shared(entity.region)
            },
        };
        self.records.push(record);
        for address in entity.addresses {
            match address.to_canonical() {
                IpAddr::V4(address) => self.v4.push((address.to_bits(), at)),
                IpAddr::V6(address) => self.v6.push((address.to_bits(), at)),
            }
        }
        self.prefixes
            .extend(entity.prefixes.iter().map(|&prefix| (prefix, at)));
    }

    /// Number of entities so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was added yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Packs the part.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 4 GiB of text or 2^32 entities.
    pub fn finish(self) -> Result<Part, Error> {
        if self.too_large {
            return Err(Error::TooLarge);
        }
        Ok(Part {
            text: self.text.into_boxed_str(),
            records: self.records.into_boxed_slice(),
            v4: self.v4.into_boxed_slice(),
            v6: self.v6.into_boxed_slice(),
            prefixes: self.prefixes.into_boxed_slice(),
            ..self.part
        })
    }

    fn name_of<'t>(&self, tags: &[(&'t str, &'t str)]) -> &'t str {
        self.tags
            .iter()
            .find_map(|key| {
                tags.iter()
                    .find(|tag| tag.0 == key && !tag.1.trim().is_empty())
            })
            .map_or("", |tag| tag.1.trim())
    }

    fn append(&mut self, text: &str) -> Span {
        let end = self.text.len() + text.len();
        match (u32::try_from(self.text.len()), u32::try_from(end)) {
            (Ok(start), Ok(_)) => {
                self.text.push_str(text);
                Span {
                    start,
                    length: text.len() as u32,
                }
            }
            _ => {
                self.too_large = true;
                Span::default()
            }
        }
    }

    /// Like `append`, but text that is there already is not stored again.
    fn shared(&mut self, text: &str) -> Span {
        if text.is_empty() {
            return Span::default();
        }
        let hash = self.hasher.hash_one(text);
        if let Some(&span) = self.seen.get(&hash) {
            let start = span.start as usize;
            // Two texts may share a hash: then the second is stored each time, which is only waste.
            return match self.text.get(start..start + span.length as usize) {
                Some(found) if found == text => span,
                _ => self.append(text),
            };
        }
        let span = self.append(text);
        self.seen.insert(hash, span);
        span
    }
}

/// One entity as positions in the part's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) kind: u8,
    pub(crate) other: Span,
    pub(crate) id: Span,
    pub(crate) name: Span,
    pub(crate) detail: Span,
    pub(crate) vpc: Span,
    pub(crate) subnet: Span,
    pub(crate) interface: Span,
    pub(crate) account: Span,
    pub(crate) region: Span,
}

/// Where a text lies; the empty span is the absent text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    length: u32,
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
