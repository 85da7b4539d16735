//! Dead letters in a queue: sent, read back, deleted; in the file while the queue does not take them.

use forebay_localaws::{Fault, FaultRule, Service};
use serde_json::Value;

use crate::bed::{self, Aws, bytes_of, command};

const QUEUE: &str = "[dead_letter]\nqueue = \"letters\"\n";

/// A configuration whose letters go to the queue `letters`, which exists.
async fn scene(
    folder: &std::path::Path,
) -> (Aws, std::path::PathBuf, forebay_gelf::listener::Messages) {
    let aws = Aws::with_stream().await;
    let (address, messages) = bed::receiver().await;
    let sqs = aws_sdk_sqs::Client::new(&aws.sdk);
    let made = sqs.create_queue().queue_name("letters").send().await;
    made.expect("the queue is made");
    let config = bed::config(folder, &aws, address, "");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    std::fs::write(&config, text.replace("[dead_letter]\n", QUEUE)).expect("written");
    (aws, config, messages)
}

fn bodies(aws: &Aws) -> Vec<String> {
    let mut cloud = aws.cloud.lock().expect("the model");
    cloud.sqs().bodies("letters")
}

/// A run that reads flow logs in a format they do not have.
const BROKEN: [&str; 4] = [
    "run",
    "--until-caught-up",
    "--set",
    "kinesis.flow.flow_format=${srcaddr} ${dstaddr}",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_go_to_the_queue_and_come_back_when_their_cause_is_gone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (aws, config, mut messages) = scene(folder.path()).await;
    // More than one request can carry.
    let lines: Vec<String> = (1..=25).map(bed::flow_line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    aws.put_record("flow", "1", bed::payload(&lines)).await;
    let ended = command(&config, &BROKEN).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let letters = bodies(&aws);
    assert_eq!(letters.len(), 25);
    let letter: Value = serde_json::from_str(&letters[0]).expect("a letter is JSON");
    assert_eq!(
        (letter["class"].as_str(), letter["input"].as_str()),
        (Some("flow-log"), Some("flow"))
    );
    assert!(
        !folder.path().join("dead.ndjson").exists(),
        "the file is for what the queue does not take"
    );

    let replayed = command(&config, &["replay", "--queue"]).await;
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    assert_eq!(
        replayed.out,
        "25 messages sent and accepted, 0 refused, 0 inputs not readable\n"
    );
    assert_eq!(
        bytes_of(&mut messages, 25).await,
        (1..=25).collect::<Vec<_>>()
    );
    assert_eq!(bodies(&aws), [""; 0], "accepted letters are deleted");
    let granted = command(&config, &["iam", "--account", "123456789012"]).await;
    let called = aws.called();
    for action in called.iter().filter(|action| action.starts_with("sqs:")) {
        assert!(
            granted.out.contains(action.as_str()) || action == "sqs:CreateQueue",
            "{action} is called and not granted: {granted:?}"
        );
    }
    assert!(
        called.iter().any(|action| action == "sqs:SendMessage"),
        "{called:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_still_cannot_be_read_stays_in_the_queue() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (aws, config, mut messages) = scene(folder.path()).await;
    for number in 1..=2 {
        aws.put(number).await;
    }
    aws.put_record("flow", "1", b"no payload".to_vec()).await;
    let ended = command(&config, &BROKEN).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let printed = command(&config, &["replay", "--queue", "--dry-run"]).await;
    assert_eq!(printed.out.lines().count(), 2, "{printed:?}");
    assert_eq!(bodies(&aws).len(), 3, "a dry run deletes nothing");
    // Letters that were looked at are hidden for a while.
    reveal(&aws).await;
    let replayed = command(&config, &["replay", "--queue"]).await;
    assert_eq!(replayed.code, Some(3), "{replayed:?}");
    assert_eq!(bytes_of(&mut messages, 2).await, [1, 2]);
    let left = bodies(&aws);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].contains("\"class\":\"payload\""), "{left:?}");
}

/// Sends copies of all letters, in place of those that are hidden.
async fn reveal(aws: &Aws) {
    let hidden = bodies(aws);
    let sqs = aws_sdk_sqs::Client::new(&aws.sdk);
    let url = sqs.get_queue_url().queue_name("letters").send().await;
    let url = url.expect("the queue").queue_url.expect("its URL");
    sqs.purge_queue()
        .queue_url(&url)
        .send()
        .await
        .expect("purged");
    for body in hidden {
        let sent = sqs.send_message().queue_url(&url).message_body(body).send();
        sent.await.expect("sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_queue_does_not_take_is_in_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (aws, config, _messages) = scene(folder.path()).await;
    // Base64 makes it longer than any message of a queue.
    let long = "x".repeat(900 << 10);
    aws.put_record("flow", "1", bed::gzip(long.as_bytes()))
        .await;
    aws.put_record("flow", "1", bed::payload(&[&long, "short"]))
        .await;
    let ended = command(&config, &["run", "--until-caught-up"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let kept = bed::letters(folder.path(), 1).await;
    assert_eq!(kept.len(), 1, "only the long one");
    assert_eq!(bodies(&aws).len(), 2);

    // Denied, and then away: nothing is lost, and reading goes on.
    for fault in [Fault::AccessDenied, Fault::ServerError] {
        let rule = FaultRule::new(fault).service(Service::Sqs);
        aws.cloud.lock().expect("the model").faults().push(rule);
        let before = bed::letters(folder.path(), 1).await.len();
        aws.put_record("flow", "1", b"no payload".to_vec()).await;
        let ended = command(&config, &["run", "--until-caught-up"]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.err.contains("letters go to the file"), "{ended:?}");
        assert_eq!(
            bed::letters(folder.path(), before + 1).await.len(),
            before + 1
        );
        let checked = command(&config, &["check"]).await;
        assert!(checked.out.contains("dead_letter  FAIL"), "{checked:?}");
        aws.cloud.lock().expect("the model").faults().clear();
    }
    let checked = command(&config, &["check"]).await;
    assert!(
        checked.out.contains("queue letters takes letters"),
        "{checked:?}"
    );
}
