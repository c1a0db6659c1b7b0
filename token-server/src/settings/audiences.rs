//! The registries that tokens are for.
//!
//! *Invariant:* a registry is asked for nothing that its kind does not understand.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use shared::server::settings::{Duration as DurationText, SettingsError};

use super::{MAX_LIFETIME, Problems};
use crate::domain::audience::{Audience, Audiences, Verifier};
use crate::domain::issue::REFUSED_LIFETIME;
use crate::domain::keys::signing::KeyAlgorithm;

/// The name under which our registry asks for tokens when nothing is configured.
pub const DEFAULT_AUDIENCE: &str = "portcullis-registry";

#[derive(Debug, Deserialize)]
pub(super) struct RawAudience {
    verifier: Option<String>,
    algorithm: Option<String>,
    lifetime: Option<DurationText>,
}

impl RawAudience {
    fn read(&self, name: &str, problems: &mut Problems) -> Audience {
        let verifier = match self.verifier.as_deref().map(Verifier::parse) {
            None => Verifier::Portcullis,
            Some(Some(verifier)) => verifier,
            Some(None) => {
                problems.add(format!(
                    "`audiences.{name}.verifier` is `{}`; use portcullis, distribution2 or distribution3",
                    self.verifier.as_deref().unwrap_or_default()
                ));
                Verifier::Portcullis
            }
        };
        let algorithm = self.algorithm.as_deref().filter(|word| !word.is_empty());
        let algorithm = algorithm.and_then(|word| {
            let found = KeyAlgorithm::parse(word);
            if found.is_none() {
                problems.add(format!("`audiences.{name}.algorithm` is `{word}`; use ES256, RS256 or EdDSA"));
            }
            found
        });
        if (verifier, algorithm) == (Verifier::Distribution2, Some(KeyAlgorithm::EdDsa)) {
            problems.add(format!(
                "`audiences.{name}.algorithm` is EdDSA, which the distribution registry 2.x does not know; use ES256 \
                 or RS256"
            ));
        }
        if let Some(lifetime) = self.lifetime {
            let key = format!("audiences.{name}.lifetime");
            problems.range(&key, lifetime, REFUSED_LIFETIME, MAX_LIFETIME);
        }
        let lifetime: Option<Duration> = self.lifetime.map(|lifetime| lifetime.0);
        Audience { verifier, algorithm, lifetime }
    }
}

pub(super) fn audiences(raw: &BTreeMap<String, RawAudience>) -> Result<Audiences, SettingsError> {
    if raw.is_empty() {
        let only = (DEFAULT_AUDIENCE.to_owned(), Audience::of(Verifier::Portcullis));
        return Ok(Audiences::new(BTreeMap::from([only])));
    }
    let mut problems = Problems::default();
    let read = raw.iter().map(|(name, audience)| (name.clone(), audience.read(name, &mut problems)));
    let audiences = read.collect();
    if problems.0.is_empty() {
        Ok(Audiences::new(audiences))
    } else {
        Err(SettingsError::Problems(problems.0))
    }
}
