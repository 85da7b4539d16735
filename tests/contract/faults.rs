//! What only our model can show: faults, virtual time, what emulators get wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use forebay_localaws::{
    Cloud, Fault, FaultRule, LocalAws, Outcome, Service, Settings, TableDescription,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

async fn local() -> (LocalAws, aws_config::SdkConfig) {
    let aws = LocalAws::new(Cloud::new(Settings::instant(), 7), 1_795_564_800_000);
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws.http_client())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .load()
        .await;
    (aws, config)
}

#[tokio::test(start_paused = true)]
async fn an_iterator_expires_after_five_minutes_of_virtual_time() {
    let (aws, config) = local().await;
    aws.with(|cloud, now| cloud.kinesis().create_stream("s", 1, now))
        .unwrap();
    let client = aws_sdk_kinesis::Client::new(&config);
    let iterator = client
        .get_shard_iterator()
        .stream_name("s")
        .shard_id("shardId-000000000000")
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(299)).await;
    let read = || {
        client
            .get_records()
            .set_shard_iterator(iterator.shard_iterator().map(str::to_owned))
            .send()
    };
    read().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        read().await.unwrap_err().code(),
        Some("ExpiredIteratorException")
    );
}

#[tokio::test(start_paused = true)]
async fn the_sixth_read_of_a_second_is_throttled() {
    let (aws, config) = local().await;
    aws.with(|cloud, now| cloud.kinesis().create_stream("s", 1, now))
        .unwrap();
    let once = aws_sdk_kinesis::config::Builder::from(&config)
        .retry_config(aws_sdk_kinesis::config::retry::RetryConfig::disabled())
        .build();
    let client = aws_sdk_kinesis::Client::from_conf(once);
    let iterator = client
        .get_shard_iterator()
        .stream_name("s")
        .shard_id("shardId-000000000000")
        .shard_iterator_type(ShardIteratorType::Latest)
        .send()
        .await
        .unwrap();
    let read = || {
        client
            .get_records()
            .set_shard_iterator(iterator.shard_iterator().map(str::to_owned))
            .send()
    };
    for _ in 0..5 {
        read().await.unwrap();
    }
    assert_eq!(
        read().await.unwrap_err().code(),
        Some("ProvisionedThroughputExceededException")
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    read().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_looks_like_a_lost_race() {
    let (aws, config) = local().await;
    aws.with(|cloud, now| {
        let table = TableDescription {
            name: "leases".to_owned(),
            partition_key: "leaseKey".to_owned(),
        };
        cloud.dynamodb().create_table(&table, now).unwrap();
        cloud.faults().push(
            FaultRule::new(Fault::LoseAnswer)
                .service(Service::DynamoDb)
                .operation("UpdateItem")
                .resource("leases")
                .times(1),
        );
    });
    let client = aws_sdk_dynamodb::Client::new(&config);
    let answer = client
        .update_item()
        .table_name("leases")
        .key("leaseKey", AttributeValue::S("shard".to_owned()))
        .update_expression("SET leaseOwner = :me")
        .condition_expression("attribute_not_exists(leaseOwner)")
        .expression_attribute_values(":me", AttributeValue::S("w1".to_owned()))
        .send()
        .await;
    // The SDK repeats the call by itself, and its own write refuses it.
    let error = answer.unwrap_err();
    assert_eq!(error.code(), Some("ConditionalCheckFailedException"));
    aws.with(|cloud, _| {
        let item = cloud.dynamodb().item("leases", "shard").unwrap();
        assert_eq!(
            item.get("leaseOwner").and_then(|owner| owner.as_text()),
            Some("w1")
        );
        let outcomes: Vec<&Outcome> = cloud.calls().iter().map(|call| &call.outcome).collect();
        let refused = Outcome::Refused("ConditionalCheckFailedException".to_owned());
        assert_eq!(outcomes, [&Outcome::AnswerLost, &refused]);
        assert_eq!(cloud.calls().iam_actions(), ["dynamodb:UpdateItem"]);
    });
}

#[tokio::test(start_paused = true)]
async fn a_stale_scan_misses_a_recent_write_and_a_consistent_read_sees_it() {
    let (aws, config) = local().await;
    aws.with(|cloud, now| {
        let table = TableDescription {
            name: "leases".to_owned(),
            partition_key: "leaseKey".to_owned(),
        };
        cloud.dynamodb().create_table(&table, now).unwrap();
        cloud
            .faults()
            .push(FaultRule::new(Fault::StaleRead).service(Service::DynamoDb));
    });
    let client = aws_sdk_dynamodb::Client::new(&config);
    client
        .put_item()
        .table_name("leases")
        .item("leaseKey", AttributeValue::S("shard".to_owned()))
        .send()
        .await
        .unwrap();
    let count = |consistent| {
        client
            .scan()
            .table_name("leases")
            .consistent_read(consistent)
            .send()
    };
    assert_eq!(count(false).await.unwrap().count(), 0);
    assert_eq!(count(true).await.unwrap().count(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(count(false).await.unwrap().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_operation_is_answered_501_and_counted() {
    let (aws, config) = local().await;
    let client = aws_sdk_kinesis::Client::new(&config);
    let answer = client.describe_limits().send().await;
    let status = answer
        .unwrap_err()
        .raw_response()
        .map(|response| response.status().as_u16());
    assert_eq!(status, Some(501));
    aws.with(|cloud, _| {
        assert!(
            cloud
                .calls()
                .unknown_operations()
                .contains_key("kinesis:DescribeLimits")
        );
    });
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_is_listed_until_its_retention_has_passed() {
    let (aws, config) = local().await;
    aws.with(|cloud, now| {
        cloud.kinesis().create_stream("s", 1, now).unwrap();
        cloud
            .kinesis()
            .split_shard("s", "shardId-000000000000", 1 << 127, now)
            .unwrap();
    });
    let client = aws_sdk_kinesis::Client::new(&config);
    client
        .put_record()
        .stream_name("s")
        .partition_key("a")
        .data(Blob::new("x"))
        .send()
        .await
        .unwrap();
    let listed = || async {
        client
            .list_shards()
            .stream_name("s")
            .send()
            .await
            .unwrap()
            .shards()
            .len()
    };
    tokio::time::sleep(Duration::from_secs(23 * 3600)).await;
    assert_eq!(listed().await, 3);
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(listed().await, 2);
    let kept = aws.with(|cloud, now| {
        cloud
            .kinesis()
            .records("s", "shardId-000000000001", now)
            .unwrap()
            .len()
    });
    assert_eq!(kept, 0);
}

/// The server front with this cloud behind it, until it is told to stop, and how to reach it.
async fn served(
    cloud: Arc<Mutex<Cloud>>,
) -> (
    aws_config::SdkConfig,
    oneshot::Sender<()>,
    JoinHandle<std::io::Result<()>>,
) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (stop, stopped) = oneshot::channel::<()>();
    let clock = Arc::new(|| 1_795_564_800_000);
    let server = tokio::spawn(forebay_localaws::serve(listener, cloud, clock, async {
        let _ = stopped.await;
    }));
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .load()
        .await;
    (config, stop, server)
}

#[tokio::test]
async fn the_server_front_serves_the_sdk_over_a_socket() {
    let cloud = Arc::new(Mutex::new(Cloud::new(Settings::instant(), 7)));
    let (config, stop, server) = served(Arc::clone(&cloud)).await;
    let client = aws_sdk_kinesis::Client::new(&config);
    client
        .create_stream()
        .stream_name("s")
        .shard_count(1)
        .send()
        .await
        .unwrap();
    let put = client
        .put_record()
        .stream_name("s")
        .partition_key("k")
        .data(Blob::new("x"))
        .send();
    assert_eq!(put.await.unwrap().shard_id(), "shardId-000000000000");
    assert_eq!(
        cloud
            .lock()
            .unwrap()
            .calls()
            .count(Service::Kinesis, "PutRecord"),
        1
    );
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn over_a_socket_a_cut_body_ends_before_its_stated_length() {
    let mut cloud = Cloud::new(Settings::instant(), 7);
    cloud.s3().put("bucket", "key", vec![b'x'; 400], 1);
    let cut = FaultRule::new(Fault::CutBody(40)).service(Service::S3);
    cloud.faults().push(cut);
    let (config, _stop, _server) = served(Arc::new(Mutex::new(cloud))).await;
    let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
    let client = aws_sdk_s3::Client::from_conf(config.build());
    let object = client.get_object().bucket("bucket").key("key").send();
    let mut object = object.await.unwrap();
    assert_eq!(object.content_length(), Some(400));
    assert_eq!(object.body.next().await.unwrap().unwrap().len(), 40);
    object.body.next().await.unwrap().unwrap_err();
}
