//! A user name and a password in an `Authorization: Basic` header, and how a server asks for them.
//!
//! *Invariant:* reading never panics and keeps the password in a [`Secret`]; a printed challenge is one line of
//! visible ASCII whatever the realm is.
//!
//! Spec: RFC 7617.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::challenge::Quoted;
use crate::secret::Secret;

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a header value is not a user name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBasic {
    /// Another scheme, or none.
    #[error("the Authorization header is not of the kind Basic")]
    OtherScheme,
    /// No Base64, no UTF-8, or no colon.
    #[error("the Authorization header cannot be read")]
    Unreadable,
}

/// What came in a header, unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicCredentials {
    /// Everything before the first colon.
    pub user: String,
    /// Everything after it.
    pub password: Secret,
}

impl BasicCredentials {
    /// Reads a header value.
    pub fn parse(value: &str) -> Result<Self, NotBasic> {
        let (scheme, encoded) = value.split_once(' ').ok_or(NotBasic::OtherScheme)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(NotBasic::OtherScheme);
        }
        let decoded = BASE64.decode(encoded.trim()).map_err(|_| NotBasic::Unreadable)?;
        let pair = Secret::new(String::from_utf8(decoded).map_err(|_| NotBasic::Unreadable)?);
        let (user, password) = pair.expose().split_once(':').ok_or(NotBasic::Unreadable)?;
        Ok(Self { user: user.to_owned(), password: Secret::new(password) })
    }
}

/// How a server asks for a user name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicChallenge {
    /// What people are told they log in to.
    pub realm: String,
}

impl fmt::Display for BasicChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Basic realm={}", Quoted(&self.realm))
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    fn shown(value: &str) -> String {
        match BasicCredentials::parse(value) {
            Ok(read) => format!("{}/{}", read.user, read.password.expose()),
            Err(NotBasic::OtherScheme) => "other".into(),
            Err(NotBasic::Unreadable) => "unreadable".into(),
        }
    }

    #[test]
    fn headers_are_read_as_clients_write_them() {
        for (value, expected) in [
            (format!("Basic {}", STANDARD.encode("alice:p:w")), "alice/p:w"),
            (format!("Basic {}", STANDARD.encode("alice:")), "alice/"),
            (format!("Basic {}", STANDARD.encode(":")), "/"),
            (format!("bASIC  {} ", STANDARD_NO_PAD.encode("alice:pw12")), "alice/pw12"),
            (format!("Basic {}", STANDARD.encode("alice")), "unreadable"),
            (format!("Basic {}", STANDARD.encode(b"a\xff:b")), "unreadable"),
            ("Basic %%%".into(), "unreadable"),
            ("Basic ".into(), "unreadable"),
            ("Basic".into(), "other"),
            ("Bearer abc".into(), "other"),
            (String::new(), "other"),
        ] {
            assert_eq!(shown(&value), expected, "{value}");
        }
    }

    #[test]
    fn a_realm_is_quoted() {
        let challenge = BasicChallenge { realm: "The \"best\" \\ registry\r\nX: y".into() };
        assert_eq!(challenge.to_string(), r#"Basic realm="The \"best\" \\ registry??X: y""#);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(user in "[^:]{0,20}", password in ".{0,20}") {
            let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            prop_assert_eq!(BasicCredentials::parse(&value), Ok(BasicCredentials { user, password: Secret::new(password) }));
        }

        #[test]
        fn any_text_is_survived(text in ".{0,80}") {
            let _ = BasicCredentials::parse(&text);
        }
    }
}
