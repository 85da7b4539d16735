//! How messages get names for the addresses in them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use forebay_entity::{FieldSet, Lookup, Snapshot, Table};
use forebay_gelf::{FieldName, MessageWriter};

/// Names for addresses: the table, which fields get them, and how lookups ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    table: Table,
    fields: Arc<[String]>,
    set: FieldSet,
    counts: Arc<LookupCounts>,
}

/// How lookups ended, since the start.
#[derive(Debug, Default)]
pub(crate) struct LookupCounts {
    /// One entity has the address.
    pub(crate) hit: AtomicU64,
    /// Several have it, and the record's interface, VPC or account decided.
    pub(crate) chosen: AtomicU64,
    /// Several have it, and nothing decided: the message gets no name.
    pub(crate) ambiguous: AtomicU64,
    /// Nobody known has it.
    pub(crate) miss: AtomicU64,
}

impl LookupCounts {
    /// The counts by the name of their result.
    pub(crate) fn by_result(&self) -> BTreeMap<String, u64> {
        [
            ("hit", &self.hit),
            ("chosen", &self.chosen),
            ("ambiguous", &self.ambiguous),
            ("miss", &self.miss),
        ]
        .map(|(result, count)| (result.to_owned(), count.load(Ordering::Relaxed)))
        .into()
    }
}

impl Names {
    /// Names from `table` for the addresses in these message fields.
    pub(crate) fn new(table: Table, fields: &[String], set: FieldSet) -> Self {
        Self {
            table,
            fields: fields.into(),
            set,
            counts: Arc::default(),
        }
    }

    /// The current snapshot, to be held for a batch of records.
    pub(crate) fn load(&self) -> Snapshot {
        self.table.load()
    }

    /// Whether the address in the message field `field` is to be translated.
    pub(crate) fn wants(&self, field: &str) -> bool {
        self.fields.iter().any(|wanted| wanted == field)
    }

    /// The fields that a translated address in `field` gives.
    pub(crate) fn target(&self, field: &str) -> NamedField {
        let name =
            |suffix: &'static str| (suffix, FieldName::repaired(&format!("{field}{suffix}")));
        NamedField {
            set: self.set,
            names: SUFFIXES.map(name).into(),
        }
    }

    pub(crate) fn counts(&self) -> &Arc<LookupCounts> {
        &self.counts
    }
}

/// A message field with an address, and the names of the fields that its entity gives.
#[derive(Debug)]
pub(crate) struct NamedField {
    set: FieldSet,
    names: Box<[(&'static str, FieldName)]>,
}

impl NamedField {
    /// Writes what a lookup found, and counts it. `text` is a buffer.
    pub(crate) fn write(
        &self,
        message: &mut MessageWriter<'_>,
        found: &Lookup<'_>,
        text: &mut String,
        tally: &mut Tally,
    ) {
        tally.count(found);
        let Some(entity) = found.entity() else { return };
        for field in entity.fields(self.set) {
            if let Some((_, name)) = self
                .names
                .iter()
                .find(|(suffix, _)| *suffix == field.suffix)
            {
                text.clear();
                text.extend(field.value.pieces());
                message.text(name, text.as_bytes());
            }
        }
    }
}

/// Counts lookups without touching what other tasks write, until it is flushed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    hit: u64,
    chosen: u64,
    ambiguous: u64,
    miss: u64,
    shared: Arc<LookupCounts>,
}

impl Tally {
    pub(crate) fn new(shared: Arc<LookupCounts>) -> Self {
        Self {
            shared,
            ..Self::default()
        }
    }

    fn count(&mut self, found: &Lookup<'_>) {
        let counter = match found {
            Lookup::Hit(_) => &mut self.hit,
            Lookup::Chosen(..) => &mut self.chosen,
            Lookup::Ambiguous(_) => &mut self.ambiguous,
            _ => &mut self.miss,
        };
        *counter += 1;
    }

    /// Adds what was counted to the shared counters.
    pub(crate) fn flush(&mut self) {
        let shared = &self.shared;
        for (counted, total) in [
            (&mut self.hit, &shared.hit),
            (&mut self.chosen, &shared.chosen),
            (&mut self.ambiguous, &shared.ambiguous),
            (&mut self.miss, &shared.miss),
        ] {
            if *counted > 0 {
                total.fetch_add(std::mem::take(counted), Ordering::Relaxed);
            }
        }
    }
}

/// All suffixes that an entity's fields have; `forebay_entity::FieldSet` says which are given.
const SUFFIXES: [&str; 11] = [
    "_entity",
    "_entity_description",
    "_entity_aws_type",
    "_entity_kind",
    "_entity_name",
    "_entity_detail",
    "_entity_account",
    "_entity_region",
    "_entity_vpc",
    "_entity_subnet",
    "_entity_interface",
];

#[cfg(test)]
mod tests {
    use forebay_entity::{Index, Scope};

    use super::*;

    #[test]
    fn every_field_of_an_entity_has_a_name() {
        let mut part = forebay_entity::PartBuilder::new(
            forebay_entity::Origin::new("123456789012", "eu-west-1"),
            forebay_entity::Source::Manual,
        );
        let address = [std::net::IpAddr::from([10, 0, 0, 1])];
        part.entity(&forebay_entity::EntityDescription {
            kind: forebay_entity::Kind::FileSystem,
            id: "fs-1",
            name: "home",
            detail: "fsmt-1",
            vpc: "vpc-1",
            subnet: "subnet-1",
            interface: "eni-1",
            addresses: &address,
            ..Default::default()
        });
        let index = Index::new([part.finish().unwrap()], forebay_entity::OnConflict::Skip).unwrap();
        let found = index.lookup(address[0], &Scope::default());
        let suffixes: Vec<&str> = found
            .entity()
            .unwrap()
            .fields(FieldSet::Extended)
            .map(|field| field.suffix)
            .collect();
        assert_eq!(suffixes, SUFFIXES);
    }
}
