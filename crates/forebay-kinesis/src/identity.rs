use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::config::{IdentityCache, SharedIdentityCache};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};

/// The credentials that the calls of a client are signed with.
///
/// The SDK fetches new ones before the old ones end by their own account. Those that AWS refuses earlier (a key was
/// rotated, a session revoked) it would keep; then they are fetched anew here, past the client's cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    fresh: Arc<Mutex<Option<Fresh>>>,
}

#[derive(Debug)]
struct Fresh {
    cache: SharedIdentityCache,
    since: Instant,
}

impl Identity {
    /// What to use instead of the client's own cache, once that was refused.
    pub(crate) fn cache(&self) -> Option<SharedIdentityCache> {
        self.lock().as_ref().map(|fresh| fresh.cache.clone())
    }

    /// Drops the cached credentials if a call failed because of them. Calls that fail together drop them once.
    pub(crate) fn watch<T>(&self, result: &Result<T, Error>) {
        if !matches!(result, Err(error) if error.kind() == ErrorKind::Credentials) {
            return;
        }
        let mut fresh = self.lock();
        if fresh
            .as_ref()
            .is_none_or(|fresh| fresh.since.elapsed() >= TOGETHER)
        {
            *fresh = Some(Fresh {
                cache: IdentityCache::lazy().build(),
                since: Instant::now(),
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fresh>> {
        // The value is replaced whole.
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const TOGETHER: Duration = Duration::from_secs(1);
