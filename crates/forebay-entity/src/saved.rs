//! A snapshot as JSON, so that a restart knows names before the first refresh.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    Entity, EntityDescription, Error, Index, Kind, Origin, Part, PartBuilder, Prefix, Source,
};

/// Writes the parts of a snapshot as JSON. Published ranges are left out: they have a file of their own.
///
/// The layout is private and carries a number; [`decode_parts`] of the same version reads it.
///
/// # Errors
/// [`Error::Json`] when the text cannot be made, which needs a part with text serde_json refuses; none is known.
pub fn encode_parts(index: &Index) -> Result<Vec<u8>, Error> {
    let parts = index
        .parts()
        .iter()
        .filter(|part| part.source() != Source::ServiceRanges);
    let file = File {
        layout: LAYOUT,
        parts: parts.map(|part| SavedPart::new(part)).collect(),
    };
    serde_json::to_vec(&file).map_err(Error::from_json)
}

/// Reads what [`encode_parts`] wrote.
///
/// # Errors
/// [`Error::Json`] for text that does not decode, [`Error::Layout`] for another layout,
/// [`Error::Prefix`] and [`Error::TooLarge`] for values that no snapshot can hold.
pub fn decode_parts(text: &[u8]) -> Result<Vec<Part>, Error> {
    // The number first: a file of another layout must not be called broken.
    let Layout { layout } = serde_json::from_slice(text).map_err(Error::from_json)?;
    if layout != LAYOUT {
        return Err(Error::Layout {
            found: layout,
            expected: LAYOUT,
        });
    }
    let file: File<'_> = serde_json::from_slice(text).map_err(Error::from_json)?;
    file.parts.into_iter().map(SavedPart::into_part).collect()
}

const LAYOUT: u32 = 1;

#[derive(Deserialize)]
struct Layout {
    layout: u32,
}

#[derive(Deserialize, Serialize)]
struct File<'a> {
    layout: u32,
    #[serde(borrow)]
    parts: Vec<SavedPart<'a>>,
}

#[derive(Deserialize, Serialize)]
struct SavedPart<'a> {
    #[serde(borrow)]
    account: Cow<'a, str>,
    #[serde(borrow)]
    region: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    /// Milliseconds since 1970.
    taken: Option<u64>,
    #[serde(borrow)]
    entities: Vec<SavedEntity<'a>>,
}

#[derive(Deserialize, Serialize)]
struct SavedEntity<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    id: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    name: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    detail: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    vpc: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    subnet: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    interface: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    account: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    region: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    prefixes: Vec<String>,
}

impl<'a> SavedPart<'a> {
    fn new(part: &'a Part) -> Self {
        let mut entities: Vec<SavedEntity<'a>> = part.entities().map(SavedEntity::new).collect();
        let v4 = part
            .v4
            .iter()
            .map(|&(bits, at)| (IpAddr::from(bits.to_be_bytes()), at));
        let v6 = part
            .v6
            .iter()
            .map(|&(bits, at)| (IpAddr::from(bits.to_be_bytes()), at));
        for (address, at) in v4.chain(v6) {
            if let Some(entity) = entities.get_mut(at as usize) {
                entity.addresses.push(address);
            }
        }
        for (prefix, at) in &part.prefixes {
            if let Some(entity) = entities.get_mut(*at as usize) {
                entity.prefixes.push(prefix.to_string());
            }
        }
        let taken = part
            .taken()
            .and_then(|taken| taken.duration_since(SystemTime::UNIX_EPOCH).ok());
        Self {
            account: part.origin().account().into(),
            region: part.origin().region().into(),
            source: part.source().as_str().into(),
            taken: taken.and_then(|taken| u64::try_from(taken.as_millis()).ok()),
            entities,
        }
    }

