//! `forebay status`: asks the admin port of a running process.

use std::io::Write;

use anyhow::Context;
use reqwest::{Client, StatusCode};

use crate::{exit::Exit, rows::rows, stats::Snapshot};

/// What to ask for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The admin port, such as `http://127.0.0.1:9090`.
    pub url: String,
    /// Print `/status.json` as it is.
    pub json: bool,
    /// Print nothing but what is wrong; for health checks.
    pub ready: bool,
}

impl Options {
    /// Everything about the process behind `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            json: false,
            ready: false,
        }
    }
}

/// Prints the state of a running process. [`Exit::Failed`] if it is not ready.
///
/// # Errors
///
/// Nobody answers, or what answers is no forebay.
pub async fn status(options: &Options, out: &mut impl Write) -> anyhow::Result<Exit> {
    // Another part of the process may have chosen the same provider first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::builder()
        .timeout(std::time::Duration::from_secs(5))
        .build()?;
    let url = format!("{}/status.json", options.url.trim_end_matches('/'));
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
    if options.json {
        out.write_all(&body)?;
        writeln!(out)?;
    } else if options.ready {
        for reason in &snapshot.reasons {
            writeln!(out, "{reason}")?;
        }
    } else {
        for row in rows(&snapshot) {
            writeln!(out, "{row}")?;
        }
    }
    Ok(if snapshot.ready {
        Exit::Done
    } else {
        Exit::Failed
    })
}
