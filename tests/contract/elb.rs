use aws_sdk_elasticloadbalancing::Client;
use aws_sdk_elasticloadbalancing::types::Listener;
use forebay_localaws::LoadBalancer;

use crate::endpoint::{CaseResult, Check, Endpoint, case, ensure, refused};

/// Classic load balancers, page by page.
pub async fn elb_suite(endpoint: &Endpoint) -> Vec<CaseResult> {
    let client = Client::new(endpoint.config());
    let fixture = lay_fixture(endpoint, &client).await;
    let mut results = vec![case("elb/the-fixture-can-be-laid", async { fixture }).await];
    results.extend([
        case("elb/load-balancers-come-in-pages", pages(&client)).await,
        case("elb/a-missing-load-balancer-is-refused", missing(&client)).await,
    ]);
    results
}

async fn lay_fixture(endpoint: &Endpoint, client: &Client) -> Check {
    if let Some(aws) = endpoint.local() {
        aws.with(|cloud, _| {
            for name in NAMES {
                cloud.elb().add(LoadBalancer {
                    name: name.to_owned(),
                    dns_name: format!("{name}.us-east-1.elb.amazonaws.com"),
                    ..Default::default()
                });
            }
        });
        return Ok(());
    }
    let listener = Listener::builder()
        .protocol("tcp")
        .load_balancer_port(80)
        .instance_port(80)
        .build()?;
    for name in NAMES {
        client
            .create_load_balancer()
            .load_balancer_name(name)
            .listeners(listener.clone())
            .availability_zones("us-east-1a")
            .send()
            .await?;
    }
    Ok(())
}

async fn pages(client: &Client) -> Check {
    let (mut names, mut marker) = (Vec::new(), None);
    loop {
        let page = client
            .describe_load_balancers()
            .page_size(2)
            .set_marker(marker)
            .send()
            .await?;
        let shown = page.load_balancer_descriptions();
        ensure(shown.len() <= 2, || format!("{} on one page", shown.len()))?;
        ensure(shown.iter().all(|one| one.dns_name().is_some()), || {
            format!("{shown:?}")
        })?;
        names.extend(
            shown
                .iter()
                .filter_map(|one| one.load_balancer_name().map(str::to_owned)),
        );
        marker = page
            .next_marker()
            .filter(|marker| !marker.is_empty())
            .map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    names.sort();
    ensure(names == NAMES, || format!("{names:?}"))
}

async fn missing(client: &Client) -> Check {
    let answer = client
        .describe_load_balancers()
        .load_balancer_names("contract-none")
        .send()
        .await;
    refused(&answer, &["LoadBalancerNotFound"])
}

const NAMES: [&str; 3] = ["contract-a", "contract-b", "contract-c"];