    fn into_part(self) -> Result<Part, Error> {
        let source = Source::from_name(&self.source).unwrap_or(Source::Manual);
        let mut part = PartBuilder::new(Origin::new(self.account, self.region), source);
        if let Some(taken) = self
            .taken
            .and_then(|taken| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(taken)))
        {
            part = part.taken(taken);
        }
        for entity in &self.entities {
            let prefixes: Vec<Prefix> = entity
                .prefixes
                .iter()
                .map(|text| text.parse())
                .collect::<Result<_, _>>()?;
            part.entity(&EntityDescription {
                kind: Kind::from_name(&entity.kind),
                id: &entity.id,
                name: &entity.name,
                detail: &entity.detail,
                vpc: &entity.vpc,
                subnet: &entity.subnet,
                interface: &entity.interface,
                account: &entity.account,
                region: &entity.region,
                addresses: &entity.addresses,
                prefixes: &prefixes,
            });
        }
        part.finish()
    }
}

impl<'a> SavedEntity<'a> {
    fn new(entity: Entity<'a>) -> Self {
        let text = |part: Option<&'a str>| Cow::Borrowed(part.unwrap_or_default());
        Self {
            kind: entity.kind().as_str().into(),
            id: if entity.has_own_id() {
                entity.id().into()
            } else {
                Cow::default()
            },
            name: text(entity.name()),
            detail: text(entity.detail()),
            vpc: text(entity.vpc()),
            subnet: text(entity.subnet()),
            interface: text(entity.interface()),
            account: text(entity.account()),
            region: text(entity.region()),
            addresses: Vec::new(),
            prefixes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InterfaceDescription, OnConflict};

    fn index() -> Index {
        let taken = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let mut part =
            PartBuilder::new(Origin::new("123456789012", "eu-west-1"), Source::Interfaces)
                .taken(taken);
        part.interface(&InterfaceDescription {
            id: "eni-1",
            description: "Amazon EKS \"quoted\\cluster\"",
            vpc: "vpc-1",
            subnet: "subnet-1",
            addresses: &["10.0.0.1".parse().unwrap(), "2600::1".parse().unwrap()],
            prefixes: &["10.0.1.0/28".parse().unwrap()],
            tags: &[("Name", "n\u{e9}")],
            ..Default::default()
        });
        part.interface(&InterfaceDescription {
            id: "eni-2",
            interface_type: "novel",
            requester_managed: true,
            ..Default::default()
        });
        part.interface(&InterfaceDescription {
            id: "eni-3",
            requester: "amazon-rds",
            ..Default::default()
        });
        Index::new([part.finish().unwrap()], OnConflict::ByInterface).unwrap()
    }

    #[test]
    fn what_was_saved_is_read_back() {
        let index = index();
        let saved = encode_parts(&index).unwrap();
        let parts = decode_parts(&saved).unwrap();
        let (before, after) = (&index.parts()[0], &parts[0]);
        assert_eq!(
            (before.origin(), before.source(), before.taken()),
            (after.origin(), after.source(), after.taken())
        );
        assert_eq!(
            format!("{:?}", before.entities().collect::<Vec<_>>()),
            format!("{:?}", after.entities().collect::<Vec<_>>())
        );
        let list = |part: &Part| {
            part.addresses()
                .map(|(address, entity)| (address, entity.id().to_owned()))
                .collect::<Vec<_>>()
        };
        assert_eq!(list(before), list(after));
        assert_eq!(
            before.prefixes().map(|pair| pair.0).collect::<Vec<_>>(),
            after.prefixes().map(|pair| pair.0).collect::<Vec<_>>()
        );
        assert_eq!(
            saved,
            encode_parts(&Index::new(parts, OnConflict::ByInterface).unwrap()).unwrap()
        );
    }

    #[test]
    fn another_layout_is_named() {
        assert_eq!(
            decode_parts(br#"{"layout":7,"rows":3}"#).unwrap_err(),
            Error::Layout {
                found: 7,
                expected: LAYOUT
            }
        );
    }

    proptest::proptest! {
        #[test]
        fn a_damaged_file_is_an_error_and_no_panic(at in 0_usize..400, byte: u8) {
            let mut saved = encode_parts(&index()).unwrap();
            let at = at % saved.len();
            saved.truncate(at.max(1));
            proptest::prop_assert!(decode_parts(&saved).is_err());
            let mut saved = encode_parts(&index()).unwrap();
            saved[at] = byte;
            let _ = decode_parts(&saved);
        }
    }
}
