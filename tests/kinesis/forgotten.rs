//! Shards that the stream has forgotten, and ends that name no children.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use forebay_kinesis::{Checkpoint, Gap, Observer, Processor, Stopping, Worker};
use serde_json::{Value, json};

use crate::bed::{Bed, Running, Sink, config};
use crate::reshard::split;

#[derive(Clone, Default)]
struct Gaps(Arc<Mutex<Vec<Gap>>>);

impl Gaps {
    fn all(&self) -> Vec<Gap> {
        self.0.lock().expect("not poisoned").clone()
    }
}

impl Observer for Gaps {
    fn gap(&self, gap: &Gap) {
        self.0.lock().expect("not poisoned").push(gap.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_gone_is_reported_as_a_gap_and_its_children_are_read() {
    let bed = Bed::new(1);
    let sink = Sink::default();
    let one = bed.start("one", &sink).await;
    bed.put_numbers(0..5);
    sink.wait_for(5).await;
    one.stop().await;
    bed.put_numbers(5..10);
    split(&bed, 0);
    tokio::time::sleep(Duration::from_secs(25 * 3_600)).await;
    bed.put_numbers(10..12);
    let gaps = Gaps::default();
    let worker = bed.worker("two", sink.processor("two"), config()).await;
    let two = Running::spawn(worker.with_observer(gaps.clone()));
    sink.wait_for(7).await;
    let gaps = gaps.all();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(matches!(gaps[0].stored, Checkpoint::Sequence { .. }));
    assert_eq!((gaps[0].found, gaps[0].missing), (None, None));
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_without_children_is_no_loss() {
    let bed = Bed::new(1);
    let sink = Sink::default();
    let gaps = Gaps::default();
    let worker = childless(&bed, sink.processor("one")).await;
    let one = Running::spawn(worker.with_observer(gaps.clone()));
    bed.put_numbers(0..5);
    sink.wait_for(5).await;
    split(&bed, 0);
    sink.wait_until("the end", |sink| {
        let stopping = sink.stopping();
        stopping.iter().any(|(_, _, why)| *why == Stopping::Ended)
    })
    .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((sink.len(), gaps.all()), (5, Vec::new()));
    one.stop().await;
}

/// A worker whose Kinesis never tells of children.
async fn childless<P: Processor>(
    bed: &Bed,
    processor: P,
) -> Worker<forebay_kinesis::DynamoLeaseTable, P> {
    let client = SharedHttpClient::new(Childless(bed.aws.http_client()));
    let sdk = bed
        .sdk("one")
        .await
        .to_builder()
        .http_client(client)
        .build();
    let stream = forebay_kinesis::KinesisStream::new(
        aws_sdk_kinesis::Client::new(&sdk),
        forebay_kinesis::StreamName::new(crate::bed::STREAM).expect("a name"),
    );
    let id = "one".parse().expect("an id");
    Worker::new(id, stream, bed.table("one").await, processor).with_config(config())
}

#[derive(Clone, Debug)]
struct Childless(SharedHttpClient);

impl HttpClient for Childless {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(ChildlessConnector(
            self.0.http_connector(settings, components),
        ))
    }
}

#[derive(Debug)]
struct ChildlessConnector(SharedHttpConnector);

impl HttpConnector for ChildlessConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answering = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let mut response = answering.await?;
            let body = response.body().bytes().unwrap_or_default();
            if let Ok(mut answer) = serde_json::from_slice::<Value>(body) {
                if answer.get("ChildShards").is_some() {
                    answer["ChildShards"] = json!([]);
                }
                if let Some(shards) = answer.get_mut("Shards").and_then(Value::as_array_mut) {
                    shards.retain(|shard| shard.get("ParentShardId").is_none());
                }
                let text = answer.to_string();
                response
                    .headers_mut()
                    .insert("content-length", text.len().to_string());
                *response.body_mut() = SdkBody::from(text);
            }
            Ok(response)
        })
    }
}
