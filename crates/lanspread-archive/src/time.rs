//! Converts wall-clock fields to Unix seconds. Pure.
//!
//! RAR 5 stores instants. RAR 4 stores DOS fields without a time zone. They are taken as UTC, so that an archive
//! installs with the same times on every machine.

use lanspread_types::content::UnixSeconds;

/// Fields of a date and time in the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) year: i64,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
}

/// Unix seconds of a UTC date and time; `None` if a field is out of range.
pub(super) fn unix_seconds(fields: Fields) -> Option<UnixSeconds> {
    let Fields { year, month, day, hour, minute, second } = fields;
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !in_range || !(1..=9999).contains(&year) {
        return None;
    }
    let seconds_of_day = i64::from(hour * 3600 + minute * 60 + second);
    Some(days_from_civil(year, i64::from(month), i64::from(day)) * 86_400 + seconds_of_day)
}

/// Days since 1970-01-01. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Unix seconds of a DOS date and time: `yyyyyyym mmmddddd hhhhhmmm mmmsssss`, years from 1980, steps of 2 seconds.
/// Source: the FAT specification, "Date and Time Formats".
///
/// Fields that are too large or zero count on from their neighbours, as in `mktime` of C and so in `unrar`: month 0 is
/// December of the year before, day 0 the last day of the month before.
pub(super) fn dos_seconds(raw: u32) -> UnixSeconds {
    let field = |shift: u32, mask: u32| i64::from((raw >> shift) & mask);
    let months = field(21, 15) - 1;
    let (year, month) = (1980 + field(25, 127) + months.div_euclid(12), months.rem_euclid(12) + 1);
    let days = days_from_civil(year, month, 1) + field(16, 31) - 1;
    days * 86_400 + field(11, 31) * 3600 + field(5, 63) * 60 + field(0, 31) * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: i64, month: u32, day: u32) -> Option<i64> {
        unix_seconds(Fields { year, month, day, hour: 0, minute: 0, second: 0 })
    }

    #[test]
    fn dates_become_unix_seconds() {
        assert_eq!(at(1970, 1, 1), Some(0));
        assert_eq!(at(2000, 2, 29), Some(951_782_400));
        assert_eq!(at(2000, 3, 1), Some(951_868_800));
        assert_eq!(at(1601, 1, 1), Some(-11_644_473_600), "zero of NTFS");
        assert_eq!(at(2025, 13, 1), None);
        assert_eq!(at(0, 1, 1), None);
    }

    #[test]
    fn dos_fields_become_unix_seconds() {
        // 2025-01-02 03:04:06, written out field by field.
        let raw = (45 << 25) | (1 << 21) | (2 << 16) | (3 << 11) | (4 << 5) | 3;
        assert_eq!(dos_seconds(raw), 1_735_787_046);
        assert_eq!(Some(dos_seconds(0)), at(1979, 11, 30), "what `unrar x` gives to a file without a time");
        let of = |month: u32, day: u32| dos_seconds((45 << 25) | (month << 21) | (day << 16));
        assert_eq!(Some(of(2, 31)), at(2025, 3, 3));
        assert_eq!(Some(of(13, 1)), at(2026, 1, 1));
        assert_eq!(Some(of(3, 0)), at(2025, 2, 28));
        let late = (45 << 25) | (1 << 21) | (1 << 16) | (24 << 11) | (60 << 5) | 31;
        assert_eq!(Some(dos_seconds(late)), at(2025, 1, 2).map(|day| day + 3600 + 62));
    }
}
