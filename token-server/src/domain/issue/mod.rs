//! From what was asked and what is held to what the token says.
//!
//! Asking for more than one holds is no error: the token carries less, and says what it left out so that the registry
//! can answer with a reason. A token that would not fit a request header carries less too, never more.
//!
//! *Invariant:* everything granted was asked for and is allowed by the policy.
//!
//! Spec: distribution, "Token Authentication Specification"; RFC 7519.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use shared::access::Access;
use shared::action::{Action, ActionSet};
use shared::claims::{Audience, Claims, PortcullisClaim, Refusal, RefusalReason};
use shared::limits::Limits;
use shared::repository_name::RepositoryName;
use shared::repository_set::RepositorySet;
use shared::revocations::Position;
use shared::scope::{Resource, Scope, ScopeList};
use time::OffsetDateTime;
use uuid::Uuid;

use super::audience::{AudienceRef, Verifier};
use super::grant::Circumstances;
use super::login::subject::Subject;
use super::policy::{self, Held, Rows};

/// How long a token lives from which something was refused: a right given meanwhile must not take longer to
/// arrive, also for clients that keep tokens by what they asked for. Less than a minute is not used by clients.
pub const REFUSED_LIFETIME: Duration = Duration::from_mins(1);

/// A token is valid this long before it is issued, for verifiers whose clock is behind. More would be a gift.
const NOT_BEFORE_LEEWAY_SECONDS: i64 = 10;

/// Room for scopes in a token. With the rest of the claims, the signature and a certificate, the encoded token stays
/// below 6 KiB, which proxies in front of registries let through.
const MAX_SCOPE_JSON_BYTES: usize = 3_600;

/// Bytes that an entry needs besides its name and actions: type, member names, reason.
const ENTRY_BYTES: usize = 74;

/// Bytes that an entry of a token needs, at most.
fn size(scope: &Scope) -> usize {
    // Each action is quoted and followed by a comma.
    let actions: usize = scope.actions.iter().map(|action| action.as_str().len() + 3).sum();
    ENTRY_BYTES + scope.resource.name().len() + actions
}

/// More patterns of tags than this are not put into a token.
const MAX_TAG_PATTERNS: usize = 32;

/// What becomes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What the token allows.
    pub granted: Vec<Scope>,
    /// What of it means less than it says.
    pub limits: Vec<Limits>,
    /// What the list of repositories shows, where that is not everything.
    pub catalogue: Option<Vec<RepositorySet>>,
    /// The rows that give it, once for each repository on which they do.
    pub rests_on: Vec<i64>,
    /// What was asked for and is not held.
    pub refused: Vec<Scope>,
    /// Who can give what was refused, for those of its repositories where somebody can be named.
    pub ask: BTreeMap<RepositoryName, Vec<String>>,
    /// What is held and cannot be put into the token, and why.
    pub withheld: Vec<(Scope, Withheld)>,
    /// When a row that matters begins or ends, so that the answer may be another.
    pub changes_at: Option<OffsetDateTime>,
}

/// Why something that is held is not in the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// It would not fit into a header.
    TokenTooLarge,
    /// There are more patterns of tags or of repositories than a token has room for.
    TooManyPatterns,
    /// It is limited to tags, or to making them, and the registry could not enforce that.
    Unenforceable,
    /// The credential is not good for it.
    LimitedCredential,
}

impl Withheld {
    /// The word in the audit record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenTooLarge => "token_too_large",
            Self::TooManyPatterns => "too_many_patterns",
            Self::Unenforceable => "unenforceable",
            Self::LimitedCredential => "limited_credential",
        }
    }
}

/// The rows that matter for a request.
#[derive(Clone, Debug, Default)]
pub struct Relevant {
    /// Those about the repositories that are asked for.
    pub near: Rows,
    /// All there are, if the list of repositories is asked for; nothing if there are too many to say.
    pub all: Option<Rows>,
}

/// Who asks, from where, and for which kind of registry.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The name of the user who logged in.
    pub user: Option<&'a str>,
    /// Time and place.
    pub circumstances: Circumstances,
    /// What the registry understands.
    pub verifier: Verifier,
}

