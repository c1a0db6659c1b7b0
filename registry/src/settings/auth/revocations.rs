//! `auth.token.revocations`: where our token server tells which tokens it took back.
//!
//! *Invariant:* nothing below it is accepted and without effect: whoever writes it wants revoked tokens refused.

use reqwest::header::HeaderValue;
use serde::Deserialize;
use shared::secret::Secret;
use shared::server::settings::{Key, Kind};

use super::token::optional_url;
use crate::auth::revocations::WhenStale;
use crate::auth::revocations::follower::FeedSettings;
use crate::auth::verifier::Profile;
use crate::settings::findings::Findings;

pub(in crate::settings) const KEYS: &[Key] = &[
    Key::new(
        "auth.token.revocations.url",
        Kind::Scalar,
        "",
        "URL at which our token server tells which tokens it took back; needs profile strict.",
    ),
    Key::new(
        "auth.token.revocations.secret",
        Kind::Secret,
        "",
        "What this registry is known by there; the same as in the token server.",
    ),
    Key::new(
        "auth.token.revocations.stale",
        Kind::Scalar,
        "degrade",
        "What counts after 15 s without an answer: degrade (tokens younger than a minute), open (every token), strict (none).",
    ),
    Key::new(
        "auth.token.revocations.maxentries",
        Kind::Scalar,
        "100000",
        "Most revocations in memory; beyond that, tokens from before the oldest are refused.",
    ),
];

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRevocations {
    url: String,
    secret: Secret,
    stale: String,
    maxentries: usize,
}

impl RawRevocations {
    pub(super) fn parse(self, profile: Option<Profile>, findings: &mut Findings) -> Option<FeedSettings> {
        let Self { url, secret, stale, maxentries } = self;
        let when_stale = match stale.as_str() {
            "degrade" => WhenStale::Degrade,
            "open" => WhenStale::Open,
            "strict" => WhenStale::Strict,
            other => {
                findings.refuse(format!(
                    "`auth.token.revocations.stale` is `{other}`; use degrade, open or strict"
                ));
                return None;
            }
        };
        if maxentries == 0 {
            findings.refuse("`auth.token.revocations.maxentries` is 0; at least one must fit");
        }
        if url.is_empty() {
            if !secret.is_empty() || when_stale != WhenStale::Degrade {
                findings.refuse(
                    "`auth.token.revocations.url` is missing, without which nothing else there has an effect",
                );
            }
            return None;
        }
        let url = optional_url("auth.token.revocations.url", &url, findings);
        if profile == Some(Profile::Standard) {
            findings.refuse(
                "`auth.token.revocations.url` needs `auth.token.profile: strict`: of other token servers' tokens it cannot be told when they were decided",
            );
        }
        if secret.is_empty() {
            findings.refuse(
                "`auth.token.revocations.secret` is missing: the token server tells nobody without it what it took back",
            );
            return None;
        }
        let Ok(mut authorization) = HeaderValue::try_from(format!("Bearer {}", secret.expose())) else {
            findings.refuse(
                "`auth.token.revocations.secret` holds characters that cannot be sent in a header; use letters and digits",
            );
            return None;
        };
        authorization.set_sensitive(true);
        Some(FeedSettings { url: url?, authorization, when_stale, max_entries: maxentries })
    }
}
