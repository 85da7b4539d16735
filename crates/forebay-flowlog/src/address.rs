use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wide::u8x16;

/// Reads `line[start..end]` as an address. A zone index (`%eth0`) is cut off.
///
/// The whole line is handed in because twenty bytes that begin with the address can then be loaded at once.
#[inline(always)]
pub(crate) fn decode(line: &[u8], start: usize, end: usize) -> Option<IpAddr> {
    let length = end.saturating_sub(start);
    if (7..=15).contains(&length)
        && let Some(block) = line.get(start..).and_then(<[u8]>::first_chunk)
        && let Some(address) = four_octets(block, length)
    {
        return Some(IpAddr::V4(address));
    }
    decode_other(line.get(start..end)?)
}

#[inline(never)]
fn decode_other(address: &[u8]) -> Option<IpAddr> {
    if let Some(address) = eight_groups(address) {
        return Some(IpAddr::V6(address));
    }
    // With an IPv4 address at its end, with a zone, or where the line ends too soon for a block.
    let address = std::str::from_utf8(address).ok()?;
    if let Ok(address) = address.parse() {
        return Some(address);
    }
    let (address, zone) = address.split_once('%')?;
    if zone.is_empty() {
        return None;
    }
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Reads an IPv6 address of hexadecimal groups only, by the same rules as `std`, which takes several times as long.
fn eight_groups(mut rest: &[u8]) -> Option<Ipv6Addr> {
    let (mut groups, mut count, mut gap) = ([0; 8], 0, None);
    if let [b':', b':', after @ ..] = rest {
        (rest, gap) = (after, Some(0));
    }
    while !rest.is_empty() {
        let (mut group, mut digits) = (0, 0);
        while let [first, after @ ..] = rest
            && let Some(digit) = char::from(*first).to_digit(16)
        {
            (group, digits, rest) = (group << 4 | digit, digits + 1, after);
            if digits > 4 {
                return None;
            }
        }
        if digits == 0 {
            return None;
        }
        *groups.get_mut(count)? = group as u16;
        count += 1;
        rest = match rest {
            [] => rest,
            [b':', b':', after @ ..] if gap.is_none() => {
                gap = Some(count);
                after
            }
            [b':', after @ ..] if !after.is_empty() => after,
            _ => return None,
        };
    }
    match gap {
        Some(gap) if count < groups.len() => groups.get_mut(gap..)?.rotate_right(8 - count),
        None if count == groups.len() => {}
        _ => return None,
    }
    Some(groups.into())
}

/// Reads an IPv4 address in the first `length` bytes (7 to 15) of `block`, by the same rules as `std`: four
/// decimal octets without leading zeros. Without branches on the digits: where the dots are differs from line
/// to line, so that a loop over the bytes is mispredicted several times per address.
#[inline(always)]
fn four_octets(block: &[u8; BLOCK], length: usize) -> Option<Ipv4Addr> {
    let dots = u8x16::new(*block.first_chunk()?).simd_eq(u8x16::splat(b'.'));
    let dots = dots.to_bitmask() & ((1 << length) - 1);
    let without_first = dots & dots.wrapping_sub(1);
    let without_second = without_first & without_first.wrapping_sub(1);
    if without_second == 0 || without_second & (without_second - 1) != 0 {
        return None;
    }
    let first = dots.trailing_zeros() as usize;
    let second = without_first.trailing_zeros() as usize;
    let third = without_second.trailing_zeros() as usize;

    let a = Octet::read(block, 0, first);
    let b = Octet::read(block, first + 1, second);
    let c = Octet::read(block, second + 1, third);
    let d = Octet::read(block, third + 1, length);
    let faults = a.faults | b.faults | c.faults | d.faults;
    if faults | (a.length | b.length | c.length | d.length) & !3 == 0 {
        Some(Ipv4Addr::new(a.value, b.value, c.value, d.value))
    } else {
        None
    }
}

struct Octet {
    value: u8,
    /// Not zero if it is none, provided that it has no more than three digits.
    faults: u32,
    length: u32,
}

impl Octet {
    #[inline(always)]
    fn read(block: &[u8; BLOCK], start: usize, end: usize) -> Self {
        let length = (end - start) as u32;
        // It begins within the first 16 bytes, so that the block has four bytes to load.
        let bytes = block.get(start % 16..).and_then(<[u8]>::first_chunk);
        let word = bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes));
        // The last digit goes to the third byte; before the first one there are zeros.
        let shift = 24_u32.wrapping_sub(8 * length);
        let digits = (word ^ 0x0030_3030).wrapping_shl(shift) & 0x00FF_FFFF;
        // 118 lifts every byte above 9 over 127.
        let foreign = digits.wrapping_add(0x0076_7676) | digits;
        // With the first digit in the highest byte, digits compare as the numbers do, and a difference below zero has the
        // highest bit.
        let compared = digits.swap_bytes();
        let least = LEAST[length as usize % 4];
        let outside = compared.wrapping_sub(least) | MOST.wrapping_sub(compared);
        Self {
            // In the third byte meet a hundred of the first, ten of the second and the third itself.
            value: (digits.wrapping_mul(0x0064_0A01) >> 16) as u8,
            faults: foreign & 0x0080_8080 | outside & 0x8000_0000,
            length,
        }
    }
}

