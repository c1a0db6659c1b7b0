//! The registries this server issues tokens for.
//!
//! *Invariant:* a token is issued only for a registered audience, and says only what its verifier understands.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::TokenServerError;
use super::keys::signing::KeyAlgorithm;

/// What kind of registry checks the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// Ours: reads the claim `portcullis`.
    Portcullis,
    /// The distribution registry 2.x: knows keys by certificate only.
    Distribution2,
    /// The distribution registry 3.x: knows keys by key set.
    Distribution3,
}

impl Verifier {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Portcullis, Self::Distribution2, Self::Distribution3];

    /// The word in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Portcullis => "portcullis",
            Self::Distribution2 => "distribution2",
            Self::Distribution3 => "distribution3",
        }
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verifier| verifier.as_str() == word)
    }
}

/// What is known of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audience {
    /// What it understands.
    pub verifier: Verifier,
    /// What tokens for it are signed with, if it matters.
    pub algorithm: Option<KeyAlgorithm>,
    /// How long tokens for it live, if not as long as others.
    pub lifetime: Option<Duration>,
}

impl Audience {
    /// One of this kind, for which nothing else is special.
    pub const fn of(verifier: Verifier) -> Self {
        Self { verifier, algorithm: None, lifetime: None }
    }
}

/// One registry, by the name clients send as `service`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudienceRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it understands.
    pub verifier: Verifier,
    /// What tokens for it are signed with, if it matters.
    pub algorithm: Option<KeyAlgorithm>,
    /// How long tokens for it live, if not as long as others.
    pub lifetime: Option<Duration>,
}

impl<'a> AudienceRef<'a> {
    fn new((name, audience): (&'a String, &Audience)) -> Self {
        let Audience { verifier, algorithm, lifetime } = *audience;
        Self { name, verifier, algorithm, lifetime }
    }
}

/// All registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audiences(BTreeMap<String, Audience>);

impl Audiences {
    /// Exactly these.
    pub fn new(audiences: BTreeMap<String, Audience>) -> Self {
        Self(audiences)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = AudienceRef<'_>> {
        self.0.iter().map(AudienceRef::new)
    }

    /// The names of all, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The registry a client means. Without a name it can only mean the only one.
    pub fn resolve(&self, service: Option<&str>) -> Result<AudienceRef<'_>, TokenServerError> {
        let found = match service {
            Some(service) => self.0.get_key_value(service),
            None if self.0.len() == 1 => self.0.first_key_value(),
            None => return Err(TokenServerError::AudienceRequired),
        };
        found.map(AudienceRef::new).ok_or_else(|| TokenServerError::UnknownAudience {
            service: service.unwrap_or_default().chars().take(100).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audiences(names: &[&str]) -> Audiences {
        let audience = |name: &&str| ((*name).to_owned(), Audience::of(Verifier::Portcullis));
        Audiences::new(names.iter().map(audience).collect())
    }

    #[test]
    fn a_registry_may_stay_unnamed_only_where_there_is_one() {
        assert_eq!(audiences(&["a"]).resolve(None).unwrap().name, "a");
        assert!(matches!(audiences(&["a", "b"]).resolve(None), Err(TokenServerError::AudienceRequired)));
    }

    #[test]
    fn an_unknown_registry_is_named_in_the_refusal() {
        let error = audiences(&["a"]).resolve(Some("x\"y")).unwrap_err();
        assert_eq!(error.to_string(), r#"this token server does not serve a registry named "x\"y""#);
    }
}
