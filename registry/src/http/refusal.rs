//! How somebody is told what they may not do, so that the sentence reaches the terminal.
//!
//! The answer is 403 with the sentence in its body. Two kinds of requests have no use for a body, and get 401 with the
//! sentence in the challenge instead, for which clients do not ask a third time:
//!
//! - HEAD, whose answer has none; clients show the `error_description`;
//! - those of containerd before 2.0, which shows of a 403 only the number, and of a challenge only the parameter `error`.
//!
//! *Invariant:* whatever the shape, the request was refused, and the sentence says nothing that the token did not say.
//!
//! Spec: RFC 6750 §3.1.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::USER_AGENT;
use shared::action::Action;
use shared::challenge::ChallengeError;
use shared::claims::{Refusal, RefusalReason};
use shared::scope::{Resource, ScopeList};

use super::bearer_access::build_challenge;
use super::error::ApiError;
use super::state::TokenAuth;
use crate::auth::verifier::VerifiedToken;

/// What the token says about an action that it does not carry.
pub(super) fn refusal<'a>(
    token: &'a VerifiedToken,
    resource: &Resource,
    action: Action,
) -> Option<&'a Refusal> {
    token.portcullis.as_ref().and_then(|claim| claim.refusal(resource, action))
}

/// The answer that shows a sentence to whoever sent this request.
pub(super) fn denied(
    request: &HttpRequest,
    auth: &TokenAuth,
    scopes: &ScopeList,
    sentence: String,
) -> ApiError {
    let is_word_all = shows_one_word(request);
    if request.method() != Method::HEAD && !is_word_all {
        return ApiError::Denied(sentence);
    }
    let mut challenge = build_challenge(request, auth, scopes, Some(ChallengeError::InsufficientScope));
    challenge.error_in_words = is_word_all.then(|| sentence.clone());
    challenge.error_description = Some(sentence);
    ApiError::Unauthorized(Box::new(challenge))
}

fn shows_one_word(request: &HttpRequest) -> bool {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    ["containerd/1.", "containerd/v1."].iter().any(|old| agent.starts_with(old))
}

/// The sentence about an action that was asked for and is not held.
pub(super) fn sentence(
    token: &VerifiedToken,
    resource: &Resource,
    action: Action,
    refusal: &Refusal,
) -> String {
    let what = match (resource, action) {
        (Resource::Catalog, _) => "list all repositories".to_owned(),
        (Resource::Repository(name), Action::Pull) => format!("pull from {name}"),
        (Resource::Repository(name), Action::Push) => format!("push to {name}"),
        (Resource::Repository(name), Action::Delete) => format!("delete from {name}"),
        (Resource::Repository(name), Action::RepositoryDelete | Action::All) => {
            format!("delete the repository {name}")
        }
    };
    match refusal.reason {
        RefusalReason::Anonymous => format!("you are not logged in, and only users with a grant may {what}"),
        RefusalReason::NoGrant => {
            format!("{} may not {what}: no grant allows it; {}", token.subject, advice(&refusal.ask))
        }
        RefusalReason::LimitedCredential => {
            format!("{} may {what}, but not with the secret of this login, which is limited", token.subject)
        }
        RefusalReason::Other => format!("{} may not {what}", token.subject),
    }
}

/// Who can help, as the token server knows them.
fn advice(ask: &[String]) -> String {
    match ask {
        [] => "ask an administrator of this registry".to_owned(),
        [one] => format!("ask {one}"),
        [others @ .., last] => format!("ask {} or {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_old_containerd_needs_the_sentence_in_a_word() {
        for (agent, expected) in [
            ("containerd/1.6.20~ds1", true),
            ("containerd/v1.7.27", true),
            ("containerd/2.1.0", false),
            ("docker/29.0 containerd/1.7", false),
            ("", false),
        ] {
            let request = TestRequest::default().insert_header((USER_AGENT, agent)).to_http_request();
            assert_eq!(shows_one_word(&request), expected, "{agent}");
        }
    }

    #[test]
    fn advice_names_some_or_nobody() {
        let advice = |names: &[&str]| advice(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(advice(&[]), "ask an administrator of this registry");
        assert_eq!(advice(&["team:platform"]), "ask team:platform");
        assert_eq!(advice(&["team:platform", "ann", "admin"]), "ask team:platform, ann or admin");
    }
}
