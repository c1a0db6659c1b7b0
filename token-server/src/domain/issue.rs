//! From what was asked and what is held to what the token says.
//!
//! Asking for more than one holds is no error: the token carries less, and says what it left out so that the registry
//! can answer with a reason. A token that would not fit a request header carries less too, never more.
//!
//! *Invariant:* everything granted was asked for and is allowed by the policy.
//!
//! Spec: distribution, "Token Authentication Specification"; RFC 7519.

use std::time::Duration;

use shared::access::Access;
use shared::action::{Action, ActionSet};
use shared::claims::{Audience, Claims, PortcullisClaim, Refusal, RefusalReason};
use shared::scope::{Resource, Scope, ScopeList};
use uuid::Uuid;

use super::audience::{AudienceRef, Verifier};
use super::policy::{self, Grant};
use super::subject::Subject;

/// How long a token lives from which something was withheld: a right given meanwhile must not take longer to
/// arrive, also for clients that keep tokens by what they asked for. Less than a minute is not used by clients.
pub const REFUSED_LIFETIME: Duration = Duration::from_mins(1);

/// A token is valid this long before it is issued, for verifiers whose clock is behind. More would be a gift.
const NOT_BEFORE_LEEWAY_SECONDS: i64 = 10;

/// Room for scopes in a token. With the rest of the claims, the signature and a certificate, the encoded token stays
/// below 6 KiB, which proxies in front of registries let through.
const MAX_SCOPE_JSON_BYTES: usize = 3_600;

/// Bytes that an entry needs besides its name and actions: type, member names, reason.
const ENTRY_BYTES: usize = 66;

/// Bytes that an entry of a token needs, at most.
fn size(scope: &Scope) -> usize {
    // Each action is quoted and followed by a comma.
    let actions: usize = scope.actions.iter().map(|action| action.as_str().len() + 3).sum();
    ENTRY_BYTES + scope.resource.name().len() + actions
}

/// What becomes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What the token allows.
    pub granted: Vec<Scope>,
    /// What was asked for and is not held.
    pub refused: Vec<Scope>,
    /// What is held and did not fit.
    pub withheld: Vec<Scope>,
}

/// Intersects the request with the policy.
pub fn decide(requested: &ScopeList, grants: &[Grant]) -> Decision {
    let mut decision = Decision::default();
    let mut room = MAX_SCOPE_JSON_BYTES;
    for scope in requested.iter() {
        let held = policy::allowed_actions(grants, &scope.resource);
        let wanted = expand(scope);
        let granted = Scope { actions: wanted.intersection(held), resource: scope.resource.clone() };
        let refused = Scope { actions: refused(scope, wanted, held), resource: scope.resource.clone() };
        if !granted.actions.is_empty() {
            match room.checked_sub(size(&granted)) {
                Some(left) => {
                    room = left;
                    decision.granted.push(granted);
                }
                None => decision.withheld.push(granted),
            }
        }
        if !refused.actions.is_empty() {
            decision.refused.push(refused);
        }
    }
    decision
}

/// `*` on a repository asks for all there is. It is spelled out, because verifiers differ in what they take it for.
fn expand(scope: &Scope) -> ActionSet {
    match &scope.resource {
        Resource::Repository(_) if scope.actions.contains(Action::All) => ActionSet::of(&Action::ALL),
        _ => scope.actions,
    }
}

/// Who asks for `*` on a repository and gets every action that clients use lacks nothing they could miss; deleting a
/// repository as a whole is asked for by its name.
fn refused(asked: &Scope, wanted: ActionSet, held: ActionSet) -> ActionSet {
    let missing = wanted.difference(held);
    let beyond_clients = ActionSet::of(&[Action::RepositoryDelete, Action::All]);
    match asked.resource {
        Resource::Repository(_)
            if asked.actions.contains(Action::All)
                && !asked.actions.contains(Action::RepositoryDelete)
                && missing.difference(beyond_clients).is_empty() =>
        {
            ActionSet::EMPTY
        }
        _ => missing,
    }
}

