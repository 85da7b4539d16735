use std::collections::VecDeque;

use crate::checkpoint::Checkpoint;

/// Folds acceptances that arrive out of order into the highest position below which nothing is open.
///
/// One per tenure of a shard, never shared. Positions are opened in the order in which they are handed over. Reuses its
/// memory while positions are open, and keeps little of it when none is: a worker has many shards and few large batches.
#[derive(Clone, Debug)]
pub struct Tracker {
    watermark: Checkpoint,
    /// Ticket of the first slot.
    first: u64,
    slots: VecDeque<Slot>,
}

impl Tracker {
    /// Starts at the position the tenure was granted from.
    pub const fn new(from: Checkpoint) -> Self {
        Self {
            watermark: from,
            first: 0,
            slots: VecDeque::new(),
        }
    }

    /// Notes that a position was handed over. A position below the last one opened (a repeat by the service) takes
    /// part, but never moves the watermark back.
    pub fn open(&mut self, position: Checkpoint) -> Ticket {
        self.slots.push_back(Slot {
            position,
            closed: false,
        });
        Ticket(self.first + self.slots.len() as u64 - 1)
    }

    /// Notes that a position is settled; the step of the watermark, if it moved. Closing twice does nothing.
    pub fn close(&mut self, ticket: Ticket) -> Option<Delta> {
        let at = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(at)?.closed = true;
        let from = self.watermark;
        while self.slots.front().is_some_and(|slot| slot.closed) {
            let Some(slot) = self.slots.pop_front() else {
                break;
            };
            self.first += 1;
            self.watermark = self.watermark.max(slot.position);
        }
        if self.slots.is_empty() {
            self.slots.shrink_to(SPARE);
        }
        (self.watermark > from).then_some(Delta {
            from,
            to: self.watermark,
        })
    }

    /// Everything up to and including this position is settled.
    pub const fn watermark(&self) -> Checkpoint {
        self.watermark
    }

    /// Whether everything handed over is settled.
    pub fn is_settled(&self) -> bool {
        self.slots.is_empty()
    }
}

/// Names an open position.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// A step of the watermark: everything in `(from, to]` is settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Delta {
    /// The watermark before.
    pub from: Checkpoint,
    /// The watermark now.
    pub to: Checkpoint,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    position: Checkpoint,
    closed: bool,
}

/// Slots kept when nothing is open: some 40 KB.
const SPARE: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(number: u128) -> Checkpoint {
        Checkpoint::at(number.into())
    }

    #[test]
    fn the_watermark_is_the_highest_contiguous_position_not_the_highest() {
        let mut tracker = Tracker::new(Checkpoint::TrimHorizon);
        let tickets = [1, 2, 3].map(|number| tracker.open(at(number)));
        assert_eq!(tracker.close(tickets[2]), None);
        assert_eq!(
            tracker.close(tickets[0]),
            Some(Delta {
                from: Checkpoint::TrimHorizon,
                to: at(1)
            })
        );
        assert_eq!(tracker.close(tickets[0]), None);
        assert_eq!(
            tracker.close(tickets[1]),
            Some(Delta {
                from: at(1),
                to: at(3)
            })
        );
        assert!(tracker.is_settled());
    }

    #[test]
    fn the_memory_of_a_large_batch_is_given_back() {
        let mut tracker = Tracker::new(Checkpoint::TrimHorizon);
        let tickets: Vec<Ticket> = (1..10_000).map(|number| tracker.open(at(number))).collect();
        assert!(tracker.slots.capacity() >= 9_999);
        for ticket in tickets {
            tracker.close(ticket);
        }
        assert!(tracker.slots.capacity() < 2 * SPARE);
    }

    #[test]
    fn a_repeat_never_moves_the_watermark_back() {
        let mut tracker = Tracker::new(at(10));
        let ticket = tracker.open(at(4));
        assert_eq!(tracker.close(ticket), None);
        assert_eq!(tracker.watermark(), at(10));
    }

    proptest! {
        #[test]
        fn any_order_of_settling_keeps_the_watermark_below_what_is_open(order in Just((0..40_u128).collect::<Vec<_>>()).prop_shuffle()) {
            let mut tracker = Tracker::new(Checkpoint::Latest);
            let tickets: Vec<Ticket> = (0..40).map(|number| tracker.open(at(number))).collect();
            let mut open: std::collections::BTreeSet<u128> = (0..40).collect();
            for number in order {
                tracker.close(tickets[number as usize]);
                open.remove(&number);
                let expected = match open.first() {
                    Some(0) => Checkpoint::Latest,
                    Some(first) => at(first - 1),
                    None => at(39),
                };
                prop_assert_eq!(tracker.watermark(), expected);
            }
        }
    }
}
