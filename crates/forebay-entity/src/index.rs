//! The snapshot that lookups read.

mod build;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use self::build::{Build, Family};
use crate::{Entity, Error, OnConflict, Part, Scope, Source, TieBreak};

/// An immutable snapshot: every address that is known, and whose it is.
///
/// A lookup takes no lock, allocates nothing and waits for nothing. Order of search: exact addresses
/// and ranges delegated to an interface, together; then, when given, the published ranges of AWS services.
///
/// ```
/// use forebay_entity::{Index, InterfaceDescription, Kind, Lookup, OnConflict, Origin, PartBuilder, Scope, Source};
///
/// let mut part = PartBuilder::new(Origin::new("123456789012", "eu-west-1"), Source::Interfaces);
/// for vpc in ["vpc-blue", "vpc-red"] {
///     part.interface(&InterfaceDescription {
///         id: vpc.trim_start_matches("vpc-"),
///         description: "Interface for NAT Gateway nat-0a1b",
///         vpc,
///         addresses: &["10.0.0.9".parse()?],
///         ..Default::default()
///     });
/// }
/// let index = Index::new([part.finish()?], OnConflict::ByInterface)?;
///
/// // Two VPCs use one range: the record's VPC tells which.
/// let address = "10.0.0.9".parse()?;
/// assert!(matches!(index.lookup(address, &Scope::default()), Lookup::Ambiguous(_)));
/// let found = index.lookup(address, &Scope { vpc: Some("vpc-red"), ..Scope::default() });
/// assert_eq!(found.entity().map(|entity| (entity.kind(), entity.interface())), Some((Kind::NatGateway, Some("red"))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Index {
    parts: Box<[Arc<Part>]>,
    /// Number of the first record of each part; records are numbered through all parts.
    starts: Box<[u32]>,
    v4: Family<u32>,
    v6: Family<u128>,
    /// Where the candidates of each conflict begin in `members`; one more entry closes the last.
    groups: Box<[u32]>,
    members: Box<[u32]>,
    /// All records with an interface, by its id: it lends its VPC and account to a record's scope.
    interfaces: Box<[u32]>,
    policy: OnConflict,
    conflicts: usize,
}

/// What a lookup found.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// One entity has the address.
    Hit(Entity<'a>),
    /// Several have it and the record's scope, or the policy, chose.
    Chosen(Entity<'a>, TieBreak),
    /// Several have it and nothing told them apart.
    Ambiguous(Candidates<'a>),
    /// Nobody known has it.
    Miss,
}

impl<'a> Lookup<'a> {
    /// The entity, found or chosen.
    #[must_use]
    pub fn entity(self) -> Option<Entity<'a>> {
        match self {
            Self::Hit(entity) | Self::Chosen(entity, _) => Some(entity),
            Self::Ambiguous(_) | Self::Miss => None,
        }
    }

    /// The result as a metric label: `hit`, `chosen`, `ambiguous`, `miss`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::Chosen(..) => "chosen",
            Self::Ambiguous(_) => "ambiguous",
            Self::Miss => "miss",
        }
    }
}

/// The entities that share an address, in the order of their sources.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    index: &'a Index,
    records: Records<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Records<'a> {
    One(u32),
    Many(&'a [u32]),
}

impl<'a> Candidates<'a> {
    /// Number of candidates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The candidates.
    pub fn iter(&self) -> impl Iterator<Item = Entity<'a>> + use<'a> {
        let index = self.index;
        let (one, many) = match self.records {
            Records::One(record) => (Some(record), &[][..]),
            Records::Many(records) => (None, records),
        };
        one.into_iter()
            .chain(many.iter().copied())
            .filter_map(|record| index.entity(record))
    }

    fn records(&self) -> &[u32] {
        match &self.records {
            Records::One(record) => std::slice::from_ref(record),
            Records::Many(records) => records,
        }
    }
}

