//! Repeated failures are told once and then counted.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Which failures were told already.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    told: Mutex<HashMap<u64, (Instant, u64)>>,
}

impl Repeats {
    /// `Some` if `text` is to be told now; in it the number of repeats that were held back, if there were any.
    pub(crate) fn tell(&self, text: &str) -> Option<Option<u64>> {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let mut key = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= REMEMBERED && !told.contains_key(&key) {
            told.retain(|_, (at, _)| now - *at < WINDOW);
            if told.len() >= REMEMBERED {
                key = OTHERS;
            }
        }
        if let Some((at, count)) = told.get_mut(&key)
            && now - *at < WINDOW
        {
            *count += 1;
            return None;
        }
        let before = told.insert(key, (now, 0));
        let suppressed = before.map(|(_, count)| count);
        Some(suppressed.filter(|count| *count > 0))
    }
}

/// The same failure is told once per window.
const WINDOW: Duration = Duration::from_secs(30);

/// Different failures remembered within a window; what comes on top of them counts as one.
const REMEMBERED: usize = 256;

/// The failures that are not remembered each by itself.
const OTHERS: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_repeated_failure_is_told_once_per_window() {
        let repeats = Repeats::default();
        assert_eq!(repeats.tell("denied"), Some(None));
        assert_eq!(repeats.tell("denied"), None);
        assert_eq!(repeats.tell("throttled"), Some(None));
        tokio::time::advance(WINDOW).await;
        assert_eq!(repeats.tell("denied"), Some(Some(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_all_differ_neither_flood_the_log_nor_memory() {
        let repeats = Repeats::default();
        let flood =
            || (0..10_000).filter(|number| repeats.tell(&format!("notice {number}")).is_some());
        assert_eq!(flood().count(), REMEMBERED + 1);
        assert_eq!(repeats.told.lock().unwrap().len(), REMEMBERED + 1);
        tokio::time::advance(WINDOW).await;
        assert_eq!(flood().count(), REMEMBERED + 1);
        assert_eq!(repeats.told.lock().unwrap().len(), REMEMBERED + 1);
    }
}
