//! What this process already settled, so that a second delivery sends only the rest.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use crate::source::ObjectId;

/// Settled records by object: complete objects and the prefixes of interrupted ones.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<ObjectId, Extent>,
    /// Insertion order, for forgetting the oldest.
    order: VecDeque<ObjectId>,
}

/// How much of an object is settled.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Extent {
    /// This many records from the start.
    Prefix(u64),
    /// Everything.
    Complete,
}

impl Settled {
    /// What is known of `object`. Only objects with an entity tag or version are ever remembered: without one, a
    /// rewritten object could not be told from the old one.
    pub(crate) fn extent(&self, object: &ObjectId) -> Extent {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .objects
            .get(object)
            .copied()
            .unwrap_or(Extent::Prefix(0))
    }

    pub(crate) fn remember(&self, object: &ObjectId, extent: Extent) {
        if object.etag.is_none() && object.version.is_none() && !is_write_once(&object.key) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Two attempts may overlap after a visibility timeout: what one of them settled stays settled.
        if let Some(known) = state.objects.get_mut(object) {
            *known = (*known).max(extent);
            return;
        }
        if state.objects.insert(object.clone(), extent).is_none() {
            state.order.push_back(object.clone());
            if state.order.len() > CAPACITY
                && let Some(oldest) = state.order.pop_front()
            {
                state.objects.remove(&oldest);
            }
        }
    }
}

/// CloudTrail never writes the same key twice: its names end in 16 random characters.
fn is_write_once(key: &str) -> bool {
    key.contains("/CloudTrail") && key.ends_with(".json.gz")
}

/// Objects remembered; about 2 MiB at the usual key length.
const CAPACITY: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_object_is_recognised() {
        let settled = Settled::default();
        let object = ObjectId::new("b", "AWSLogs/1/CloudTrail/x.json.gz");
        assert_eq!(settled.extent(&object), Extent::Prefix(0));
        settled.remember(&object, Extent::Complete);
        assert_eq!(settled.extent(&object), Extent::Complete);
    }

    #[test]
    fn an_object_that_may_be_rewritten_is_not_remembered_without_its_tag() {
        let settled = Settled::default();
        let object = ObjectId::new("b", "app.log");
        settled.remember(&object, Extent::Complete);
        assert_eq!(settled.extent(&object), Extent::Prefix(0));
        let tagged = ObjectId {
            etag: Some("e".into()),
            ..object
        };
        settled.remember(&tagged, Extent::Complete);
        assert_eq!(settled.extent(&tagged), Extent::Complete);
    }

    #[test]
    fn what_was_settled_once_stays_settled() {
        let settled = Settled::default();
        let object = ObjectId::new("b", "AWSLogs/1/CloudTrail/x.json.gz");
        settled.remember(&object, Extent::Prefix(9));
        settled.remember(&object, Extent::Prefix(4));
        assert_eq!(settled.extent(&object), Extent::Prefix(9));
        settled.remember(&object, Extent::Complete);
        settled.remember(&object, Extent::Prefix(9));
        assert_eq!(settled.extent(&object), Extent::Complete);
    }

    #[test]
    fn the_memory_is_bounded() {
        let settled = Settled::default();
        for n in 0..CAPACITY + 1 {
            settled.remember(
                &ObjectId::new("b", format!("/CloudTrail/{n}.json.gz")),
                Extent::Complete,
            );
        }
        assert_eq!(
            settled.extent(&ObjectId::new("b", "/CloudTrail/0.json.gz")),
            Extent::Prefix(0)
        );
        assert_eq!(
            settled.extent(&ObjectId::new("b", "/CloudTrail/1.json.gz")),
            Extent::Complete
        );
    }
}