/// What a token says besides its rights.
#[derive(Clone, Copy, Debug)]
pub struct TokenFrame<'a> {
    /// The configured issuer.
    pub issuer: &'a str,
    /// For which registry.
    pub audience: AudienceRef<'a>,
    /// Seconds since 1970.
    pub now: i64,
    /// How long it lives when nothing was refused.
    pub lifetime: Duration,
    /// Id of the token.
    pub id: Uuid,
}

/// The claims, and how long they live.
pub fn claims(decision: &Decision, subject: &Subject, frame: &TokenFrame<'_>) -> (Claims, Duration) {
    let lifetime =
        if decision.refused.is_empty() { frame.lifetime } else { frame.lifetime.min(REFUSED_LIFETIME) };
    let portcullis = (frame.audience.verifier == Verifier::Portcullis)
        .then(|| PortcullisClaim { uid: subject.uid(), refused: refusals(decision, subject) });
    let claims = Claims {
        iss: frame.issuer.to_owned(),
        sub: subject.name().to_owned(),
        aud: Audience::One(frame.audience.name.to_owned()),
        exp: frame.now.saturating_add(lifetime.as_secs().cast_signed()),
        nbf: Some(frame.now - NOT_BEFORE_LEEWAY_SECONDS),
        iat: Some(frame.now),
        jti: Some(frame.id.to_string()),
        access: Access::new(decision.granted.clone()),
        portcullis,
    };
    (claims, lifetime)
}

