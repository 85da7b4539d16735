use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A DynamoDB number: exact decimal with up to 38 significant digits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Number {
    negative: bool,
    /// Below 10^38, without trailing zeros.
    digits: u128,
    exponent: i32,
}

/// Why a text or a sum is no DynamoDB number.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NumberError {
    /// Not a decimal number.
    #[error("the parameter cannot be converted to a numeric value")]
    Malformed,
    /// More than 38 significant digits.
    #[error("attempting to store more than 38 significant digits in a number")]
    TooPrecise,
    /// Magnitude outside 1E-130 to 9.99E+125.
    #[error(
        "number overflow: magnitudes from 1E-130 to 9.9999999999999999999999999999999999999E+125 are supported"
    )]
    OutOfRange,
}

impl Number {
    /// The exact sum.
    ///
    /// # Errors
    ///
    /// If it needs more than 38 digits or leaves the range.
    pub fn plus(self, other: Self) -> Result<Self, NumberError> {
        if self.digits == 0 {
            return Ok(other);
        }
        if other.digits == 0 {
            return Ok(self);
        }
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.scaled(exponent)?, other.scaled(exponent)?);
        let sum = if self.negative == other.negative {
            (
                self.negative,
                a.checked_add(b).ok_or(NumberError::TooPrecise)?,
            )
        } else if a >= b {
            (self.negative, a - b)
        } else {
            (other.negative, b - a)
        };
        Self::normal(sum.0, sum.1, exponent)
    }

    /// The number with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            negative: !self.negative && self.digits != 0,
            ..self
        }
    }

    fn scaled(self, exponent: i32) -> Result<u128, NumberError> {
        u32::try_from(self.exponent - exponent)
            .ok()
            .and_then(|power| 10u128.checked_pow(power))
            .and_then(|factor| self.digits.checked_mul(factor))
            .ok_or(NumberError::TooPrecise)
    }

    fn normal(negative: bool, mut digits: u128, mut exponent: i32) -> Result<Self, NumberError> {
        if digits == 0 {
            return Ok(Self {
                negative: false,
                digits: 0,
                exponent: 0,
            });
        }
        while digits.is_multiple_of(10) {
            digits /= 10;
            exponent += 1;
        }
        if digits >= LIMIT {
            return Err(NumberError::TooPrecise);
        }
        let magnitude = exponent + digits.ilog10() as i32;
        if !(-130..=125).contains(&magnitude) {
            return Err(NumberError::OutOfRange);
        }
        Ok(Self {
            negative,
            digits,
            exponent,
        })
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits, number.negative) {
            (0, _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        };
        let (one, two) = (sign(self), sign(other));
        if one != two || one == 0 {
            return one.cmp(&two);
        }
        let magnitude = |number: &Self| number.exponent + number.digits.ilog10() as i32;
        let by_size = magnitude(self).cmp(&magnitude(other)).then_with(|| {
            // Equal magnitude: fill both up to 38 digits, then the digits decide.
            let fill = |number: &Self| number.digits * 10u128.pow(37 - number.digits.ilog10());
            fill(self).cmp(&fill(other))
        });
        if one < 0 { by_size.reverse() } else { by_size }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::normal(false, u128::from(value), 0).unwrap_or(Self {
            negative: false,
            digits: 0,
            exponent: 0,
        })
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (
                mantissa,
                exponent
                    .parse::<i32>()
                    .map_err(|_| NumberError::Malformed)?,
            ),
            None => (text, 0),
        };
        if exponent.unsigned_abs() > 1_000 || mantissa.len() > 1_000 {
            return Err(NumberError::OutOfRange);
        }
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(NumberError::Malformed);
        }
        let all = format!("{whole}{fraction}");
        if !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::Malformed);
        }
        let kept = all.trim_end_matches('0');
        let dropped = (all.len() - kept.len()) as i32;
        let significant = kept.trim_start_matches('0');
        if significant.len() > 38 {
            return Err(NumberError::TooPrecise);
        }
        let digits = if significant.is_empty() {
            0
        } else {
            significant.parse().map_err(|_| NumberError::Malformed)?
        };
        Self::normal(negative, digits, exponent - fraction.len() as i32 + dropped)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let digits = self.digits.to_string();
        match usize::try_from(self.exponent) {
            Ok(zeros) => write!(f, "{digits}{}", "0".repeat(zeros)),
            Err(_) => {
                let places = self.exponent.unsigned_abs() as usize;
                let padded = format!("{digits:0>width$}", width = places + 1);
                let (whole, fraction) = padded.split_at(padded.len() - places);
                write!(f, "{whole}.{fraction}")
            }
        }
    }
}

const LIMIT: u128 = 10u128.pow(38);

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().expect("a number")
    }

    #[test]
    fn numbers_are_written_plainly_without_superfluous_zeros() {
        for (text, shown) in [
            ("007", "7"),
            ("-0", "0"),
            ("1.500", "1.5"),
            ("1e3", "1000"),
            ("12E-4", "0.0012"),
            ("+5.", "5"),
            (".5", "0.5"),
            (
                "99999999999999999999999999999999999999",
                "99999999999999999999999999999999999999",
            ),
        ] {
            assert_eq!(number(text).to_string(), shown);
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        assert_eq!(number("0.1").plus(number("0.2")), Ok(number("0.3")));
        assert_eq!(number("5").plus(number("7").negated()), Ok(number("-2")));
        assert_eq!(
            number("1e40").plus(number("1")),
            Err(NumberError::TooPrecise)
        );
        assert_eq!(
            "1".repeat(39).parse::<Number>(),
            Err(NumberError::TooPrecise)
        );
        assert_eq!("1e126".parse::<Number>(), Err(NumberError::OutOfRange));
        assert_eq!("x".parse::<Number>(), Err(NumberError::Malformed));
    }

    #[test]
    fn order_is_by_value() {
        let sorted = ["-10", "-9.5", "0", "0.001", "1", "1.5", "2", "10", "1e100"];
        for pair in sorted.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
    }
}
