//! The refresher on the embedded AWS: two accounts, two regions, one address range in use everywhere.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_smithy_types::retry::RetryConfig;
use forebay_entity::{
    Call, Config, Kind, Lookup, Origin, Refresher, Scope, Table, Target, TieBreak,
};
use forebay_localaws::{
    Association, Cloud, Fault, FaultRule, Instance, LoadBalancer, LocalAws, NetworkInterface,
    Service, Settings,
};

use crate::refresh::{Heard, at, id};

/// Access keys that tell the model which account calls, and fault rules which region.
const PLACES: [(&str, &str, &str); 3] = [
    ("111111111111", "eu-west-1", "ASIA111111111111EU"),
    ("111111111111", "us-east-1", "ASIA111111111111US"),
    ("222222222222", "eu-west-1", "ASIA222222222222EU"),
];

fn start() -> LocalAws {
    LocalAws::new(Cloud::new(Settings::instant(), 1), 1_795_564_800_000)
}

async fn target(aws: &LocalAws, (account, region, key): (&str, &str, &str)) -> Target {
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new(key, "secret", None, None, "embedded"))
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .http_client(aws.http_client())
        .load()
        .await;
    Target::new(
        Origin::new(account, region),
        aws_sdk_ec2::Client::new(&config),
    )
    .with_load_balancers(aws_sdk_elasticloadbalancing::Client::new(&config))
}

async fn refresher(aws: &LocalAws, config: Config) -> (Refresher, Table) {
    let table = Table::default();
    let mut targets = Vec::new();
    for place in PLACES {
        targets.push(target(aws, place).await);
    }
    (
        Refresher::new(targets, config, table.clone(), 1).unwrap(),
        table,
    )
}

/// Every place has one VPC with the same 23 instances, a classic load balancer and a NAT gateway.
fn furnish(aws: &LocalAws) {
    for (place, (account, region, key)) in PLACES.into_iter().enumerate() {
        aws.with(|cloud, _| {
            let ec2 = cloud.ec2_in(account, region);
            let vpc = Some(format!("vpc-{key}"));
            for number in 0..23 {
                let instance = format!("i-{key}-{number}");
                ec2.add_interface(NetworkInterface {
                    id: format!("eni-{key}-{number}"),
                    instance: Some(instance.clone()),
                    private_addresses: vec![format!("10.0.0.{number}"), format!("10.0.1.{number}")],
                    vpc: vpc.clone(),
                    ..NetworkInterface::default()
                });
                ec2.add_instance(Instance {
                    id: instance,
                    state: if number == 7 {
                        "stopped".to_owned()
                    } else {
                        String::new()
                    },
                    private_address: Some(format!("10.0.0.{number}")),
                    vpc: vpc.clone(),
                    tags: vec![("Name".to_owned(), format!("web-{number} of {key}"))],
                    ..Instance::default()
                });
            }
            for (number, description) in ["ELB shop", "Interface for NAT Gateway nat-1"]
                .iter()
                .enumerate()
            {
                ec2.add_interface(NetworkInterface {
                    id: format!("eni-{key}-managed-{number}"),
                    description: (*description).to_owned(),
                    requester: Some(if number == 0 {
                        "amazon-elb".to_owned()
                    } else {
                        account.to_owned()
                    }),
                    requester_managed: true,
                    private_addresses: vec![format!("10.0.2.{number}")],
                    association: (number == 0).then(|| Association {
                        public_address: format!("54.0.0.{}", place + 1),
                        owner: "amazon-elb".to_owned(),
                    }),
                    vpc: vpc.clone(),
                    ..NetworkInterface::default()
                });
            }
            cloud.elb_in(account, region).add(LoadBalancer {
                name: "shop".to_owned(),
                dns_name: format!("shop.{key}.elb.amazonaws.com"),
                ..LoadBalancer::default()
            });
        });
    }
}

