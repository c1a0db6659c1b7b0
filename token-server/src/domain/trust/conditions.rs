//! Which tokens are a workload: those of which every condition is true.
//!
//! *Invariant:* every rule has a condition on a claim that is never given to somebody else, and says exactly what that
//! is; what may come from strangers is no workload unless a rule asks for it.

use std::collections::BTreeMap;
use std::fmt;

use shared::glob;

use super::claims::TokenClaims;
use super::platform::Platform;

/// More conditions say nothing more.
pub const MAX_CONDITIONS: usize = 20;

/// The longest name or value of a claim.
const MAX_BYTES: usize = 500;

/// What stands for any text between two slashes, and twice for any number of those.
const WILDCARD: char = '*';

/// What has a meaning in patterns elsewhere and none here.
const OTHER_WILDCARDS: &[char] = &['?', '[', ']', '{', '}', ','];

/// Why conditions cannot be those of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConditions {
    /// Not `claim=value`.
    #[error("a condition is written CLAIM=VALUE, not {0:?}")]
    Form(String),
    /// More than [`MAX_CONDITIONS`].
    #[error("a rule has at most {MAX_CONDITIONS} conditions")]
    TooMany,
    /// A claim with two values at once.
    #[error("there are two conditions on the claim {0}")]
    Twice(String),
    /// A value that cannot be read.
    #[error("the value for the claim {0} cannot be read: {1}")]
    Value(String, &'static str),
    /// Only names, which can change hands.
    #[error(
        "a rule needs the exact value of a claim that is never given to somebody else, since names can be registered anew; \
         here that is one of: {}", .0.join(", ")
    )]
    ChangesHands(&'static [&'static str]),
}

/// What a token must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions(BTreeMap<String, String>);

impl Conditions {
    /// Takes conditions for tokens of a platform.
    pub fn new(
        conditions: impl IntoIterator<Item = (String, String)>,
        platform: Platform,
    ) -> Result<Self, InvalidConditions> {
        let mut map = BTreeMap::new();
        for (claim, value) in conditions {
            let is_form = !claim.is_empty() && !value.is_empty();
            if !is_form || claim.len() > MAX_BYTES || value.len() > MAX_BYTES {
                return Err(InvalidConditions::Form(format!("{claim}={value}")));
            }
            if let Err(why) = check_wildcards(&value) {
                return Err(InvalidConditions::Value(claim, why));
            }
            if map.insert(claim.clone(), value).is_some() {
                return Err(InvalidConditions::Twice(claim));
            }
        }
        if map.len() > MAX_CONDITIONS {
            return Err(InvalidConditions::TooMany);
        }
        let is_exact = |claim: &&str| map.get(*claim).is_some_and(|value| !value.contains(WILDCARD));
        if !platform.immutable().iter().any(is_exact) {
            return Err(InvalidConditions::ChangesHands(platform.immutable()));
        }
        Ok(Self(map))
    }

    /// Reads `claim=value`; a value may hold further equal signs.
    pub fn read(word: &str) -> Result<(String, String), InvalidConditions> {
        let pair = word.split_once('=').ok_or_else(|| InvalidConditions::Form(word.to_owned()))?;
        Ok((pair.0.to_owned(), pair.1.to_owned()))
    }

    /// What makes a token of these claims and of no other identity a workload.
    pub fn narrow(claims: &TokenClaims, platform: Platform) -> Result<Self, InvalidConditions> {
        let known = platform.identity().iter().filter_map(|claim| {
            let value = claims.one(claim)?;
            (!value.contains(WILDCARD)).then(|| ((*claim).to_owned(), value.to_owned()))
        });
        Self::new(known, platform)
    }

    /// Whether a token says all of it.
    pub fn are_true(&self, claims: &TokenClaims) -> bool {
        self.0.iter().all(|(claim, wanted)| {
            claims.values(claim).iter().any(|value| {
                if wanted.contains(WILDCARD) { glob::matches(wanted, value) } else { wanted == value }
            })
        })
    }

    /// Whether what a token says comes from somebody who may be a stranger, and is not asked for.
    pub fn keep_out(&self, claims: &TokenClaims, platform: Platform) -> bool {
        let Some(strangers) = platform.strangers() else { return false };
        let is_asked_for = self.0.contains_key(strangers.claim);
        let from_strangers = claims
            .values(strangers.claim)
            .iter()
            .any(|value| strangers.beginnings.iter().any(|beginning| value.starts_with(beginning)));
        from_strangers && !is_asked_for
    }

