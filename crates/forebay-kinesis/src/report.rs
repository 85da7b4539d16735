use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::observer::Observer;

/// Where every failure goes: to the observer each time, to the log without flooding it.
pub(crate) struct Reporter {
    observer: Arc<dyn Observer>,
    logged: Mutex<HashMap<(ErrorKind, Option<Call>), Instant>>,
}

impl Reporter {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            observer,
            logged: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    pub(crate) fn error(&self, error: &Error) {
        self.observer.error(error);
        if error.kind() == ErrorKind::Throttled {
            self.observer.throttled(error.call());
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let last = logged.get(&(error.kind(), error.call()));
        if last.is_some_and(|last| now.duration_since(*last) < QUIET) {
            tracing::debug!(%error, "call failed again");
            return;
        }
        logged.insert((error.kind(), error.call()), now);
        drop(logged);
        let source = std::error::Error::source(error).map(ToString::to_string);
        match error.kind() {
            ErrorKind::Denied
            | ErrorKind::Position
            | ErrorKind::Gone
            | ErrorKind::Config
            | ErrorKind::Clock => {
                tracing::error!(%error, source, "an operator is needed");
            }
            ErrorKind::Expired | ErrorKind::Fenced => {
                tracing::debug!(%error, source, "call failed")
            }
            _ => tracing::warn!(%error, source, "call failed"),
        }
    }
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reporter")
    }
}

/// The same failure of the same call is written to the log once in this time.
const QUIET: Duration = Duration::from_secs(900);