/// Intersects the request with the policy.
pub fn decide(requested: &ScopeList, rows: &Relevant, asker: Asker<'_>) -> Decision {
    let mut decision = Decision::default();
    let mut room = MAX_SCOPE_JSON_BYTES;
    for scope in requested.iter() {
        decision.note_changes(rows, &scope.resource, asker);
        let Resource::Repository(name) = &scope.resource else {
            room -= decision.show_catalogue(scope, rows.all.as_ref(), asker, room);
            continue;
        };
        let held = Held::of(&rows.near, name, asker.user, asker.circumstances);
        let wanted = expand(scope);
        let mut granted = wanted.intersection(held.actions());
        let of = |actions| Scope { actions, resource: scope.resource.clone() };
        let mut refused = of(refused(scope, wanted, held.actions()));
        let unlimited = if refused.actions.is_empty() {
            ActionSet::EMPTY
        } else {
            beyond_credential(&rows.near, name, asker).intersection(refused.actions)
        };
        if !unlimited.is_empty() {
            refused.actions = refused.actions.difference(unlimited);
            decision.withheld.push((of(unlimited), Withheld::LimitedCredential));
        }
        if !refused.actions.is_empty() {
            decision.refused.push(refused);
        }
        let unsayable = match asker.verifier {
            Verifier::Portcullis => too_long(&held, name, granted),
            Verifier::Distribution2 | Verifier::Distribution3 => {
                (held.limited_actions().intersection(granted), Withheld::Unenforceable)
            }
        };
        if !unsayable.0.is_empty() {
            granted = granted.difference(unsayable.0);
            decision.withheld.push((of(unsayable.0), unsayable.1));
        }
        if granted.is_empty() {
            continue;
        }
        let limits = held.limits(name, granted);
        let needed = size(&of(granted)) + limits.as_ref().map_or(0, json_bytes);
        match room.checked_sub(needed) {
            Some(left) => {
                room = left;
                let rows = held.given_by(&rows.near, name, asker.user, asker.circumstances, granted);
                decision.rests_on.extend(rows.map(|row| row.id));
                decision.granted.push(of(granted));
                decision.limits.extend(limits);
            }
            None => decision.withheld.push((of(granted), Withheld::TokenTooLarge)),
        }
    }
    decision
}

impl Decision {
    /// What any registry may allow; the rest stands in our own claim, for those that can limit it.
    fn unlimited(&self) -> Vec<Scope> {
        let limited = |resource: &Resource| match resource {
            Resource::Catalog if self.catalogue.is_some() => ActionSet::of(&[Action::All]),
            Resource::Catalog => ActionSet::EMPTY,
            Resource::Repository(name) => {
                let limits = self.limits.iter().filter(|limits| limits.repository == *name);
                limits.fold(ActionSet::EMPTY, |set, limits| set.union(limits.actions))
            }
        };
        let rest = self.granted.iter().map(|scope| Scope {
            actions: scope.actions.difference(limited(&scope.resource)),
            resource: scope.resource.clone(),
        });
        rest.filter(|scope| !scope.actions.is_empty()).collect()
    }

    /// Remembers the first moment at which a row about this resource begins or ends.
    fn note_changes(&mut self, rows: &Relevant, resource: &Resource, asker: Asker<'_>) {
        let grants = match (resource, &rows.all) {
            (Resource::Catalog, Some(all)) => &all.grants,
            _ => &rows.near.grants,
        };
        let about = grants.iter().filter(|grant| match resource {
            // What the credential is not good for is not told by the life of a token either.
            Resource::Repository(name) => {
                grant.pattern.matches(name, asker.user)
                    && rows.near.limits_of(grant).is_none_or(|limits| limits.covers(name))
            }
            Resource::Catalog => {
                rows.near.limits_of(grant).is_none_or(|limits| !limits.within(&grant.pattern).is_empty())
            }
        });
        let moments = about.filter_map(|grant| grant.changes_after(asker.circumstances.now));
        self.changes_at = moments.chain(self.changes_at).min();
    }

    /// Grants the list of repositories as far as the asker may pull, if that can be said; returns the room it takes.
    fn show_catalogue(&mut self, scope: &Scope, all: Option<&Rows>, asker: Asker<'_>, room: usize) -> usize {
        let other = scope.actions.difference(ActionSet::of(&[Action::All]));
        if !other.is_empty() {
            self.refused.push(Scope { actions: other, ..scope.clone() });
        }
        if !scope.actions.contains(Action::All) {
            return 0;
        }
        let catalogue = Scope { actions: ActionSet::of(&[Action::All]), ..scope.clone() };
        let seen = all.and_then(|all| policy::visible(all, asker.user, asker.circumstances));
        let Some(seen) = seen else {
            self.withheld.push((catalogue, Withheld::TooManyPatterns));
            return 0;
        };
        if seen.is_empty() {
            self.refused.push(catalogue);
            return 0;
        }
        let is_whole = seen.iter().any(RepositorySet::is_everything);
        let said = (!is_whole).then_some(seen);
        let needed = size(&catalogue) + said.as_ref().map_or(0, json_bytes);
        let withheld = match (&said, asker.verifier) {
            (Some(_), Verifier::Distribution2 | Verifier::Distribution3) => Some(Withheld::Unenforceable),
            _ if needed > room => Some(Withheld::TokenTooLarge),
            _ => None,
        };
        if let Some(why) = withheld {
            self.withheld.push((catalogue, why));
            return 0;
        }
        self.granted.push(catalogue);
        self.catalogue = said;
        needed
    }
}

