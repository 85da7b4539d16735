//! Entity lookups and snapshot building at 100,000 addresses.

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forebay_entity::{
    FieldSet, Index, InstanceDescription, InterfaceDescription, OnConflict, Origin, Part,
    PartBuilder, Scope, Source,
};

/// 50,000 instances with a private and a public address, told by both sources, and 200 shared addresses in a second account.
fn parts() -> Vec<Part> {
    let mut instances =
        PartBuilder::new(Origin::new("123456789012", "eu-west-1"), Source::Instances);
    let mut interfaces =
        PartBuilder::new(Origin::new("123456789012", "eu-west-1"), Source::Interfaces);
    let mut overlapping =
        PartBuilder::new(Origin::new("210987654321", "eu-west-1"), Source::Interfaces);
    for number in 0..50_000_u32 {
        let (id, interface) = (format!("i-{number:017x}"), format!("eni-{number:017x}"));
        let (vpc, name) = (
            format!("vpc-{:017x}", number % 20),
            format!("node-{number}"),
        );
        let addresses = [private(number), public(number)];
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
        if number < 200 {
            let interface = format!("eni-9{number:016x}");
            overlapping.interface(&InterfaceDescription {
                id: &interface,
                vpc: "vpc-other",
                addresses: &addresses[..1],
                ..Default::default()
            });
        }
    }
    [instances, interfaces, overlapping]
        .into_iter()
        .filter_map(|part| part.finish().ok())
        .collect()
}

fn private(number: u32) -> IpAddr {
    IpAddr::from((0x0A00_0000 + number).to_be_bytes())
}

fn public(number: u32) -> IpAddr {
    IpAddr::from((0x3400_0000 + number * 7).to_be_bytes())
}

/// Addresses in an order the prefetcher cannot guess: a fixed multiplicative walk.
fn walk(from: fn(u32) -> IpAddr, count: u32) -> Vec<IpAddr> {
    (0..count)
        .map(|step| from(step.wrapping_mul(2_654_435_761) % count))
        .collect()
}

fn lookups(criterion: &mut Criterion) {
    let Ok(index) = Index::new(parts(), OnConflict::ByInterface) else {
        return;
    };
    assert_eq!((index.len(), index.conflicts()), (100_000, 200));
    let scope = Scope {
        vpc: Some("vpc-other"),
        interface: None,
        account: None,
    };
    let mut group = criterion.benchmark_group("entity/lookup");
    for (name, addresses) in [
        (
            "hit",
            [walk(private, 50_000), walk(public, 50_000)].concat(),
        ),
        ("conflict", walk(private, 200)),
        (
            "miss",
            walk(
                |number| IpAddr::from((0x0B00_0000 + number).to_be_bytes()),
                50_000,
            ),
        ),
    ] {
        group.throughput(Throughput::Elements(addresses.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut known = 0;
                for &address in &addresses {
                    known +=
                        usize::from(index.lookup(black_box(address), &scope).entity().is_some());
                }
                known
            });
        });
    }
    let addresses = walk(private, 50_000);
    group.throughput(Throughput::Elements(addresses.len() as u64));
    group.bench_function("hit with the plugin's fields", |bencher| {
        bencher.iter(|| {
            let mut bytes = 0;
            for &address in &addresses {
                if let Some(entity) = index.lookup(black_box(address), &scope).entity() {
                    bytes += entity
                        .fields(FieldSet::Plugin)
                        .map(|field| field.value.text().len())
                        .sum::<usize>();
                }
            }
            bytes
        });
    });
    group.finish();
}

fn building(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("entity/build");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(100_000));
    group.bench_function("parts and index", |bencher| {
        bencher.iter(|| Index::new(parts(), OnConflict::ByInterface).map(|index| index.len()));
    });
    group.bench_function("index", |bencher| {
        bencher.iter_batched(
            parts,
            |parts| Index::new(parts, OnConflict::ByInterface).map(|index| index.len()),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, lookups, building);
criterion_main!(benches);
