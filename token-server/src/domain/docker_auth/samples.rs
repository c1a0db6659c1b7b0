//! Repository names to ask about: what the patterns of the rules cover, and what lies just outside.
//!
//! *Invariant:* the same rules give the same names, each of which a repository can have.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};
use shared::repository_name::RepositoryName;

use super::config::Config;
use super::glob::{self, Token};
use super::patterns::LETTERS;
use super::regular;
use super::rule::{Field, Labels, Request, Rule, variants};

/// Names that have to do with no rule in particular.
const ORDINARY: &[&str] = &["app", "library/app", "team/app", "x/y/z"];

/// More names are not made of one pattern.
const MAX_OF_PATTERN: usize = 200;

/// Names that the rules tell apart whoever asks; each rule gives some on both sides of its edge.
pub(super) fn for_all(config: &Config, service: &str) -> BTreeSet<RepositoryName> {
    let ordinary = ORDINARY.iter().filter_map(|name| RepositoryName::parse(name).ok());
    let rules = config.rules.iter().filter(|rule| !is_personal(rule));
    let texts = rules.flat_map(|rule| covered(config, rule, "", &Labels::new(), service));
    texts.flat_map(|text| around(&text).collect::<Vec<_>>()).chain(ordinary).collect()
}

/// Names that the rules tell apart because this account asks.
pub(super) fn of_account(
    config: &Config,
    account: &str,
    labels: &Labels,
    service: &str,
) -> BTreeSet<RepositoryName> {
    let rules = config.rules.iter().filter(|rule| is_personal(rule));
    let texts = rules.flat_map(|rule| covered(config, rule, account, labels, service));
    let mut names: BTreeSet<_> = texts.flat_map(|text| around(&text).collect::<Vec<_>>()).collect();
    for text in [account.to_owned(), format!("{account}/app"), format!("{account}/app/deep")] {
        names.extend(RepositoryName::parse(&text).ok());
    }
    names
}

fn is_personal(rule: &Rule) -> bool {
    rule.pattern(Field::Name).is_some_and(|name| name.contains("${"))
}

/// Texts that the name pattern of a rule covers.
fn covered(config: &Config, rule: &Rule, account: &str, labels: &Labels, service: &str) -> BTreeSet<String> {
    let Some(pattern) = rule.pattern(Field::Name) else { return BTreeSet::new() };
    let request = Request { account, kind: "repository", name: "", service, address: None, labels };
    let values = rule.values(&request, &config.expressions);
    let mut texts = BTreeSet::new();
    for pattern in variants(pattern, &values, labels).take(MAX_OF_PATTERN) {
        match regular::expression(&pattern) {
            Some(expression) => texts.extend(of_expression(expression)),
            None => texts.extend(of_glob(&pattern)),
        }
        if texts.len() > MAX_OF_PATTERN {
            break;
        }
    }
    texts
}

/// The name itself, longer and shorter ones, the one above and some below.
fn around(text: &str) -> impl Iterator<Item = RepositoryName> {
    let mut texts = vec![
        text.to_owned(),
        format!("{text}x"),
        format!("x{text}"),
        format!("{text}/x"),
        format!("{text}/x/y"),
        format!("x/{text}"),
    ];
    texts.extend(text.rsplit_once('/').map(|(above, _)| above.to_owned()));
    let mut shorter = text.to_owned();
    shorter.pop();
    texts.push(shorter);
    texts.into_iter().filter_map(|text| RepositoryName::parse(&text).ok())
}

/// What stars can stand for.
const FILLINGS: &[&str] = &["", "x", "q7-z"];

fn of_glob(pattern: &str) -> BTreeSet<String> {
    let Some(chunks) = glob::parse(pattern) else { return BTreeSet::new() };
    let write = |filling: &str, member: usize| {
        let mut text = String::new();
        for chunk in &chunks {
            if chunk.after_star {
                text.push_str(filling);
            }
            text.extend(chunk.tokens.iter().filter_map(|token| match token {
                Token::Literal(character) => Some(*character),
                Token::One => Some('x'),
                Token::Set { negated, ranges } => {
                    let is_in = |character: &char| {
                        ranges.iter().any(|(low, high)| (low..=high).contains(&character)) != *negated
                    };
                    let members: Vec<char> = LETTERS.chars().chain(['/']).filter(is_in).collect();
                    members.get(member % members.len().max(1)).copied()
                }
            }));
        }
        text
    };
    let members = [0, 1, 37, 38];
    FILLINGS.iter().flat_map(|filling| members.map(|member| write(filling, member))).collect()
}

