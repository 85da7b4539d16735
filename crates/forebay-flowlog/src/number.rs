use crate::error::FieldErrorKind;

/// Reads the digits `line[start..end]` as a number up to `max`. Leading zeros are allowed, signs are not.
///
/// The whole line is handed in because eight bytes that begin with the number can then be loaded at once; what follows the
/// number is shifted out. Most numbers in a flow log have one to ten digits.
///
/// Answers with an `Option`, which travels in registers; [`fault`] finds out afterwards what was wrong.
#[inline(always)]
pub(crate) fn decode(line: &[u8], start: usize, end: usize, max: u64) -> Option<u64> {
    let length = end.wrapping_sub(start);
    let value = match eight_from(line, start) {
        Some(first) if length.wrapping_sub(1) < 8 => eight_digits(only_first(first, length))?,
        Some(first) if length.wrapping_sub(9) < 8 => {
            // The rest are the last of the eight bytes that end with the number.
            let (last, rest) = (eight_from(line, end - 8)?, length - 8);
            let before = 64 - 8 * rest as u32;
            eight_digits(first)? * POWERS_OF_TEN[rest] + eight_digits((last >> before) << before)?
        }
        _ => return decode_slowly(line, start, end, max),
    };
    if value <= max { Some(value) } else { None }
}

/// Where the digits `line[start..end]` begin without leading zeros, checked as [`decode`] does but not converted.
#[inline(always)]
pub(crate) fn canonical_start(line: &[u8], start: usize, end: usize, max: &Limit) -> Option<usize> {
    let length = end.wrapping_sub(start);
    if let Some(word) = eight_from(line, start)
        && length.wrapping_sub(1) < 8
        && (word as u8 != 0 || length == 1)
    {
        let digits = only_first(word, length);
        // Digits with the first one in the highest byte compare as the numbers do.
        return (are_digits(digits) && digits.swap_bytes() <= max.digits).then_some(start);
    }
    canonical_start_slowly(line, start, end, max.number)
}

#[inline(never)]
fn canonical_start_slowly(line: &[u8], start: usize, end: usize, max: u64) -> Option<usize> {
    let value = decode(line, start, end, max)?;
    let length = value.checked_ilog10().map_or(1, |log| log as usize + 1);
    Some(end - length)
}

/// The largest number of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) number: u64,
    /// As eight digits, the first one in the highest byte; nines for a limit beyond them.
    digits: u64,
}

impl Limit {
    pub(crate) const fn new(number: u64) -> Self {
        let mut rest = if number > 99_999_999 {
            99_999_999
        } else {
            number
        };
        let (mut digits, mut shift) = (0, 0);
        while shift < 64 {
            digits |= (rest % 10) << shift;
            rest /= 10;
            shift += 8;
        }
        Self { number, digits }
    }
}

/// What is wrong with digits that [`decode`] refused.
#[cold]
pub(crate) fn fault(digits: &[u8], max: u64) -> FieldErrorKind {
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        FieldErrorKind::TooLarge { max }
    } else {
        FieldErrorKind::NotNumber
    }
}

#[cold]
fn decode_slowly(line: &[u8], start: usize, end: usize, max: u64) -> Option<u64> {
    let digits = line.get(start..end).filter(|digits| !digits.is_empty())?;
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        value
            .checked_mul(10)?
            .checked_add(u64::from(self::digit(*digit)?))
    });
    value.filter(|value| *value <= max)
}

#[inline(always)]
const fn digit(byte: u8) -> Option<u8> {
    let digit = byte.wrapping_sub(b'0');
    if digit < 10 { Some(digit) } else { None }
}

/// The eight bytes from `start` on, each less the digit zero.
#[inline(always)]
fn eight_from(line: &[u8], start: usize) -> Option<u64> {
    let word = line.get(start..)?.first_chunk()?;
    Some(u64::from_le_bytes(*word) ^ ZEROS)
}

