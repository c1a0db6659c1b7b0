//! `auth`: who may do what.
//!
//! *Invariant:* whoever writes the section wants something guarded, so nothing in it is guessed.

pub(super) mod htpasswd;

pub(super) mod revocations;

pub(super) mod token;

use std::path::Path;

use serde::Deserialize;
use shared::server::settings::{Key, Kind, Loaded};

use super::findings::Findings;
use crate::auth::htpasswd::HtpasswdSettings;
use token::TokenSettings;

const SILLY: &str =
    "it lets everybody in who sends any Authorization header; write `auth: none` if that is meant";

pub(super) const KEYS: &[Key] = &[
    Key::new("auth", Kind::Selector, "", "Who may do what: token, htpasswd, or none for an open registry."),
    Key::new("auth.none", Kind::Map, "", "An open registry, on purpose."),
    Key::new("auth.silly.realm", Kind::Scalar, "", "Realm of a check that checks nothing.").refused(SILLY),
    Key::new("auth.silly.service", Kind::Scalar, "", "Service of a check that checks nothing.")
        .refused(SILLY),
];

#[derive(Default, Deserialize)]
pub(super) struct RawAuth {
    token: Option<token::RawToken>,
    htpasswd: Option<htpasswd::RawHtpasswd>,
}

/// Who may do what.
#[derive(Clone, Debug)]
pub(crate) enum AuthSettings {
    /// Everyone may do everything.
    Open,
    /// Whoever brings a token that allows it.
    Token(Box<TokenSettings>),
    /// Whoever is in a file and knows the password may do everything.
    Htpasswd(HtpasswdSettings),
}

impl RawAuth {
    /// Keys from a URL are remembered in the folder of the images, if there is one, unless the settings name another
    /// place.
    pub(super) fn parse(
        self,
        images: Option<&Path>,
        loaded: &Loaded,
        findings: &mut Findings,
    ) -> Option<AuthSettings> {
        let chosen: Vec<&str> = loaded.given_below("auth").into_iter().collect();
        if !loaded.is_mentioned("auth") {
            findings.warn(
                "there is no `auth` section: everybody who reaches this registry may pull, push and delete",
            );
            return Some(AuthSettings::Open);
        }
        match chosen.as_slice() {
            ["token"] => {
                let token = self.token.unwrap_or_default().parse(images, findings)?;
                Some(AuthSettings::Token(Box::new(token)))
            }
            ["htpasswd"] => self.htpasswd.unwrap_or_default().parse(findings).map(AuthSettings::Htpasswd),
            ["none"] => Some(AuthSettings::Open),
            // Not where another section stands beside it that lost its content.
            [] if loaded.mentioned_below("auth").into_iter().eq(["none"]) => Some(AuthSettings::Open),
            // Its own row says why.
            ["silly"] => None,
            _ => {
                findings.refuse(
                    "`auth` must be exactly one of `token` and `htpasswd`, with its settings, and `none`",
                );
                None
            }
        }
    }
}
