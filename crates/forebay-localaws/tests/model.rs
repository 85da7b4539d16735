//! The pure model, without any front.

use forebay_localaws::{
    Cloud, Fault, FaultRule, Number, Outcome, Reply, Request, Service, Settings,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_795_564_800_000;

fn cloud() -> Cloud {
    Cloud::new(Settings::instant(), 1)
}

fn kinesis(cloud: &mut Cloud, operation: &str, input: Value, now: u64) -> Result<Value, String> {
    let answer = cloud.kinesis().call(operation, &input, now);
    answer
        .expect("a known operation")
        .map_err(|error| error.code().to_owned())
}

fn dynamodb(cloud: &mut Cloud, operation: &str, input: Value) -> Result<Value, String> {
    let answer = cloud.dynamodb().call(operation, &input, NOW);
    answer
        .expect("a known operation")
        .map_err(|error| error.code().to_owned())
}

fn iterator(cloud: &mut Cloud, kind: &str, now: u64) -> String {
    let input =
        json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": kind});
    let answer = kinesis(cloud, "GetShardIterator", input, now).expect("an iterator");
    answer["ShardIterator"].as_str().expect("text").to_owned()
}

fn request(scope: &str, target: &str, body: &Value) -> Request {
    Request {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: vec![
            (
                "authorization".to_owned(),
                format!(
                    "AWS4-HMAC-SHA256 Credential=WORKER1/20261125/us-east-1/{scope}/aws4_request, SignedHeaders=host"
                ),
            ),
            ("x-amz-target".to_owned(), target.to_owned()),
        ],
        body: body.to_string().into(),
        ..Request::default()
    }
}

#[test]
fn two_shards_meet_in_the_middle_of_the_hash_range() {
    let mut cloud = cloud();
    cloud.kinesis().create_stream("s", 2, NOW).unwrap();
    let shards = cloud.kinesis().shards("s", NOW).unwrap();
    assert_eq!(shards[0].range, (0, (1 << 127) - 1));
    assert_eq!(shards[1].range, (1 << 127, u128::MAX));
}

#[test]
fn an_answer_of_ten_mebibytes_blocks_the_shard_for_five_seconds() {
    let mut cloud = cloud();
    cloud.kinesis().create_stream("s", 1, NOW).unwrap();
    for second in 0..12 {
        let data = vec![0u8; (1 << 20) - 1];
        cloud
            .kinesis()
            .put_record("s", "k", data, NOW + second * 1000)
            .unwrap();
    }
    let then = NOW + 20_000;
    let iterator = iterator(&mut cloud, "TRIM_HORIZON", then);
    let read = kinesis(
        &mut cloud,
        "GetRecords",
        json!({"ShardIterator": iterator}),
        then,
    )
    .unwrap();
    assert_eq!(read["Records"].as_array().map(Vec::len), Some(10));
    assert_eq!(read["MillisBehindLatest"], 11_000);
    let next = json!({"ShardIterator": read["NextShardIterator"]});
    let early = kinesis(&mut cloud, "GetRecords", next.clone(), then + 4_900);
    assert_eq!(
        early,
        Err("ProvisionedThroughputExceededException".to_owned())
    );
    let later = kinesis(&mut cloud, "GetRecords", next, then + 5_001).unwrap();
    assert_eq!(later["Records"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_shard_takes_one_mebibyte_a_second_and_put_records_fails_in_part() {
    let mut cloud = cloud();
    cloud.kinesis().create_stream("s", 1, NOW).unwrap();
    let half = "A".repeat(600_000 / 3 * 4);
    let entry = json!({"PartitionKey": "k", "Data": half});
    let input = json!({"StreamName": "s", "Records": [entry, entry]});
    let answer = kinesis(&mut cloud, "PutRecords", input.clone(), NOW).unwrap();
    assert_eq!(answer["FailedRecordCount"], 1);
    assert_eq!(
        answer["Records"][1]["ErrorCode"],
        "ProvisionedThroughputExceededException"
    );
    let next_second = kinesis(&mut cloud, "PutRecords", input, NOW + 1000).unwrap();
    assert_eq!(next_second["FailedRecordCount"], 1);
}

#[test]
fn a_page_token_expires_and_comes_alone() {
    let mut cloud = cloud();
    cloud.kinesis().create_stream("s", 3, NOW).unwrap();
    let page = kinesis(
        &mut cloud,
        "ListShards",
        json!({"StreamName": "s", "MaxResults": 1}),
        NOW,
    )
    .unwrap();
    let token = page["NextToken"].clone();
    let both = json!({"StreamName": "s", "NextToken": token});
    assert_eq!(
        kinesis(&mut cloud, "ListShards", both, NOW),
        Err("InvalidArgumentException".to_owned())
    );
    let late = kinesis(
        &mut cloud,
        "ListShards",
        json!({"NextToken": token}),
        NOW + 300_001,
    );
    assert_eq!(late, Err("ExpiredNextTokenException".to_owned()));
    let rest = kinesis(&mut cloud, "ListShards", json!({"NextToken": token}), NOW).unwrap();
    assert_eq!(rest["Shards"].as_array().map(Vec::len), Some(2));
}

#[test]
fn same_seed_and_calls_give_the_same_bytes() {
    let run = || -> Vec<Reply> {
        let mut cloud = cloud();
        cloud
            .faults()
            .push(FaultRule::new(Fault::Throttle).per_million(500_000));
        cloud.sqs().create_queue("q", Default::default(), NOW);
        let url = cloud.sqs().url("q");
        (0..50)
            .map(|step| {
                let (target, body) = match step % 2 {
                    0 => (
                        "AmazonSQS.SendMessage",
                        json!({"QueueUrl": url, "MessageBody": "x"}),
                    ),
                    _ => ("AmazonSQS.ReceiveMessage", json!({"QueueUrl": url})),
                };
                cloud.call(&request("sqs", target, &body), NOW + step)
            })
            .collect()
    };
    let first = run();
    assert_eq!(first, run());
    assert!(
        first.iter().any(|reply| reply.status == 403)
            && first.iter().any(|reply| reply.status == 200)
    );
}

#[test]
fn a_fault_hits_only_the_call_it_is_aimed_at() {
    let mut cloud = cloud();
    cloud.faults().push(
        FaultRule::new(Fault::AccessDenied)
            .service(Service::Kinesis)
            .operation("DescribeStreamSummary")
            .resource("s")
            .caller("WORKER1")
            .skip(1)
            .times(1),
    );
    for name in ["s", "t"] {
        cloud.kinesis().create_stream(name, 1, NOW).unwrap();
    }
    let mut ask = |name: &str| {
        let body = json!({"StreamName": name});
        cloud
            .call(
                &request("kinesis", "Kinesis_20131202.DescribeStreamSummary", &body),
                NOW,
            )
            .status
    };
    assert_eq!(
        [ask("t"), ask("s"), ask("t"), ask("s"), ask("s")],
        [200, 200, 200, 400, 200]
    );
    let refused = cloud
        .calls()
        .iter()
        .filter(|call| call.outcome == Outcome::Refused("AccessDeniedException".to_owned()));
    assert_eq!(refused.count(), 1);
}

#[test]
fn a_request_without_a_scope_is_answered_501() {
    let mut cloud = cloud();
    assert_eq!(cloud.call(&Request::default(), NOW).status, 501);
}

proptest! {
    #[test]
    fn any_change_of_the_shard_count_keeps_the_range_covered(counts in proptest::collection::vec(1u32..40, 1..6)) {
        let mut cloud = cloud();
        cloud.kinesis().create_stream("s", 4, NOW).unwrap();
        for count in counts {
            // Out of the allowed factor of two is refused; the range must hold all the same.
            let _ = cloud.kinesis().update_shard_count("s", count, NOW);
            let mut open: Vec<(u128, u128)> = cloud.kinesis().shards("s", NOW).unwrap().into_iter()
                .filter(|shard| shard.closed.is_none()).map(|shard| shard.range).collect();
            open.sort_unstable();
            prop_assert_eq!(open[0].0, 0);
            prop_assert_eq!(open[open.len() - 1].1, u128::MAX);
            prop_assert!(open.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
        }
    }

    #[test]
    fn sums_of_numbers_are_those_of_integers(a in any::<i64>(), b in any::<i64>()) {
        let number = |value: i128| value.to_string().parse::<Number>().unwrap();
        let sum = number(i128::from(a)).plus(number(i128::from(b))).unwrap();
        prop_assert_eq!(sum.to_string(), (i128::from(a) + i128::from(b)).to_string());
        prop_assert_eq!(number(i128::from(a)).cmp(&number(i128::from(b))), a.cmp(&b));
    }

    #[test]
    fn no_expression_can_panic(text in "[a-c#:()<>=,.\\[\\]0-9 +-]{0,40}|(NOT |\\(|SET a=){0,300}", number in "[0-9eE+.-]{0,14}") {
        let mut cloud = cloud();
        cloud.dynamodb().create_table(&forebay_localaws::TableDescription {
            name: "table".to_owned(), partition_key: "k".to_owned(),
        }, NOW).unwrap();
        let input = json!({
            "TableName": "table", "Key": {"k": {"S": "x"}}, "UpdateExpression": text, "ConditionExpression": text,
            "ExpressionAttributeValues": {":a": {"N": number}},
        });
        let _ = dynamodb(&mut cloud, "UpdateItem", input);
        let scan = json!({"TableName": "table", "FilterExpression": text, "ProjectionExpression": text});
        let _ = dynamodb(&mut cloud, "Scan", scan);
    }

    #[test]
    fn no_request_can_panic(
        scope in "kinesis|dynamodb|sqs|s3|ec2|elasticloadbalancing|monitoring|sts",
        target in "([a-zA-Z]{0,6}\\.)?(GetRecords|ListShards|Scan|ReceiveMessage|PutMetricData)?",
        path in "/[a-z%0-9/]{0,20}",
        query in "[a-zA-Z0-9=&%.-]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut request = request(&scope, &target, &Value::Null);
        request.body = body.into();
        request.path = path;
        request.query = query;
        let mut cloud = cloud();
        for method in ["GET", "PUT", "POST", "DELETE"] {
            request.method = method.to_owned();
            let reply = cloud.call(&request, NOW);
            prop_assert!((200..600).contains(&reply.status));
        }
    }
}
