//! Several outputs of one process.

use serde_json::Value;

use crate::bed::{self, Aws, bytes_of, command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_goes_to_each_output_with_its_own_fields() {
    let aws = Aws::with_stream().await;
    let (first, mut first_messages) = bed::receiver().await;
    let (second, mut second_messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let more = format!(
        "[output.second]\naddress = [\"{second}\"]\nfields = {{ zone = \"b\" }}\n[output.test.fields]\nzone = \"a\"\n"
    );
    let config = bed::config(folder.path(), &aws, first, &more);
    for number in 1..=10 {
        aws.put(number).await;
    }
    let ended = command(&config, &["run", "--until-caught-up"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (messages, zone) in [(&mut first_messages, "a"), (&mut second_messages, "b")] {
        for _ in 0..10 {
            let arrived = messages.next().await.expect("a message");
            let message: Value = serde_json::from_slice(&arrived.json).expect("GELF");
            assert_eq!(message["_zone"], zone);
        }
    }
    for (_, checkpoint) in aws.leases().await {
        assert!(
            checkpoint.bytes().all(|byte| byte.is_ascii_digit()),
            "{checkpoint}"
        );
    }
    // An input that names its outputs feeds no other.
    aws.put(11).await;
    let ended = command(
        &config,
        &[
            "run",
            "--until-caught-up",
            "--set",
            "kinesis.flow.outputs=[\"second\"]",
        ],
    )
    .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(bytes_of(&mut second_messages, 1).await, [11]);
    let none =
        tokio::time::timeout(std::time::Duration::from_millis(200), first_messages.next()).await;
    assert!(none.is_err(), "the first output gets nothing");
}
