//! Times as they are written and read, RFC 3339.
//!
//! *Invariant:* every time that was read can be stored, read back and written again.
//!
//! Spec: RFC 3339 §5.6.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Why a text is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time; write it like 2027-01-31T12:00:00Z")]
pub struct InvalidMoment(pub String);

/// Reads a time.
pub fn parse(text: &str) -> Result<OffsetDateTime, InvalidMoment> {
    let invalid = || InvalidMoment(text.to_owned());
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| invalid())?;
    // Near the ends of the calendar an offset leads out of it.
    let utc = at.checked_to_offset(UtcOffset::UTC).ok_or_else(invalid)?;
    // The database counts microseconds.
    let micros = utc.nanosecond() / 1000 * 1000;
    utc.replace_nanosecond(micros).ok().filter(|at| (1..=9998).contains(&at.year())).ok_or_else(invalid)
}

/// Writes a time.
pub fn written(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).expect("times of the database are within the years that RFC 3339 can write")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_can_be_written() {
        for (text, same) in [
            ("2027-01-31T12:00:00Z", "2027-01-31T12:00:00Z"),
            ("2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00Z"),
            ("2026-12-24T18:00:00.1234567Z", "2026-12-24T18:00:00.123456Z"),
        ] {
            assert_eq!(written(parse(text).unwrap()), same);
        }
        for text in ["", "tomorrow", "2027-01-31", "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"] {
            assert_eq!(parse(text), Err(InvalidMoment(text.to_owned())));
        }
    }
}
