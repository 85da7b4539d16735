//! Address ranges, flattened so that one binary search answers.

use crate::key::Bits;

/// One range and the record it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range<A> {
    pub(crate) first: A,
    pub(crate) last: A,
    pub(crate) record: u32,
}

/// The address space cut where any range begins or ends; each piece has one value or none.
#[derive(Debug)]
pub(crate) struct Intervals<A> {
    starts: Box<[A]>,
    values: Box<[Option<u32>]>,
}

impl<A: Bits> Intervals<A> {
    /// Cuts the space. `value` turns all ranges over a piece, the widest first, into the
    /// piece's value.
    ///
    /// Ranges in CIDR form are nested or apart, never half over each other; so the open ranges form a
    /// stack, and the cost is the number of ranges times their depth.
    pub(crate) fn new(
        mut ranges: Vec<Range<A>>,
        mut value: impl FnMut(&[Range<A>]) -> Option<u32>,
    ) -> Self {
        ranges.sort_by(|a, b| (a.first, b.last, a.record).cmp(&(b.first, a.last, b.record)));
        let mut cuts: Vec<A> = ranges.iter().map(|range| range.first).collect();
        cuts.extend(ranges.iter().filter_map(|range| range.last.next()));
        cuts.sort_unstable();
        cuts.dedup();
        let mut values = Vec::with_capacity(cuts.len());
        let mut open: Vec<Range<A>> = Vec::new();
        let mut coming = ranges.into_iter().peekable();
        for &cut in &cuts {
            open.retain(|range| range.last >= cut);
            while let Some(range) = coming.next_if(|range| range.first == cut) {
                open.push(range);
            }
            values.push(if open.is_empty() { None } else { value(&open) });
        }
        Self {
            starts: cuts.into_boxed_slice(),
            values: values.into_boxed_slice(),
        }
    }

    /// The value of the piece that holds `address`.
    #[inline]
    pub(crate) fn get(&self, address: A) -> Option<u32> {
        let behind = self.starts.partition_point(|&start| start <= address);
        *self.values.get(behind.checked_sub(1)?)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ranges: &[(u32, u32)], address: u32, expected: &[u32]) {
        let mut found: Vec<Vec<u32>> = Vec::new();
        let given = ranges
            .iter()
            .zip(0..)
            .map(|(&(first, last), record)| Range {
                first,
                last,
                record,
            })
            .collect();
        let intervals = Intervals::new(given, |over| {
            found.push(over.iter().map(|range| range.record).collect());
            u32::try_from(found.len() - 1).ok()
        });
        let records = intervals
            .get(address)
            .map_or(&[][..], |at| &found[at as usize]);
        assert_eq!(records, expected, "{ranges:?} at {address}");
    }

    #[test]
    fn the_widest_range_comes_first() {
        let ranges = [(16, 31), (0, 255), (16, 31), (20, 23)];
        check(&ranges, 15, &[1]);
        check(&ranges, 16, &[1, 0, 2]);
        check(&ranges, 21, &[1, 0, 2, 3]);
        check(&ranges, 24, &[1, 0, 2]);
        check(&ranges, 255, &[1]);
        check(&ranges, 256, &[]);
    }

    #[test]
    fn the_last_address_of_all_is_inside() {
        check(&[(0, u32::MAX)], u32::MAX, &[0]);
        check(&[(u32::MAX, u32::MAX)], u32::MAX, &[0]);
        check(&[(u32::MAX, u32::MAX)], u32::MAX - 1, &[]);
    }

    #[test]
    fn a_gap_between_ranges_is_a_gap() {
        check(&[(0, 15), (32, 47)], 20, &[]);
        check(&[(0, 15), (16, 31)], 16, &[1]);
        check(&[], 0, &[]);
    }
}