    /// How many there are: of two rules the one that says more is meant.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// As they are stored.
    pub fn stored(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(claim, value)| (claim.clone(), value.clone())).collect()
    }
}

fn check_wildcards(value: &str) -> Result<(), &'static str> {
    if !value.contains(WILDCARD) {
        Ok(())
    } else if value.len() > glob::MAX_PATTERN_BYTES {
        Err("with a star in it, it is too long")
    } else if value.contains(OTHER_WILDCARDS) {
        Err(
            "stars are the only wildcards, and brackets, braces, commas and question marks cannot stand beside them",
        )
    } else if value.split('/').any(|component| component != "**" && component.contains("**")) {
        Err("`**` stands for whole components and must be alone between slashes")
    } else {
        Ok(())
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (claim, value)) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{claim}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conditions(text: &str, platform: Platform) -> Result<Conditions, InvalidConditions> {
        let read = text.split_whitespace().map(Conditions::read).collect::<Result<Vec<_>, _>>();
        Conditions::new(read?, platform)
    }

    fn claims(value: &serde_json::Value) -> TokenClaims {
        TokenClaims::new(value.as_object().unwrap())
    }

    #[test]
    fn names_alone_are_no_rule() {
        for text in
            ["repository=acme/app", "repository_id=*", "repository_owner=acme ref=refs/heads/main", ""]
        {
            let refused = conditions(text, Platform::Github);
            assert!(matches!(refused, Err(InvalidConditions::ChangesHands(_))), "{text}: {refused:?}");
        }
        for text in ["repository_id=7 ref=refs/*/main", "repository_owner_id=7"] {
            assert!(conditions(text, Platform::Github).is_ok(), "{text}");
        }
        assert!(conditions("sub=a=b", Platform::Generic).is_ok());
        for text in ["repository_id", "=7", "repository_id=", "repository_id=7 repository_id=8"] {
            assert!(conditions(text, Platform::Github).is_err(), "{text}");
        }
    }

    #[test]
    fn all_of_them_must_be_true() {
        let rule = conditions("repository_id=7 ref=refs/heads/release-*", Platform::Github).unwrap();
        let says = |id: &str, name: &str| rule.are_true(&claims(&json!({"repository_id": id, "ref": name})));
        assert!(says("7", "refs/heads/release-1"));
        assert!(!says("8", "refs/heads/release-1"));
        assert!(!says("7", "refs/heads/main"));
        assert!(!says("7", "refs/heads/release-1/x"), "a star stays inside of a component");
        assert!(!rule.are_true(&claims(&json!({"repository_id": "7"}))));
    }

    #[test]
    fn what_strangers_can_cause_must_be_asked_for() {
        let push = claims(&json!({"repository_id": "7", "event_name": "push"}));
        let fork = claims(&json!({"repository_id": "7", "event_name": "pull_request_target"}));
        let rule = conditions("repository_id=7", Platform::Github).unwrap();
        assert!(rule.are_true(&fork) && rule.keep_out(&fork, Platform::Github));
        assert!(!rule.keep_out(&push, Platform::Github));
        let asked = conditions("repository_id=7 event_name=pull_request_target", Platform::Github).unwrap();
        assert!(!asked.keep_out(&fork, Platform::Github));
    }

    #[test]
    fn a_narrow_rule_is_true_of_its_own_token_only() {
        let seen = json!({
            "repository_id": "7", "repository_owner_id": "1", "repository": "acme/app", "ref": "refs/heads/main",
            "event_name": "push", "run_id": "99"
        });
        let rule = Conditions::narrow(&claims(&seen), Platform::Github).unwrap();
        assert_eq!(
            rule.to_string(),
            "event_name=push ref=refs/heads/main repository_id=7 repository_owner_id=1"
        );
        assert!(rule.are_true(&claims(&seen)));
        for (claim, value) in [("ref", "refs/heads/x"), ("repository_id", "8"), ("event_name", "schedule")] {
            let mut other = seen.clone();
            other[claim] = json!(value);
            assert!(!rule.are_true(&claims(&other)), "{claim}");
        }
        let nameless = claims(&json!({"repository": "acme/app"}));
        assert!(Conditions::narrow(&nameless, Platform::Github).is_err());
    }
}
