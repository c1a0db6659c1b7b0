//! Times as people type them.
//!
//! *Invariant:* a length of time counts from a moment that is given; nothing here reads the clock.

use time::OffsetDateTime;

use super::error::CliError;
use crate::domain::words::moment;

/// Parses a time.
pub(super) fn parse_time(text: &str) -> Result<OffsetDateTime, CliError> {
    moment::parse(text).map_err(|error| CliError::Usage(error.to_string()))
}

/// Parses a time, or how long from now.
pub(super) fn parse_ahead(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, CliError> {
    parse_moment(text, |length| now.checked_add(length))
}

/// Parses a time, or how long ago.
pub(super) fn parse_ago(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, CliError> {
    parse_moment(text, |length| now.checked_sub(length))
}

fn parse_moment(
    text: &str,
    moment: impl FnOnce(time::Duration) -> Option<OffsetDateTime>,
) -> Result<OffsetDateTime, CliError> {
    match humantime::parse_duration(text) {
        Ok(length) => {
            let moment = time::Duration::try_from(length).ok().and_then(moment);
            moment.ok_or_else(|| CliError::Usage(format!("`{text}` is too long")))
        }
        Err(_) => parse_time(text).map_err(|_| {
            CliError::Usage(format!(
                "`{text}` is neither a time such as 2027-01-31T12:00:00Z nor a length of time such as 30d"
            ))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_counts_from_now_in_one_direction_or_the_other() {
        let now = parse_time("2027-01-31T12:00:00Z").unwrap();
        for (text, ahead, ago) in [
            ("30d", "2027-03-02T12:00:00Z", "2027-01-01T12:00:00Z"),
            ("1h 30m", "2027-01-31T13:30:00Z", "2027-01-31T10:30:00Z"),
            ("2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00Z", "2026-12-24T17:00:00Z"),
        ] {
            assert_eq!(parse_ahead(text, now).unwrap(), parse_time(ahead).unwrap(), "{text}");
            assert_eq!(parse_ago(text, now).unwrap(), parse_time(ago).unwrap(), "{text}");
        }
        for bad in ["yesterday", "2027-01-31", "30", "", "20000years", "999999999999y"] {
            assert!(matches!(parse_ago(bad, now), Err(CliError::Usage(_))), "{bad}");
            assert!(matches!(parse_ahead(bad, now), Err(CliError::Usage(_))), "{bad}");
        }
    }
}