impl Index {
    /// A snapshot of these parts. The order of the parts is the order of precedence where nothing else decides.
    ///
    /// Takes about 0.1 s for 100,000 addresses; call it off the path of the records.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 2^31 records or candidates.
    pub fn new(
        parts: impl IntoIterator<Item = impl Into<Arc<Part>>>,
        policy: OnConflict,
    ) -> Result<Self, Error> {
        let parts: Box<[Arc<Part>]> = parts.into_iter().map(Into::into).collect();
        let mut starts = Vec::with_capacity(parts.len());
        let mut records = 0_u32;
        for part in &parts {
            starts.push(records);
            records = u32::try_from(part.len())
                .ok()
                .and_then(|len| records.checked_add(len))
                .filter(|&records| records < GROUP)
                .ok_or(Error::TooLarge)?;
        }
        let mut build = Build::new(&parts, &starts);
        let v4 = build.family(|part| &part.v4, crate::Prefix::bounds_v4);
        let v6 = build.family(|part| &part.v6, crate::Prefix::bounds_v6);
        let interfaces = build.interfaces();
        let conflicts = v4.conflicts + v6.conflicts;
        let (groups, members) = (
            build.groups.into_boxed_slice(),
            build.members.into_boxed_slice(),
        );
        if members.len() >= GROUP as usize {
            return Err(Error::TooLarge);
        }
        Ok(Self {
            starts: starts.into_boxed_slice(),
            v4,
            v6,
            groups,
            members,
            interfaces,
            policy,
            conflicts,
            parts,
        })
    }

