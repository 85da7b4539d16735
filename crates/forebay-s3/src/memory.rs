//! What this process already settled or is working on, so that a second delivery sends only the rest.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::source::ObjectId;

/// Settled records by object: complete objects and the prefixes of interrupted ones.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    state: Mutex<State>,
    /// A claim was given up.
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By [`name`].
    objects: HashMap<String, Known>,
    /// Insertion order, for forgetting the oldest.
    order: VecDeque<String>,
    claimed: HashSet<String>,
}

#[derive(Debug)]
struct Known {
    /// Of the content that was read.
    etag: Option<String>,
    extent: Extent,
}

/// How much of an object is settled.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Extent {
    /// This many records from the start.
    Prefix(u64),
    /// Everything.
    Complete,
}

/// The right to work on an object, until dropped.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    settled: &'a Settled,
    name: String,
}

impl Settled {
    /// Waits until nobody else works on `object`: of two deliveries of one notice the second then finds what the first settled.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is claimed before this returns.
    pub(crate) async fn claim(&self, object: &ObjectId) -> Claim<'_> {
        let name = name(object);
        loop {
            // Registered before looking, so that a claim given up in between is not missed.
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            if self.state().claimed.insert(name.clone()) {
                return Claim {
                    settled: self,
                    name,
                };
            }
            released.await;
        }
    }

    /// What is known of the content `etag` of `object`. Without an entity tag a rewritten object could not be told from the
    /// old one, so nothing is known of it, unless its key is of those that are written once.
    pub(crate) fn extent(&self, object: &ObjectId, etag: Option<&str>) -> Extent {
        let state = self.state();
        state
            .objects
            .get(&name(object))
            .filter(|known| match etag {
                Some(_) => known.etag.as_deref() == etag,
                None => is_write_once(&object.key),
            })
            .map_or(Extent::Prefix(0), |known| known.extent)
    }

    pub(crate) fn remember(&self, object: &ObjectId, etag: Option<&str>, extent: Extent) {
        if etag.is_none() && !is_write_once(&object.key) {
            return;
        }
        let name = name(object);
        let mut state = self.state();
        if let Some(known) = state.objects.get_mut(&name) {
            if known.etag.as_deref() == etag {
                // What was settled once stays settled.
                known.extent = known.extent.max(extent);
            } else {
                *known = Known {
                    etag: etag.map(str::to_owned),
                    extent,
                };
            }
            return;
        }
        let etag = etag.map(str::to_owned);
        state.objects.insert(name.clone(), Known { etag, extent });
        state.order.push_back(name);
        if state.order.len() > CAPACITY
            && let Some(oldest) = state.order.pop_front()
        {
            state.objects.remove(&oldest);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.settled.state().claimed.remove(&self.name);
        self.settled.released.notify_waiters();
    }
}

/// No bucket name has a slash.
fn name(object: &ObjectId) -> String {
    format!("{}/{}", object.bucket, object.key)
}

/// CloudTrail never writes the same key twice: its names end in 16 random characters.
fn is_write_once(key: &str) -> bool {
    key.contains("/CloudTrail") && key.ends_with(".json.gz")
}

/// Objects remembered; about 3 MiB at the usual key length.
const CAPACITY: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn trail(name: impl std::fmt::Display) -> ObjectId {
        ObjectId::new("b", format!("AWSLogs/1/CloudTrail/{name}.json.gz"))
    }

    #[test]
    fn a_settled_object_is_recognised_with_and_without_its_tag() {
        let settled = Settled::default();
        let object = trail("x");
        assert_eq!(settled.extent(&object, None), Extent::Prefix(0));
        settled.remember(&object, Some("e"), Extent::Complete);
        assert_eq!(settled.extent(&object, None), Extent::Complete);
        assert_eq!(settled.extent(&object, Some("e")), Extent::Complete);
        assert_eq!(settled.extent(&object, Some("f")), Extent::Prefix(0));
    }

    #[test]
    fn an_object_that_may_be_rewritten_is_known_by_its_tag_only() {
        let settled = Settled::default();
        let object = ObjectId::new("b", "app.log");
        settled.remember(&object, None, Extent::Complete);
        assert_eq!(settled.extent(&object, None), Extent::Prefix(0));
        settled.remember(&object, Some("e"), Extent::Complete);
        assert_eq!(settled.extent(&object, None), Extent::Prefix(0));
        assert_eq!(settled.extent(&object, Some("e")), Extent::Complete);
        settled.remember(&object, Some("f"), Extent::Prefix(2));
        assert_eq!(settled.extent(&object, Some("e")), Extent::Prefix(0));
    }

    #[test]
    fn what_was_settled_once_stays_settled() {
        let settled = Settled::default();
        let object = trail("x");
        settled.remember(&object, None, Extent::Prefix(9));
        settled.remember(&object, None, Extent::Prefix(4));
        assert_eq!(settled.extent(&object, None), Extent::Prefix(9));
        settled.remember(&object, None, Extent::Complete);
        settled.remember(&object, None, Extent::Prefix(9));
        assert_eq!(settled.extent(&object, None), Extent::Complete);
    }

    #[test]
    fn the_memory_is_bounded() {
        let settled = Settled::default();
        for number in 0..CAPACITY + 1 {
            settled.remember(&trail(number), None, Extent::Complete);
        }
        assert_eq!(settled.extent(&trail(0), None), Extent::Prefix(0));
        assert_eq!(settled.extent(&trail(1), None), Extent::Complete);
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_is_worked_on_by_one_at_a_time() {
        let settled = Settled::default();
        let first = settled.claim(&trail(1)).await;
        let _other = settled.claim(&trail(2)).await;
        let object = trail(1);
        let second = settled.claim(&object);
        let mut second = std::pin::pin!(second);
        let waited = tokio::time::timeout(Duration::from_secs(9), &mut second).await;
        assert!(waited.is_err(), "the first still works on it");
        drop(first);
        second.await;
    }
}
