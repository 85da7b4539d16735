//! `forebay replay`: what could not be read, once it can.

use crate::bed::{Bed, bytes_of, command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_replayed_when_their_cause_is_gone() {
    let mut bed = Bed::new("").await;
    for number in 1..=3 {
        bed.aws.put(number).await;
    }
    // The wrong format: every line is a dead letter.
    let ended = command(
        &bed.config,
        &[
            "run",
            "--until-caught-up",
            "--set",
            "kinesis.flow.flow_format=${srcaddr} ${dstaddr}",
        ],
    )
    .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let letters = bed.folder.path().join("dead.ndjson");
    let letters = letters.to_str().expect("text");
    assert_eq!(
        std::fs::read_to_string(letters)
            .expect("letters")
            .lines()
            .count(),
        3
    );

    let printed = command(&bed.config, &["replay", letters, "--dry-run"]).await;
    assert_eq!(printed.out.lines().count(), 3, "{printed:?}");
    let replayed = command(
        &bed.config,
        &["replay", letters, "--to", "test", "--rate", "100"],
    )
    .await;
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    assert_eq!(
        replayed.out,
        "3 messages sent and accepted, 0 refused, 0 inputs not readable\n"
    );
    assert_eq!(bytes_of(&mut bed.messages, 3).await, [1, 2, 3]);

    // A torn last line of a crash is told, and the others are sent all the same.
    let mut text = std::fs::read_to_string(letters).expect("letters");
    text.truncate(text.len() - 20);
    std::fs::write(letters, text).expect("written");
    let torn = command(&bed.config, &["replay", letters]).await;
    assert_eq!(torn.code, Some(3), "{torn:?}");
    assert!(
        torn.err.contains("dead.ndjson:3: no dead letter")
            && torn.out.starts_with("2 messages sent"),
        "{torn:?}"
    );
    let nowhere = command(&bed.config, &["replay", letters, "--to", "none"]).await;
    assert!(
        nowhere.err.contains("there is no [output.none]"),
        "{nowhere:?}"
    );
}
