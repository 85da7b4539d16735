//! How a snapshot's tables come about.

use std::sync::Arc;

use super::{GROUP, entity};
use crate::key::Bits;
use crate::merge::{Claim, settle};
use crate::ranges::{Intervals, Range};
use crate::slots::Slots;
use crate::{Kind, Part, Source};

/// The growing tables of a snapshot.
pub(super) struct Build<'a> {
    parts: &'a [Arc<Part>],
    starts: &'a [u32],
    pub(super) groups: Vec<u32>,
    pub(super) members: Vec<u32>,
    claims: Vec<Claim<'a>>,
}

impl<'a> Build<'a> {
    pub(super) fn new(parts: &'a [Arc<Part>], starts: &'a [u32]) -> Self {
        Self {
            parts,
            starts,
            groups: vec![0],
            members: Vec::new(),
            claims: Vec::new(),
        }
    }

    pub(super) fn family<A: Bits + Default>(
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
        let last = self.groups.len().checked_sub(2).filter(|&at| {
            let start = self
                .groups
                .get(at)
                .map_or(usize::MAX, |&start| start as usize);
            let claimed = self.claims.iter().map(|claim| &claim.record);
            self.members
                .get(start..)
                .is_some_and(|group| group.iter().eq(claimed))
        });
        if let Some(at) = last {
            return Some(GROUP + at as u32);
        }
        let value = GROUP + (self.groups.len() - 1) as u32;
        self.members
            .extend(self.claims.iter().map(|claim| claim.record));
        self.groups.push(self.members.len() as u32);
        Some(value)
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

    pub(super) fn interfaces(&self) -> Box<[u32]> {
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

/// What is known of one address family. A value below [`GROUP`] is a record, any other a conflict.
#[derive(Debug)]
pub(super) struct Family<A> {
    pub(super) exact: Slots<A>,
    delegated: Intervals<A>,
    services: Intervals<A>,
    pub(super) conflicts: usize,
}

impl<A: Bits + Default> Family<A> {
    pub(super) fn empty() -> Self {
        Self {
            exact: Slots::new(&[]),
            delegated: Intervals::new(Vec::new(), |_| None),
            services: Intervals::new(Vec::new(), |_| None),
            conflicts: 0,
        }
    }

    #[inline]
    pub(super) fn find(&self, address: A) -> Option<u32> {
        self.exact
            .get(address)
            .or_else(|| self.delegated.get(address))
            .or_else(|| self.services.get(address))
    }
}