/// So that four bytes can be loaded from each of the first 16.
const BLOCK: usize = 20;
/// The smallest octets of no, one, two and three digits: without a leading zero, and none at all.
const LEAST: [u32; 4] = [0x7FFF_FFFF, 0, 0x0001_0000, 0x0100_0000];
/// 255.
const MOST: u32 = 0x0205_0500;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Option<IpAddr> {
        let alone = decode(text.as_bytes(), 0, text.len());
        let line = format!("x {text} 192.0.2.1 255.255.255.255");
        assert_eq!(decode(line.as_bytes(), 2, 2 + text.len()), alone, "{text}");
        alone
    }

    #[test]
    fn addresses_of_both_families_decode() {
        for text in [
            "0.0.0.0",
            "1.2.3.4",
            "10.20.30.40",
            "255.255.255.255",
            "::",
            "2001:db8::A",
            "::ffff:192.0.2.1",
        ] {
            assert_eq!(check(text), Some(text.parse().unwrap()), "{text}");
        }
        assert_eq!(check("fe80::1%eth0"), Some("fe80::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "1",
            "1.2.3",
            "1.2.3.4.",
            "1.2.3.4.5",
            ".1.2.3.4",
            "1..3.4",
            "01.2.3.4",
            "1.2.3.00",
            "256.1.1.1",
            "1.2.3.999",
            "1.2.3.a",
            "1.2.3.4/8",
            "unknown",
            "fe80::1%",
            "1.2.3.4%eth0",
            "1.2.3.4:",
            "1111.1.1.1",
            "1.1.1.1111",
            "é.1.1.1",
        ] {
            assert_eq!(check(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_v4_address_survives(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(check(&address.to_string()), Some(IpAddr::V4(address)));
        }

        #[test]
        fn any_v6_address_survives(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            prop_assert_eq!(check(&address.to_string()), Some(IpAddr::V6(address)));
        }

        #[test]
        fn dotted_text_is_judged_as_std_does(text in "[0-9]{0,4}(\\.[0-9]{0,4}){2,4}") {
            prop_assert_eq!(check(&text), text.parse().ok());
        }

        #[test]
        fn groups_are_judged_as_std_does(
            text in "(::?)?([0-9a-fA-F]{1,5}::?){0,8}([0-9a-g]{0,4}|192\\.0\\.2\\.1)",
        ) {
            prop_assert_eq!(check(&text), text.parse().ok());
        }

        #[test]
        fn any_text_is_judged_as_std_does(text in "[0-9a.:/é]{0,18}") {
            prop_assert_eq!(check(&text), text.parse().ok());
        }
    }
}
