//! Exit codes: scripts and systemd go by them.

use std::path::Path;

use forebay_localaws::Service;

use crate::bed::{Bed, Forebay, bytes_of, command};

#[tokio::test]
async fn each_exit_code_means_what_the_page_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("forebay.toml");
    std::fs::write(
        &config,
        "[kinesis.a]\nstream = \"a\"\n[output.b]\naddress = [\"127.0.0.1:1\"]\n",
    )
    .expect("written");
    let missing = Path::new("/none/forebay.toml");
    for (config, words, code) in [
        (config.as_path(), &["check", "--offline"][..], 0),
        (config.as_path(), &["config", "show"], 0),
        (
            config.as_path(),
            &[
                "iam",
                "--account",
                "123456789012",
                "--set",
                "aws.default.region=eu-west-1",
            ],
            0,
        ),
        (config.as_path(), &["nonsense"], 2),
        (config.as_path(), &["run", "--novel"], 2),
        (
            config.as_path(),
            &["check", "--offline", "--set", "output.b.ca_file=/none"],
            3,
        ),
        (config.as_path(), &["replay", "/none/letters.ndjson"], 74),
        (
            config.as_path(),
            &["check", "--set", "kinesis.a.straem=x"],
            78,
        ),
        (missing, &["run"], 78),
    ] {
        let ended = command(config, words).await;
        assert_eq!(ended.code, Some(code), "{words:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_is_77() {
    let bed = Bed::new("").await;
    for operation in ["DescribeTable", "Scan"] {
        bed.aws.deny(Service::DynamoDb, operation);
    }
    for words in [&["run"][..], &["leases", "ls"]] {
        let ended = command(&bed.config, words).await;
        assert_eq!(ended.code, Some(77), "{words:?}: {ended:?}");
        assert!(ended.err.contains("dynamodb:Scan"), "{ended:?}");
    }
}

/// A receiver beside the one that takes everything, where nobody listens.
const NOBODY: &str = "[output.nobody]\naddress = [\"127.0.0.1:9\"]\n";

/// Both ends are no loss: the next process reads the record once more.
async fn read_again_by_the_next(mut bed: Bed) {
    let words = [
        "run",
        "--until-caught-up",
        "--set",
        "kinesis.flow.outputs=[\"test\"]",
    ];
    let next = command(&bed.config, &words).await;
    assert_eq!(next.code, Some(0), "{next:?}");
    assert_eq!(bytes_of(&mut bed.messages, 1).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_with_something_unsettled_is_75() {
    let mut bed = Bed::new(&format!("{NOBODY}[service]\nshutdown_grace = \"1s\"\n")).await;
    bed.aws.put(1).await;
    let running = Forebay::start(&bed.config);
    assert_eq!(bytes_of(&mut bed.messages, 1).await, [1]);
    let (code, log) = running.terminate().await;
    assert_eq!(code, Some(75), "{log}");
    assert!(
        log.contains("stopped") && log.contains("unsettled=1"),
        "{log}"
    );
    read_again_by_the_next(bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_is_130_at_once() {
    for [first, second] in [["-TERM", "-INT"], ["-INT", "-INT"]] {
        let mut bed = Bed::new(&format!(
            "{NOBODY}[kinesis.flow.lease]\nfailover = \"3s\"\n"
        ))
        .await;
        bed.aws.put(1).await;
        let mut running = Forebay::start(&bed.config);
        assert_eq!(bytes_of(&mut bed.messages, 1).await, [1]);
        running.signal(first);
        running.logged("draining").await;
        running.signal(second);
        // Long before the 25 s that draining may take.
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), running.ended());
        let ended = ended.await.expect("at once");
        assert_eq!(ended.code(), Some(130), "{}", running.log());
        running.logged("stopped at once").await;
        read_again_by_the_next(bed).await;
    }
}
