use std::time::{Duration, SystemTime};

use forebay_lease::SequenceNumber;

/// The second in which a sequence number was given out, if it has the layout Kinesis uses today.
///
/// The layout (an integer of 186 bits, version 2 in the lowest four, a 32-bit shard number above them, then 36 bits of
/// seconds since 1970) is not documented by AWS. Only messages depend on it, never a decision.
pub(crate) fn issued_at(number: &SequenceNumber) -> Option<SystemTime> {
    let text = number.to_string();
    // 186 bits: from 2^185 to 2^186 - 1, which is 4.9e55 to 9.8e55.
    if text.len() != 56
        || text.as_str() < "49039857307708443467467104868809893875799651909875269632"
    {
        return None;
    }
    // Arithmetic modulo 2^128 keeps the low bits exact.
    let low = text.bytes().try_fold(0_u128, |low, byte| {
        byte.is_ascii_digit()
            .then(|| low.wrapping_mul(10).wrapping_add(u128::from(byte - b'0')))
    })?;
    if low & 0xF != 2 {
        return None;
    }
    let seconds = u64::try_from((low >> 36) & 0xF_FFFF_FFFF).ok()?;
    // 2013-11-14, when Kinesis was announced.
    if seconds < 1_384_387_200 {
        return None;
    }
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        let number = text.parse().expect("a number");
        issued_at(&number)?
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .map(|time| time.as_secs())
    }

    #[test]
    fn the_time_is_read_from_numbers_of_the_known_layout_only() {
        // From Lambda's example of a Kinesis event: December 2018.
        assert_eq!(
            seconds("49590338271490256608559692538361571095921575989136588898"),
            Some(1_545_084_650)
        );
        // From the API reference of PutRecord: another layout, its lowest bits are not a version.
        assert_eq!(
            seconds("49543463076548007577105092703039560359975228518395012686"),
            None
        );
        assert_eq!(seconds("1"), None);
        assert_eq!(
            seconds("99999999999999999999999999999999999999999999999999999999999"),
            None
        );
    }
}
