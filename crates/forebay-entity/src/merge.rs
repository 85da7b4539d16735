//! Who may claim an address when several records do.
//!
//! Three rules, applied in this order:
//!
//! 1. Records of one interface are one entity. The best told stays: an instance from `DescribeInstances`
//!    (it has the Name tag), else whatever a rule recognised, else the plain interface. Among equals the first source.
//! 2. Within one VPC an address has one owner at a time, so of two interfaces the one of the newer answer
//!    stays; with equal times both stay.
//! 3. What is left are candidates: one is an owner, several are a conflict.

use std::time::SystemTime;

use crate::{Entity, Kind, Part, Source};

/// A record that claims an address, with its number in the snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) record: u32,
    pub(crate) entity: Entity<'a>,
}

/// Leaves in `claims` the candidates, in the order of the sources. Sources are in the order of their record numbers.
pub(crate) fn settle(claims: &mut Vec<Claim<'_>>) {
    claims.sort_unstable_by_key(|claim| claim.record);
    claims.dedup_by_key(|claim| claim.record);
    if claims.len() < 2 {
        return;
    }
    // Stable sorts from here: claims that compare equal keep the order of their sources.
    claims.sort_by(|a, b| {
        identity(&a.entity)
            .cmp(&identity(&b.entity))
            .then_with(|| rank(&a.entity).cmp(&rank(&b.entity)))
    });
    claims.dedup_by(|next, kept| identity(&next.entity) == identity(&kept.entity));
    claims.sort_by(|a, b| {
        a.entity
            .vpc()
            .cmp(&b.entity.vpc())
            .then_with(|| taken(&b.entity).cmp(&taken(&a.entity)))
    });
    claims.dedup_by(|next, kept| {
        next.entity.vpc().is_some()
            && next.entity.vpc() == kept.entity.vpc()
            && taken(&next.entity) < taken(&kept.entity)
    });
    claims.sort_unstable_by_key(|claim| claim.record);
}

/// What makes two records one entity: the interface, or kind and id where there is none.
fn identity<'a>(entity: &Entity<'a>) -> (&'a str, &'a str, &'a str, &'a str) {
    match entity.interface() {
        Some(interface) => (interface, "", "", ""),
        None => (
            "",
            entity.kind().as_str(),
            entity.id(),
            entity.account().unwrap_or_default(),
        ),
    }
}

fn rank(entity: &Entity<'_>) -> u8 {
    match (entity.part().source(), entity.kind()) {
        (Source::Manual, _) => 0,
        (Source::Instances, _) => 1,
        (_, Kind::NetworkInterface) => 3,
        _ => 2,
    }
}

fn taken(entity: &Entity<'_>) -> Option<SystemTime> {
    Part::taken(entity.part())
}
