//! `forebay run` as a process: a configuration file, an AWS endpoint, a GELF receiver, signals, the admin port.

mod admin;
mod bad_input;
mod bad_notices;
mod bed;
mod check;
mod documents;
mod entities;
mod exit;
mod iam;
mod leases;
mod letters;
mod manual;
mod migrate;
mod operate;
mod outage;
mod outputs;
mod port;
mod raw;
mod reading;
mod receivers;
mod replay;
mod security;
mod terminal;
mod tls;

use std::process::Command;

use bed::{Aws, Forebay, bytes_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_reads_delivers_stops_cleanly_and_goes_on_where_it_stopped() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = bed::config(folder.path(), &aws, address, "");
    for number in 1..=20 {
        aws.put(number).await;
    }
    let first = Forebay::start(&config);
    assert_eq!(
        bytes_of(&mut messages, 20).await,
        (1..=20).collect::<Vec<_>>()
    );
    let (code, log) = first.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    for (owner, checkpoint) in aws.leases().await {
        assert_eq!(owner, None, "leases are released: {log}");
        assert!(
            checkpoint.bytes().all(|byte| byte.is_ascii_digit()),
            "checkpoint {checkpoint}: {log}"
        );
    }

    aws.put(21).await;
    let second = Forebay::start(&config);
    assert_eq!(
        bytes_of(&mut messages, 1).await,
        [21],
        "a restart after a clean stop repeats nothing"
    );
    let (code, log) = second.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(
        !log.contains("canary-7f3a91"),
        "no secret in the log: {log}"
    );
}

#[test]
fn a_broken_configuration_is_told_with_its_exit_code() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("forebay.toml");
    std::fs::write(&config, "[kinesis.flow]\nstraem = \"x\"\n")
        .expect("the configuration is written");
    let output = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["run", "--config"])
        .arg(&config)
        .output();
    let output = output.expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(
        told.contains("forebay.toml:2:1") && told.contains("`straem`"),
        "{told}"
    );
}
