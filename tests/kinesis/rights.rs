//! Each IAM action by itself: what happens without it, and that it is named.

use std::time::Duration;

use forebay_kinesis::{Error, ErrorKind};
use forebay_localaws::{Fault, FaultRule, Service};

use crate::bed::{Bed, Running, Sink, config};
use crate::faults::Errors;

/// The actions that the plugin's guide grants, as far as a consumer uses them.
const PLUGIN_POLICY: [&str; 9] = [
    "dynamodb:CreateTable",
    "dynamodb:DescribeTable",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Scan",
    "dynamodb:UpdateItem",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
];

fn deny(bed: &Bed, action: &str) {
    let (service, operation) = action.split_once(':').expect("service and operation");
    let service = match service {
        "kinesis" => Service::Kinesis,
        _ => Service::DynamoDb,
    };
    bed.aws.with(|cloud, _| {
        let rule = FaultRule::new(Fault::AccessDenied).service(service);
        cloud.faults().push(rule.operation(operation));
    });
}

fn allow_all(bed: &Bed) {
    bed.aws.with(|cloud, _| cloud.faults().clear());
}

struct Scene {
    bed: Bed,
    sink: Sink,
    errors: Errors,
}

impl Scene {
    fn new() -> Self {
        let bed = Bed::new(1);
        bed.put_numbers(0..5);
        Self {
            bed,
            sink: Sink::default(),
            errors: Errors::default(),
        }
    }

    /// Somebody with all rights has made the table, and stopped before it read anything.
    async fn with_table() -> Self {
        let scene = Self::new();
        deny(&scene.bed, "kinesis:GetRecords");
        let set_up = scene.bed.start("set-up", &scene.sink).await;
        scene
            .sink
            .wait_until("the shard", |sink| !sink.started().is_empty())
            .await;
        set_up.stop().await;
        allow_all(&scene.bed);
        scene
    }

    async fn start(&self) -> Running {
        let worker = self
            .bed
            .worker("one", self.sink.processor("one"), config())
            .await
            .with_observer(self.errors.clone());
        Running::spawn(worker)
    }

    fn assert_named(&self, action: &str) {
        let quoted = format!("(the caller needs `{action}` on `");
        let named = |(kind, text): &(ErrorKind, String)| {
            *kind == ErrorKind::Denied && text.contains(&quoted)
        };
        let errors = self.errors.all();
        assert!(errors.iter().any(named), "{action} is not in {errors:?}");
    }
}

/// Everything is read without the action, and it is named.
async fn works_without(action: &str) {
    let scene = Scene::with_table().await;
    deny(&scene.bed, action);
    let worker = scene.start().await;
    scene.sink.wait_for(5).await;
    scene.assert_named(action);
    worker.stop().await;
}

/// Nothing is read until the action is granted; it is named meanwhile.
async fn waits_for(scene: Scene, action: &str) {
    deny(&scene.bed, action);
    let worker = scene.start().await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(scene.sink.len(), 0, "without {action}");
    scene.assert_named(action);
    allow_all(&scene.bed);
    scene.sink.wait_for(5).await;
    worker.stop().await;
}

/// The worker ends and says why.
async fn ends_without(scene: Scene, actions: &[&str]) -> Error {
    for action in actions {
        deny(&scene.bed, action);
    }
    let error = scene.start().await.ended().await.expect_err("no rights");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let named = actions
        .iter()
        .any(|action| error.to_string().contains(&format!("`{action}`")));
    assert!(named, "{error}");
    error
}

#[tokio::test(start_paused = true)]
async fn describe_table_is_optional() {
    works_without("dynamodb:DescribeTable").await;
}

#[tokio::test(start_paused = true)]
async fn describe_stream_summary_is_optional() {
    works_without("kinesis:DescribeStreamSummary").await;
}

#[tokio::test(start_paused = true)]
async fn create_table_is_needed_only_to_create_it() {
    let error = ends_without(Scene::new(), &["dynamodb:CreateTable"]).await;
    assert!(error.to_string().contains("`leases`"), "{error}");
    let scene = Scene::with_table().await;
    deny(&scene.bed, "dynamodb:CreateTable");
    let worker = scene.start().await;
    scene.sink.wait_for(5).await;
    assert_eq!(scene.errors.all(), []);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn delete_item_is_optional() {
    let scene = Scene::new();
    deny(&scene.bed, "dynamodb:DeleteItem");
    let worker = scene.start().await;
    scene.sink.wait_for(5).await;
    crate::reshard::split(&scene.bed, 0);
    for number in 0..20 {
        scene.bed.put_numbers(number * 5 + 5..number * 5 + 10);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    scene.sink.wait_for(105).await;
    scene.assert_named("dynamodb:DeleteItem");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn scan_is_needed() {
    let scene = Scene::with_table().await;
    waits_for(scene, "dynamodb:Scan").await;
}

#[tokio::test(start_paused = true)]
async fn scan_and_describe_table_together_are_needed_at_the_start() {
    let actions = ["dynamodb:Scan", "dynamodb:DescribeTable"];
    ends_without(Scene::with_table().await, &actions).await;
}

#[tokio::test(start_paused = true)]
async fn get_item_is_needed() {
    waits_for(Scene::with_table().await, "dynamodb:GetItem").await;
}

#[tokio::test(start_paused = true)]
async fn put_item_is_needed_for_new_shards() {
    waits_for(Scene::new(), "dynamodb:PutItem").await;
}

#[tokio::test(start_paused = true)]
async fn update_item_is_needed() {
    waits_for(Scene::with_table().await, "dynamodb:UpdateItem").await;
}

#[tokio::test(start_paused = true)]
async fn list_shards_is_needed_for_new_streams() {
    waits_for(Scene::new(), "kinesis:ListShards").await;
}

#[tokio::test(start_paused = true)]
async fn get_shard_iterator_is_needed() {
    waits_for(Scene::with_table().await, "kinesis:GetShardIterator").await;
}

#[tokio::test(start_paused = true)]
async fn get_records_is_needed() {
    waits_for(Scene::with_table().await, "kinesis:GetRecords").await;
}

#[tokio::test(start_paused = true)]
async fn the_policy_of_the_plugin_is_enough() {
    let scene = Scene::new();
    let optional = ["dynamodb:DeleteItem", "kinesis:DescribeStreamSummary"];
    for action in optional {
        deny(&scene.bed, action);
    }
    let worker = scene.start().await;
    scene.sink.wait_for(5).await;
    crate::reshard::split(&scene.bed, 0);
    scene.bed.put_numbers(5..20);
    scene.sink.wait_for(20).await;
    tokio::time::sleep(Duration::from_secs(1_200)).await;
    worker.stop().await;
    let used = scene.bed.aws.with(|cloud, _| cloud.calls().iam_actions());
    let granted: Vec<&str> = PLUGIN_POLICY.into_iter().chain(optional).collect();
    for action in &used {
        assert!(
            granted.contains(&action.as_str()),
            "{action} is not granted"
        );
    }
    for action in PLUGIN_POLICY {
        assert!(used.contains(&action.to_owned()), "{action} is not used");
    }
}
