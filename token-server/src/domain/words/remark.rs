//! What people say about what they change: reasons and descriptions.
//!
//! *Invariant:* a remark is one short line, so that it can be stored, listed in a table and recorded.

use super::plain_text::is_plain;

/// Longest remark.
pub const MAX_REMARK_CHARACTERS: usize = 500;

/// Why a text is not a remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRemark {
    /// More than [`MAX_REMARK_CHARACTERS`].
    #[error("a reason or a description has at most {MAX_REMARK_CHARACTERS} characters")]
    TooLong,
    /// It would break a line, or more.
    #[error(
        "a reason or a description must not hold control characters such as line ends, nor invisible ones"
    )]
    ControlCharacter,
}

/// Checks what somebody said, if anything.
pub fn check(remark: Option<&str>) -> Result<(), InvalidRemark> {
    let Some(text) = remark else { return Ok(()) };
    if text.chars().count() > MAX_REMARK_CHARACTERS {
        return Err(InvalidRemark::TooLong);
    }
    if !text.chars().all(is_plain) {
        return Err(InvalidRemark::ControlCharacter);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_one_short_line() {
        assert_eq!(check(None), Ok(()));
        assert_eq!(check(Some(&"ä".repeat(MAX_REMARK_CHARACTERS))), Ok(()));
        assert_eq!(check(Some(&"a".repeat(MAX_REMARK_CHARACTERS + 1))), Err(InvalidRemark::TooLong));
        for text in ["a\nb", "a\0", "\u{7f}", "\u{85}", "a\u{202e}b"] {
            assert_eq!(check(Some(text)), Err(InvalidRemark::ControlCharacter), "{text:?}");
        }
    }
}