fn json_bytes(part: &impl Serialize) -> usize {
    // Plain texts and switches always become JSON; if they did not, there would be no room.
    serde_json::to_string(part).map_or(MAX_SCOPE_JSON_BYTES, |json| json.len() + 1)
}

/// What would be held with a credential that is good for everything, on a repository that this one is good for. On
/// others whoever has it is told what strangers are told.
fn beyond_credential(rows: &Rows, name: &RepositoryName, asker: Asker<'_>) -> ActionSet {
    if !rows.limits.as_ref().is_some_and(|limits| limits.covers(name)) {
        return ActionSet::EMPTY;
    }
    let unlimited = Rows { limits: None, ..rows.clone() };
    Held::of(&unlimited, name, asker.user, asker.circumstances).actions()
}

/// The actions whose limits have too many patterns.
fn too_long(held: &Held, name: &RepositoryName, granted: ActionSet) -> (ActionSet, Withheld) {
    let long = |action: &Action| {
        let limits = held.limits(name, granted.intersection(ActionSet::of(&[*action])));
        limits.is_some_and(|limits| {
            let sets = [limits.create, limits.update, limits.delete];
            sets.into_iter().any(|set| set.within.len() + set.except.len() > MAX_TAG_PATTERNS)
        })
    };
    ([Action::Push, Action::Delete].into_iter().filter(long).collect(), Withheld::TooManyPatterns)
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
    /// What was known when it was decided.
    pub decided: Option<Position>,
    /// Id of the token.
    pub id: Uuid,
}

/// The claims, and how long they live.
pub fn claims(decision: &Decision, subject: &Subject, frame: &TokenFrame<'_>) -> (Claims, Duration) {
    let lifetime =
        if decision.refused.is_empty() { frame.lifetime } else { frame.lifetime.min(REFUSED_LIFETIME) };
    // No token outlives what it rests on.
    let credential_ends_at = subject.credential().and_then(|credential| credential.ends_at);
    let changes_at = decision.changes_at.into_iter().chain(credential_ends_at).min();
    let until_change = changes_at.map(|moment| moment.unix_timestamp().saturating_sub(frame.now));
    let until_change =
        until_change.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1)));
    let lifetime = until_change.map_or(lifetime, |until_change| lifetime.min(until_change));
    let portcullis = (frame.audience.verifier == Verifier::Portcullis).then(|| PortcullisClaim {
        uid: subject.uid(),
        refused: refusals(decision, subject),
        limits: decision.limits.clone(),
        catalogue: decision.catalogue.clone(),
        decided: frame.decided,
        credential: subject.credential().map(|credential| credential.id),
    });
    let claims = Claims {
        iss: frame.issuer.to_owned(),
        sub: subject.name().to_owned(),
        aud: Audience::One(frame.audience.name.to_owned()),
        exp: frame.now.saturating_add(lifetime.as_secs().cast_signed()),
        nbf: Some(frame.now - NOT_BEFORE_LEEWAY_SECONDS),
        iat: Some(frame.now),
        jti: Some(frame.id.to_string()),
        access: Access::new(decision.unlimited()),
        portcullis,
    };
    (claims, lifetime)
}

/// As many refusals as there is room for; the registry asks for another token where it finds none.
fn refusals(decision: &Decision, subject: &Subject) -> Vec<Refusal> {
    let reason = match subject {
        Subject::Anonymous => RefusalReason::Anonymous,
        Subject::User(_) | Subject::Robot(_) | Subject::Workload(_) => RefusalReason::NoGrant,
    };
    let taken = decision.granted.iter().map(size).sum::<usize>()
        + decision.limits.iter().map(json_bytes).sum::<usize>()
        + decision.catalogue.as_ref().map_or(0, json_bytes);
    let mut room = MAX_SCOPE_JSON_BYTES.saturating_sub(taken);
    let mut refusals = Vec::new();
    let refused = decision.refused.iter().map(|scope| (scope, reason));
    // What only found no room is given to who asks for it alone.
    let withheld = decision.withheld.iter().filter(|(_, why)| *why != Withheld::TokenTooLarge);
    let withheld = withheld.map(|(scope, why)| match why {
        Withheld::LimitedCredential => (scope, RefusalReason::LimitedCredential),
        _ => (scope, RefusalReason::Other),
    });
    for (scope, reason) in refused.chain(withheld) {
        let ask = match (&scope.resource, reason) {
            (Resource::Repository(name), RefusalReason::NoGrant) => decision.ask.get(name).cloned(),
            _ => None,
        };
        let ask = ask.unwrap_or_default();
        let Some(left) = room.checked_sub(size(scope) + json_bytes(&ask)) else { break };
        room = left;
        refusals.push(Refusal { scope: scope.clone(), reason, ask });
    }
    refusals
}

#[cfg(test)]
mod tests;
