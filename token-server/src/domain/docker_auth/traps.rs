//! Rules that do not do what they seem to.
//!
//! *Invariant:* a trap names a line and what happens there; finding one changes nothing about what a rule means.

use super::config::{Config, Trap};
use super::rule::{Allowed, Field, Rule};
use super::{glob, regular};
use crate::domain::login::password_bcrypt::ImportedHash;

/// What tokens of registries can allow; docker_auth takes any word.
const ACTIONS: &[&str] = &["pull", "push", "delete", "*"];

/// Looks through users and rules.
pub(super) fn find(config: &mut Config) {
    let mut traps = Vec::new();
    users(config, &mut traps);
    for (position, rule) in config.rules.iter().enumerate() {
        let mut add = |kind, sentence: String| traps.push(Trap { line: rule.line, kind, sentence });
        conditions(rule, config, &mut add);
        actions(rule, &mut add);
        if let Some(earlier) = decides_before(&config.rules, position) {
            let line = earlier.line;
            add(
                "never_reached",
                format!(
                    "the rule at line {line} matches everything that this one could, so this one never counts"
                ),
            );
        }
    }
    config.traps.append(&mut traps);
}

fn users(config: &Config, traps: &mut Vec<Trap>) {
    for user in &config.users {
        let (line, name) = (user.line, &user.name);
        let mut add = |kind, sentence: String| traps.push(Trap { line, kind, sentence });
        match &user.password {
            None => add(
                "no_password",
                format!("user {name} has no password, so anybody can log in as {name} with any password"),
            ),
            Some(hash) => {
                if let Err(error) = ImportedHash::parse(hash.expose()) {
                    add(
                        "unusable_password",
                        format!("the password of user {name} cannot be checked: {error}"),
                    );
                }
            }
        }
        for (label, values) in &user.labels {
            let is_pattern = |value: &&String| {
                value.contains(['*', '?', '[', '\\']) || regular::expression(value).is_some()
            };
            if let Some(value) = values.iter().find(is_pattern)
                && config.rules.iter().any(|rule| uses_label(rule, label))
            {
                add(
                    "label_as_pattern",
                    format!(
                        "label `{label}` of user {name} is put into rules as it is, so `{value}` counts as a pattern"
                    ),
                );
            }
        }
    }
}

fn uses_label(rule: &Rule, label: &str) -> bool {
    let placeholder = format!("${{labels:{label}}}");
    Field::ALL
        .into_iter()
        .any(|field| rule.pattern(field).is_some_and(|pattern| pattern.contains(&placeholder)))
}

fn conditions(rule: &Rule, config: &Config, add: &mut dyn FnMut(&'static str, String)) {
    if rule.matches_everything() {
        let whom = if config.anonymous.is_some() {
            "everybody, also without a login"
        } else {
            "everybody who is logged in"
        };
        let after = if rule.unknown.is_empty() {
            ""
        } else {
            ", because no condition in it is one that docker_auth knows"
        };
        add("empty_match", format!("the rule matches every request of {whom}{after}"));
    }
    for field in Field::ALL {
        let Some(pattern) = rule.pattern(field) else { continue };
        let word = field.as_str();
        if let Some(expression) = regular::expression(pattern) {
            if !is_anchored(expression) {
                add(
                    "not_anchored",
                    format!(
                        "`{word}: {pattern}` fits anywhere inside of the {word}, such as in `x{}x`; write /^…$/ for the whole",
                        sample(expression)
                    ),
                );
            }
        } else if glob::parse(pattern).is_none() {
            add("no_pattern", format!("`{word}: {pattern}` is no pattern, so the rule never matches"));
        } else if pattern.contains("**") {
            add(
                "double_star",
                format!(
                    "`**` in `{word}: {pattern}` says no more than `*`, which does not reach over a slash"
                ),
            );
        } else if field == Field::Name && pattern == "*" {
            add(
                "single_star",
                "`name: \"*\"` covers only names without a slash; leave `name` out for all".into(),
            );
        }
        if pattern.contains("${labels:") && !config.externals.is_empty() {
            add(
                "label_of_others",
                format!(
                    "whoever can set the labels that `{word}: {pattern}` uses decides what the rule covers; a value of `*` is a pattern"
                ),
            );
        }
    }
    if let Some(name) = rule.pattern(Field::Name)
        && regular::expression(name).is_none()
        && name.replace("${labels:", "").chars().any(|character| character.is_ascii_uppercase())
    {
        add(
            "upper_case",
            format!(
                "`name: {name}` has upper-case letters, which no repository name has, so it matches none"
            ),
        );
    }
    if let Some(account) = rule.pattern(Field::Account)
        && config.anonymous.is_some()
        && !account.is_empty()
        && config.expressions.matches(account, "")
    {
        add(
            "anonymous_included",
            format!(
                "`account: {account}` fits the empty name too, so the rule counts for people without a login (write /.+/ to leave them out)"
            ),
        );
    }
}

fn actions(rule: &Rule, add: &mut dyn FnMut(&'static str, String)) {
    let Allowed::Words(words) = &rule.allowed else { return };
    if words.is_empty() {
        add(
            "denial",
            "`actions: []` denies whatever the rule matches and no rule before it has allowed".into(),
        );
    }
    if words.iter().any(|word| word == "*") {
        add(
            "star_among_actions",
            "`*` beside other actions is not everything: it counts only where `*` itself is asked for".into(),
        );
    }
    for word in words.iter().filter(|word| !ACTIONS.contains(&word.as_str())) {
        add("unknown_action", format!("`{word}` is no action of a registry, so it allows nothing"));
    }
}

/// An earlier rule that matches whatever this one could.
pub(super) fn decides_before(rules: &[Rule], position: usize) -> Option<&Rule> {
    rules[..position].iter().find(|earlier| covers(earlier, &rules[position]))
}

/// Whether every request that the later rule matches is matched by the earlier one, as far as that can be read off.
fn covers(earlier: &Rule, later: &Rule) -> bool {
    let field_covers = |field| match (earlier.pattern(field), later.pattern(field)) {
        (None, _) => true,
        (Some(_), None) => false,
        // Captures of one rule are not those of another.
        (Some(one), Some(two)) => {
            (one == two && !one.contains("${")) || (is_any(one) && (!two.is_empty() || is_any_or_empty(one)))
        }
    };
    let network_covers = match (earlier.network, later.network) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(one), Some(two)) => one.contains(&two),
    };
    let labels_cover = earlier
        .labels
        .iter()
        .all(|(label, pattern)| !pattern.contains("${") && later.labels.get(label) == Some(pattern));
    Field::ALL.into_iter().all(field_covers) && network_covers && labels_cover
}

