//! The exact-address table: open addressing with linear probing, at most half full.

use crate::key::Bits;

/// A read-only map from an address to a 32-bit value.
///
/// Built once, so there is no deletion and no growth. A lookup touches one cache line in most cases.
#[derive(Debug)]
pub(crate) struct Slots<A> {
    slots: Box<[(A, u32)]>,
    /// 64 minus the binary logarithm of the number of slots.
    shift: u32,
    len: usize,
}

/// Marks a free slot; values stay below it.
const FREE: u32 = u32::MAX;

impl<A: Bits + Default> Slots<A> {
    /// A table of these pairs, whose addresses are all different.
    pub(crate) fn new(pairs: &[(A, u32)]) -> Self {
        let capacity = (pairs.len() * 2).next_power_of_two().max(2);
        let mut table = Self {
            slots: vec![(A::default(), FREE); capacity].into_boxed_slice(),
            shift: 64 - capacity.trailing_zeros(),
            len: pairs.len(),
        };
        for &(address, value) in pairs {
            let mut at = table.home(address);
            // Ends: at least half of the slots stay free.
            while let Some(slot) = table.slots.get_mut(at) {
                if slot.1 == FREE {
                    *slot = (address, value);
                    break;
                }
                at = (at + 1) & (capacity - 1);
            }
        }
        table
    }

    /// The value of `address`.
    #[inline]
    pub(crate) fn get(&self, address: A) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = self.home(address);
        loop {
            let &(found, value) = self.slots.get(at)?;
            if value == FREE {
                return None;
            }
            if found == address {
                return Some(value);
            }
            at = (at + 1) & mask;
        }
    }

    /// Number of addresses.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn home(&self, address: A) -> usize {
        (address.mix() >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_stay_close_to_their_home() {
        // A /16 filled from its start: the shape every VPC has.
        let pairs: Vec<(u32, u32)> = (0..60_000).map(|host| (0x0A00_0000 + host, host)).collect();
        let table = Slots::new(&pairs);
        let mut probes = 0;
        for &(address, value) in &pairs {
            assert_eq!(table.get(address), Some(value));
            let mut at = table.home(address);
            while table.slots[at].0 != address {
                probes += 1;
                at = (at + 1) & (table.slots.len() - 1);
            }
        }
        assert!(
            probes < pairs.len(),
            "{probes} extra probes for {} addresses",
            pairs.len()
        );
        assert_eq!(table.get(0x0B00_0000), None);
    }

    #[test]
    fn subnets_of_many_vpcs_spread_too() {
        let pairs: Vec<(u32, u32)> = (0..400_u32)
            .flat_map(|net| (0..200_u32).map(move |host| (0x0A00_0000 + (net << 8) + host, net)))
            .collect();
        let table = Slots::new(&pairs);
        let worst = pairs
            .iter()
            .map(|&(address, _)| {
                let mut at = table.home(address);
                let mut probes = 0;
                while table.slots[at].0 != address {
                    probes += 1;
                    at = (at + 1) & (table.slots.len() - 1);
                }
                probes
            })
            .max();
        assert!(worst < Some(40), "longest chain {worst:?}");
    }

    #[test]
    fn an_empty_table_answers() {
        let table: Slots<u128> = Slots::new(&[]);
        assert_eq!(table.get(0), None);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn address_zero_is_an_address() {
        let table = Slots::new(&[(0_u32, 7)]);
        assert_eq!(table.get(0), Some(7));
        assert_eq!(table.get(1), None);
    }
}
