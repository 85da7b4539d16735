//! The snapshot that lookups read.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::key::Bits;
use crate::merge::{Claim, settle};
use crate::part::Source;
use crate::ranges::{Intervals, Range};
use crate::slots::{FREE, Slots};
use crate::{Entity, Error, Kind, OnConflict, Part, Scope, TieBreak};

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
        let mut build = Build {
            parts: &parts,
            starts: &starts,
            groups: vec![0],
            members: Vec::new(),
            claims: Vec::new(),
        };
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

/// What is known of one address family. A value below [`GROUP`] is a record, any other a conflict.
#[derive(Debug)]
struct Family<A> {
    exact: Slots<A>,
    delegated: Intervals<A>,
    services: Intervals<A>,
    conflicts: usize,
}

impl<A: Bits + Default> Family<A> {
    fn empty() -> Self {
        Self {
            exact: Slots::new(&[]),
            delegated: Intervals::new(Vec::new(), |_| None),
            services: Intervals::new(Vec::new(), |_| None),
            conflicts: 0,
        }
    }

    #[inline]
    fn find(&self, address: A) -> Option<u32> {
        self.exact
            .get(address)
            .or_else(|| self.delegated.get(address))
            .or_else(|| self.services.get(address))
    }
}

/// The growing tables of a snapshot.
struct Build<'a> {
    parts: &'a [Arc<Part>],
    starts: &'a [u32],
    groups: Vec<u32>,
    members: Vec<u32>,
    claims: Vec<Claim<'a>>,
}

impl<'a> Build<'a> {
    fn family<A: Bits + Default>(
        &mut self,
        exact: fn(&Part) -> &[(A, u32)],
        bounds: fn(&crate::Prefix) -> Option<(A, A)>,
    ) -> Family<A> {
        let (mut pairs, mut delegated, mut services) = (Vec::new(), Vec::new(), Vec::new());
        let parts = self.parts;
        for (part, &start) in parts.iter().zip(self.starts) {
            pairs.extend(
                exact(part)
                    .iter()
                    .map(|&(address, record)| (address, start + record)),
            );
            let ranges = part.prefixes.iter().filter_map(|(prefix, record)| {
                let (first, last) = bounds(prefix)?;
                Some(Range {
                    first,
                    last,
                    record: start + record,
                })
            });
            if part.source() == Source::ServiceRanges {
                services.extend(ranges)
            } else {
                delegated.extend(ranges)
            }
        }
        // Needed once more, to add an exact address' enclosing ranges to its claims.
        let enclosing = (!delegated.is_empty()).then(|| Enclosing::new(&delegated));
        let delegated = Intervals::new(delegated, |over| {
            let records: Vec<u32> = over.iter().map(|range| range.record).collect();
            self.value(&records)
        });
        let services = Intervals::new(services, |over| self.service(over));

        pairs.sort_unstable();
        pairs.dedup();
        let mut conflicts = 0;
        let mut exact = Vec::with_capacity(pairs.len());
        let mut records = Vec::new();
        for same in pairs.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(address, _)) = same.first() else {
                continue;
            };
            records.clear();
            records.extend(same.iter().map(|pair| pair.1));
            if let Some(enclosing) = &enclosing {
                records.extend_from_slice(enclosing.get(address));
            }
            if let Some(value) = self.value(&records) {
                conflicts += usize::from(value >= GROUP);
                exact.push((address, value));
            }
        }
        Family {
            exact: Slots::new(&exact),
            delegated,
            services,
            conflicts,
        }
    }

    /// The value that stands for these claims on one address.
    fn value(&mut self, records: &[u32]) -> Option<u32> {
        if let &[record] = records {
            return Some(record);
        }
        let (parts, starts) = (self.parts, self.starts);
        self.claims.clear();
        self.claims.extend(records.iter().filter_map(|&record| {
            Some(Claim {
                record,
                entity: entity(parts, starts, record)?,
            })
        }));
        settle(&mut self.claims);
        if let &[claim] = &*self.claims {
            return Some(claim.record);
        }
        // Neighbours in a delegated range often have the same candidates: one group serves them all.
        let same = |group: &[u32]| {
            group
                .iter()
                .eq(self.claims.iter().map(|claim| &claim.record))
        };
        let last = self
            .groups
            .len()
            .checked_sub(2)
            .and_then(|at| Some((at, *self.groups.get(at)? as usize)));
        if let Some((at, start)) = last
            && self.members.get(start..).is_some_and(same)
        {
            return Some(GROUP + at as u32);
        }
        let value = GROUP + (self.groups.len() - 1) as u32;
        self.members
            .extend(self.claims.iter().map(|claim| claim.record));
        self.groups.push(self.members.len() as u32);
        (value != FREE && !self.claims.is_empty()).then_some(value)
    }

    /// Of the published ranges over an address the narrowest counts, and among equals the service
    /// rather than `AMAZON`, which stands for all of them.
    fn service<A: Bits>(&self, over: &[Range<A>]) -> Option<u32> {
        let narrowest = over.last()?;
        let equals = over
            .iter()
            .filter(|range| (range.first, range.last) == (narrowest.first, narrowest.last));
        let of_all = |range: &Range<A>| {
            entity(self.parts, self.starts, range.record)
                .is_some_and(|entity| entity.id() == "AMAZON" && entity.kind() == Kind::AwsService)
        };
        equals
            .min_by_key(|range| (of_all(range), range.record))
            .map(|range| range.record)
    }

    fn interfaces(&self) -> Box<[u32]> {
        let id = |record: &u32| {
            entity(self.parts, self.starts, *record).and_then(|entity| entity.interface())
        };
        let end = self
            .starts
            .last()
            .zip(self.parts.last())
            .map_or(0, |(start, part)| start + part.len() as u32);
        let mut records: Vec<u32> = (0..end).filter(|record| id(record).is_some()).collect();
        records.sort_by(|a, b| id(a).cmp(&id(b)));
        records.dedup_by(|a, b| id(a) == id(b));
        records.into_boxed_slice()
    }
}

/// All records whose range holds an address.
struct Enclosing<A> {
    intervals: Intervals<A>,
    lists: Vec<Vec<u32>>,
}

impl<A: Bits> Enclosing<A> {
    fn new(ranges: &[Range<A>]) -> Self {
        let mut lists = Vec::new();
        let intervals = Intervals::new(ranges.to_vec(), |over| {
            lists.push(over.iter().map(|range| range.record).collect());
            u32::try_from(lists.len() - 1).ok()
        });
        Self { intervals, lists }
    }

    fn get(&self, address: A) -> &[u32] {
        self.intervals
            .get(address)
            .and_then(|at| self.lists.get(at as usize))
            .map_or(&[], Vec::as_slice)
    }
}

#[inline]
fn locate<'a>(parts: &'a [Arc<Part>], starts: &[u32], record: u32) -> Option<(&'a Part, u32)> {
    let at = starts
        .partition_point(|&start| start <= record)
        .checked_sub(1)?;
    Some((parts.get(at)?, record - starts.get(at)?))
}

#[inline]
fn entity<'a>(parts: &'a [Arc<Part>], starts: &[u32], record: u32) -> Option<Entity<'a>> {
    let (part, at) = locate(parts, starts, record)?;
    part.entity(at)
}

/// Values from here on are conflicts.
const GROUP: u32 = 1 << 31;

#[cfg(test)]
mod tests;
