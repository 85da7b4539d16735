/// The calendar fields of a Unix time: year, month, day, hour, minute, second, day of the week (0 is Sunday).
fn civil(seconds: u64) -> (u64, u64, u64, u64, u64, u64, u64) {
    let days = seconds / 86_400;
    let of_day = seconds % 86_400;
    // Days are counted from 1 March of year 0, so that the leap day ends a year.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (
        year,
        month,
        day,
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        (days + 4) % 7,
    )
}

/// `2026-11-25T03:04:05.678Z`.
pub(crate) fn iso(milliseconds: u64) -> String {
    let (year, month, day, hour, minute, second, _) = civil(milliseconds / 1000);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        milliseconds % 1000
    )
}

/// `Wed, 25 Nov 2026 03:04:05 GMT`.
pub(crate) fn http_date(milliseconds: u64) -> String {
    let (year, month, day, hour, minute, second, week_day) = civil(milliseconds / 1000);
    let week_day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][week_day as usize % 7];
    let month = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ][(month as usize + 11) % 12];
    format!("{week_day}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_have_their_known_dates() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_782_400_007), "2000-02-29T00:00:00.007Z");
        assert_eq!(iso(1_795_575_845_000), "2026-11-25T03:04:05.000Z");
        assert_eq!(
            http_date(1_795_575_845_000),
            "Wed, 25 Nov 2026 03:04:05 GMT"
        );
    }
}
