//! What goes wrong, drawn once per seed: some seeds are calm, some extreme.

use crate::world::Random;

/// Milliseconds of virtual time.
pub(crate) type Millis = u64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// In thousandths of calls to the table.
    pub(crate) throttled: u64,
    pub(crate) lost_before: u64,
    pub(crate) lost_after: u64,
    /// Unanswered, and applied seconds after the caller gave up.
    pub(crate) late: u64,
    pub(crate) slow: u64,
    pub(crate) stale_scan: u64,
    pub(crate) partial_scan: u64,
    /// In thousandths of reads from the stream: throttled, expired iterator, or the last records once more.
    pub(crate) bad_read: u64,
    /// Mean time between events of the process, 0 for never.
    pub(crate) crash_every: Millis,
    pub(crate) pause_every: Millis,
    pub(crate) stop_every: Millis,
    /// A worker loses the network, both ways or only the answers.
    pub(crate) cut_every: Millis,
    pub(crate) reshard_every: Millis,
    pub(crate) park_every: Millis,
    /// How far the rate of a clock may be off, in millionths.
    pub(crate) drift: u64,
    /// Rows deleted by hand.
    pub(crate) deletes: bool,
    /// Whoever holds such a row crashes before it knows, so that nobody can write it again.
    pub(crate) deletes_unseen: bool,
    /// The fleet's mode goes to 3.x for a while.
    pub(crate) three_x: bool,
    /// Everything is calm from here, counted from the start.
    pub(crate) heal_at: Millis,
}

impl Faults {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut rate = |most: u64| {
            if random.chance(400) {
                0
            } else {
                random.below(most)
            }
        };
        let (throttled, lost_before, lost_after) = (rate(200), rate(100), rate(100));
        let (late, slow, stale_scan, partial_scan) = (rate(60), rate(200), rate(500), rate(100));
        let bad_read = rate(100);
        let mut mean = |least: u64| {
            if random.chance(400) {
                0
            } else {
                least + random.below(least * 4)
            }
        };
        let (crash_every, pause_every) = (mean(60_000), mean(60_000));
        let (stop_every, cut_every) = (mean(120_000), mean(90_000));
        let (reshard_every, park_every) = (mean(40_000), mean(200_000));
        Self {
            throttled,
            lost_before,
            lost_after,
            late,
            slow,
            stale_scan,
            partial_scan,
            bad_read,
            crash_every,
            pause_every,
            stop_every,
            cut_every,
            reshard_every,
            park_every,
            drift: [0, 5_000, 50_000][random.below(3) as usize],
            deletes: random.chance(150),
            deletes_unseen: false,
            three_x: random.chance(150),
            heal_at: 22 * 60_000,
        }
    }
}
