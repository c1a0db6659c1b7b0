//! What docker_auth answers: the first rule that matches decides, and without one nothing is allowed.
//!
//! *Invariant:* pure; the same request gets the same answer, and the order of the rules is all that matters between
//! them.

use shared::action::ActionSet;

use super::config::Config;
use super::rule::Request;

/// An answer of docker_auth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it allows of what was asked.
    pub granted: ActionSet,
    /// Position of the rule that decides, if one does.
    pub rule: Option<usize>,
}

impl Config {
    /// Decides a request for these actions. People without a login are refused where they are not let in at all.
    pub fn decide(&self, request: &Request<'_>, asked: ActionSet) -> Answer {
        if request.account.is_empty() && self.anonymous.is_none() {
            return Answer { granted: ActionSet::EMPTY, rule: None };
        }
        let rule = self.rules.iter().position(|rule| rule.matches(request, &self.expressions));
        let granted = rule.map_or(ActionSet::EMPTY, |rule| self.rules[rule].allowed.of(asked));
        Answer { granted, rule }
    }
}

#[cfg(test)]
mod tests {
    use shared::action::Action;

    use super::super::rule::Labels;
    use super::*;

    const RULES: &str = r#"
users:
  "": {}
  john@test.com: {}
acl:
  - match: {ip: "127.0.0.0/8"}
    actions: ["*"]
  - match: {account: admin}
    actions: ["*"]
  - match: {account: test, name: "test-*"}
    actions: [push, pull]
  - match: {account: test}
    actions: []
  - match: {account: "/^(.+)@test\\.com$/", name: "${account:1}/*"}
    actions: ["*", pull]
  - match: {account: "/.+/", name: "${account}/*"}
    actions: ["*"]
  - match: {labels: {group: "/(vip|dev)/"}, name: "${labels:group}-shared/*"}
    actions: [push]
  - match: {account: "/.+/", type: registry, name: catalog}
    actions: ["*"]
  - match: {account: "/.+/", service: "/^(?i)main/"}
    actions: [pull]
  - match: {account: "", name: "/^hello/"}
    actions: [pull]
"#;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let config = Config::parse(RULES).unwrap();
        let labels = Labels::from([("group".into(), vec!["x".into(), "dev".into()])]);
        let all = ActionSet::of(&[Action::Pull, Action::Push, Action::All]);
        for (account, kind, name, service, address, expected, rule) in [
            ("", "repository", "a/b/c", "s", Some("127.3.2.1"), "pull,push,*", Some(0)),
            ("", "repository", "a/b/c", "s", Some("::ffff:127.3.2.1"), "pull,push,*", Some(0)),
            ("admin", "anything", "a/b/c", "s", None, "pull,push,*", Some(1)),
            ("test", "repository", "test-x", "s", None, "pull,push", Some(2)),
            ("test", "repository", "a", "main", None, "", Some(3)),
            ("john@test.com", "repository", "john/x", "s", None, "pull,*", Some(4)),
            ("alice", "repository", "alice/x", "s", None, "pull,push,*", Some(5)),
            ("alice", "repository", "alice/x/y", "s", None, "", None),
            ("a.b", "repository", "a.b/x", "s", None, "pull,push,*", Some(5)),
            ("a.b", "repository", "axb/x", "s", None, "", None),
            ("alice", "repository", "dev-shared/x", "s", None, "push", Some(6)),
            ("alice", "repository", "x-shared/x", "s", None, "push", Some(6)),
            ("alice", "registry", "catalog", "s", None, "pull,push,*", Some(7)),
            ("alice", "repository", "a", "Main street", None, "pull", Some(8)),
            ("", "repository", "hello-world", "s", None, "pull", Some(9)),
            ("", "repository", "other", "s", None, "", None),
        ] {
            let address = address.map(|address| address.parse().unwrap());
            let labels = if account == "alice" { &labels } else { &Labels::new() };
            let request = Request { account, kind, name, service, address, labels };
            let answer = config.decide(&request, all);
            assert_eq!((answer.granted.to_string().as_str(), answer.rule), (expected, rule), "{request:?}");
        }
    }

    #[test]
    fn nobody_without_a_login_is_let_in_unless_that_is_said() {
        let config = Config::parse("users: {a: {}}\nacl: [{match: {}, actions: [\"*\"]}]").unwrap();
        let request = Request {
            account: "",
            kind: "repository",
            name: "a",
            service: "s",
            address: None,
            labels: &Labels::new(),
        };
        assert!(config.decide(&request, ActionSet::of(&[Action::Pull])).granted.is_empty());
        let request = Request { account: "x", ..request };
        assert!(!config.decide(&request, ActionSet::of(&[Action::Pull])).granted.is_empty());
    }
}
