//! [`Spare`]: things with buffers, kept to be used again.

use std::sync::Mutex;

use crate::stats::lock;

/// Things that are used again, [`MOST`] at most. After a burst it forgets those that nobody has needed since.
#[derive(Debug)]
pub(crate) struct Spare<T>(Mutex<Shelf<T>>);

#[derive(Debug)]
struct Shelf<T> {
    things: Vec<T>,
    /// The fewest there were since the last look: so many were not needed.
    least: usize,
    given: usize,
}

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::new(Shelf {
            things: Vec::new(),
            least: 0,
            given: 0,
        }))
    }
}

impl<T> Spare<T> {
    pub(crate) fn take(&self) -> Option<T> {
        let mut shelf = lock(&self.0);
        let thing = shelf.things.pop();
        shelf.least = shelf.least.min(shelf.things.len());
        thing
    }

    pub(crate) fn give(&self, thing: T) {
        let mut shelf = lock(&self.0);
        if shelf.things.len() < MOST {
            shelf.things.push(thing);
        }
        shelf.given += 1;
        if shelf.given == LOOK {
            // The last given is taken first, so the others lie at the bottom.
            let idle = shelf.least;
            shelf.things.drain(..idle);
            shelf.least = shelf.things.len();
            shelf.given = 0;
        }
    }
}

const MOST: usize = 32;
/// Things that are given back between two looks at what nobody needs.
const LOOK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_needs_is_forgotten() {
        let spare = Spare::default();
        for thing in 0..2 * MOST {
            spare.give(thing);
        }
        let left = || lock(&spare.0).things.len();
        assert_eq!(left(), MOST);
        for _ in 0..2 * LOOK {
            let two = [spare.take(), spare.take()];
            two.into_iter()
                .flatten()
                .for_each(|thing| spare.give(thing));
        }
        assert_eq!(left(), 2);
        assert_eq!(spare.take(), Some(MOST - 1));
    }
}
