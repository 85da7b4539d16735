//! Translates addresses into entities: `cargo run -p forebay-examples --example translate_addresses -- 10.0.0.7 52.92.1.1`.
//!
//! The entries come from the program itself here; `forebay_entity::Refresher` (feature `aws`) reads them from EC2.
#![expect(clippy::print_stdout, reason = "a program that shows its result")]

use std::net::IpAddr;

use forebay_entity::{
    FieldSet, Index, InstanceDescription, InterfaceDescription, Lookup, OnConflict, Origin,
    PartBuilder, Scope, Source,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let index = Index::new(parts()?, OnConflict::ByInterface)?;
    let mut asked: Vec<IpAddr> = std::env::args()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    if asked.is_empty() {
        asked = [
            "10.0.0.7",
            "10.0.0.20",
            "10.0.1.35",
            "10.0.0.9",
            "192.0.2.1",
        ]
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    }
    // What a flow log record would say about itself.
    let scope = Scope {
        vpc: Some("vpc-shop"),
        ..Scope::default()
    };
    for address in asked {
        let lookup = index.lookup(address, &scope);
        print!("{address:15} {:9}", lookup.as_str());
        match lookup {
            Lookup::Ambiguous(candidates) => {
                for entity in candidates.iter() {
                    print!(" {}?", entity.interface().unwrap_or_default());
                }
            }
            known => {
                for field in known
                    .entity()
                    .iter()
                    .flat_map(|entity| entity.fields(FieldSet::Plugin))
                {
                    print!(" dst_addr{}={}", field.suffix, field.value);
                }
            }
        }
        println!();
    }
    Ok(())
}

/// An account with an instance, a load balancer and a node with a delegated range; `10.0.0.9` is used in two VPCs.
fn parts() -> Result<[forebay_entity::Part; 2], Box<dyn std::error::Error>> {
    let origin = Origin::new("123456789012", "eu-west-1");
    let mut instances = PartBuilder::new(origin.clone(), Source::Instances);
    instances.instance(&InstanceDescription {
        id: "i-0a1b",
        interface: "eni-1",
        vpc: "vpc-shop",
        addresses: &["10.0.0.7".parse()?],
        tags: &[("Name", "web-1")],
        ..Default::default()
    });
    instances.instance(&InstanceDescription {
        id: "i-0c2d",
        interface: "eni-2",
        vpc: "vpc-shop",
        addresses: &["10.0.1.4".parse()?],
        prefixes: &["10.0.1.32/28".parse()?],
        tags: &[("Name", "kubernetes-node-1")],
        ..Default::default()
    });
    let mut interfaces = PartBuilder::new(origin, Source::Interfaces);
    interfaces.interface(&InterfaceDescription {
        id: "eni-3",
        description: "ELB app/shop/50dc6c495c0c9188",
        requester: "amazon-elb",
        vpc: "vpc-shop",
        addresses: &["10.0.0.20".parse()?],
        ..Default::default()
    });
    for (id, vpc) in [("eni-4", "vpc-shop"), ("eni-5", "vpc-lab")] {
        interfaces.interface(&InterfaceDescription {
            id,
            vpc,
            description: "AWS Lambda VPC ENI-cart-d76ce498-2640-4e1d-8433-43ab016ada1f",
            interface_type: "lambda",
            addresses: &["10.0.0.9".parse()?],
            ..Default::default()
        });
    }
    Ok([instances.finish()?, interfaces.finish()?])
}
