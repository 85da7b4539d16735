use std::collections::BTreeMap;
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;
use crate::Kind;
use crate::{
    EntityDescription, InstanceDescription, InterfaceDescription, Origin, PartBuilder, Prefix,
};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn builder(account: &str, source: Source) -> PartBuilder {
    PartBuilder::new(Origin::new(account, "eu-west-1"), source).taken(at(1000))
}

/// One account with two VPCs that use one range, and a second account that uses it too.
fn overlapping(policy: OnConflict) -> Index {
    let shared = [address("10.0.0.5")];
    let mut ours = builder("111111111111", Source::Interfaces);
    for (interface, vpc, addresses) in [
        ("eni-a", "vpc-a", &shared[..]),
        ("eni-b", "vpc-b", &shared[..]),
        ("eni-c", "vpc-a", &[address("10.0.0.6")][..]),
    ] {
        ours.interface(&InterfaceDescription {
            id: interface,
            vpc,
            addresses,
            ..Default::default()
        });
    }
    let mut theirs = builder("222222222222", Source::Interfaces);
    theirs.interface(&InterfaceDescription {
        id: "eni-d",
        vpc: "vpc-d",
        addresses: &shared,
        ..Default::default()
    });
    Index::new([ours.finish().unwrap(), theirs.finish().unwrap()], policy).unwrap()
}

#[track_caller]
fn check(policy: OnConflict, scope: Scope<'_>, expected: Option<(&str, TieBreak)>) {
    let index = overlapping(policy);
    match (index.lookup(address("10.0.0.5"), &scope), expected) {
        (Lookup::Chosen(entity, by), Some(expected)) => {
            assert_eq!((entity.interface(), by), (Some(expected.0), expected.1))
        }
        (Lookup::Ambiguous(candidates), None) => assert_eq!(candidates.len(), 3),
        (found, expected) => panic!("found {found:?}, expected {expected:?}"),
    }
}

#[test]
fn the_scope_decides_between_overlapping_vpcs() {
    let by = OnConflict::ByInterface;
    check(
        by,
        Scope {
            interface: Some("eni-b"),
            ..Scope::default()
        },
        Some(("eni-b", TieBreak::Interface)),
    );
    check(
        by,
        Scope {
            vpc: Some("vpc-d"),
            ..Scope::default()
        },
        Some(("eni-d", TieBreak::Vpc)),
    );
    check(
        by,
        Scope {
            account: Some("222222222222"),
            ..Scope::default()
        },
        Some(("eni-d", TieBreak::Account)),
    );
    check(
        by,
        Scope {
            account: Some("111111111111"),
            ..Scope::default()
        },
        None,
    );
    check(by, Scope::default(), None);
}

#[test]
fn the_recording_interface_lends_its_vpc() {
    // A version 2 flow log has no VPC; the peer's address is still told apart.
    check(
        OnConflict::ByInterface,
        Scope {
            interface: Some("eni-c"),
            ..Scope::default()
        },
        Some(("eni-a", TieBreak::Vpc)),
    );
}

#[test]
fn by_account_never_leaves_the_account() {
    let by = OnConflict::ByAccount;
    check(
        by,
        Scope {
            account: Some("222222222222"),
            vpc: Some("vpc-a"),
            ..Scope::default()
        },
        Some(("eni-d", TieBreak::Account)),
    );
    check(
        by,
        Scope {
            account: Some("111111111111"),
            vpc: Some("vpc-b"),
            ..Scope::default()
        },
        Some(("eni-b", TieBreak::Vpc)),
    );
    check(
        by,
        Scope {
            account: Some("111111111111"),
            interface: Some("eni-a"),
            ..Scope::default()
        },
        Some(("eni-a", TieBreak::Interface)),
    );
    check(
        by,
        Scope {
            account: Some("333333333333"),
            ..Scope::default()
        },
        None,
    );
    check(
        by,
        Scope {
            vpc: Some("vpc-a"),
            ..Scope::default()
        },
        None,
    );
}

