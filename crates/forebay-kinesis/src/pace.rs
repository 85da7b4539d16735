use std::time::Duration;

use tokio::time::Instant;

/// When the next read of one shard may start, within the limits the service sets per shard.
///
/// Pure: times come in as arguments. The limits are those of the page "Quotas and limits" of the Kinesis Data
/// Streams guide: 5 GetRecords calls and 2 MB per second and shard, shared by all readers, and no call for five
/// seconds after an answer of 10 MB (which the byte rate alone already implies).
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    call_gap: Duration,
    idle: Duration,
    next: Option<Instant>,
}

/// Bytes per second the service lets all readers of a shard have together.
const BYTES_PER_SECOND: u64 = 2_000_000;

impl Pacer {
    /// `calls_per_second` is this reader's share of the five; `idle` the pause once the tip is reached.
    pub(crate) fn new(calls_per_second: u32, idle: Duration) -> Self {
        Self {
            call_gap: Duration::from_secs(1) / calls_per_second.max(1),
            idle,
            next: None,
        }
    }

    /// The earliest time of the next read; `None` means at once.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Takes note of an answer to a call that started at `started`.
    ///
    /// While `behind`, the next read starts as soon as the limits allow. Empty answers are normal then: each covers
    /// a slice of the shard's time.
    pub(crate) fn answered(&mut self, started: Instant, bytes: usize, behind: bool) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let transfer = Duration::from_micros(bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND);
        let pause = if behind {
            self.call_gap
        } else {
            self.call_gap.max(self.idle)
        };
        self.next = Some(started + pause.max(transfer));
    }

    /// Takes note of a failed call; `delay` counts from `now`.
    pub(crate) fn failed(&mut self, started: Instant, now: Instant, delay: Duration) {
        self.next = Some((now + delay).max(started + self.call_gap));
    }
}

/// How many records to ask for in one read, and the room that their answer may take.
///
/// The service fills answers up to 10 MB and then wants five seconds of silence, so a shard that lags is read as fast with
/// smaller ones. With them more shards can be read at a time in the same budget, and small records, which cost several times
/// their size while they are decoded, do not pile up.
///
/// No read asks for so much that it would have to wait until the whole budget is free: what is read can be minutes from its
/// acceptance, and everybody else would wait behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portion {
    most: u16,
    /// Bytes of the budget.
    room: usize,
    /// Records and bytes that the size of the records is learned from.
    seen: (usize, usize),
    /// The mean size of the records, once it is known: of the last answer that had any.
    record_bytes: Option<usize>,
    /// The most records to ask for after what the last answers had: a mean of few says little of many.
    reach: usize,
}

impl Portion {
    /// At most so many records at a time, in a budget of `room` bytes.
    pub(crate) fn new(most: u16, room: usize) -> Self {
        Self {
            most,
            room,
            seen: (0, 0),
            record_bytes: None,
            reach: 0,
        }
    }

    /// How many records to ask for.
    pub(crate) fn records(&self) -> u16 {
        let wanted = match self.record_bytes {
            Some(bytes) => WANTED_ANSWER
                .div_ceil(bytes.max(1))
                .min(self.room / 3 / cost(bytes))
                .min(self.reach),
            None => (self.room / 4 / cost(LARGE_RECORD)).min(FIRST_RECORDS),
        };
        u16::try_from(wanted).map_or(self.most, |wanted| wanted.clamp(1, self.most))
    }

    /// Takes note of an answer.
    pub(crate) fn answered(&mut self, records: usize, bytes: usize) {
        if records == 0 {
            return;
        }
        self.reach = self.reach.max(records * 8);
        self.seen = (self.seen.0 + records, self.seen.1 + bytes);
        if self.record_bytes.is_some() {
            self.record_bytes = Some(bytes / records);
        } else if self.seen.0 >= ENOUGH_RECORDS || self.seen.1 >= ENOUGH_BYTES {
            self.record_bytes = Some(self.seen.1 / self.seen.0);
        }
    }

    /// How many bytes to reserve before a read.
    ///
    /// Records exist as base64 text and as bytes while they are decoded. A read far from the tip may bring as many as are
    /// asked for, and each may be as large as can be while their size is not known. At the tip a shard cannot have taken in
    /// more than 1 MB for each second since the last read.
    pub(crate) fn reservation(&self, behind: bool, since_last_read: Duration) -> usize {
        let bytes = self.record_bytes.unwrap_or(LARGE_RECORD);
        let asked = usize::from(self.records()).saturating_mul(cost(bytes));
        if behind {
            return asked.clamp(SMALLEST_RESERVATION, LARGEST_ANSWER);
        }
        let seconds = usize::try_from(since_last_read.as_secs())
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        decoding(seconds.saturating_mul(1_000_000))
            .min(asked)
            .clamp(SMALLEST_RESERVATION, LARGEST_ANSWER)
    }
}

/// What it takes to decode a record of so many bytes.
fn cost(bytes: usize) -> usize {
    decoding(bytes).saturating_add(RECORD_OVERHEAD)
}

/// What it takes to decode so many bytes of records.
fn decoding(bytes: usize) -> usize {
    bytes.saturating_mul(5).div_ceil(2)
}

/// How many bytes to have room for before an event of a subscription.
///
/// A consumer is sent 2 MB of a shard in a second, and an event exists as base64 text while it is decoded.
pub(crate) fn push_reservation(behind: bool) -> usize {
    if behind {
        decoding(2_000_000)
    } else {
        SMALLEST_RESERVATION
    }
}

