//! The shard-sync leader of KCL 1.14+ and 2.3+: every worker computes it from the owners in the table.

use std::collections::BTreeSet;

use crate::lease::WorkerId;

/// Whether `me` has the leader's duties: it comes first in the shuffle, or nobody owns anything.
pub(crate) fn is_leader<'a>(me: &WorkerId, owners: impl Iterator<Item = &'a WorkerId>) -> bool {
    let distinct: BTreeSet<&WorkerId> = owners.collect();
    let mut sorted: Vec<&WorkerId> = distinct.into_iter().collect();
    // Java compares strings by UTF-16 code units, which differs from UTF-8 beyond the basic plane.
    sorted.sort_by(|left, right| {
        left.as_str()
            .encode_utf16()
            .cmp(right.as_str().encode_utf16())
    });
    let mut random = JavaRandom::new(SEED);
    for size in (2..=sorted.len()).rev() {
        let other = random.next_int(size as u32) as usize;
        sorted.swap(size - 1, other);
    }
    sorted.first().is_none_or(|leader| *leader == me)
}

/// `java.util.Random`.
struct JavaRandom(u64);

impl JavaRandom {
    const fn new(seed: u64) -> Self {
        Self((seed ^ 0x5_DEEC_E66D) & MASK)
    }

    const fn next31(&mut self) -> u32 {
        self.0 = (self.0.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB)) & MASK;
        (self.0 >> 17) as u32
    }

    /// A number below `bound`, which is at least 1.
    const fn next_int(&mut self, bound: u32) -> u32 {
        let mut drawn = self.next31();
        if bound.is_power_of_two() {
            return ((bound as u64 * drawn as u64) >> 31) as u32;
        }
        loop {
            let rest = drawn % bound;
            // Java detects the incomplete last stretch by signed overflow.
            if drawn as u64 - rest as u64 + (bound as u64 - 1) < 1 << 31 {
                return rest;
            }
            drawn = self.next31();
        }
    }
}

const SEED: u64 = 1947;
const MASK: u64 = (1 << 48) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_numbers_of_java() {
        let mut random = JavaRandom::new(42);
        let drawn: Vec<u32> = (0..6).map(|_| random.next_int(10)).collect();
        assert_eq!(drawn, [0, 3, 8, 4, 0, 5]);
    }

    #[test]
    fn one_to_ten_owners_elect_whom_the_kcl_elects() {
        for (count, expected) in [0, 0, 2, 3, 4, 2, 2, 2, 3, 8].into_iter().enumerate() {
            let owners: Vec<WorkerId> = (0..=count)
                .map(|at| format!("worker-{at}").parse().expect("id"))
                .collect();
            let leaders: Vec<usize> = (0..=count)
                .filter(|at| is_leader(&owners[*at], owners.iter()))
                .collect();
            assert_eq!(leaders, [expected]);
        }
    }

    #[test]
    fn without_owners_everybody_leads() {
        assert!(is_leader(&"me".parse().expect("id"), std::iter::empty()));
    }
}
