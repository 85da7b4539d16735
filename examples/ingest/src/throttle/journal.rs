//! What a Graylog node says about itself: its journal with a token, its load-balancer status without.

use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;

use super::{Gate, Reason};
use crate::config::Throttle;

/// Asks the node for ever and closes or opens the gate by its answers.
///
/// A node that does not answer leaves the gate as it is for [`PATIENCE`] and then opens it: whether messages are taken
/// is for the output to say.
///
/// # Errors
///
/// The settings cannot work; the future itself does not fail.
pub(crate) fn poll(
    settings: &Throttle,
    gate: Gate,
) -> anyhow::Result<Option<impl Future<Output = ()> + Send + 'static>> {
    let Some(api) = &settings.graylog_api else {
        return Ok(None);
    };
    let node = Node::new(api, settings)?;
    let rules = Rules::new(settings);
    let interval = settings.poll;
    Ok(Some(async move {
        let mut before = None;
        let mut silent = 0_u32;
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let throttled = match node.ask().await {
                Ok(Answer::Journal(journal)) => {
                    gate.journal(journal.uncommitted_journal_entries, journal.fill());
                    let verdict = rules.judge(&journal, before);
                    before = Some(journal.uncommitted_journal_entries);
                    verdict.map(|why| (Reason::Journal, why))
                }
                Ok(Answer::Balancer(takes)) => {
                    (!takes).then(|| (Reason::LoadBalancer, THROTTLED.to_owned()))
                }
                Err(error) => {
                    if silent == 0 {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "the Graylog node does not tell its load"
                        );
                    }
                    silent = silent.saturating_add(1);
                    if interval * silent >= PATIENCE {
                        gate.open();
                    }
                    continue;
                }
            };
            silent = 0;
            match throttled {
                Some((reason, detail)) => gate.close(reason, detail),
                None => gate.open(),
            }
        }
    }))
}

/// Asks the node once: what it says, and why it would hold reading back. None if no node is asked.
///
/// # Errors
///
/// The settings cannot work, the node does not answer, or the token has no right.
pub(crate) async fn ask(settings: &Throttle) -> anyhow::Result<Option<(String, Option<String>)>> {
    let Some(api) = &settings.graylog_api else {
        return Ok(None);
    };
    let node = Node::new(api, settings)?;
    Ok(Some(match node.ask().await? {
        Answer::Journal(journal) => {
            let fill = journal.fill().unwrap_or_default() * 100.0;
            let entries = journal.uncommitted_journal_entries;
            (
                format!(
                    "{}: journal {fill:.1} % full, {entries} unread entries",
                    node.url
                ),
                Rules::new(settings).judge(&journal, None),
            )
        }
        Answer::Balancer(takes) => (
            format!(
                "{} answers; without `token` the journal is not asked",
                node.url
            ),
            (!takes).then(|| THROTTLED.to_owned()),
        ),
    }))
}

struct Node {
    client: Client,
    url: Url,
    token: Option<String>,
}

enum Answer {
    Journal(Journal),
    /// Whether load balancers may send to the node.
    Balancer(bool),
}

impl Node {
    fn new(api: &str, settings: &Throttle) -> anyhow::Result<Self> {
        let mut url = Url::parse(&format!("{}/", api.trim_end_matches('/')))
            .context("`graylog_api` of [throttle]")?;
        // Another part of the process may have chosen the same provider first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &settings.ca_file {
            let pem = std::fs::read(path)
                .with_context(|| format!("`ca_file` {} of [throttle]", path.display()))?;
            client = client.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?);
        }
        let token = settings
            .token
            .as_ref()
            .map(|token| token.read())
            .transpose();
        let token = token.context("`token` of [throttle]")?;
        let path = if token.is_some() {
            "system/journal"
        } else {
            "system/lbstatus"
        };
        url = url.join(path).context("`graylog_api` of [throttle]")?;
        Ok(Self {
            client: client.build()?,
            url,
            token,
        })
    }

    async fn ask(&self) -> anyhow::Result<Answer> {
        let mut request = self.client.get(self.url.clone());
        if let Some(token) = &self.token {
            // Graylog takes an access token as the user, with the word `token` as password.
            request = request
                .basic_auth(token, Some("token"))
                .header("Accept", "application/json");
        }
        let mut response = request.send().await?;
        let status = response.status();
        if self.token.is_none() {
            return match status {
                StatusCode::OK => Ok(Answer::Balancer(true)),
                StatusCode::TOO_MANY_REQUESTS => Ok(Answer::Balancer(false)),
                status => anyhow::bail!("{} answers {status}", self.url),
            };
        }
        anyhow::ensure!(
            status == StatusCode::OK,
            "{} answers {status}{}",
            self.url,
            if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
                ": `token` of [throttle] must belong to a user who may read the journal (permission journal:read)"
            } else {
                ""
            }
        );
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            anyhow::ensure!(
                body.len() + piece.len() <= BODY_BYTES,
                "{} answers too much",
                self.url
            );
            body.extend_from_slice(&piece);
        }
        let journal = serde_json::from_slice(&body);
        Ok(Answer::Journal(
            journal.with_context(|| format!("answer of {}", self.url))?,
        ))
    }
}