#[test]
fn first_and_skip_look_at_no_scope() {
    let scope = Scope {
        vpc: Some("vpc-d"),
        ..Scope::default()
    };
    check(OnConflict::First, scope, Some(("eni-a", TieBreak::First)));
    check(OnConflict::Skip, scope, None);
}

#[test]
fn conflicts_are_counted_once_per_address() {
    let index = overlapping(OnConflict::ByInterface);
    assert_eq!((index.len(), index.conflicts()), (2, 1));
    assert_eq!(index.candidates(address("10.0.0.5")).len(), 3);
    assert_eq!(
        index
            .candidates(address("10.0.0.6"))
            .iter()
            .filter_map(|entity| entity.interface())
            .collect::<Vec<_>>(),
        ["eni-c"]
    );
    assert!(index.candidates(address("10.0.0.7")).is_empty());
}

#[test]
fn a_single_owner_is_a_hit_whatever_the_scope_says() {
    let index = overlapping(OnConflict::ByAccount);
    let scope = Scope {
        vpc: Some("vpc-elsewhere"),
        account: Some("333333333333"),
        ..Scope::default()
    };
    assert!(
        matches!(index.lookup(address("10.0.0.6"), &scope), Lookup::Hit(entity) if entity.interface() == Some("eni-c"))
    );
}

#[test]
fn the_instance_comes_before_its_interface() {
    let shared = [address("10.0.0.5"), address("54.1.2.3")];
    let mut interfaces = builder("111111111111", Source::Interfaces);
    interfaces.interface(&InterfaceDescription {
        id: "eni-a",
        vpc: "vpc-a",
        instance: "i-1",
        addresses: &shared,
        tags: &[("Name", "wrong")],
        ..Default::default()
    });
    let mut instances = builder("111111111111", Source::Instances);
    instances.instance(&InstanceDescription {
        id: "i-1",
        vpc: "vpc-a",
        interface: "eni-a",
        addresses: &shared,
        tags: &[("Name", " web ")],
        ..Default::default()
    });
    let index = Index::new(
        [interfaces.finish().unwrap(), instances.finish().unwrap()],
        OnConflict::Skip,
    )
    .unwrap();
    for address in shared {
        let Lookup::Hit(entity) = index.lookup(address, &Scope::default()) else {
            panic!("{address}")
        };
        assert_eq!((entity.id(), entity.name()), ("i-1", Some("web")));
    }
    assert_eq!(index.conflicts(), 0);
}

#[test]
fn without_the_right_to_describe_instances_the_interface_names_the_instance() {
    let mut interfaces = builder("111111111111", Source::Interfaces);
    interfaces.interface(&InterfaceDescription {
        id: "eni-a",
        instance: "i-1",
        addresses: &[address("10.0.0.5")],
        tags: &[("Name", "of the interface")],
        ..Default::default()
    });
    let index = Index::new([interfaces.finish().unwrap()], OnConflict::Skip).unwrap();
    let entity = index
        .lookup(address("10.0.0.5"), &Scope::default())
        .entity()
        .unwrap();
    assert_eq!(
        (entity.kind(), entity.id(), entity.name()),
        (Kind::Instance, "i-1", None)
    );
}

#[test]
fn the_newer_answer_wins_within_one_vpc() {
    // An address moved to another interface while one source could not be read.
    let moved = [address("10.0.0.5")];
    let mut old = builder("111111111111", Source::Instances).taken(at(10));
    old.instance(&InstanceDescription {
        id: "i-old",
        interface: "eni-old",
        vpc: "vpc-a",
        addresses: &moved,
        ..Default::default()
    });
    let mut new = builder("111111111111", Source::Interfaces).taken(at(20));
    new.interface(&InterfaceDescription {
        id: "eni-new",
        description: "ES logs",
        vpc: "vpc-a",
        addresses: &moved,
        ..Default::default()
    });
    let index = Index::new(
        [old.finish().unwrap(), new.finish().unwrap()],
        OnConflict::Skip,
    )
    .unwrap();
    assert!(
        matches!(index.lookup(moved[0], &Scope::default()), Lookup::Hit(entity) if entity.id() == "logs")
    );
    assert_eq!(index.age(at(25)), Some(Duration::from_secs(15)));
    assert_eq!(index.age(at(5)), Some(Duration::ZERO));
}

