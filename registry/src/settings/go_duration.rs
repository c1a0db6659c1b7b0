//! Durations as the distribution registry writes them.
//!
//! *Invariant:* what is accepted means the same to both: `1h30m` is ninety minutes, and a bare number counts
//! nanoseconds.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// A duration in Go's syntax that is not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GoDuration(pub(crate) Duration);

/// A text that is no duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration; write a number with a unit, such as 90s or 168h")]
pub(crate) struct NotADuration;

/// Units with their nanoseconds; longer names first where one is the beginning of another.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl GoDuration {
    pub(crate) fn parse(text: &str) -> Result<Self, NotADuration> {
        let text = text.strip_prefix('+').unwrap_or(text);
        if let Ok(nanoseconds) = text.parse::<i64>() {
            return u64::try_from(nanoseconds)
                .map(|nanoseconds| Self(Duration::from_nanos(nanoseconds)))
                .map_err(|_| NotADuration);
        }
        let mut rest = text;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (nanoseconds, after) = part(rest).ok_or(NotADuration)?;
            // Go's durations end at 2^63 nanoseconds, about 292 years.
            total = total
                .checked_add(nanoseconds)
                .filter(|total| i64::try_from(*total).is_ok())
                .ok_or(NotADuration)?;
            rest = after;
        }
        if text.is_empty() { Err(NotADuration) } else { Ok(Self(Duration::from_nanos(total))) }
    }
}

/// One number with its unit, and what follows.
fn part(text: &str) -> Option<(u64, &str)> {
    let number_end = text.find(|symbol: char| !symbol.is_ascii_digit() && symbol != '.')?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|symbol: char| symbol.is_ascii_digit() || symbol == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = u128::from(whole) * u128::from(*scale);
    let mut place = u128::from(*scale);
    for digit in fraction.bytes() {
        place /= 10;
        nanoseconds += u128::from(digit - b'0') * place;
    }
    Some((u64::try_from(nanoseconds).ok()?, rest))
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| serde::de::Error::custom(format!("`{text}` is {error}")))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, milliseconds) in [
            ("168h", 168 * 3_600_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("10s", 10_000),
            ("+2m", 120_000),
            (".5s", 500),
            ("1s500ms", 1_500),
            ("250ms", 250),
            ("0", 0),
            ("0s", 0),
            ("1000000", 1),
        ] {
            let read = GoDuration::parse(text).expect(text);
            assert_eq!(read.0, Duration::from_millis(milliseconds), "{text}");
        }
        assert_eq!(GoDuration::parse("3us").expect("micro").0, Duration::from_micros(3));
        assert_eq!(GoDuration::parse("3\u{b5}s").expect("micro").0, Duration::from_micros(3));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let texts =
            ["", "s", "1d", "-5s", "-1", "1h 30m", "1.2.3s", ".", ".s", "9999999999h", "10 s", "1m2", "1,5s"];
        for text in texts {
            assert_eq!(GoDuration::parse(text), Err(NotADuration), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".{0,20}") {
            let _ = GoDuration::parse(&text);
        }

        #[test]
        fn whole_numbers_of_every_unit_add_up(hours in 0_u64..1000, minutes in 0_u64..100, ms in 0_u64..100_000) {
            let read = GoDuration::parse(&format!("{hours}h{minutes}m{ms}ms")).expect("a duration");
            let expected = Duration::from_secs(hours * 3600 + minutes * 60) + Duration::from_millis(ms);
            proptest::prop_assert_eq!(read.0, expected);
        }
    }
}