/// A second subscription of one consumer to one shard is refused for this long after the first one.
pub(crate) const RESUBSCRIBE_GAP: Duration = Duration::from_secs(5);

const SMALLEST_RESERVATION: usize = 256 * 1024;
/// What the largest answer takes, 10 MB of records.
const LARGEST_ANSWER: usize = 25 * 1024 * 1024;
/// Two seconds of a shard at its read limit.
const WANTED_ANSWER: usize = 4_000_000;
/// The largest record of a stream as it is set up by default.
const LARGE_RECORD: usize = 1024 * 1024;
/// To learn the size of a shard's records: the first ones can be probes, which are small.
const FIRST_RECORDS: usize = 8;
const ENOUGH_RECORDS: usize = 8;
const ENOUGH_BYTES: usize = LARGE_RECORD / 2;
/// What a record takes besides its bytes while an answer is decoded.
const RECORD_OVERHEAD: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(bytes: usize, behind: bool) -> Duration {
        let mut pacer = Pacer::new(5, Duration::from_secs(1));
        let start = Instant::now();
        assert_eq!(pacer.next(), None);
        pacer.answered(start, bytes, behind);
        pacer.next().map_or(Duration::ZERO, |next| next - start)
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_read_waits_for_the_tightest_limit() {
        assert_eq!(gap(0, false), Duration::from_secs(1));
        assert_eq!(gap(1_000, true), Duration::from_millis(200));
        assert_eq!(gap(1_000_000, true), Duration::from_millis(500));
        assert_eq!(gap(10_000_000, true), Duration::from_secs(5));
        assert_eq!(gap(10_000_000, false), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_never_shortens_the_gap_between_calls() {
        let mut pacer = Pacer::new(5, Duration::from_secs(1));
        let start = Instant::now();
        pacer.failed(start, start, Duration::from_millis(1));
        assert_eq!(pacer.next(), Some(start + Duration::from_millis(200)));
        pacer.failed(start, start, Duration::from_secs(3));
        assert_eq!(pacer.next(), Some(start + Duration::from_secs(3)));
    }

    const ROOM: usize = 64 << 20;

    /// A portion that has had this answer after many others.
    fn portion(records: usize, bytes: usize) -> Portion {
        let mut portion = Portion::new(10_000, ROOM);
        portion.reach = 10_000;
        portion.record_bytes = Some(1);
        portion.answered(records, bytes);
        portion
    }

    #[test]
    fn a_reservation_covers_what_the_shard_can_have_taken_in() {
        let portion = Portion::new(10_000, ROOM);
        let at_tip = |millis| portion.reservation(false, Duration::from_millis(millis));
        let first = 6 * cost(LARGE_RECORD);
        assert_eq!(portion.reservation(true, Duration::ZERO), first);
        assert_eq!(at_tip(900), 2_500_000);
        assert_eq!(at_tip(1_000), 5_000_000);
        assert_eq!(at_tip(3_600_000), first);
    }

    #[test]
    fn a_portion_follows_the_size_of_the_records() {
        assert_eq!(portion(100, 100_000).records(), 4_000);
        assert_eq!(portion(1, 10).records(), 10_000);
        assert_eq!(portion(1, 0).records(), 10_000);
        assert_eq!(portion(3, 3_000_000).records(), 4);
        assert_eq!(portion(1, 50_000_000).records(), 1);
        // An empty answer tells nothing.
        let mut known = portion(100, 100_000);
        known.answered(0, 0);
        assert_eq!(known.records(), 4_000);
        let reserved = |portion: Portion| portion.reservation(true, Duration::ZERO);
        assert_eq!(reserved(portion(100, 100_000)), 10_000_000 + 4_000 * 1_024);
        assert_eq!(reserved(portion(1, 1_000_000)), 10_000_000 + 4 * 1_024);
        assert_eq!(reserved(portion(1, 50_000_000)), LARGEST_ANSWER);
        // At the tip it is the smaller of the two.
        let soon = Duration::from_millis(900);
        assert_eq!(portion(100, 100_000).reservation(false, soon), 2_500_000);
    }

    #[test]
    fn a_portion_grows_with_what_is_known() {
        let mut portion = Portion::new(10_000, ROOM);
        let mut asked = Vec::new();
        for _ in 0..6 {
            let records = portion.records();
            asked.push(records);
            portion.answered(usize::from(records), usize::from(records) * 1_000);
        }
        assert_eq!(asked, [6, 6, 48, 384, 3_072, 4_000]);
        assert_eq!(Portion::new(4, ROOM).records(), 4);
        // One large record says enough.
        let mut portion = Portion::new(10_000, ROOM);
        portion.answered(1, 600_000);
        assert_eq!(portion.records(), 7);
    }

    #[test]
    fn no_portion_asks_for_the_whole_budget() {
        for room in [4 << 20, 11 << 20, 32 << 20, ROOM, 1 << 30] {
            for bytes in [100, 1_000, 10_000, 100_000] {
                let mut portion = Portion::new(10_000, room);
                for _ in 0..20 {
                    let reserved = portion.reservation(true, Duration::MAX);
                    assert!(reserved <= room * 2 / 3, "{reserved} of {room}, {bytes}");
                    let records = usize::from(portion.records());
                    portion.answered(records, records * bytes);
                }
            }
        }
    }
}
