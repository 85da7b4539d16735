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
    /// `Some` with the number of repeats that were held back, if `text` is to be told now.
    pub(crate) fn tell(&self, text: &str) -> Option<u64> {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let key = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= REMEMBERED {
            told.retain(|_, (at, _)| now - *at < WINDOW);
        }
        if let Some((at, count)) = told.get_mut(&key)
            && now - *at < WINDOW
        {
            *count += 1;
            return None;
        }
        let suppressed = told.get(&key).map_or(0, |(_, count)| *count);
        told.insert(key, (now, 0));
        Some(suppressed)
    }
}

/// The same failure is told once per window.
const WINDOW: Duration = Duration::from_secs(30);

/// Different failures remembered.
const REMEMBERED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_repeated_failure_is_told_once_per_window() {
        let repeats = Repeats::default();
        assert_eq!(repeats.tell("denied"), Some(0));
        assert_eq!(repeats.tell("denied"), None);
        assert_eq!(repeats.tell("throttled"), Some(0));
        tokio::time::advance(WINDOW).await;
        assert_eq!(repeats.tell("denied"), Some(1));
    }
}
