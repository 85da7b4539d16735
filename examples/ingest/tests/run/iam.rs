//! `forebay iam`: the policy is what the process needs, no more and no less.

use serde_json::Value;

use crate::bed::{Bed, Forebay, bytes_of, command};

/// What a run calls is what `forebay iam` grants: nothing more is needed, and what is required is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_grants_what_a_run_calls() {
    let mut bed = Bed::new("[entities]\nenabled = true\n").await;
    let setup = bed.aws.called();
    assert_eq!(setup, ["kinesis:CreateStream"]);
    bed.aws.put(1).await;
    let running = Forebay::start(&bed.config);
    bytes_of(&mut bed.messages, 1).await;
    running.terminate().await;
    let ended = command(&bed.config, &["iam", "--account", "123456789012"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let policy: Value = serde_json::from_str(&ended.out).expect("a policy");
    let granted: Vec<&str> = policy["Statement"]
        .as_array()
        .expect("statements")
        .iter()
        .flat_map(|statement| statement["Action"].as_array().expect("actions"))
        .filter_map(Value::as_str)
        .collect();
    let called = bed.aws.called();
    for action in called
        .iter()
        .filter(|action| !["kinesis:CreateStream", "kinesis:PutRecord"].contains(&action.as_str()))
    {
        assert!(
            granted.contains(&action.as_str()),
            "{action} is called and not granted: {granted:?}"
        );
    }
    for action in [
        "kinesis:ListShards",
        "kinesis:GetRecords",
        "dynamodb:Scan",
        "dynamodb:UpdateItem",
        "dynamodb:PutItem",
        "ec2:DescribeNetworkInterfaces",
    ] {
        assert!(
            called.iter().any(|called| called == action),
            "{action} is required and never called: {called:?}"
        );
    }
    let strict = command(
        &bed.config,
        &["iam", "--account", "123456789012", "--strict"],
    )
    .await;
    assert!(
        !strict.out.contains("dynamodb:DeleteItem")
            && strict.err.contains("left out: dynamodb:DeleteItem"),
        "{strict:?}"
    );
    let setup = command(&bed.config, &["iam", "--setup"]).await;
    assert!(
        setup.out.contains("--stream-name flow ")
            && setup.out.contains(":123456789012:stream/flow"),
        "the account comes from STS: {setup:?}"
    );
}
