//! What somebody holds and no token for some kind of registry says.
//!
//! *Invariant:* the answer is that of the function that issues tokens, asked for these actions on one repository alone.

use shared::action::{Action, ActionSet};
use shared::scope::{Scope, ScopeList};

use super::audience::Verifier;
use super::grant::Circumstances;
use super::issue::{Asker, Relevant, Withheld, decide};
use super::policy::Rows;
use super::question::Question;
use super::right::{Right, RightSet};

/// Actions that tokens leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withholding {
    /// Which.
    pub actions: ActionSet,
    /// Why.
    pub why: Withheld,
    /// In tokens for which kinds of registries.
    pub verifiers: Vec<Verifier>,
}

/// What of these held rights tokens leave out.
pub fn withholdings(
    rows: &Rows,
    question: &Question,
    held: RightSet,
    user: Option<&str>,
    circumstances: Circumstances,
) -> Vec<Withholding> {
    let is_behind = |action: &Action| !held.intersection(RightSet::behind(*action)).is_empty();
    let mut actions: ActionSet = Action::ALL.into_iter().filter(is_behind).collect();
    if held.contains(Right::RepositoryCreate) {
        // Repositories are made by pushing to them.
        actions = actions.union(ActionSet::of(&[Action::Push]));
    }
    let requested: ScopeList = [Scope { actions, resource: question.resource() }].into_iter().collect();
    let relevant = Relevant { near: rows.clone(), all: None };
    let mut found: Vec<Withholding> = Vec::new();
    for verifier in Verifier::ALL {
        let decision = decide(&requested, &relevant, Asker { user, circumstances, verifier });
        for (Scope { actions, .. }, why) in decision.withheld {
            match found.iter_mut().find(|known| known.actions == actions && known.why == why) {
                Some(known) => known.verifiers.push(verifier),
                None => found.push(Withholding { actions, why, verifiers: vec![verifier] }),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use shared::limits::TagPattern;
    use shared::repository_pattern::RepositoryPattern;
    use time::OffsetDateTime;

    use super::super::grant::{Conditions, Effect, Grant, What};
    use super::super::policy::Held;
    use super::super::role::Role;
    use super::*;

    fn told(question: &str, role: &Role, tags: &[String]) -> Vec<(String, &'static str, usize)> {
        let tags: Vec<_> = tags.iter().map(|tags| Some(TagPattern::parse(tags).unwrap())).collect();
        let tags = if tags.is_empty() { vec![None] } else { tags };
        let grants = tags.into_iter().map(|tags| Grant {
            id: 0,
            holder: 0,
            effect: Effect::Allow,
            what: What::Role(role.clone()),
            pattern: RepositoryPattern::parse("a").unwrap(),
            tags,
            conditions: Conditions::default(),
        });
        let rows = Rows { grants: grants.collect(), ..Rows::default() };
        let question = Question::parse(question, "a").unwrap();
        let circumstances =
            Circumstances { now: OffsetDateTime::UNIX_EPOCH, address: None, second_factor: false };
        let held = question.answered_by(&Held::of(&rows, question.repository(), None, circumstances));
        let found = withholdings(&rows, &question, held, None, circumstances);
        let told = |one: Withholding| (one.actions.to_string(), one.why.as_str(), one.verifiers.len());
        found.into_iter().map(told).collect()
    }

    #[test]
    fn what_is_limited_is_left_out_where_limits_are_not_known() {
        let unenforceable = |action: &str| (action.to_owned(), "unenforceable", 2);
        assert_eq!(told("push", &Role::PUBLISHER, &[]), [unenforceable("push")]);
        assert_eq!(told("repository-create", &Role::PUBLISHER, &[]), [unenforceable("push")]);
        assert_eq!(told("delete", &Role::MAINTAINER, &["v*".into()]), [unenforceable("delete")]);
        // Asked about what is whole, or not held, there is nothing to say.
        assert_eq!(told("pull", &Role::PUBLISHER, &[]), []);
        assert_eq!(told("tag-update", &Role::PUBLISHER, &[]), []);
        assert_eq!(told("*", &Role::OWNER, &[]), []);
    }

    #[test]
    fn what_takes_too_many_words_is_left_out_everywhere() {
        let patterns = |count: usize, length: usize| -> Vec<String> {
            (0..count).map(|number| format!("{number:02}{}*", "x".repeat(length))).collect()
        };
        let unenforceable = ("push".to_owned(), "unenforceable", 2);
        for (patterns, why) in [(patterns(33, 1), "too_many_patterns"), (patterns(32, 90), "token_too_large")]
        {
            let expected = [("push".to_owned(), why, 1), unenforceable.clone()];
            assert_eq!(told("push", &Role::WRITER, &patterns), expected);
        }
    }
}
