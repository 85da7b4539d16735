//! The demo's pipeline with faults off and on.

use std::time::Duration;

use ingest::{
    demo::{Act, Options, Outcome, play},
    live_rows::LiveRows,
};
use serde_json::Value;

async fn run(faults: bool) -> Outcome {
    Box::pin(run_with(2, faults, Vec::new())).await
}

async fn run_with(seconds: u64, faults: bool, acts: Vec<Act>) -> Outcome {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options {
        feed: Duration::from_secs(seconds),
        faults,
        acts,
        rows: LiveRows::hidden(),
    };
    Box::pin(play(&options, folder.path(), |_, _| {}))
        .await
        .expect("the pipeline runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_once_and_unchanged() {
    let outcome = Box::pin(run(false)).await;
    assert!(outcome.is_clean(), "{outcome}");
    assert!(outcome.receipt.total().produced > 500, "{outcome}");
    assert_eq!(outcome.receipt.total().duplicated, 0, "{outcome}");
    assert_eq!(
        outcome.leases_advanced, 2,
        "both shards are checkpointed: {outcome}"
    );
    let first = outcome.first_message.expect("something arrived");
    assert!(
        first < Duration::from_secs(2),
        "the first message took {first:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_lose_nothing() {
    let outcome = Box::pin(run(true)).await;
    assert!(outcome.receipt.is_clean(), "{outcome}");
    assert_eq!(outcome.letters.len() as u64, outcome.broken, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_broken_input_is_one_dead_letter_with_its_reason() {
    let outcome = Box::pin(run(false)).await;
    let text = |letter: &Value, name: &str| letter[name].as_str().unwrap_or_default().to_owned();
    let mut classes: Vec<(String, String)> = outcome
        .letters
        .iter()
        .map(|letter| (text(letter, "class"), text(letter, "reason")))
        .collect();
    classes.sort();
    let classes: Vec<(&str, &str)> = classes
        .iter()
        .map(|(class, reason)| (class.as_str(), reason.as_str()))
        .collect();
    let expected = [
        ("flow-log", "13 columns"),
        ("object", "demo-trail"),
        ("payload", "damaged"),
        ("payload", "JSON"),
    ];
    assert_eq!(classes.len(), expected.len(), "{classes:?}");
    for ((class, reason), (expected_class, expected_reason)) in classes.iter().zip(expected) {
        assert_eq!(*class, expected_class, "{classes:?}");
        assert!(reason.contains(expected_reason), "{classes:?}");
    }
    for letter in &outcome.letters {
        assert!(!text(letter, "origin").is_empty(), "{letter}");
        assert!(!text(letter, "input").is_empty(), "{letter}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_act_is_got_over_without_a_loss() {
    let acts = vec![
        Act::BadRecords,
        Act::Reshard,
        Act::Throttle,
        Act::KillWorker,
    ];
    let outcome = Box::pin(run_with(5, false, acts)).await;
    assert!(outcome.is_clean(), "{outcome}");
    assert_eq!(outcome.broken, 14, "{outcome}");
    assert!(
        outcome.leases_advanced >= 3,
        "the children of the split shard are checkpointed: {outcome}"
    );
}