fn of_expression(expression: &str) -> BTreeSet<String> {
    let parsed = regular::translate(expression).and_then(|text| regex_syntax::parse(&text).ok());
    let Some(parsed) = parsed else { return BTreeSet::new() };
    (0..3).flat_map(|more| generate(&parsed, more)).collect()
}

/// Some texts that an expression covers; with `more`, repetitions go on longer.
fn generate(hir: &Hir, more: u32) -> Vec<String> {
    let mut texts = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![String::new()],
        HirKind::Literal(literal) => vec![String::from_utf8_lossy(&literal.0).into_owned()],
        HirKind::Class(class) => of_class(class),
        HirKind::Capture(capture) => generate(&capture.sub, more),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            let times = repetition.min.saturating_add(more).min(most).min(MAX_REPEATED);
            let once = generate(&repetition.sub, more);
            let mut texts: Vec<String> = once.iter().map(|text| text.repeat(times as usize)).collect();
            if more > 0 && times > 0 && is_any(&repetition.sub) {
                texts.extend(["x/y".to_owned(), "x".to_owned()]);
            }
            texts
        }
        HirKind::Concat(parts) => {
            let mut texts = vec![String::new()];
            for part in parts {
                let next = generate(part, more);
                let longer =
                    texts.iter().flat_map(|text| next.iter().map(move |next| format!("{text}{next}")));
                texts = longer.take(MAX_OF_PATTERN).collect();
            }
            texts
        }
        HirKind::Alternation(parts) => parts.iter().flat_map(|part| generate(part, more)).collect(),
    };
    texts.truncate(MAX_OF_PATTERN);
    texts
}

/// Nothing that a name has is repeated more often.
const MAX_REPEATED: u32 = 64;

fn of_class(class: &Class) -> Vec<String> {
    let is_in = |character: &char| match class {
        Class::Unicode(class) => class.iter().any(|range| (range.start()..=range.end()).contains(character)),
        Class::Bytes(_) => false,
    };
    let members: Vec<char> = LETTERS.chars().chain(['/']).filter(is_in).collect();
    let some = [members.first(), members.get(members.len() / 2), members.last()];
    some.into_iter().flatten().map(char::to_string).collect()
}

fn is_any(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Class(Class::Unicode(class)) if class.iter().any(|range| (range.start()..=range.end()).contains(&'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rule: &str) -> BTreeSet<RepositoryName> {
        let config = Config::parse(&format!("users: {{a: {{}}}}\nacl: [{rule}]")).unwrap();
        let labels = Labels::from([("team".into(), vec!["red".into()])]);
        for_all(&config, "s").into_iter().chain(of_account(&config, "ann", &labels, "s")).collect()
    }

    #[test]
    fn names_lie_on_both_sides_of_the_edge() {
        for (rule, inside, outside) in [
            ("{match: {name: \"team/*\"}, actions: []}", "team/x", "team/x/x"),
            ("{match: {name: \"test-*\"}, actions: []}", "test-x", "xtest-x"),
            ("{match: {name: \"${account}/*\"}, actions: []}", "ann/x", "ann"),
            ("{match: {name: \"${labels:team}/*\"}, actions: []}", "red/x", "red/x/x/y"),
            ("{match: {name: \"/^(a|b)\\\\/.+$/\"}, actions: []}", "b/x/y", "b"),
            ("{match: {name: \"app-[0-9]\"}, actions: []}", "app-0", "app-0x"),
        ] {
            let names = names(rule);
            for name in [inside, outside] {
                assert!(names.contains(&name.parse().unwrap()), "{rule}: {name} in {names:?}");
            }
        }
    }
}
