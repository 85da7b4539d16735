//! Ways to read a stream other than the service: without traces, or up to its end.

use serde_json::Value;

use crate::bed::{Bed, bytes_of, command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_prints_and_changes_nothing_and_tail_shows() {
    // It does not matter that this output could not be opened.
    let bed = Bed::new("[output.other]\nprotocol = \"tls\"\nca_file = \"/nowhere.pem\"\naddress = [\"127.0.0.1:9\"]\n").await;
    for number in 1..=5 {
        bed.aws.put(number).await;
    }
    bed.aws
        .kinesis()
        .put_record()
        .stream_name("flow")
        .partition_key("x")
        .data(aws_sdk_kinesis::primitives::Blob::new("no payload"))
        .send()
        .await
        .expect("the record is put");
    let dry = command(&bed.config, &["run", "--dry-run", "--until-caught-up"]).await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    let mut bytes: Vec<u64> = dry
        .out
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("GELF")["_bytes"]
                .as_u64()
                .expect("bytes")
        })
        .collect();
    bytes.sort_unstable();
    assert_eq!(
        bytes,
        [1, 2, 3, 4, 5],
        "each message once, though there are two outputs"
    );
    assert!(
        !bed.folder.path().join("dead.ndjson").exists(),
        "a dry run keeps no letters"
    );
    let actions = bed.aws.called();
    assert!(
        !actions.iter().any(|action| action.starts_with("dynamodb:")),
        "{actions:?}"
    );

    let tail = command(&bed.config, &["tail", "--since", "87600h", "-n", "3"]).await;
    assert_eq!(tail.code, Some(0), "{tail:?}");
    assert_eq!(tail.out.lines().count(), 3, "{tail:?}");
    assert!(
        tail.out
            .contains("eni-1 ACCEPT TCP 10.0.0.1:1000 -> 10.0.0.2:443"),
        "{tail:?}"
    );
    let end = command(
        &bed.config,
        &[
            "tail",
            "--since",
            "87600h",
            "--exit-at-end",
            "--raw",
            "--grep",
            "\"_bytes\":4",
        ],
    )
    .await;
    assert_eq!(end.out.lines().count(), 1, "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_caught_up_ends_by_itself_with_everything_settled() {
    let mut bed = Bed::new("").await;
    for number in 1..=20 {
        bed.aws.put(number).await;
    }
    let ended = command(&bed.config, &["run", "--until-caught-up"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        bytes_of(&mut bed.messages, 20).await,
        (1..=20).collect::<Vec<_>>()
    );
    for (owner, checkpoint) in bed.aws.leases().await {
        assert_eq!(owner, None);
        assert!(
            checkpoint.bytes().all(|byte| byte.is_ascii_digit()),
            "{checkpoint}"
        );
    }
}
