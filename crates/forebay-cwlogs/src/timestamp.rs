/// When an event happened, as it was sent, with the unit that must have been meant.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Timestamp {
    millis: i64,
    in_seconds: bool,
}

impl Timestamp {
    /// Reads the form CloudWatch Logs writes, 13 digits; also returns their number. `None` for any other form.
    #[inline]
    pub(crate) fn usual(bytes: &[u8]) -> Option<(Self, usize)> {
        let (digits, rest) = bytes.split_first_chunk::<USUAL_DIGITS>()?;
        if rest.first() != Some(&b',') || digits.first() == Some(&b'0') {
            return None;
        }
        // Eight digits, and the eight at the end of which the first three are among the former.
        let first = u64::from_le_bytes(*digits.first_chunk()?);
        let last = u64::from_le_bytes(*digits.last_chunk()?) & !0xff_ffff | 0x30_3030;
        let millis = eight_digits(first)? * 100_000 + eight_digits(last)?;
        Some((
            Self {
                millis: millis as i64,
                in_seconds: false,
            },
            USUAL_DIGITS,
        ))
    }

    /// Reads any JSON number; `None` if it is none or does not fit into 64 bits.
    pub(crate) fn parse(number: &[u8]) -> Option<Self> {
        if !number
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
        {
            return None;
        }
        let number = std::str::from_utf8(number).ok()?;
        if !number.contains(['.', 'e', 'E']) {
            return number.parse().ok().map(Self::of_integer);
        }
        Self::of_fraction(number.parse().ok()?)
    }

    pub(crate) const fn millis(&self) -> i64 {
        self.millis
    }

    pub(crate) const fn in_seconds(&self) -> bool {
        self.in_seconds
    }

    fn of_integer(sent: i64) -> Self {
        let in_seconds = 0 < sent && sent < SECONDS_BELOW;
        Self {
            millis: if in_seconds { sent * 1000 } else { sent },
            in_seconds,
        }
    }

    fn of_fraction(sent: f64) -> Option<Self> {
        let in_seconds = 0.0 < sent && sent < SECONDS_BELOW as f64;
        // Seconds are rounded, since 1480641523.477 times 1,000 is a little less than it looks.
        let millis = if in_seconds {
            (sent * 1000.0).round()
        } else {
            sent.trunc()
        };
        // 2^63 is the first value above that a float can hold.
        let fits = (-MAX_FLOAT..MAX_FLOAT).contains(&millis);
        fits.then_some(Self {
            millis: millis as i64,
            in_seconds,
        })
    }
}

/// Reads eight digits at once, the first of them in the lowest byte.
#[inline]
fn eight_digits(word: u64) -> Option<u64> {
    const HIGH_HALVES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let beyond_nine = word.wrapping_add(0x0606_0606_0606_0606) & HIGH_HALVES;
    if word & HIGH_HALVES != 0x3030_3030_3030_3030 || beyond_nine != 0x3030_3030_3030_3030 {
        return None;
    }
    // Neighbours are joined to pairs, pairs to fours, fours to the number.
    let digits = word & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = digits.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000 << 32 | 1) >> 32)
}

/// Digits of a time in milliseconds from September 2001 to November 2286.
const USUAL_DIGITS: usize = 13;

const SECONDS_BELOW: i64 = 100_000_000_000;

const MAX_FLOAT: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_any_form_become_milliseconds() {
        let cases: &[(&str, Option<(i64, bool)>)] = &[
            ("1763029869851", Some((1_763_029_869_851, false))),
            ("1763029869851.9", Some((1_763_029_869_851, false))),
            ("1.763029869851e12", Some((1_763_029_869_851, false))),
            ("1763029869", Some((1_763_029_869_000, true))),
            ("1480641523.477", Some((1_480_641_523_477, true))),
            ("99999999999", Some((99_999_999_999_000, true))),
            ("100000000000", Some((100_000_000_000, false))),
            ("0", Some((0, false))),
            ("-1", Some((-1, false))),
            ("-1.5", Some((-1, false))),
            ("9223372036854775807", Some((i64::MAX, false))),
            ("9223372036854775808", None),
            ("9.3e18", None),
            ("1e999", None),
            ("", None),
            ("inf", None),
            ("NaN", None),
            ("1 ", None),
            ("0x10", None),
            ("--1", None),
        ];
        for (text, expected) in cases {
            let found =
                Timestamp::parse(text.as_bytes()).map(|found| (found.millis, found.in_seconds));
            assert_eq!(found, *expected, "{text:?}");
        }
    }

    #[test]
    fn the_usual_form_agrees_with_the_general_one() {
        for text in ["1763029869851,", "9999999999999,", "1000000000000,"] {
            let (found, len) = Timestamp::usual(text.as_bytes()).unwrap();
            assert_eq!(Some(found), Timestamp::parse(&text.as_bytes()[..len]));
        }
        for text in [
            "0763029869851,",
            "176302986985,",
            "17630298698510,",
            "1763029869851}",
            "176302986985a,",
            "",
        ] {
            assert_eq!(Timestamp::usual(text.as_bytes()), None, "{text:?}");
        }
    }
}
