//! `forebay status`: asks the admin port of a running process.

use anyhow::Context;
use clap::Args;
use reqwest::{Client, StatusCode};

use super::say;
use crate::{exit::Exit, log_lines::escaped, rows::rows, stats::Snapshot};

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// The admin port, as `listen` of [admin] says.
    #[arg(
        long,
        env = "FOREBAY_ADMIN",
        default_value = "http://127.0.0.1:9090",
        value_name = "URL"
    )]
    url: String,
    /// Everything as JSON.
    #[arg(long)]
    json: bool,
    /// Only what is wrong: for health checks, which look at the exit code.
    #[arg(long)]
    ready: bool,
}

pub(super) async fn status(arguments: &StatusArguments) -> anyhow::Result<Exit> {
    // Another part of the process may have chosen the same provider first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::builder()
        .timeout(std::time::Duration::from_secs(5))
        .build()?;
    let url = format!("{}/status.json", arguments.url.trim_end_matches('/'));
    let answer = client.get(&url).send().await.with_context(|| {
        format!("{url} does not answer: is `[admin] listen` set, and the process running?")
    })?;
    let code = answer.status();
    let body = answer.bytes().await?;
    anyhow::ensure!(
        code == StatusCode::OK,
        "{url} answers {code}: {}",
        String::from_utf8_lossy(&body).trim()
    );
    let snapshot: Snapshot = serde_json::from_slice(&body)
        .with_context(|| format!("{url} is not the admin port of a forebay"))?;
    if arguments.json {
        say(String::from_utf8_lossy(&body))?;
    } else if arguments.ready {
        for reason in &snapshot.reasons {
            say(escaped(reason, false))?;
        }
    } else {
        for row in rows(&snapshot) {
            say(row)?;
        }
    }
    Ok(if snapshot.ready {
        Exit::Done
    } else {
        Exit::Failed
    })
}