/// Whether a pattern covers every text but perhaps the empty one.
fn is_any(pattern: &str) -> bool {
    matches!(pattern, "/.+/" | "/^.+$/" | "/./") || is_any_or_empty(pattern)
}

fn is_any_or_empty(pattern: &str) -> bool {
    matches!(pattern, "/.*/" | "/^.*$/" | "/^/" | "/$/")
}

/// Whether an expression has to cover a text from end to end, or covers any text.
fn is_anchored(expression: &str) -> bool {
    if is_any(&format!("/{expression}/")) {
        return true;
    }
    let begins = ["^", "\\A", "(?i)^", ".*"].iter().any(|start| expression.starts_with(start));
    let ends = ["$", "\\z", ".*", ".+"].iter().any(|end| expression.ends_with(end));
    // One branch of several may be anchored and the others not.
    begins && ends && !has_open_branch(expression)
}

fn has_open_branch(expression: &str) -> bool {
    let (mut depth, mut is_escaped) = (0_i32, false);
    for character in expression.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// Something an expression may cover, for a message.
fn sample(expression: &str) -> String {
    let word: String = expression.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
    if word.is_empty() { "…".into() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<String> {
        let config = Config::parse(text).unwrap_or_else(|error| panic!("{error}"));
        config.traps.iter().map(|trap| format!("{} {}", trap.line, trap.kind)).collect()
    }

    #[test]
    fn traps_are_found_with_their_lines() {
        let anonymous = "users:\n  \"\": {}\n";
        for (users, rules, expected) in [
            (anonymous, "- match: {account: \"[\"}\n  actions: [pull]", &["4 no_pattern"][..]),
            (anonymous, "- match: {account: \"*\"}\n  actions: [pull]", &["4 anonymous_included"]),
            (anonymous, "- match: {account: \"/.+/\"}\n  actions: [pull]", &[]),
            (anonymous, "- match: {account: \"/^(a|b)$/\"}\n  actions: [pull]", &[]),
            (anonymous, "- match: {account: \"/^a|b$/\"}\n  actions: [pull]", &["4 not_anchored"]),
            (anonymous, "- match: {account: a, account: b}\n  actions: [pull]", &["4 repeated_key"]),
            (
                "users:\n  \"\": {password: x}\n",
                "- match: {account: a}\n  actions: [pull]",
                &["2 anonymous_with_password"],
            ),
            (
                "users:\n  a: {password: x, labels: {team: [\"*\"]}}\n",
                "- match: {name: \"${labels:team}/x\"}\n  actions: [pull]",
                &["2 label_as_pattern", "2 unusable_password"],
            ),
            (
                "ldap_auth: {addr: x}\nusers: {}\n",
                "- match: {name: \"${labels:team}/x\"}\n  actions: [pull]",
                &["4 label_of_others"],
            ),
            (
                anonymous,
                "- match: {account: \"/.+/\", name: \"a/*\"}\n  actions: []\n- match: {account: x, name: \"a/*\", ip: 10.0.0.1}\n  actions: [pull]",
                &["4 denial", "6 never_reached"],
            ),
            (
                anonymous,
                "- match: {ip: 10.0.0.0/8}\n  actions: [pull]\n- match: {ip: 10.1.0.0/16}\n  actions: [push]\n- match: {account: x}\n  actions: [push]",
                &["6 never_reached"],
            ),
        ] {
            assert_eq!(kinds(&format!("{users}acl:\n{rules}\n")), expected, "{users}{rules}");
        }
    }

    #[test]
    fn who_is_never_reached_cannot_be_told_from_placeholders() {
        let rule = "- match: {name: \"${account}/*\"}\n  actions: [pull]\n";
        assert_eq!(kinds(&format!("users: {{}}\nacl:\n{rule}{rule}")), Vec::<String>::new());
    }
}
