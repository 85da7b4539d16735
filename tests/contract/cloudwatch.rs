use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

use crate::endpoint::{CaseResult, Check, Endpoint, case, ensure, refused};

/// Metrics put small, and large enough for the SDK to compress them.
pub async fn cloudwatch_suite(endpoint: &Endpoint) -> Vec<CaseResult> {
    let client = Client::new(endpoint.config());
    vec![
        case(
            "cloudwatch/batches-are-accepted-plain-and-compressed",
            batches_are_accepted(&client),
        )
        .await,
        case(
            "cloudwatch/a-small-batch-is-listed",
            batch_is_listed(&client, "Contract/Small", 3),
        )
        .await,
        case(
            "cloudwatch/a-compressed-batch-is-listed",
            batch_is_listed(&client, "Contract/Large", 200),
        )
        .await,
        case(
            "cloudwatch/the-namespace-of-aws-is-refused",
            aws_namespace(&client),
        )
        .await,
    ]
}

async fn batches_are_accepted(client: &Client) -> Check {
    put(client, "Contract/Accepted", 3).await?;
    put(client, "Contract/Accepted", 200).await
}

async fn batch_is_listed(client: &Client, namespace: &str, count: usize) -> Check {
    put(client, namespace, count).await?;
    let listed = client.list_metrics().namespace(namespace).send().await?;
    let found = listed.metrics().len();
    ensure(found == count, || format!("{found} of {count} metrics"))?;
    let dimensions = listed.metrics().iter().all(|metric| {
        metric
            .dimensions()
            .iter()
            .any(|one| one.name() == Some("Stream") && one.value() == Some("contract"))
    });
    ensure(dimensions, || "a dimension is missing".to_owned())
}

async fn aws_namespace(client: &Client) -> Check {
    let datum = MetricDatum::builder().metric_name("x").value(1.0).build();
    let answer = client
        .put_metric_data()
        .namespace("AWS/Contract")
        .metric_data(datum)
        .send()
        .await;
    refused(
        &answer,
        &["InvalidParameterValue", "InvalidParameterValueException"],
    )
}

async fn put(client: &Client, namespace: &str, count: usize) -> Check {
    let data = (0..count)
        .map(|number| {
            MetricDatum::builder()
                .metric_name(format!("metric-with-a-rather-long-name-{number:04}"))
                .dimensions(
                    Dimension::builder()
                        .name("Stream")
                        .value("contract")
                        .build(),
                )
                .value(number as f64 + 0.5)
                .unit(StandardUnit::Count)
                .build()
        })
        .collect();
    client
        .put_metric_data()
        .namespace(namespace)
        .set_metric_data(Some(data))
        .send()
        .await?;
    Ok(())
}
