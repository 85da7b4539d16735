//! One part of a snapshot: what one source told about one account and region.

mod builder;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

pub use self::builder::PartBuilder;
use crate::{Entity, Kind, Prefix};

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
