//! How a registry asks for a token: the `WWW-Authenticate: Bearer` header.
//!
//! *Invariant:* the printed value is one line of visible ASCII with every parameter quoted, whatever the settings
//! or a reason text contain; all known clients parse it.
//!
//! Spec: RFC 6750 §3, distribution "Token Authentication Specification".

use std::fmt;

/// What the client did wrong with the token it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeError {
    /// Malformed, expired, for another registry, or not signed by a known key.
    InvalidToken,
    /// Valid, but it does not carry what the request needs.
    InsufficientScope,
}

impl ChallengeError {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

/// The parts of a bearer challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BearerChallenge {
    /// Absolute URL of the token endpoint.
    pub realm: String,
    /// The audience a token must be issued for.
    pub service: String,
    /// Space-separated scopes to ask for.
    pub scope: Option<String>,
    /// What was wrong with the token that came.
    pub error: Option<ChallengeError>,
    /// What stands in the place of its word, for clients that show nothing else. It is not read back.
    pub error_in_words: Option<String>,
    /// A sentence for the person at the terminal.
    pub error_description: Option<String>,
}

impl fmt::Display for BearerChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer realm={},service={}", Quoted(&self.realm), Quoted(&self.service))?;
        if let Some(scope) = &self.scope {
            write!(f, ",scope={}", Quoted(scope))?;
        }
        if let Some(error) = self.error {
            let word = self.error_in_words.as_deref().unwrap_or(error.as_str());
            write!(f, ",error={}", Quoted(word))?;
        }
        if let Some(description) = &self.error_description {
            write!(f, ",error_description={}", Quoted(description))?;
        }
        Ok(())
    }
}

/// Prints a text as a quoted string; what a header cannot carry becomes `?`.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => {
                    f.write_char('\\')?;
                    f.write_char(character)?;
                }
                ' '..='~' => f.write_char(character)?,
                _ => f.write_char('?')?,
            }
        }
        f.write_char('"')
    }
}

impl BearerChallenge {
    /// Reads a header value as clients do. Unknown parameters are ignored; nothing is returned for another scheme,
    /// broken quoting, or a missing realm.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, mut rest) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut challenge = Self::default();
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            if rest.is_empty() {
                break;
            }
            let (name, after) = rest.split_once('=')?;
            let (text, after) = unquote(after)?;
            rest = after;
            match name {
                "realm" => challenge.realm = text,
                "service" => challenge.service = text,
                "scope" => challenge.scope = Some(text),
                "error" => {
                    let known = [ChallengeError::InvalidToken, ChallengeError::InsufficientScope];
                    challenge.error = known.into_iter().find(|error| error.as_str() == text);
                }
                "error_description" => challenge.error_description = Some(text),
                _ => {}
            }
        }
        (!challenge.realm.is_empty()).then_some(challenge)
    }
}

fn unquote(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut unescaped = String::new();
    let mut escaped = false;
    for (position, character) in inner.char_indices() {
        match character {
            _ if escaped => {
                unescaped.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((unescaped, &inner[position + 1..])),
            _ => unescaped.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_prints_in_a_fixed_order() {
        let challenge = BearerChallenge {
            realm: "https://r/token".into(),
            service: "s".into(),
            scope: Some("repository:a:pull,push".into()),
            error: Some(ChallengeError::InsufficientScope),
            error_in_words: None,
            error_description: Some("say \"please\"\r\nSet-Cookie: x".into()),
        };
        assert_eq!(
            challenge.to_string(),
            concat!(
                r#"Bearer realm="https://r/token",service="s",scope="repository:a:pull,push","#,
                r#"error="insufficient_scope",error_description="say \"please\"??Set-Cookie: x""#
            )
        );
    }

    #[test]
    fn other_schemes_and_broken_values_are_not_challenges() {
        for value in
            ["Basic realm=\"x\"", "Bearer", "Bearer realm=x", "Bearer realm=\"x", "Bearer service=\"s\""]
        {
            assert_eq!(BearerChallenge::parse(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(realm in "[ -~]{1,30}", service in "[ -~]{0,30}", scope in proptest::option::of("[ -~]{0,30}")) {
            let challenge = BearerChallenge { realm, service, scope, ..BearerChallenge::default() };
            prop_assert_eq!(BearerChallenge::parse(&challenge.to_string()), Some(challenge));
        }

        #[test]
        fn any_text_is_survived(text in ".{0,80}") {
            let _ = BearerChallenge::parse(&text);
        }
    }
}