/// As many refusals as there is room for; the registry asks for another token where it finds none.
fn refusals(decision: &Decision, subject: &Subject) -> Vec<Refusal> {
    let reason = match subject {
        Subject::Anonymous => RefusalReason::Anonymous,
        Subject::User(_) => RefusalReason::NoGrant,
    };
    let mut room = MAX_SCOPE_JSON_BYTES - decision.granted.iter().map(size).sum::<usize>();
    let mut refusals = Vec::new();
    for scope in &decision.refused {
        let Some(left) = room.checked_sub(size(scope)) else { break };
        room = left;
        refusals.push(Refusal { scope: scope.clone(), reason });
    }
    refusals
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pattern::RepositoryPattern;
    use super::super::role::Role;
    use super::super::subject::User;
    use super::*;

    fn grant(pattern: &str, role: Role) -> Grant {
        Grant { pattern: RepositoryPattern::parse(pattern).unwrap(), role }
    }

    fn printed(scopes: &[Scope]) -> String {
        scopes.iter().cloned().collect::<ScopeList>().to_string()
    }

    fn decide_text(requested: &str, grants: &[Grant]) -> (String, String) {
        let decision = decide(&ScopeList::parse([requested]), grants);
        (printed(&decision.granted), printed(&decision.refused))
    }

    fn frame(verifier: Verifier) -> TokenFrame<'static> {
        TokenFrame {
            issuer: "i",
            audience: AudienceRef { name: "s", verifier },
            now: 1_000_000,
            lifetime: Duration::from_mins(5),
            id: Uuid::nil(),
        }
    }

    fn alice() -> Subject {
        Subject::User(User {
            pid: 100,
            uid: Uuid::from_u128(7),
            name: "alice".into(),
            password_hash: shared::secret::Secret::default(),
        })
    }

    #[test]
    fn the_token_carries_what_was_asked_and_is_held() {
        for (requested, role, granted, refused) in [
            ("repository:a:pull", Role::Owner, "repository:a:pull", ""),
            ("repository:a:pull,push", Role::Viewer, "repository:a:pull", "repository:a:push"),
            (
                "repository:a:*",
                Role::Viewer,
                "repository:a:pull",
                "repository:a:push,delete,repository-delete,*",
            ),
            ("repository:a:*", Role::Maintainer, "repository:a:pull,push,delete", ""),
            ("repository:a:*", Role::Owner, "repository:a:pull,push,delete,repository-delete,*", ""),
            ("repository:a:repository-delete", Role::Owner, "repository:a:repository-delete", ""),
            ("repository:a:repository-delete", Role::Maintainer, "", "repository:a:repository-delete"),
            (
                "repository:a:repository-delete,*",
                Role::Maintainer,
                "repository:a:pull,push,delete",
                "repository:a:repository-delete,*",
            ),
            ("repository:b:pull", Role::Owner, "", "repository:b:pull"),
            ("registry:catalog:*", Role::Owner, "", "registry:catalog:*"),
        ] {
            let outcome = decide_text(requested, &[grant("a/**", role)]);
            assert_eq!(outcome, (granted.to_owned(), refused.to_owned()), "{requested} {role}");
        }
        let catalog = decide_text("registry:catalog:*", &[grant("**", Role::Owner)]);
        assert_eq!(catalog, ("registry:catalog:*".to_owned(), String::new()));
    }

    #[test]
    fn a_refusal_shortens_the_life_and_travels_to_our_own_registry_only() {
        let decision = decide(&ScopeList::parse(["repository:a:pull,push"]), &[grant("a", Role::Viewer)]);
        let (claims, lifetime) = super::claims(&decision, &alice(), &frame(Verifier::Portcullis));
        assert_eq!(lifetime, REFUSED_LIFETIME);
        assert_eq!((claims.nbf, claims.iat, claims.exp), (Some(999_990), Some(1_000_000), 1_000_060));
        let ours = claims.portcullis.unwrap();
        assert_eq!(ours.uid, Some(Uuid::from_u128(7)));
        assert_eq!(ours.refused[0].reason, RefusalReason::NoGrant);
        let (foreign, _) = super::claims(&decision, &alice(), &frame(Verifier::Distribution2));
        assert_eq!(foreign.portcullis, None);
        let (nobody, _) = super::claims(&decision, &Subject::Anonymous, &frame(Verifier::Portcullis));
        assert_eq!(nobody.sub, "");
        assert_eq!(nobody.portcullis.unwrap().refused[0].reason, RefusalReason::Anonymous);
    }

    #[test]
    fn a_request_that_would_not_fit_a_header_gets_less() {
        let long = |number: usize| format!("repository:{}{number}:pull,push", "a/".repeat(60));
        let scopes: Vec<String> = (10..74).map(long).collect();
        let requested = ScopeList::parse(scopes.iter().map(String::as_str));
        for (role, refused) in [(Role::Writer, false), (Role::Viewer, true)] {
            let decision = decide(&requested, &[grant("**", role)]);
            assert!(!decision.withheld.is_empty());
            assert_eq!(!decision.refused.is_empty(), refused);
            let (claims, _) = super::claims(&decision, &alice(), &frame(Verifier::Portcullis));
            let json = serde_json::to_string(&claims).unwrap();
            assert!(json.len() < 3_900, "{}", json.len());
        }
    }

    proptest! {
        #[test]
        fn granted_and_refused_are_parts_of_the_request(bits in 1u8..32, role in 0usize..4, name in "a|b") {
            let actions: ActionSet =
                Action::ALL.into_iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, a)| a).collect();
            let scope = Scope { actions, ..Scope::repository(name.parse().unwrap(), &[]) };
            let requested: ScopeList = [scope.clone()].into_iter().collect();
            let grants = [grant("a", Role::ALL[role])];
            let decision = decide(&requested, &grants);
            let held = policy::allowed_actions(&grants, &scope.resource);
            for granted in &decision.granted {
                prop_assert!(granted.actions.difference(held).is_empty());
                prop_assert!(granted.actions.difference(expand(&scope)).is_empty());
            }
            for refused in &decision.refused {
                prop_assert!(refused.actions.intersection(held).is_empty());
                prop_assert!(refused.actions.difference(expand(&scope)).is_empty());
            }
        }
    }
}
