//! The admin port of a process, as its callers see it.

use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use crate::bed::{Forebay, PATIENCE, PAUSE};

/// What opens the port.
pub(crate) const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";

/// The admin port of a process, found in its log.
pub(crate) struct Port {
    pub(crate) client: Client,
    pub(crate) address: String,
}

impl Port {
    pub(crate) async fn of(forebay: &Forebay) -> Self {
        let line = forebay.logged("admin port open").await;
        // In either format of the log.
        let (_, port) = line.split_once("127.0.0.1:").expect("an address");
        let port = port.trim_end_matches(|char: char| !char.is_ascii_digit());
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self {
            client: Client::new(),
            address: format!("127.0.0.1:{port}"),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self
            .client
            .get(self.url(path))
            .send()
            .await
            .expect("an answer");
        (answer.status(), answer.text().await.expect("text"))
    }

    /// Waits until `/status.json` satisfies `wanted`.
    pub(crate) async fn status(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let seen = async {
            loop {
                let (_, body) = self.get("/status.json").await;
                match serde_json::from_str::<Value>(&body) {
                    Ok(status) if wanted(&status) => return status,
                    _ => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        timeout(PATIENCE, seen)
            .await
            .expect("the status comes to be")
    }
}