/// The first `length` bytes (1 to 8) of `word`, behind zeros.
#[inline(always)]
const fn only_first(word: u64, length: usize) -> u64 {
    word << (64 - 8 * length as u32)
}

#[inline(always)]
const fn are_digits(word: u64) -> bool {
    // 118 lifts every byte above 9 over 127. What it carries goes to bytes behind one that is no digit already.
    (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080 == 0
}

/// The number of eight digits, the first one in the lowest byte.
#[inline(always)]
const fn eight_digits(word: u64) -> Option<u64> {
    if !are_digits(word) {
        return None;
    }
    // Pairs, then fours, then eight digits, each step in all lanes at once.
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let left = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let right = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    Some(left.wrapping_add(right) >> 32)
}

const ZEROS: u64 = 0x3030_3030_3030_3030;
const POWERS_OF_TEN: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(digits: &str, max: u64) -> Result<u64, FieldErrorKind> {
        // In front, so that the fast way cannot be taken, and behind other text.
        let judge = |line: &[u8], start, end| {
            decode(line, start, end, max).ok_or_else(|| fault(&line[start..end], max))
        };
        let alone = judge(digits.as_bytes(), 0, digits.len());
        for before in ["", "9", "x ", "eni-0123456789 9", "1234567890123456 "] {
            let line = format!("{before}{digits} 77");
            let (start, end) = (before.len(), before.len() + digits.len());
            assert_eq!(judge(line.as_bytes(), start, end), alone, "{line}");
            let canonical = canonical_start(line.as_bytes(), start, end, &Limit::new(max))
                .map(|start| line.as_bytes()[start..end].to_vec());
            assert_eq!(
                canonical,
                alone.ok().map(|value| value.to_string().into_bytes()),
                "{line}"
            );
        }
        alone
    }

    #[test]
    fn numbers_decode_up_to_their_limit() {
        assert_eq!(check("0", 255), Ok(0));
        assert_eq!(check("255", 255), Ok(255));
        assert_eq!(
            check("256", 255),
            Err(FieldErrorKind::TooLarge { max: 255 })
        );
        assert_eq!(check("1439387263", u64::MAX), Ok(1_439_387_263));
        assert_eq!(check("18446744073709551615", u64::MAX), Ok(u64::MAX));
        assert_eq!(
            check("18446744073709551616", u64::MAX),
            Err(FieldErrorKind::TooLarge { max: u64::MAX })
        );
        assert_eq!(
            check("99999999999999999999999", u64::MAX),
            Err(FieldErrorKind::TooLarge { max: u64::MAX })
        );
        assert_eq!(check("007", 255), Ok(7));
        assert_eq!(check("0000000000000000000000000", 255), Ok(0));
    }

    #[test]
    fn what_is_not_digits_is_no_number() {
        for text in [
            "-5",
            "+5",
            "1e3",
            "0x1f",
            "1.0",
            "12a",
            ":",
            "/",
            "1 2",
            "12345678:",
            "\u{ff11}",
            "1234567/901234",
        ] {
            assert_eq!(
                check(text, u64::MAX),
                Err(FieldErrorKind::NotNumber),
                "{text}"
            );
        }
        assert_eq!(decode(b"", 0, 0, 9), None);
        assert_eq!(decode(b"12345678", 8, 4, 9), None);
        assert_eq!(decode(b"12345678", 4, 40, 9), None);
        assert_eq!(fault(b"", 9), FieldErrorKind::NotNumber);
    }

    proptest! {
        #[test]
        fn any_number_survives(value: u64, zeros in 0_usize..4) {
            let digits = format!("{}{value}", "0".repeat(zeros));
            prop_assert_eq!(check(&digits, u64::MAX), Ok(value));
        }

        #[test]
        fn any_text_is_judged_the_same_on_both_ways(text in "[0-9:/a+-]{1,22}", max: u64) {
            let _ = check(&text, max);
        }
    }
}