#[test]
fn delegated_ranges_and_both_families_are_found() {
    let mut part = builder("111111111111", Source::Instances);
    part.instance(&InstanceDescription {
        id: "i-node",
        interface: "eni-node",
        addresses: &[address("2600:1f18::5")],
        prefixes: &[
            "10.0.1.16/28".parse().unwrap(),
            "2600:1f18:0:1:2::/80".parse().unwrap(),
        ],
        ..Default::default()
    });
    let index = Index::new([part.finish().unwrap()], OnConflict::Skip).unwrap();
    for (text, known) in [
        ("10.0.1.15", false),
        ("10.0.1.16", true),
        ("10.0.1.31", true),
        ("10.0.1.32", false),
        ("2600:1f18::5", true),
        ("2600:1f18:0:1:2:ffff::1", true),
        ("2600:1f18:0:1:3::1", false),
        ("::ffff:10.0.1.16", true),
    ] {
        assert_eq!(
            index
                .lookup(address(text), &Scope::default())
                .entity()
                .is_some(),
            known,
            "{text}"
        );
    }
}

#[test]
fn the_narrowest_published_range_counts_and_only_after_our_own() {
    let mut ranges = builder("", Source::ServiceRanges);
    for (id, prefix) in [
        ("AMAZON", "52.0.0.0/8"),
        ("AMAZON", "52.1.0.0/16"),
        ("S3", "52.1.0.0/16"),
        ("EC2", "52.0.0.0/8"),
    ] {
        ranges.entity(&EntityDescription {
            kind: Kind::AwsService,
            id,
            prefixes: &[prefix.parse().unwrap()],
            ..Default::default()
        });
    }
    let mut ours = builder("111111111111", Source::Interfaces);
    ours.interface(&InterfaceDescription {
        id: "eni-a",
        addresses: &[address("52.1.0.1")],
        ..Default::default()
    });
    let index = Index::new(
        [ranges.finish().unwrap(), ours.finish().unwrap()],
        OnConflict::Skip,
    )
    .unwrap();
    let id = |text: &str| {
        index
            .lookup(address(text), &Scope::default())
            .entity()
            .map(|entity| entity.id())
    };
    assert_eq!(id("52.1.0.2"), Some("S3"));
    assert_eq!(id("52.2.0.2"), Some("EC2"));
    assert_eq!(id("52.1.0.1"), Some("eni-a"));
    assert_eq!(id("53.0.0.1"), None);
    assert_eq!(index.conflicts(), 0);
}

#[test]
fn an_empty_part_between_others_hides_nobody() {
    let one = |interface: &str, text: &str| {
        let mut part = builder("111111111111", Source::Interfaces);
        part.interface(&InterfaceDescription {
            id: interface,
            addresses: &[address(text)],
            ..Default::default()
        });
        part.finish().unwrap()
    };
    let empty = || {
        builder("111111111111", Source::Interfaces)
            .finish()
            .unwrap()
    };
    let index = Index::new(
        [
            empty(),
            one("eni-a", "10.0.0.1"),
            empty(),
            one("eni-b", "10.0.0.2"),
            empty(),
        ],
        OnConflict::Skip,
    )
    .unwrap();
    for (text, interface) in [("10.0.0.1", "eni-a"), ("10.0.0.2", "eni-b")] {
        let entity = index
            .lookup(address(text), &Scope::default())
            .entity()
            .unwrap();
        assert_eq!(entity.interface(), Some(interface));
    }
}