/// The node's journal (Graylog REST API, `JournalSummaryResponse`).
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Journal {
    enabled: bool,
    append_events_per_second: u64,
    read_events_per_second: u64,
    uncommitted_journal_entries: u64,
    journal_size: u64,
    journal_size_limit: u64,
}

impl Journal {
    fn fill(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        let fill = self.journal_size as f64 / self.journal_size_limit as f64;
        fill.is_finite().then_some(fill)
    }
}

/// The server's own rules for inputs that allow throttling, as far as its API shows what they look at.
#[derive(Clone, Copy, Debug)]
struct Rules {
    max_entries: u64,
    max_growth: u64,
    max_fill: f64,
}

impl Rules {
    fn new(settings: &Throttle) -> Self {
        Self {
            max_entries: settings.max_entries,
            max_growth: settings.max_growth,
            max_fill: settings.max_fill,
        }
    }

    fn judge(&self, journal: &Journal, before: Option<u64>) -> Option<String> {
        let entries = journal.uncommitted_journal_entries;
        if !journal.enabled || entries == 0 {
            return None;
        }
        if entries > self.max_entries {
            return Some(format!(
                "the node's journal has {entries} unread entries, more than {}",
                self.max_entries
            ));
        }
        let grown = entries.saturating_sub(before.unwrap_or(entries));
        if grown > self.max_growth {
            return Some(format!(
                "the node's journal grew by {grown} entries at once, more than {}",
                self.max_growth
            ));
        }
        let (appended, read) = (
            journal.append_events_per_second,
            journal.read_events_per_second,
        );
        if appended == 0 && read == 0 {
            return None;
        }
        if let Some(fill) = journal.fill().filter(|&fill| fill > self.max_fill) {
            return Some(format!("the node's journal is {:.0} % full", fill * 100.0));
        }
        (read < appended / 2).then(|| {
            format!("the node reads {read} and appends {appended} journal entries per second")
        })
    }
}

const THROTTLED: &str = "the node's load-balancer status is THROTTLED";

const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a silent node keeps the gate as it was.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest answer that is read.
const BODY_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(journal: Journal, before: Option<u64>, expected: Option<&str>) {
        let rules = Rules {
            max_entries: 100_000,
            max_growth: 20_000,
            max_fill: 0.9,
        };
        let verdict = rules.judge(&journal, before);
        match expected {
            None => assert_eq!(verdict, None, "{journal:?}"),
            Some(word) => {
                let verdict = verdict.unwrap_or_default();
                assert!(verdict.contains(word), "{journal:?}: {verdict}");
            }
        }
    }

    #[test]
    fn the_servers_rules_in_their_order() {
        let calm = Journal {
            enabled: true,
            append_events_per_second: 10,
            read_events_per_second: 10,
            uncommitted_journal_entries: 5,
            journal_size: 10,
            journal_size_limit: 100,
        };
        let with = |entries| Journal {
            uncommitted_journal_entries: entries,
            ..calm
        };
        check(calm, None, None);
        check(
            Journal {
                journal_size: 99,
                ..with(0)
            },
            None,
            None,
        );
        check(with(100_001), None, Some("unread entries"));
        check(with(100_000), Some(100_000), None);
        check(with(30_000), Some(9_000), Some("grew by 21000"));
        check(with(30_000), None, None);
        let standing = Journal {
            append_events_per_second: 0,
            read_events_per_second: 0,
            ..calm
        };
        check(
            Journal {
                journal_size: 95,
                ..standing
            },
            None,
            None,
        );
        check(
            Journal {
                journal_size: 95,
                ..calm
            },
            None,
            Some("95 % full"),
        );
        check(
            Journal {
                read_events_per_second: 4,
                ..calm
            },
            None,
            Some("reads 4"),
        );
        check(
            Journal {
                read_events_per_second: 5,
                ..calm
            },
            None,
            None,
        );
        check(
            Journal {
                enabled: false,
                ..with(100_001)
            },
            None,
            None,
        );
    }
}
