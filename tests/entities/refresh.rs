//! What a refresh asks, and what remains when something fails.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use forebay_entity::{
    Call, Config, Failure, FailureKind, Index, Kind, Lookup, Observer, Origin, Refresher, Scope,
    Summary, Table,
};

use crate::script::{Answer, Endpoint, balancers, instance, instances, interface, interfaces};

/// Keeps what the refresher told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(pub(crate) Arc<Mutex<Vec<String>>>);

impl Heard {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Observer for Heard {
    fn failed(&self, failure: &Failure) {
        self.push(failure.to_string());
    }

    fn stale(&self, origin: &Origin, age: Duration) {
        self.push(format!("{} stale for {age:?}", origin.region()));
    }

    fn snapshot_file_failed(&self, error: &std::io::Error) {
        self.push(format!("file: {error}"));
    }
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn id(index: &Index, address: &str) -> Option<String> {
    let address: IpAddr = address.parse().unwrap();
    index
        .lookup(address, &Scope::default())
        .entity()
        .map(|entity| entity.id().to_owned())
}

fn nothing(call: &crate::script::Call) -> Answer {
    match call.action.as_str() {
        "DescribeInstances" => instances(&[], ""),
        "DescribeNetworkInterfaces" => interfaces(&[], ""),
        _ => balancers(&[], ""),
    }
}

/// One web instance, one classic load balancer, one NAT gateway; the same in every region.
pub(crate) fn small(call: &crate::script::Call) -> Answer {
    match call.action.as_str() {
        "DescribeInstances" => instances(&[instance("i-web", "web", "eni-web", "10.0.0.1")], ""),
        "DescribeNetworkInterfaces" => interfaces(
            &[
                interface(
                    "eni-web",
                    "vpc-1",
                    "10.0.0.1",
                    "<attachment><instanceId>i-web</instanceId></attachment>",
                ),
                interface(
                    "eni-elb",
                    "vpc-1",
                    "10.0.0.2",
                    "<description>ELB shop</description><requesterId>amazon-elb</requesterId>",
                ),
                interface(
                    "eni-nat",
                    "vpc-1",
                    "10.0.0.3",
                    "<description>Interface for NAT Gateway nat-1</description><interfaceType>nat_gateway</interfaceType>",
                ),
            ],
            "",
        ),
        _ => balancers(&[("shop", "shop-1.elb.amazonaws.com")], ""),
    }
}

pub(crate) async fn refresher(
    endpoint: &Endpoint,
    regions: &[&str],
    config: Config,
) -> (Refresher, Table) {
    let table = Table::default();
    let mut targets = Vec::new();
    for region in regions {
        targets.push(endpoint.target("123456789012", region).await);
    }
    (
        Refresher::new(targets, config, table.clone(), 1).unwrap(),
        table,
    )
}

#[tokio::test(start_paused = true)]
async fn every_page_of_every_call_is_read() {
    let endpoint = Endpoint::new(|call| {
        let page: usize = call.token.parse().unwrap_or(0);
        let next = if page < 4 {
            (page + 1).to_string()
        } else {
            String::new()
        };
        match call.action.as_str() {
            "DescribeInstances" => instances(
                &[instance(
                    &format!("i-{page}"),
                    "n",
                    &format!("eni-{page}"),
                    &format!("10.0.0.{page}"),
                )],
                &next,
            ),
            "DescribeNetworkInterfaces" => {
                let more = format!(
                    "<description>ELB shop-{page}</description><requesterId>amazon-elb</requesterId>"
                );
                interfaces(
                    &[interface(
                        &format!("eni-1{page}"),
                        "vpc-1",
                        &format!("10.0.1.{page}"),
                        &more,
                    )],
                    &next,
                )
            }
            _ => balancers(&[(&format!("shop-{page}"), &format!("dns-{page}"))], &next),
        }
    });
    let config = Config {
        page_size: 500,
        ..Config::default()
    };
    let (mut refresher, table) = refresher(&endpoint, &["eu-west-1"], config).await;
    let summary = refresher.refresh_once(at(100), &()).await;
    assert_eq!((summary.answered, summary.failed), (2, 0));
    let index = table.load();
    for page in 0..5 {
        assert_eq!(
            id(&index, &format!("10.0.0.{page}")),
            Some(format!("i-{page}"))
        );
        let found = index
            .lookup(format!("10.0.1.{page}").parse().unwrap(), &Scope::default())
            .entity()
            .unwrap();
        assert_eq!(
            (found.id(), found.detail()),
            (&*format!("shop-{page}"), Some(&*format!("dns-{page}")))
        );
    }
    let calls = endpoint.take_calls();
    assert_eq!(calls.len(), 15);
    assert!(
        calls
            .iter()
            .all(|call| call.limit == if call.service == "ec2" { "500" } else { "400" }),
        "{calls:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn all_forms_of_an_address_are_indexed() {
    let more = "<ipv6AddressesSet><item><ipv6Address>2600:1f18::9</ipv6Address></item></ipv6AddressesSet>\
        <ipv4PrefixSet><item><ipv4Prefix>10.0.8.0/28</ipv4Prefix></item></ipv4PrefixSet>\
        <ipv6PrefixSet><item><ipv6Prefix>2600:1f18:0:1:2::/80</ipv6Prefix></item></ipv6PrefixSet>\
        <association><publicIp>54.0.0.1</publicIp><ipOwnerId>123456789012</ipOwnerId></association>\
        <tagSet><item><key>Name</key><value>edge</value></item></tagSet>";
    let endpoint = Endpoint::new(move |call| match call.action.as_str() {
        "DescribeNetworkInterfaces" => {
            interfaces(&[interface("eni-1", "vpc-1", "10.0.0.9", more)], "")
        }
        "DescribeInstances" => small(call),
        _ => nothing(call),
    });
    let (mut refresher, table) = refresher(&endpoint, &["eu-west-1"], Config::default()).await;
    refresher.refresh_once(at(100), &()).await;
    let index = table.load();
    for address in [
        "10.0.0.9",
        "54.0.0.1",
        "2600:1f18::9",
        "10.0.8.15",
        "2600:1f18:0:1:2::abcd",
    ] {
        assert_eq!(id(&index, address).as_deref(), Some("eni-1"), "{address}");
    }
    for address in ["10.0.0.1", "2600:1f18::7", "10.0.9.31"] {
        assert_eq!(id(&index, address).as_deref(), Some("i-web"), "{address}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_missing_right_is_named_and_takes_only_its_own_part() {
    for (action, right, web, nat, dns) in [
        (
            "DescribeInstances",
            "ec2:DescribeInstances",
            Some((Kind::Instance, None)),
            true,
            true,
        ),
        (
            "DescribeNetworkInterfaces",
            "ec2:DescribeNetworkInterfaces",
            Some((Kind::Instance, Some("web"))),
            false,
            false,
        ),
        (
            "DescribeLoadBalancers",
            "elasticloadbalancing:DescribeLoadBalancers",
            Some((Kind::Instance, Some("web"))),
            true,
            false,
        ),
    ] {
        let endpoint = Endpoint::new(move |call| match call.action.as_str() {
            denied if denied == action => {
                let code = if call.service == "ec2" {
                    "UnauthorizedOperation"
                } else {
                    "AccessDenied"
                };
                Answer::Error(
                    403,
                    code,
                    "User: arn:aws:iam::123456789012:user/forebay is not authorized",
                )
            }
            _ => small(call),
        });
        let (mut refresher, table) = refresher(&endpoint, &["eu-west-1"], Config::default()).await;
        let heard = Heard::default();
        let summary = refresher.refresh_once(at(100), &heard).await;
        assert_eq!(summary.failed, 1);
        assert_eq!(
            heard.take(),
            [format!(
                "needs `{right}` on `*` (account `123456789012`, region `eu-west-1`)"
            )]
        );
        let index = table.load();
        let entity = |address: &str| {
            index
                .lookup(address.parse().unwrap(), &Scope::default())
                .entity()
        };
        assert_eq!(
            entity("10.0.0.1").map(|entity| (entity.kind(), entity.name())),
            web,
            "{action}"
        );
        assert_eq!(entity("10.0.0.3").is_some(), nat, "{action}");
        assert_eq!(
            entity("10.0.0.2").is_some_and(|entity| entity.detail().is_some()),
            dns,
            "{action}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_fails_keeps_its_old_names_and_becomes_stale() {
    let endpoint = Endpoint::new(small);
    let config = Config {
        stale_after: Duration::from_secs(300),
        ..Config::default()
    };
    let (mut refresher, table) = refresher(&endpoint, &["eu-west-1", "us-east-1"], config).await;
    let heard = Heard::default();
    refresher.refresh_once(at(1000), &heard).await;
    assert!(heard.take().is_empty());
    assert_eq!(
        table.load().conflicts(),
        0,
        "one interface told by two regions is one entity"
    );

    // eu-west-1 goes away; us-east-1 gains an instance.
    endpoint.answer(|call| match (call.region.as_str(), call.action.as_str()) {
        ("eu-west-1", _) => Answer::Error(503, "Unavailable", "try later"),
        (_, "DescribeInstances") => {
            instances(&[instance("i-new", "new", "eni-new", "10.0.0.77")], "")
        }
        _ => nothing(call),
    });
    let summary = refresher.refresh_once(at(1400), &heard).await;
    assert_eq!((summary.answered, summary.failed), (2, 3));
    let index = table.load();
    assert_eq!(id(&index, "10.0.0.77").as_deref(), Some("i-new"));
    assert_eq!(id(&index, "10.0.0.3").as_deref(), Some("nat-1"));
    assert_eq!(index.age(at(1400)), Some(Duration::from_secs(400)));
    let told: BTreeSet<String> = heard.take().into_iter().collect();
    assert!(told.contains("eu-west-1 stale for 400s"), "{told:?}");
    assert!(
        told.contains(
            "`ec2:DescribeInstances` was unanswered (account `123456789012`, region `eu-west-1`)"
        ),
        "{told:?}"
    );
    assert!(
        !told.iter().any(|line| line.starts_with("us-east-1 stale")),
        "{told:?}"
    );

    endpoint.answer(small);
    refresher.refresh_once(at(1460), &heard).await;
    assert!(heard.take().is_empty());
    assert_eq!(table.load().age(at(1460)), Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn throttling_and_nonsense_are_told_apart() {
    for (answer, kind) in [
        (
            Answer::Error(503, "RequestLimitExceeded", "slow down"),
            FailureKind::Throttled,
        ),
        (
            Answer::Error(401, "AuthFailure", "who are you"),
            FailureKind::Credentials,
        ),
        (
            Answer::Error(400, "InvalidParameterValue", "no"),
            FailureKind::Refused,
        ),
        (
            Answer::Error(500, "InternalError", "oh"),
            FailureKind::Unavailable,
        ),
        (Answer::Xml("<html>".to_owned()), FailureKind::Refused),
        (interfaces(&[], "again"), FailureKind::Refused),
    ] {
        #[derive(Default)]
        struct Kinds(Mutex<Vec<(Call, FailureKind)>>);
        impl Observer for Kinds {
            fn failed(&self, failure: &Failure) {
                assert!(!failure.cause().is_empty());
                self.0
                    .lock()
                    .unwrap()
                    .push((failure.call(), failure.kind()));
            }
        }
        let given = answer.clone();
        let endpoint = Endpoint::new(move |call| match call.action.as_str() {
            "DescribeNetworkInterfaces" => given.clone(),
            _ => small(call),
        });
        let (mut refresher, _) = refresher(&endpoint, &["eu-west-1"], Config::default()).await;
        let kinds = Kinds::default();
        refresher.refresh_once(at(100), &kinds).await;
        assert_eq!(
            *kinds.0.lock().unwrap(),
            [(Call::Interfaces, kind)],
            "{answer:?}"
        );
        assert!(
            endpoint.take_calls().len() <= 4,
            "no hot loop on {answer:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_region_delays_nobody_and_ends_with_the_time_set() {
    let endpoint = Endpoint::new(|call| {
        if call.region == "us-east-1" {
            Answer::Silence
        } else {
            small(call)
        }
    });
    let (mut refresher, table) =
        refresher(&endpoint, &["us-east-1", "eu-west-1"], Config::default()).await;
    let heard = Heard::default();
    let started = tokio::time::Instant::now();
    let mut refresh = Box::pin(refresher.refresh_once(at(100), &heard));
    tokio::select! {
        _ = &mut refresh => panic!("the silent region answered"),
        () = tokio::time::sleep(Duration::from_secs(30)) => {}
    }
    assert_eq!(
        id(&table.load(), "10.0.0.3").as_deref(),
        Some("nat-1"),
        "the first answers are published as they come"
    );
    let summary: Summary = refresh.await;
    // Load balancers and interfaces of one region follow each other, each within its own time.
    assert!(
        started.elapsed() <= Duration::from_secs(121),
        "{:?}",
        started.elapsed()
    );
    assert_eq!((summary.answered, summary.failed), (2, 3));
    assert_eq!(heard.take().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_address_in_two_regions_is_told_apart_by_vpc() {
    let endpoint = Endpoint::new(|call| match call.action.as_str() {
        "DescribeNetworkInterfaces" => {
            let (vpc, eni) = (
                format!("vpc-{}", call.region),
                format!("eni-{}", call.region),
            );
            interfaces(&[interface(&eni, &vpc, "10.0.0.5", "")], "")
        }
        _ => nothing(call),
    });
    let (mut refresher, table) =
        refresher(&endpoint, &["eu-west-1", "us-east-1"], Config::default()).await;
    let summary = refresher.refresh_once(at(100), &()).await;
    assert_eq!((summary.addresses, summary.conflicts), (1, 1));
    let index = table.load();
    let address = "10.0.0.5".parse().unwrap();
    assert!(
        matches!(index.lookup(address, &Scope::default()), Lookup::Ambiguous(both) if both.len() == 2)
    );
    let scope = Scope {
        vpc: Some("vpc-us-east-1"),
        ..Scope::default()
    };
    assert_eq!(
        index
            .lookup(address, &scope)
            .entity()
            .and_then(|entity| entity.region()),
        Some("us-east-1")
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_documented_actions_are_called() {
    let endpoint = Endpoint::new(small);
    let (mut refresher, _) = refresher(&endpoint, &["eu-west-1"], Config::default()).await;
    refresher.refresh_once(at(100), &()).await;
    let called: BTreeSet<String> = endpoint
        .take_calls()
        .iter()
        .map(|call| format!("{}:{}", call.service, call.action))
        .collect();
    let documented = [Call::Instances, Call::Interfaces, Call::LoadBalancers]
        .map(|call| call.action().to_owned());
    assert_eq!(called, BTreeSet::from(documented));

    let config = Config {
        instances: false,
        ..Config::default()
    };
    let (mut refresher, table) = self::refresher(&endpoint, &["eu-west-1"], config).await;
    refresher.refresh_once(at(100), &()).await;
    assert!(
        endpoint
            .take_calls()
            .iter()
            .all(|call| call.action != "DescribeInstances")
    );
    assert_eq!(id(&table.load(), "10.0.0.1").as_deref(), Some("i-web"));
}
