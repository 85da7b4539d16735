use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads `line[start..end]` as an address. A zone index (`%eth0`) is cut off.
///
/// The whole line is handed in because sixteen bytes that begin with the address can then be loaded at once.
#[inline]
pub(crate) fn decode(line: &[u8], start: usize, end: usize) -> Option<IpAddr> {
    let length = end.saturating_sub(start);
    match line.get(start..).and_then(<[u8]>::first_chunk) {
        Some(block) if (7..=15).contains(&length) => match four_octets(block, length) {
            Some(address) => Some(IpAddr::V4(address)),
            None => decode_slowly(line.get(start..end)?),
        },
        _ => decode_slowly(line.get(start..end)?),
    }
}

fn decode_slowly(address: &[u8]) -> Option<IpAddr> {
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

/// Reads an IPv4 address in the first `length` bytes (7 to 15) of `block`, by the same rules as `std`: four
/// decimal octets without leading zeros. Without branches on the digits: where the dots are differs from line
/// to line, so that a loop over the bytes is mispredicted several times per address.
#[inline(always)]
fn four_octets(block: &[u8; 16], length: usize) -> Option<Ipv4Addr> {
    let (low, high) = block.split_at(8);
    let word = |half: &[u8]| {
        half.first_chunk()
            .map_or(0, |half| u64::from_le_bytes(*half))
    };
    let (low, high) = (word(low), word(high));
    let dots = equal_dot(low) | equal_dot(high) << 8;
    let digits = digit(low) | digit(high) << 8;
    let within = (1_u32 << length) - 1;
    let dots = dots & within;
    if (dots | (digits & within)) != within || dots.count_ones() != 3 {
        return None;
    }
    let first = dots.trailing_zeros() as usize;
    let dots = dots & (dots - 1);
    let second = dots.trailing_zeros() as usize;
    let dots = dots & (dots - 1);
    let third = dots.trailing_zeros() as usize;

    let (a, bad_a) = octet(block, 0, first);
    let (b, bad_b) = octet(block, first + 1, second);
    let (c, bad_c) = octet(block, second + 1, third);
    let (d, bad_d) = octet(block, third + 1, length);
    if bad_a | bad_b | bad_c | bad_d {
        return None;
    }
    Some(Ipv4Addr::new(a, b, c, d))
}

/// One octet whose bytes are known to be digits, and whether it is malformed.
#[inline(always)]
fn octet(block: &[u8; 16], start: usize, end: usize) -> (u8, bool) {
    let length = end.wrapping_sub(start);
    // The last octet of 15 bytes begins at 12, so that four bytes are always there for a good one.
    let Some(bytes) = block.get(start..).and_then(<[u8]>::first_chunk::<4>) else {
        return (0, true);
    };
    if !(1..=3).contains(&length) {
        return (0, true);
    }
    // The last digit goes to the third byte; the bytes before the number become 0.
    let aligned = u32::from_le_bytes(*bytes) << (8 * (3 - length as u32));
    let digits = aligned & 0x000F_0F0F;
    let value = (digits & 0xFF) * 100 + ((digits >> 8) & 0xFF) * 10 + (digits >> 16);
    const LEAST: [u32; 4] = [0, 0, 10, 100];
    (value as u8, value > 255 || value < LEAST[length & 3])
}

/// One bit per byte that is a dot.
#[inline(always)]
fn equal_dot(word: u64) -> u32 {
    let differs = word ^ (b'.' as u64 * ONES);
    gather(!(((differs & !HIGH) + !HIGH) | differs) & HIGH)
}

/// One bit per byte that is a decimal digit.
#[inline(always)]
fn digit(word: u64) -> u32 {
    let from_zero = (word | HIGH).wrapping_sub(b'0' as u64 * ONES);
    let upto_nine = ((b'9' as u64 | 0x80) * ONES).wrapping_sub(word & !HIGH);
    gather(from_zero & upto_nine & !word & HIGH)
}

#[inline(always)]
fn gather(flags: u64) -> u32 {
    ((flags >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

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
        fn any_text_is_judged_as_std_does(text in "[0-9a.:/é]{0,18}") {
            prop_assert_eq!(check(&text), text.parse().ok());
        }
    }
}
