use std::collections::BTreeSet;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, Instance, InstanceType, ResourceType, Tag, TagSpecification};
use forebay_localaws::NetworkInterface;

use crate::endpoint::{CaseResult, Check, Endpoint, case, ensure, refused};

/// Instances and network interfaces, page by page.
pub async fn ec2_suite(endpoint: &Endpoint) -> Vec<CaseResult> {
    let client = Client::new(endpoint.config());
    let fixture = lay_fixture(endpoint, &client).await;
    let mut results = vec![case("ec2/the-fixture-can-be-laid", async { fixture }).await];
    results.extend([
        case("ec2/instances-come-in-pages", instance_pages(&client)).await,
        case(
            "ec2/an-instance-shows-its-interface-and-name",
            instance_has_interface(&client),
        )
        .await,
        case(
            "ec2/interfaces-name-their-instance",
            interfaces_name_instance(&client),
        )
        .await,
        case("ec2/interfaces-come-in-pages", interface_pages(&client)).await,
        case(
            "ec2/instances-are-filtered-by-state",
            instances_by_state(&client),
        )
        .await,
        case(
            "ec2/a-missing-instance-is-refused",
            missing_instance(&client),
        )
        .await,
    ]);
    results
}

async fn lay_fixture(endpoint: &Endpoint, client: &Client) -> Check {
    if let Some(aws) = endpoint.local() {
        aws.with(|cloud, _| {
            for number in 0..INSTANCES {
                let id = format!("i-{number:017x}");
                let address = format!("10.0.0.{}", 10 + number);
                cloud.ec2().add_instance(forebay_localaws::Instance {
                    id: id.clone(),
                    private_address: Some(address.clone()),
                    vpc: Some("vpc-1".to_owned()),
                    tags: vec![("Name".to_owned(), NAME.to_owned())],
                    ..Default::default()
                });
                cloud.ec2().add_interface(NetworkInterface {
                    id: format!("eni-{number:017x}"),
                    instance: Some(id),
                    private_addresses: vec![address],
                    vpc: Some("vpc-1".to_owned()),
                    ..Default::default()
                });
            }
        });
        return Ok(());
    }
    for _ in 0..INSTANCES {
        client
            .run_instances()
            .image_id("ami-12c6146b")
            .instance_type(InstanceType::T3Micro)
            .min_count(1)
            .max_count(1)
            .tag_specifications(
                TagSpecification::builder()
                    .resource_type(ResourceType::Instance)
                    .tags(Tag::builder().key("Name").value(NAME).build())
                    .build(),
            )
            .send()
            .await?;
    }
    Ok(())
}

async fn instance_pages(client: &Client) -> Check {
    let (mut ids, mut token, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let page = client
            .describe_instances()
            .max_results(5)
            .set_next_token(token)
            .send()
            .await?;
        let instances: Vec<&Instance> = page
            .reservations()
            .iter()
            .flat_map(|one| one.instances())
            .collect();
        ensure(instances.len() <= 5, || {
            format!("{} on one page", instances.len())
        })?;
        ids.extend(
            instances
                .iter()
                .filter_map(|one| one.instance_id().map(str::to_owned)),
        );
        pages += 1;
        token = page
            .next_token()
            .filter(|token| !token.is_empty())
            .map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    ensure(ids.len() == INSTANCES && pages >= 2, || {
        format!("{} instances on {pages} pages", ids.len())
    })
}

async fn instance_has_interface(client: &Client) -> Check {
    for instance in instances(client).await? {
        let address = instance.private_ip_address().ok_or("no address")?;
        let on_interfaces = instance
            .network_interfaces()
            .iter()
            .flat_map(|one| one.private_ip_addresses())
            .any(|one| one.private_ip_address() == Some(address));
        ensure(on_interfaces, || {
            format!(
                "{address} is on none of {:?}",
                instance.network_interfaces()
            )
        })?;
        let name = instance
            .tags()
            .iter()
            .find(|tag| tag.key() == Some("Name"))
            .and_then(|tag| tag.value());
        ensure(name == Some(NAME), || format!("{:?}", instance.tags()))?;
    }
    Ok(())
}

async fn interfaces_name_instance(client: &Client) -> Check {
    let answer = client.describe_network_interfaces().send().await?;
    for instance in instances(client).await? {
        let found = answer.network_interfaces().iter().any(|interface| {
            interface.attachment().and_then(|one| one.instance_id()) == instance.instance_id()
                && interface.private_ip_address() == instance.private_ip_address()
        });
        ensure(found, || {
            format!("no interface of {:?}", instance.instance_id())
        })?;
    }
    Ok(())
}

async fn interface_pages(client: &Client) -> Check {
    let first = client
        .describe_network_interfaces()
        .max_results(5)
        .send()
        .await?;
    ensure(first.network_interfaces().len() == 5, || {
        format!("{} on one page", first.network_interfaces().len())
    })?;
    let token = first.next_token().ok_or("no token")?;
    let second = client
        .describe_network_interfaces()
        .max_results(5)
        .next_token(token)
        .send()
        .await?;
    let rest = second.network_interfaces().len();
    ensure(
        rest == INSTANCES - 5 && second.next_token().is_none(),
        || format!("{rest} on the second page"),
    )
}

async fn instances_by_state(client: &Client) -> Check {
    for (state, wanted) in [("running", INSTANCES), ("stopped", 0)] {
        let filter = Filter::builder()
            .name("instance-state-name")
            .values(state)
            .build();
        let answer = client.describe_instances().filters(filter).send().await?;
        let found = answer
            .reservations()
            .iter()
            .flat_map(|one| one.instances())
            .count();
        ensure(found == wanted, || format!("{found} {state}"))?;
    }
    Ok(())
}

async fn missing_instance(client: &Client) -> Check {
    let answer = client
        .describe_instances()
        .instance_ids("i-0ffffffffffffffff")
        .send()
        .await;
    refused(&answer, &["InvalidInstanceID.NotFound"])
}

async fn instances(client: &Client) -> Result<Vec<Instance>, Box<dyn std::error::Error>> {
    let answer = client.describe_instances().send().await?;
    let found: Vec<Instance> = answer
        .reservations()
        .iter()
        .flat_map(|one| one.instances().iter().cloned())
        .collect();
    if found.is_empty() {
        Err("no instances".into())
    } else {
        Ok(found)
    }
}

const INSTANCES: usize = 7;
const NAME: &str = "web <1> & co";
