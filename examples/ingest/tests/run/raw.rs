//! Streams of records that are no CloudWatch payloads, and full messages.

use forebay_gelf::listener::Messages;
use serde_json::Value;

use crate::bed::{self, Aws, Ended, command};

/// The next message, of a run that has ended.
async fn next(messages: &mut Messages, ended: &Ended) -> Value {
    let arrived = tokio::time::timeout(bed::PATIENCE, messages.next()).await;
    let Ok(arrived) = arrived else {
        panic!("no message comes: {ended:?}");
    };
    let arrived = arrived.expect("the listener runs");
    serde_json::from_slice(&arrived.json).expect("GELF is JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_records_are_messages_of_their_own() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = bed::config(folder.path(), &aws, address, "");
    let run = [
        "run",
        "--until-caught-up",
        "--set",
        "kinesis.flow.decode=raw",
    ];
    let zipped = bed::gzip(b"never decompressed");
    // Six bytes each, once they are JSON.
    let long = [b"x", [1; 700_000].as_slice()].concat();
    for (data, text) in [
        (
            &b"{\"level\":\"info\"}"[..],
            "{\"level\":\"info\"}".to_owned(),
        ),
        (b"a\nb \xff", "a\nb \u{fffd}".to_owned()),
        (&zipped, String::from_utf8_lossy(&zipped).into_owned()),
        // Too long for one message: its beginning, and a letter.
        (&long, format!("x{}", "\u{1}".repeat(31_999))),
    ] {
        aws.put_record("flow", "1", data.to_vec()).await;
        // Blank: the receiver would drop it.
        aws.put_record("flow", "1", b" \n".to_vec()).await;
        let ended = command(&config, &run).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let message = next(&mut messages, &ended).await;
        assert_eq!(message["short_message"], text.as_str());
        assert_eq!(message["host"], "aws-raw-logs");
        assert_eq!(message["_aws_kinesis_stream"], "flow");
        assert!(message["_forebay_id"].is_string(), "{message}");
        // The embedded AWS began at this second.
        let time = message["timestamp"].as_f64().expect("a time");
        assert!((1_795_000_000.0..1_795_000_600.0).contains(&time), "{time}");
        assert_eq!(message.get("_aws_log_group"), None);
        assert_eq!(message.get("full_message"), None);
    }
    let letters = bed::letters(folder.path(), 1).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["length"], long.len());
    assert!(messages.try_next().is_none(), "blank records give nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_text_of_an_event_is_its_full_message_where_that_is_asked_for() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = bed::config(folder.path(), &aws, address, "");
    let line = bed::flow_line(7);
    for (decode, data, full) in [
        ("flowlog", bed::payload(&[&line]), line.as_str()),
        (
            "cloudwatch",
            bed::payload(&["a \"b\"\n\tc"]),
            "a \"b\"\n\tc",
        ),
        ("raw", b"a \"b\"".to_vec(), "a \"b\""),
    ] {
        aws.put_record("flow", "1", data).await;
        let decode = format!("kinesis.flow.decode={decode}");
        let run = [
            "run",
            "--until-caught-up",
            "--set",
            "kinesis.flow.store_full_message=true",
            "--set",
            &decode,
        ];
        let ended = command(&config, &run).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let message = next(&mut messages, &ended).await;
        assert_eq!(message["full_message"], full, "{message}");
    }
}