#[test]
fn a_lookup_allocates_nothing() {
    let indexes = [
        OnConflict::ByInterface,
        OnConflict::ByAccount,
        OnConflict::First,
        OnConflict::Skip,
    ]
    .map(overlapping);
    let addresses = [
        address("10.0.0.5"),
        address("10.0.0.6"),
        address("10.0.0.7"),
        address("2600::1"),
    ];
    let scope = Scope {
        interface: Some("eni-c"),
        vpc: None,
        account: Some("111111111111"),
    };
    let mut hits = 0;
    let counted = allocation_counter::measure(|| {
        for index in &indexes {
            for &address in &addresses {
                if let Some(entity) = index.lookup(address, &scope).entity() {
                    hits += entity.fields(crate::FieldSet::Extended).count();
                }
            }
        }
    });
    assert!(hits > 0);
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_hundred_thousand_addresses_fit_into_forty_megabytes() {
    // 50,000 instances with a private and a public address each, told by both sources: the larger case.
    let mut index = None;
    let counted = allocation_counter::measure(|| {
        let mut instances = builder("123456789012", Source::Instances);
        let mut interfaces = builder("123456789012", Source::Interfaces);
        for number in 0..50_000_u32 {
            let (id, interface) = (format!("i-{number:017x}"), format!("eni-{number:017x}"));
            let (vpc, name) = (
                format!("vpc-{:017x}", number % 20),
                format!("node-{number}"),
            );
            let addresses = [
                IpAddr::from((0x0A00_0000 + number).to_be_bytes()),
                IpAddr::from((0x3400_0000 + number * 7).to_be_bytes()),
            ];
            instances.instance(&InstanceDescription {
                id: &id,
                interface: &interface,
                vpc: &vpc,
                addresses: &addresses,
                tags: &[("Name", &name)],
                ..Default::default()
            });
            interfaces.interface(&InterfaceDescription {
                id: &interface,
                instance: &id,
                vpc: &vpc,
                addresses: &addresses,
                ..Default::default()
            });
        }
        let parts = [instances.finish().unwrap(), interfaces.finish().unwrap()];
        index = Some(Index::new(parts, OnConflict::ByInterface).unwrap());
    });
    assert_eq!(index.map(|index| index.len()), Some(100_000));
    assert!(
        counted.bytes_max < 40_000_000,
        "peak {} bytes",
        counted.bytes_max
    );
    assert!(
        counted.bytes_current < 30_000_000,
        "kept {} bytes",
        counted.bytes_current.max(0)
    );
}

/// What a test case knows about one record.
#[derive(Clone, Debug)]
struct Row {
    part: usize,
    interface: u8,
    vpc: u8,
    addresses: Vec<IpAddr>,
    prefix: Option<Prefix>,
}

fn some_address() -> impl Strategy<Value = IpAddr> {
    // A small space, so that random rows meet.
    prop_oneof![
        (0_u32..48).prop_map(|host| IpAddr::from((0x0A00_0000 + host).to_be_bytes())),
        (0_u128..24).prop_map(|host| IpAddr::from((0x2600_u128 << 112 | host).to_be_bytes())),
    ]
}

fn some_row() -> impl Strategy<Value = Row> {
    let prefix = (some_address(), 26_u8..=32).prop_map(|(address, length)| {
        let length = if address.is_ipv4() {
            length
        } else {
            length + 96
        };
        Prefix::new(address, length).unwrap()
    });
    (
        0_usize..3,
        0_u8..12,
        proptest::collection::vec(some_address(), 0..4),
        proptest::option::weighted(0.3, prefix),
    )
        // An interface is in one VPC for ever.
        .prop_map(|(part, interface, addresses, prefix)| Row {
            part,
            interface,
            vpc: interface % 4,
            addresses,
            prefix,
        })
}

/// The same question answered the slow way: look at every row, keep the owner rules of `merge.rs` in words.
fn scan(rows: &[(usize, String, String, Row)], wanted: IpAddr) -> Vec<&str> {
    let claims: Vec<_> = rows
        .iter()
        .filter(|(.., row)| {
            row.addresses.contains(&wanted)
                || row.prefix.is_some_and(|prefix| prefix.contains(wanted))
        })
        .collect();
    let mut owners: Vec<(usize, &str)> = Vec::new();
    for (order, (part, interface, vpc, _)) in claims.iter().enumerate() {
        // Parts 0 and 1 are equally old, part 2 is newer. Of one interface the first row of the best source stays.
        let first = claims.iter().position(|claim| claim.1 == *interface) == Some(order);
        let first_of_interface = claims
            .iter()
            .filter(|claim| claim.1 == *interface)
            .map(|claim| claim.0)
            .min();
        let age = |part: usize| if part == 2 { 1 } else { 0 };
        let newest = claims
            .iter()
            .filter(|claim| claim.2 == *vpc)
            .map(|claim| {
                let source = claims
                    .iter()
                    .filter(|other| other.1 == claim.1)
                    .map(|other| other.0)
                    .min();
                age(source.unwrap_or(claim.0))
            })
            .max();
        if first && newest == first_of_interface.map(age) {
            owners.push((*part, interface));
        }
    }
    owners.into_iter().map(|owner| owner.1).collect()
}

proptest! {
    #[test]
    fn a_lookup_finds_what_a_scan_of_all_rows_finds(rows in proptest::collection::vec(some_row(), 0..24)) {
        let mut parts: BTreeMap<usize, PartBuilder> = (0..3)
            .map(|part| (part, builder("111111111111", Source::Interfaces).taken(at(if part == 2 { 200 } else { 100 }))))
            .collect();
        let mut named = Vec::new();
        for row in rows {
            let (interface, vpc) = (format!("eni-{}", row.interface), format!("vpc-{}", row.vpc));
            let prefixes: Vec<Prefix> = row.prefix.into_iter().collect();
            parts.get_mut(&row.part).unwrap().interface(&InterfaceDescription {
                id: &interface, vpc: &vpc, addresses: &row.addresses, prefixes: &prefixes, ..Default::default()
            });
            named.push((row.part, interface, vpc, row));
        }
        named.sort_by_key(|row| row.0);
        let index = Index::new(parts.into_values().map(|part| part.finish().unwrap()), OnConflict::ByInterface).unwrap();

        let v4 = (0..52_u32).map(|host| IpAddr::from((0x0A00_0000 + host).to_be_bytes()));
        let v6 = (0..28_u128).map(|host| IpAddr::from((0x2600_u128 << 112 | host).to_be_bytes()));
        for wanted in v4.chain(v6) {
            let expected = scan(&named, wanted);
            let found: Vec<&str> = index.candidates(wanted).iter().filter_map(|entity| entity.interface()).collect();
            prop_assert_eq!(&found, &expected, "{}", wanted);
            let lookup = index.lookup(wanted, &Scope { vpc: Some("vpc-1"), ..Scope::default() });
            let in_vpc: Vec<&str> = expected.iter().copied().filter(|interface| interface[4..].parse::<u8>().unwrap() % 4 == 1).collect();
            match (expected.as_slice(), in_vpc.as_slice()) {
                ([], _) => prop_assert!(matches!(lookup, Lookup::Miss)),
                ([one], _) => prop_assert!(matches!(lookup, Lookup::Hit(entity) if entity.interface() == Some(*one))),
                (_, [one]) => prop_assert!(matches!(lookup, Lookup::Chosen(entity, TieBreak::Vpc) if entity.interface() == Some(*one))),
                _ => prop_assert!(matches!(lookup, Lookup::Ambiguous(_))),
            }
        }
    }
}