    /// A snapshot that knows nothing, for the time before the first refresh.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            parts: Box::default(),
            starts: Box::default(),
            v4: Family::empty(),
            v6: Family::empty(),
            groups: Box::default(),
            members: Box::default(),
            interfaces: Box::default(),
            policy: OnConflict::default(),
            conflicts: 0,
        }
    }

    /// Whose address this is. IPv6 addresses that carry an IPv4 address (`::ffff:10.0.0.1`) count as that.
    ///
    /// An address that only one entity has is a hit whatever the scope says: a peer VPC or a transit
    /// gateway may have carried the traffic here.
    #[inline]
    #[must_use]
    pub fn lookup(&self, address: IpAddr, scope: &Scope<'_>) -> Lookup<'_> {
        let value = match address.to_canonical() {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        };
        let Some(value) = value else {
            return Lookup::Miss;
        };
        if value < GROUP {
            return self.entity(value).map_or(Lookup::Miss, Lookup::Hit);
        }
        self.choose(self.group(value), scope)
    }

    /// Everybody who has the address, whatever the policy. For explanations to a person.
    #[must_use]
    pub fn candidates(&self, address: IpAddr) -> Candidates<'_> {
        let value = match address.to_canonical() {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        };
        let records = match value {
            None => Records::Many(&[]),
            Some(value) if value < GROUP => Records::One(value),
            Some(value) => Records::Many(self.group(value)),
        };
        Candidates {
            index: self,
            records,
        }
    }

    /// The parts this snapshot is made of.
    #[must_use]
    pub fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// What the snapshot does with an address of several entities.
    #[must_use]
    pub fn policy(&self) -> OnConflict {
        self.policy
    }

    /// Number of different exact addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.exact.len() + self.v6.exact.len()
    }

    /// Whether no exact address is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of exact addresses that several entities have.
    #[must_use]
    pub fn conflicts(&self) -> usize {
        self.conflicts
    }

    /// Age of the oldest part that has a time, by the caller's clock; zero for a time in the future.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        let oldest = self
            .parts
            .iter()
            .filter(|part| part.source() != Source::ServiceRanges)
            .filter_map(|part| part.taken())
            .min()?;
        Some(now.duration_since(oldest).unwrap_or_default())
    }

    fn choose<'a>(&'a self, records: &'a [u32], scope: &Scope<'_>) -> Lookup<'a> {
        let chosen = match self.policy {
            OnConflict::Skip => None,
            OnConflict::First => records
                .first()
                .and_then(|&record| Some((self.entity(record)?, TieBreak::First))),
            OnConflict::ByInterface => self.by_interface(records, scope),
            OnConflict::ByAccount => self.by_account(records, scope),
        };
        match chosen {
            Some((entity, by)) => Lookup::Chosen(entity, by),
            None => Lookup::Ambiguous(Candidates {
                index: self,
                records: Records::Many(records),
            }),
        }
    }

    fn by_interface<'a>(
        &'a self,
        records: &[u32],
        scope: &Scope<'_>,
    ) -> Option<(Entity<'a>, TieBreak)> {
        let recorder = scope
            .interface
            .and_then(|interface| self.interface(interface));
        let vpc = scope.vpc.or_else(|| recorder?.vpc());
        let account = scope.account.or_else(|| recorder?.account());
        let by = |wanted: Option<&str>, part: fn(&Entity<'a>) -> Option<&'a str>| {
            wanted.and_then(|wanted| self.only(records, |entity| part(entity) == Some(wanted)))
        };
        by(scope.interface, Entity::interface)
            .map(|entity| (entity, TieBreak::Interface))
            .or_else(|| by(vpc, Entity::vpc).map(|entity| (entity, TieBreak::Vpc)))
            .or_else(|| by(account, Entity::account).map(|entity| (entity, TieBreak::Account)))
    }

    fn by_account<'a>(
        &'a self,
        records: &[u32],
        scope: &Scope<'_>,
    ) -> Option<(Entity<'a>, TieBreak)> {
        let recorder = scope
            .interface
            .and_then(|interface| self.interface(interface));
        let account = scope.account.or_else(|| recorder?.account())?;
        let vpc = scope.vpc.or_else(|| recorder?.vpc());
        let ours = |entity: &Entity<'_>| entity.account() == Some(account);
        self.only(records, ours)
            .map(|entity| (entity, TieBreak::Account))
            .or_else(|| {
                let interface = scope.interface?;
                let entity = self.only(records, |entity| {
                    ours(entity) && entity.interface() == Some(interface)
                })?;
                Some((entity, TieBreak::Interface))
            })
            .or_else(|| {
                let vpc = vpc?;
                let entity =
                    self.only(records, |entity| ours(entity) && entity.vpc() == Some(vpc))?;
                Some((entity, TieBreak::Vpc))
            })
    }

    /// The candidate that fits, unless several do.
    fn only<'a>(
        &'a self,
        records: &[u32],
        fits: impl Fn(&Entity<'a>) -> bool,
    ) -> Option<Entity<'a>> {
        let mut fitting = records
            .iter()
            .filter_map(|&record| self.entity(record))
            .filter(|entity| fits(entity));
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }

    fn interface(&self, id: &str) -> Option<Entity<'_>> {
        let id_of = |record: u32| self.entity(record).and_then(|entity| entity.interface());
        let at = self
            .interfaces
            .partition_point(|&record| id_of(record) < Some(id));
        self.entity(*self.interfaces.get(at)?)
            .filter(|entity| entity.interface() == Some(id))
    }

    fn group(&self, value: u32) -> &[u32] {
        let at = (value - GROUP) as usize;
        let bounds = (self.groups.get(at), self.groups.get(at + 1));
        let (Some(&start), Some(&end)) = bounds else {
            return &[];
        };
        self.members
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }

    #[inline]
    fn entity(&self, record: u32) -> Option<Entity<'_>> {
        entity(&self.parts, &self.starts, record)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::empty()
    }
}

#[inline]
fn entity<'a>(parts: &'a [Arc<Part>], starts: &[u32], record: u32) -> Option<Entity<'a>> {
    let at = starts
        .partition_point(|&start| start <= record)
        .checked_sub(1)?;
    parts.get(at)?.entity(record - starts.get(at)?)
}

/// Values from here on are conflicts.
const GROUP: u32 = 1 << 31;

#[cfg(test)]
mod tests;
