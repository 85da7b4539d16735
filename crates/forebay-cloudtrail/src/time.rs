//! RFC 3339 to milliseconds, nothing else.

/// Milliseconds since the Unix epoch of an RFC 3339 time with `Z` or an offset, a fraction of any length (cut, not rounded)
/// and also ISO 8601's basic form without separators, which AWS prints for session dates.
pub(crate) fn parse_millis(text: &str) -> Option<i64> {
    let mut rest = Digits {
        bytes: text.as_bytes(),
    };
    let year = rest.number(4)?;
    let extended = rest.skip(b'-');
    let month = rest.number(2)?;
    if extended && !rest.skip(b'-') {
        return None;
    }
    let day = rest.number(2)?;
    if !(rest.skip(b'T') || rest.skip(b't') || rest.skip(b' ')) {
        return None;
    }
    let hour = rest.number(2)?;
    let colons = rest.skip(b':');
    let minute = rest.number(2)?;
    if colons && !rest.skip(b':') {
        return None;
    }
    // 60 is a leap second; it counts as the first second of the next minute.
    let second = rest.number(2)?;
    let millis = if rest.skip(b'.') { rest.fraction()? } else { 0 };
    let offset = rest.offset()?;
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let days = days_from_epoch(year, month, day);
    Some((days * 86_400 + hour * 3600 + minute * 60 + second - offset) * 1000 + millis)
}

struct Digits<'a> {
    bytes: &'a [u8],
}

impl Digits<'_> {
    fn number(&mut self, width: usize) -> Option<i64> {
        let (digits, rest) = self.bytes.split_at_checked(width)?;
        self.bytes = rest;
        digits.iter().try_fold(0, |sum, byte| {
            Some(sum * 10 + i64::from(char::from(*byte).to_digit(10)?))
        })
    }

    fn skip(&mut self, byte: u8) -> bool {
        let hit = self.bytes.first() == Some(&byte);
        if hit {
            self.bytes = self.bytes.get(1..).unwrap_or_default();
        }
        hit
    }

    /// The digits behind the point, as milliseconds.
    fn fraction(&mut self) -> Option<i64> {
        let length = self
            .bytes
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.bytes.split_at_checked(length).filter(|_| length > 0)?;
        self.bytes = rest;
        let padded = digits.iter().copied().chain([b'0'; 3]).take(3);
        Some(padded.fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')))
    }

    /// Seconds east of Greenwich; the text must end here.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.bytes.first()? {
            b'Z' | b'z' => {
                return (self.bytes.len() == 1).then_some(0);
            }
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.bytes = self.bytes.get(1..)?;
        let hours = self.number(2)?;
        self.skip(b':');
        let minutes = self.number(2)?;
        (self.bytes.is_empty() && hours < 24 && minutes < 60)
            .then_some(sign * (hours * 3600 + minutes * 60))
    }
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that the leap day is last.
const fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = if month <= 2 { month + 9 } else { month - 3 };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_milliseconds() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2014-03-06T21:22:54Z", 1_394_140_974_000),
            ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
            ("2024-02-29T23:59:59.9999999Z", 1_709_251_199_999),
            ("2024-07-10T16:48:26.5Z", 1_720_630_106_500),
            ("2024-07-10T18:48:26+02:00", 1_720_630_106_000),
            ("2024-07-10t11:18:26-0530", 1_720_630_106_000),
            ("20240710T164826Z", 1_720_630_106_000),
            ("1969-12-31T23:59:59.250Z", -750),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ] {
            assert_eq!(parse_millis(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_time() {
        for text in [
            "",
            "2024",
            "2024-07-10",
            "2024-07-10T16:48:26",
            "2024-13-10T16:48:26Z",
            "2024-02-30T16:48:26Z",
            "2023-02-29T00:00:00Z",
            "2024-07-10T24:00:00Z",
            "2024-07-10T16:60:00Z",
            "2024-07-10T16:48:61Z",
            "2024-07-10T16:48:26.Z",
            "2024-07-10T16:48:26ZZ",
            "2024-07-10T16:48:26+2",
            "2024-07-10T16:48:26+25:00",
            "+024-07-10T16:48:26Z",
            "1720630106",
            "２024-07-10T16:48:26Z",
        ] {
            assert_eq!(parse_millis(text), None, "{text}");
        }
    }
}
