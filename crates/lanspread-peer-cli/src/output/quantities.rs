//! Sizes, durations, rates and counts for people. Nothing here does I/O.

use std::sync::OnceLock;

use crate::arguments::RateUnit;

/// The unit of the user for rates that change.
static RATE_UNIT: OnceLock<RateUnit> = OnceLock::new();

/// Makes the choice of the user that of this process.
pub(crate) fn choose_unit(unit: RateUnit) {
    // It is chosen once, when the command line is known.
    let _ = RATE_UNIT.set(unit);
}

/// Each is 1024 times the one before it.
const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// A size in the largest unit that fits, with two decimals: `3.00 MiB`.
pub(super) fn bytes(count: u64) -> String {
    let (mut unit, mut size) = (0, 1_u128);
    let count = u128::from(count);
    while unit + 1 < UNITS.len() && count >= size * 1024 {
        size *= 1024;
        unit += 1;
    }
    let name = UNITS[unit];
    if unit == 0 {
        return format!("{count} {name}");
    }
    format!("{}.{:02} {name}", count / size, count % size * 100 / size)
}

/// A duration in one or two units: `40 ms`, `3.7 s`, `24 s`, `1 min 15 s`, `2 h 5 min`.
pub(super) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..10_000 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        10_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{hours} h {} min", minutes % 60),
    }
}

/// A rate that changes, in the unit that the user chose.
pub(super) fn rate(bytes_per_second: u64) -> String {
    rate_in(RATE_UNIT.get().copied().unwrap_or_default(), bytes_per_second)
}

/// A rate in the largest unit that fits.
fn rate_in(unit: RateUnit, bytes_per_second: u64) -> String {
    match unit {
        RateUnit::Bytes => format!("{}/s", bytes(bytes_per_second)),
        RateUnit::Bits => bits(bytes_per_second),
    }
}

/// A rate in bytes, which disks have, and in bits, which networks have: `117.00 MiB/s, 981.46 Mbit/s`.
pub(super) fn rate_in_both(count: u64, milliseconds: u64) -> String {
    let per_second = u128::from(count) * 1000 / u128::from(milliseconds.max(1));
    let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
    format!("{}, {}", rate_in(RateUnit::Bytes, per_second), bits(per_second))
}

/// A limit, in bytes and bits: `20.00 MiB/s (167.77 Mbit/s)`.
pub(super) fn limit(bytes_per_second: Option<u64>) -> String {
    bytes_per_second
        .map_or_else(|| "no limit".to_owned(), |count| format!("{}/s ({})", bytes(count), bits(count)))
}

/// A rate in bits per second, in the units of networks, each of which is 1000 times the one before it.
fn bits(bytes_per_second: u64) -> String {
    let bits = u128::from(bytes_per_second) * 8;
    let units = [("Gbit/s", 1_000_000_000), ("Mbit/s", 1_000_000), ("kbit/s", 1_000)];
    let (name, unit) = units.into_iter().find(|(_, unit)| bits >= *unit).unwrap_or(("kbit/s", 1_000));
    format!("{}.{:02} {name}", bits / unit, bits % unit * 100 / unit)
}

/// A number of things: `1 file`, `2 files`.
pub(super) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// How much of a whole is done, in percent; rounded down, so that 100 means all of it.
pub(super) fn percent(done: u64, whole: u64) -> u64 {
    let percent = u128::from(done.min(whole)) * 100 / u128::from(whole.max(1));
    u64::try_from(percent).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rates_have_the_largest_unit_that_fits() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            (3 << 20, "3.00 MiB"),
            ((400 << 20) - 1, "399.99 MiB"),
            (u64::MAX, "16383.99 PiB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
        assert_eq!(rate_in(RateUnit::Bytes, 5 << 20), "5.00 MiB/s");
        assert_eq!(rate_in(RateUnit::Bits, 5 << 20), "41.94 Mbit/s");
        assert_eq!(rate_in(RateUnit::Bits, 10), "0.08 kbit/s");
        assert_eq!(rate_in_both(0, 0), "0 B/s, 0.00 kbit/s");
        assert_eq!(rate_in_both(117 << 20, 1_000), "117.00 MiB/s, 981.46 Mbit/s");
    }

    #[test]
    fn a_limit_is_shown_in_bytes_and_bits() {
        assert_eq!(limit(None), "no limit");
        assert_eq!(limit(Some(20 << 20)), "20.00 MiB/s (167.77 Mbit/s)");
        assert_eq!(limit(Some(125_000_000)), "119.20 MiB/s (1.00 Gbit/s)");
    }

    #[test]
    fn durations_have_one_spelling_and_are_never_zero_seconds() {
        for (milliseconds, expected) in [
            (0, "0 ms"),
            (40, "40 ms"),
            (999, "999 ms"),
            (3_799, "3.7 s"),
            (24_900, "24 s"),
            (75_900, "1 min 15 s"),
            (7_500_000, "2 h 5 min"),
        ] {
            assert_eq!(duration(milliseconds), expected);
        }
    }

    #[test]
    fn one_thing_is_singular() {
        assert_eq!([count(0, "file"), count(1, "file"), count(2, "file")], ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn percent_is_rounded_down() {
        assert_eq!(
            [percent(0, 0), percent(999, 1000), percent(5, 5), percent(9, 5), percent(u64::MAX, u64::MAX)],
            [0, 99, 100, 100, 100]
        );
    }
}
