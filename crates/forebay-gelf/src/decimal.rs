//! Decimal digits, eight at a time.

use std::fmt;
use std::io::Write as _;

/// The first number that eight digits cannot hold.
pub(crate) const EIGHT_DIGITS: u64 = 100_000_000;
/// Eight zeros. Eight digits or-ed with it are text.
pub(crate) const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight digits of a number below [`EIGHT_DIGITS`], one per byte, the first one in the lowest byte.
#[inline(always)]
pub(crate) const fn decimal(value: u32) -> u64 {
    // Halves, then quarters, then digits, each step in all lanes at once. The factors are 2^20 / 100 and 2^10 / 10,
    // rounded up: exact for what the lanes hold.
    let fours = (value / 10_000) as u64 | ((value % 10_000) as u64) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - tens * 10) << 8
}

/// A number of thousandths (below 1,000) as a dot and three digits, and their length without zeros at the end.
#[inline(always)]
pub(crate) fn decimals(thousandths: u16) -> ([u8; 4], usize) {
    let digits = [thousandths / 100, thousandths / 10 % 10, thousandths % 10];
    let length = match digits {
        [0, 0, 0] => 0,
        [_, 0, 0] => 2,
        [_, _, 0] => 3,
        _ => 4,
    };
    let [first, second, third] = digits;
    let digit = |digit: u16| b'0' + digit as u8;
    ([b'.', digit(first), digit(second), digit(third)], length)
}

/// Whether all eight bytes are `0` to `9`.
#[inline(always)]
pub(crate) const fn are_digits(word: u64) -> bool {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    word & HIGH == ZEROS && word.wrapping_add(0x0606_0606_0606_0606) & HIGH == ZEROS
}

/// Whether this is a decimal of at most 18 digits without a leading zero: always JSON, always an `i64`.
pub(crate) fn is_plain_integer(digits: &[u8]) -> bool {
    matches!(digits, [b'0'] | [b'1'..=b'9', ..])
        && digits.len() <= 18
        && digits.iter().all(u8::is_ascii_digit)
}

/// A number as JSON text, in a buffer of its own.
pub(crate) struct NumberText {
    bytes: [u8; 32],
    length: usize,
}

impl NumberText {
    /// Reads what is a number in a log line but not in JSON as it stands (`+1`, `007`, `.5`).
    #[cold]
    pub(crate) fn canonical(digits: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(digits).ok()?;
        if let Ok(value) = text.parse::<i64>() {
            return Self::print(format_args!("{value}"));
        }
        // An integer beyond 64 bits must not turn into a rounded float.
        if !text.contains(['.', 'e', 'E']) {
            return None;
        }
        Self::float(text.parse().ok()?)
    }

    /// The shortest form that reads back to the same value; `None` for NaN and infinities, which are no JSON.
    pub(crate) fn float(value: f64) -> Option<Self> {
        // The longest double has 24 characters in this form.
        value
            .is_finite()
            .then(|| Self::print(format_args!("{value:?}")))?
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn print(number: fmt::Arguments<'_>) -> Option<Self> {
        let mut bytes = [0; 32];
        let mut rest = bytes.as_mut_slice();
        rest.write_fmt(number).ok()?;
        let length = 32 - rest.len();
        Some(Self { bytes, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits_are_those_of_the_number() {
        let step = 9_973;
        for value in (0..EIGHT_DIGITS as u32).step_by(step).chain([99_999_999]) {
            let text = (decimal(value) | ZEROS).to_le_bytes();
            assert_eq!(text.as_slice(), format!("{value:08}").as_bytes());
        }
        for value in 0..10_000 {
            let text = (decimal(value * 10_000 + 9_999 - value) | ZEROS).to_le_bytes();
            assert_eq!(
                text.as_slice(),
                format!("{value:04}{:04}", 9_999 - value).as_bytes()
            );
        }
    }

    #[test]
    fn thousandths_lose_zeros_at_their_end() {
        for (thousandths, expected) in [
            (0, ""),
            (1, ".001"),
            (10, ".01"),
            (900, ".9"),
            (123, ".123"),
        ] {
            let (digits, length) = decimals(thousandths);
            assert_eq!(&digits[..length], expected.as_bytes());
        }
    }
}
