//! The `Range` of a blob request and the `Content-Range` of a chunk.
//!
//! *Invariant:* a [`ByteRange`] lies inside the content it was resolved against and is not empty.
//!
//! Spec: RFC 9110 §14; distribution-spec, "Pushing a blob in chunks".

/// A part of some content; both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteRange {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl ByteRange {
    pub(super) fn len(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a `Range` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeRequest {
    /// No range, several ranges, or nothing we understand: all of it.
    Whole,
    /// Exactly this part.
    Part(ByteRange),
    /// Nothing of what is asked for exists.
    Unsatisfiable,
}

/// Resolves a `Range` header against content of `size` bytes.
pub(super) fn resolve(header: Option<&str>, size: u64) -> RangeRequest {
    let Some(ranges) = header.and_then(|header| header.strip_prefix("bytes=")) else {
        return RangeRequest::Whole;
    };
    let Some((first, last)) = ranges.trim().split_once('-') else { return RangeRequest::Whole };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Some((first, last.min(size.saturating_sub(1)))),
        (Some(_), Some(_)) => return RangeRequest::Unsatisfiable,
        (Some(first), None) if last.is_empty() => Some((first, size.saturating_sub(1))),
        (None, Some(length)) if first.is_empty() => {
            (length > 0).then(|| (size.saturating_sub(length), size.saturating_sub(1)))
        }
        _ => return RangeRequest::Whole,
    };
    match range {
        Some((first, last)) if first < size => RangeRequest::Part(ByteRange { first, last }),
        _ => RangeRequest::Unsatisfiable,
    }
}

/// Reads the `Content-Range` of a chunk, `<first>-<last>`; the forms of RFC 9110 are taken as well.
pub(super) fn parse_chunk(header: &str) -> Option<ByteRange> {
    let range = header.trim().strip_prefix("bytes ").unwrap_or(header).trim();
    let range = range.split_once('/').map_or(range, |(range, _)| range);
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    // The last of all numbers cannot be the end of anything whose length has to be told.
    (first <= last && last < u64::MAX).then_some(ByteRange { first, last })
}

/// Only digits: the standard parser would take a sign as well.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(first: u64, last: u64) -> RangeRequest {
        RangeRequest::Part(ByteRange { first, last })
    }

    #[test]
    fn single_ranges_are_resolved_and_clamped() {
        for (header, expected) in [
            ("bytes=500-1499", part(500, 1499)),
            ("bytes=500-", part(500, 2047)),
            ("bytes=-500", part(1548, 2047)),
            ("bytes=-5000", part(0, 2047)),
            ("bytes=2000-5000", part(2000, 2047)),
            ("bytes=0-0", part(0, 0)),
            ("bytes=500-0", RangeRequest::Unsatisfiable),
            ("bytes=2048-", RangeRequest::Unsatisfiable),
            ("bytes=5000-10000", RangeRequest::Unsatisfiable),
            ("bytes=-0", RangeRequest::Unsatisfiable),
            ("bytes=0-1,5-6", RangeRequest::Whole),
            ("bytes=a-b", RangeRequest::Whole),
            ("bytes=-", RangeRequest::Whole),
            ("items=0-1", RangeRequest::Whole),
            ("bytes=+1-2", RangeRequest::Whole),
            ("bytes=99999999999999999999-", RangeRequest::Whole),
        ] {
            assert_eq!(resolve(Some(header), 2048), expected, "{header}");
        }
        assert_eq!(resolve(None, 2048), RangeRequest::Whole);
        assert_eq!(resolve(Some("bytes=0-"), 0), RangeRequest::Unsatisfiable);
    }

    #[test]
    fn chunk_ranges_are_two_ordered_numbers() {
        assert_eq!(parse_chunk("0-1023"), Some(ByteRange { first: 0, last: 1023 }));
        assert_eq!(parse_chunk("bytes 5-9/10").map(ByteRange::len), Some(5));
        for header in
            ["", "-", "5", "9-5", "-5-9", "a-b", "1-2-3", "0-18446744073709551616", "0-18446744073709551615"]
        {
            assert_eq!(parse_chunk(header), None, "{header}");
        }
    }
}
