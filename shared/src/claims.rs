//! The claims of a registry token.
//!
//! Times are whole seconds and nothing else: a token with `"exp":"…"` or `1e9` does not parse, so no check can be
//! skipped by type. Which claims are required is the verifier's decision; this type only says how they look.
//!
//! *Invariant:* everything that is ours and not of the token specification lives in the one claim `portcullis`,
//! which is to be read only from an issuer known to be our token server.
//!
//! Spec: distribution, "Docker Registry v2 Bearer token specification"; RFC 7519 §4.1.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::access::{Access, ResourceActions};
use crate::action::Action;
use crate::limits::Limits;
use crate::repository_name::RepositoryName;
use crate::repository_set::RepositorySet;
use crate::revocations::Position;
use crate::scope::{Resource, Scope};

/// The body of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: the text configured in both servers.
    pub iss: String,
    /// Subject: the user name, empty for anonymous.
    #[serde(default)]
    pub sub: String,
    /// Audience: the service name of the registry.
    pub aud: Audience,
    /// Not valid from this second on.
    pub exp: i64,
    /// Not valid before this second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// When it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// Its own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// What it allows.
    #[serde(default)]
    pub access: Access,
    /// What only our own registry understands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portcullis: Option<PortcullisClaim>,
}

/// One text or a list of texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// The form we issue, because verifiers of the 2.x line understand no other.
    One(String),
    /// The form other issuers may use.
    Many(Vec<String>),
}

impl Audience {
    /// Whether `service` is among the audiences.
    pub fn contains(&self, service: &str) -> bool {
        match self {
            Self::One(one) => one == service,
            Self::Many(many) => many.iter().any(|one| one == service),
        }
    }
}

/// Our own claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortcullisClaim {
    /// The stable id of the subject, which survives renames; absent for anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uuid>,
    /// What was asked for and refused, so that the registry can say so instead of asking for another token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// What `push` and `delete` of the claim `access` mean less than everything for, each repository once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limits>,
    /// What of the list of all repositories the token shows, where that is not everything: what is in any of the sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<Vec<RepositorySet>>,
    /// The change up to which everything was considered when the token was decided; what is revoked later is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Position>,
    /// The credential that it was got with: the password, secret or login; absent for anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Uuid>,
}

impl PortcullisClaim {
    /// What it allows beside the claim `access`: everything that a registry must not allow without reading this one.
    pub fn more_access(&self) -> impl Iterator<Item = Scope> {
        let limited = self.limits.iter().filter(|limits| !limits.actions.is_empty());
        let limited = limited.map(|limits| Scope {
            resource: Resource::Repository(limits.repository.clone()),
            actions: limits.actions,
        });
        limited.chain(self.catalogue.as_ref().map(|_| Scope::catalog()))
    }

    /// How the rights on a repository are limited, if they are.
    pub fn limits_of(&self, repository: &RepositoryName) -> Option<&Limits> {
        self.limits.iter().find(|limits| limits.repository == *repository)
    }

    /// What is said about `action` on `resource`, if it was asked for and refused.
    pub fn refusal(&self, resource: &Resource, action: Action) -> Option<&Refusal> {
        self.refused
            .iter()
            .find(|refusal| refusal.scope.resource == *resource && refusal.scope.actions.contains(action))
    }
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The part of the request that was not granted.
    pub scope: Scope,
    /// Why.
    pub reason: RefusalReason,
    /// Users and teams who can give it, as people write them; nobody where that is not known or not to be told.
    pub ask: Vec<String>,
}

/// Why something was refused; the registry turns it into a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// Nobody logged in, and the right is not given to everyone.
    Anonymous,
    /// The subject holds no grant that gives it.
    NoGrant,
    /// The subject holds it, and the credential is not good for it.
    LimitedCredential,
    /// A reason this version does not know.
    #[serde(other)]
    Other,
}

#[derive(Serialize, Deserialize)]
struct RefusalEntry {
    #[serde(flatten)]
    scope: ResourceActions,
    reason: RefusalReason,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ask: Vec<String>,
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = RefusalEntry {
            scope: ResourceActions::of(&self.scope),
            reason: self.reason,
            ask: self.ask.clone(),
        };
        entry.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Refusal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entry = RefusalEntry::deserialize(deserializer)?;
        let scope = entry.scope.into_scope().ok_or_else(|| serde::de::Error::custom("unknown resource"))?;
        Ok(Self { scope, reason: entry.reason, ask: entry.ask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_written() {
        let json = concat!(
            r#"{"iss":"i","sub":"alice","aud":"s","exp":60,"nbf":0,"iat":0,"jti":"1","#,
            r#""access":[{"type":"repository","name":"a/b","actions":["pull"]}],"#,
            r#""portcullis":{"uid":"00000000-0000-0000-0000-000000000001","#,
            r#""refused":[{"type":"repository","name":"a/b","actions":["push"],"reason":"no_grant"},"#,
            r#"{"type":"repository","name":"a/c","actions":["pull"],"reason":"no_grant","ask":["ann"]}]}}"#
        );
        let claims: Claims = serde_json::from_str(json).expect("claims");
        assert_eq!(serde_json::to_string(&claims).expect("plain data"), json);
        let refusal = claims.portcullis.expect("present");
        let repository = Resource::Repository("a/b".parse().expect("a name"));
        let reason = refusal.refusal(&repository, Action::Push).map(|refusal| refusal.reason);
        assert_eq!(reason, Some(RefusalReason::NoGrant));
        assert_eq!(refusal.refusal(&repository, Action::Delete), None);
        assert_eq!(refusal.refused[1].ask, ["ann"]);
    }

    #[test]
    fn what_a_token_was_decided_on_reads_back_as_written() {
        let json = concat!(
            r#"{"decided":{"epoch":"0198f000-0000-7000-8000-000000000001","at":7},"#,
            r#""credential":"00000000-0000-0000-0000-000000000002"}"#
        );
        let claim: PortcullisClaim = serde_json::from_str(json).expect("a claim");
        assert_eq!(claim.decided.map(|position| position.at), Some(7));
        assert_eq!(serde_json::to_string(&claim).expect("plain data"), json);
        for json in [r#"{"decided":{"at":7}}"#, r#"{"decided":7}"#, r#"{"credential":"x"}"#] {
            assert!(serde_json::from_str::<PortcullisClaim>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn times_must_be_integers() {
        for exp in [r#""60""#, "60.5", "[60]", "null", "9223372036854775808", "true"] {
            let json = format!(r#"{{"iss":"i","sub":"","aud":"s","exp":{exp}}}"#);
            assert!(serde_json::from_str::<Claims>(&json).is_err(), "{exp}");
        }
        assert!(serde_json::from_str::<Claims>(r#"{"iss":"i","sub":"","aud":"s"}"#).is_err());
    }
}
