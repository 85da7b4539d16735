//! [`Order`]: which member comes next, learned from the records before.

use crate::member::{Known, Scope};

/// CloudTrail writes the members of all records in one order, most of them always there. So the name that followed last time is
/// compared first, which saves finding its end and looking it up.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// By what stood before: the member that followed.
    followers: [Option<Known>; Known::ALL.len() + Scope::COUNT],
}

impl Order {
    pub(crate) const fn new() -> Self {
        Self {
            followers: [None; Known::ALL.len() + Scope::COUNT],
        }
    }

    /// The place before the first member of an object.
    pub(crate) const fn first(scope: Scope) -> usize {
        Known::ALL.len() + scope as usize
    }

    /// The place behind a member. Members that are not known by name do not count.
    pub(crate) const fn after(known: Known) -> usize {
        known as usize
    }

    /// The member that stood here last time.
    #[inline]
    pub(crate) fn expected(&self, place: usize) -> Option<Known> {
        self.followers.get(place).copied().flatten()
    }

    #[inline]
    pub(crate) fn learn(&mut self, place: usize, known: Known) {
        if let Some(follower) = self.followers.get_mut(place) {
            *follower = Some(known);
        }
    }
}