#[tokio::test(start_paused = true)]
async fn overlapping_vpcs_of_two_accounts_are_read_page_by_page_and_told_apart() {
    let aws = start();
    furnish(&aws);
    let (mut refresher, table) = refresher(
        &aws,
        Config {
            page_size: 5,
            ..Config::default()
        },
    )
    .await;
    let summary = refresher.refresh_once(at(100), &()).await;
    assert_eq!((summary.answered, summary.failed), (6, 0));
    aws.with(|cloud, _| {
        // 23 instances are 5 pages of 5, 25 interfaces are 5 as well; three places.
        assert_eq!(cloud.calls().count(Service::Ec2, "DescribeInstances"), 15);
        assert_eq!(
            cloud
                .calls()
                .count(Service::Ec2, "DescribeNetworkInterfaces"),
            15
        );
        let used: BTreeSet<String> = cloud.calls().iam_actions().into_iter().collect();
        let documented = [Call::Instances, Call::Interfaces, Call::LoadBalancers];
        assert_eq!(used, documented.map(|call| call.action().to_owned()).into());
    });

    let index = table.load();
    for number in [0, 7, 22] {
        for net in ["10.0.0", "10.0.1"] {
            let address: IpAddr = format!("{net}.{number}").parse().unwrap();
            assert!(
                matches!(index.lookup(address, &Scope::default()), Lookup::Ambiguous(all) if all.len() == 3)
            );
            for (account, region, key) in PLACES {
                // A version 2 flow log names the interface that recorded, here the load balancer's.
                let recorder = format!("eni-{key}-managed-0");
                let scope = Scope {
                    interface: Some(&recorder),
                    ..Scope::default()
                };
                let Lookup::Chosen(entity, TieBreak::Vpc) = index.lookup(address, &scope) else {
                    panic!("{address} of {key}: {:?}", index.lookup(address, &scope));
                };
                let name = format!("web-{number} of {key}");
                assert_eq!(
                    (entity.name(), entity.account(), entity.region()),
                    (Some(&*name), Some(account), Some(region))
                );
            }
        }
    }
    let vpc = format!("vpc-{}", PLACES[1].2);
    let scope = Scope {
        vpc: Some(&vpc),
        ..Scope::default()
    };
    let shop = index
        .lookup("10.0.2.0".parse().unwrap(), &scope)
        .entity()
        .unwrap();
    assert_eq!(
        (shop.kind(), shop.id()),
        (Kind::ClassicLoadBalancer, "shop")
    );
    assert_eq!(
        shop.detail(),
        Some(&*format!("shop.{}.elb.amazonaws.com", PLACES[1].2))
    );
    assert_eq!(
        id(&index, "54.0.0.2").as_deref(),
        Some("shop"),
        "public addresses do not overlap"
    );
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out_and_a_lasting_fault_of_one_place_keeps_its_names() {
    let aws = start();
    furnish(&aws);
    let (mut refresher, table) = refresher(&aws, Config::default()).await;
    let heard = Heard::default();
    // Two throttled calls: the SDK's own three attempts get over them.
    aws.with(|cloud, _| {
        cloud.faults().push(
            FaultRule::new(Fault::Throttle)
                .operation("DescribeInstances")
                .times(2),
        )
    });
    refresher.refresh_once(at(100), &heard).await;
    assert!(heard.take().is_empty());

    let (_, _, key) = PLACES[1];
    aws.with(|cloud, _| {
        cloud.faults().clear();
        cloud
            .faults()
            .push(FaultRule::new(Fault::ServerError).caller(key));
        cloud
            .ec2_in("222222222222", "eu-west-1")
            .add_interface(NetworkInterface {
                id: "eni-late".to_owned(),
                private_addresses: vec!["10.0.3.1".to_owned()],
                ..NetworkInterface::default()
            });
    });
    let summary = refresher.refresh_once(at(1100), &heard).await;
    assert_eq!((summary.answered, summary.failed), (4, 3));
    let told: BTreeSet<String> = heard.take().into_iter().collect();
    assert!(told.contains("us-east-1 stale for 1000s"), "{told:?}");
    let index = table.load();
    assert_eq!(id(&index, "10.0.3.1").as_deref(), Some("eni-late"));
    let vpc = format!("vpc-{key}");
    let scope = Scope {
        vpc: Some(&vpc),
        ..Scope::default()
    };
    assert!(
        index
            .lookup("10.0.0.3".parse().unwrap(), &scope)
            .entity()
            .is_some(),
        "the old names stay"
    );

    // Lost connections and a denied right, then health again.
    aws.with(|cloud, _| {
        cloud.faults().clear();
        cloud
            .faults()
            .push(FaultRule::new(Fault::LoseAnswer).caller(key).times(1));
        cloud.faults().push(
            FaultRule::new(Fault::AccessDenied)
                .caller(PLACES[2].2)
                .operation("DescribeInstances"),
        );
    });
    let summary = refresher.refresh_once(at(1160), &heard).await;
    assert_eq!((summary.answered, summary.failed), (5, 1));
    assert_eq!(
        heard.take()[0],
        "needs `ec2:DescribeInstances` on `*` (account `222222222222`, region `eu-west-1`)"
    );
}
