//! `auth`: who may do what.
//!
//! *Invariant:* whoever writes the section wants something guarded, so nothing in it is guessed.

pub(super) mod htpasswd;

pub(super) mod token;

use std::path::Path;

use serde::Deserialize;
use shared::server::settings::{Key, Kind, Loaded};

use super::findings::Findings;
use token::TokenSettings;

const SILLY: &str =
    "it lets everybody in who sends any Authorization header; write `auth: none` if that is meant";

pub(super) const KEYS: &[Key] = &[
    Key::new("auth", Kind::Selector, "", "Who may do what: token, or none for an open registry."),
    Key::new("auth.none", Kind::Map, "", "An open registry, on purpose."),
    Key::new("auth.silly.realm", Kind::Scalar, "", "Realm of a check that checks nothing.").refused(SILLY),
    Key::new("auth.silly.service", Kind::Scalar, "", "Service of a check that checks nothing.")
        .refused(SILLY),
];

#[derive(Default, Deserialize)]
pub(super) struct RawAuth {
    token: Option<token::RawToken>,
}

/// Who may do what.
#[derive(Clone, Debug)]
pub(crate) enum AuthSettings {
    /// Everyone may do everything.
    Open,
    /// Whoever brings a token that allows it.
    Token(Box<TokenSettings>),
}

impl RawAuth {
    /// Keys from a URL are remembered below `root` unless the settings name another place.
    pub(super) fn parse(self, root: &Path, loaded: &Loaded, findings: &mut Findings) -> Option<AuthSettings> {
        let chosen: Vec<&str> = loaded.given_below("auth").into_iter().collect();
        match (loaded.is_mentioned("auth"), chosen.as_slice(), self.token) {
            (false, ..) => {
                findings.warn(
                    "there is no `auth` section: everybody who reaches this registry may pull, push and delete",
                );
                Some(AuthSettings::Open)
            }
            (true, ["token"], Some(token)) => {
                token.parse(root, findings).map(|token| AuthSettings::Token(Box::new(token)))
            }
            (true, ["none"], _) => Some(AuthSettings::Open),
            (true, [], _) if loaded.is_mentioned("auth.none") => Some(AuthSettings::Open),
            _ => {
                findings.refuse("`auth` must be exactly one of `token`, with its settings, and `none`");
                None
            }
        }
    }
}
