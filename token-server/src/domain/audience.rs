//! The registries this server issues tokens for.
//!
//! *Invariant:* a token is issued only for a registered audience, and says only what its verifier understands.

use std::collections::BTreeMap;

use super::error::TokenServerError;

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

/// One registry, by the name clients send as `service`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudienceRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it understands.
    pub verifier: Verifier,
}

/// All registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audiences(BTreeMap<String, Verifier>);

impl Audiences {
    /// Exactly these.
    pub fn new(audiences: BTreeMap<String, Verifier>) -> Self {
        Self(audiences)
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
        let (name, verifier) = found.ok_or_else(|| TokenServerError::UnknownAudience {
            service: service.unwrap_or_default().chars().take(100).collect(),
        })?;
        Ok(AudienceRef { name, verifier: *verifier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audiences(names: &[&str]) -> Audiences {
        Audiences::new(names.iter().map(|name| ((*name).to_owned(), Verifier::Portcullis)).collect())
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
