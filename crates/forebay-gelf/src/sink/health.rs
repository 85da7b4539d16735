//! State of a transport, for readiness checks.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::sink::acceptance::Report;

/// What a sink is doing.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// The driver does not run yet, or is making its first connection.
    Starting,
    /// Data can flow.
    Ready,
    /// The receiver cannot be reached or does not take data; attempts go on.
    Down {
        /// The last failure, without secrets.
        reason: Box<str>,
    },
    /// The receiver refuses this sender (credentials, path, certificate). Attempts go on slowly; a person must act.
    Misconfigured {
        /// What the receiver said and what to check.
        reason: Box<str>,
    },
    /// The sink has ended.
    Closed,
}

/// State of a sink at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Health {
    /// What it is doing.
    pub state: State,
    /// For how long the state has been this one.
    pub since: Duration,
    /// Bytes sent or waiting and not accepted yet.
    pub in_flight: usize,
    /// For how long nothing was accepted although something is in flight; zero when nothing is.
    pub stalled: Duration,
    /// TLS certificates are not verified, by order of the settings.
    pub unverified: bool,
}

/// Written by the driver, read by the handles.
#[derive(Debug)]
pub(crate) struct Status {
    inner: watch::Sender<Inner>,
    unverified: bool,
}

#[derive(Clone, Debug)]
struct Inner {
    state: State,
    since: Instant,
    /// When something was last accepted, or first waited after nothing was in flight.
    progress: Instant,
    report: Report,
}

impl Status {
    pub(crate) fn new(unverified: bool) -> Self {
        let now = Instant::now();
        Self {
            inner: watch::Sender::new(Inner {
                state: State::Starting,
                since: now,
                progress: now,
                report: Report::default(),
            }),
            unverified,
        }
    }

    pub(crate) fn set(&self, state: State) {
        self.inner.send_if_modified(|inner| {
            // The reason may change while the state stays: `since` counts the state.
            let same = std::mem::discriminant(&inner.state) == std::mem::discriminant(&state);
            if inner.state == state || inner.state == State::Closed {
                return false;
            }
            inner.state = state;
            if !same {
                inner.since = Instant::now();
            }
            true
        });
    }

    /// Notes that something was settled, or that the window was empty until now.
    pub(crate) fn progress(&self, accepted: u64, refused: u64) {
        self.inner.send_if_modified(|inner| {
            inner.progress = Instant::now();
            inner.report.accepted += accepted;
            inner.report.refused += refused;
            false
        });
    }

    pub(crate) fn close(&self, unsettled: u64) -> Report {
        self.inner.send_modify(|inner| {
            if inner.state != State::Closed {
                inner.state = State::Closed;
                inner.since = Instant::now();
                inner.report.unsettled = unsettled;
            }
        });
        self.inner.borrow().report
    }

    pub(crate) async fn closed(&self) -> Report {
        let mut watcher = self.inner.subscribe();
        match watcher.wait_for(|inner| inner.state == State::Closed).await {
            Ok(inner) => inner.report,
            Err(_) => self.inner.borrow().report,
        }
    }

    pub(crate) async fn changed(&self, seen: &Health) {
        let mut watcher = self.inner.subscribe();
        // The sender lives in `self`: the wait cannot fail.
        drop(watcher.wait_for(|inner| inner.state != seen.state).await);
    }

    pub(crate) fn health(&self, in_flight: usize) -> Health {
        let inner = self.inner.borrow();
        Health {
            state: inner.state.clone(),
            since: inner.since.elapsed(),
            in_flight,
            stalled: if in_flight == 0 {
                Duration::ZERO
            } else {
                inner.progress.elapsed()
            },
            unverified: self.unverified,
        }
    }
}
