//! One entry of docker_auth's list of rights: on what it matches, and what it allows.
//!
//! *Invariant:* a rule matches exactly the requests that docker_auth says it matches, oddities included: a condition
//! that is missing holds always, placeholders are replaced once and in a fixed order, and values of labels and of
//! captures are put in as they are, so that they can be patterns themselves.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex};

use ipnet::IpNet;
use regex::Regex;
use shared::action::{Action, ActionSet};

use super::{glob, regular};

/// Attributes of a user, each with its values.
pub type Labels = BTreeMap<String, Vec<String>>;

/// What is asked: who wants to do something on what, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The name of the user, empty for nobody.
    pub account: &'a str,
    /// `repository` or `registry`.
    pub kind: &'a str,
    /// The repository, or `catalog`.
    pub name: &'a str,
    /// The registry.
    pub service: &'a str,
    /// Where the client is, if that is known.
    pub address: Option<IpAddr>,
    /// Labels of the user.
    pub labels: &'a Labels,
}

/// A part of a request that a rule can be about, in the order in which placeholders are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Account,
    Type,
    Name,
    Service,
}

impl Field {
    pub(super) const ALL: [Self; 4] = [Self::Account, Self::Type, Self::Name, Self::Service];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Type => "type",
            Self::Name => "name",
            Self::Service => "service",
        }
    }

    fn of<'a>(self, request: &Request<'a>) -> &'a str {
        match self {
            Self::Account => request.account,
            Self::Type => request.kind,
            Self::Name => request.name,
            Self::Service => request.service,
        }
    }
}

/// What a rule allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Whatever is asked for.
    Everything,
    /// Those of these words that are asked for.
    Words(Vec<String>),
}

impl Allowed {
    /// What it leaves of a request.
    pub fn of(&self, asked: ActionSet) -> ActionSet {
        match self {
            Self::Everything => asked,
            Self::Words(words) => {
                words.iter().filter_map(|word| Action::parse(word)).collect::<ActionSet>().intersection(asked)
            }
        }
    }
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it begins.
    pub line: usize,
    pub(super) account: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    pub(super) service: Option<String>,
    pub(super) network: Option<IpNet>,
    pub(super) labels: BTreeMap<String, String>,
    /// Keys among its conditions that docker_auth does not know, and passes over.
    pub(super) unknown: Vec<String>,
    /// What it allows.
    pub allowed: Allowed,
    /// What somebody wrote beside it.
    pub comment: Option<String>,
}

impl Rule {
    pub(super) fn pattern(&self, field: Field) -> Option<&str> {
        match field {
            Field::Account => self.account.as_deref(),
            Field::Type => self.kind.as_deref(),
            Field::Name => self.name.as_deref(),
            Field::Service => self.service.as_deref(),
        }
    }

    /// Whether it has no condition that docker_auth looks at.
    pub(super) fn matches_everything(&self) -> bool {
        Field::ALL.into_iter().all(|field| self.pattern(field).is_none())
            && self.network.is_none()
            && self.labels.is_empty()
    }

    /// Whether people are told apart by more than whether they are logged in, and not by one name.
    pub(super) fn is_about_some(&self) -> bool {
        let has_labels = |pattern: &str| pattern.contains("${labels:");
        !self.labels.is_empty()
            || Field::ALL.into_iter().any(|field| self.pattern(field).is_some_and(has_labels))
            || self.account.as_deref().is_some_and(|account| account.contains(['*', '?', '[', '/']))
    }

    /// Whether it is about this request.
    pub fn matches(&self, request: &Request<'_>, expressions: &Expressions) -> bool {
        let is_there = |network: IpNet| request.address.is_some_and(|address| contains(network, address));
        // Most conditions have no placeholders, and most rules fail at one of those.
        let (plain, others): (Vec<Field>, Vec<Field>) = Field::ALL
            .into_iter()
            .filter(|field| self.pattern(*field).is_some())
            .partition(|field| self.pattern(*field).is_some_and(|pattern| !pattern.contains("${")));
        let fits = |field: Field| {
            self.pattern(field).is_none_or(|pattern| expressions.matches(pattern, field.of(request)))
        };
        if !plain.into_iter().all(fits) || !self.network.is_none_or(is_there) {
            return false;
        }
        if others.is_empty() && self.labels.is_empty() {
            return true;
        }
        let values = self.values(request, expressions);
        others.into_iter().all(|field| self.fits(field, request, &values, expressions))
            && self.labels.iter().all(|(label, pattern)| {
                let held = request.labels.get(label).map(Vec::as_slice).unwrap_or_default();
                held.iter().any(|value| expressions.matches(&replaced(pattern, &values), value))
            })
    }

    /// Whether one condition holds.
    pub(super) fn fits(
        &self,
        field: Field,
        request: &Request<'_>,
        values: &Values,
        expressions: &Expressions,
    ) -> bool {
        let Some(pattern) = self.pattern(field) else { return true };
        let text = field.of(request);
        variants(pattern, values, request.labels).any(|pattern| expressions.matches(&pattern, text))
    }

    /// What placeholders stand for.
    pub(super) fn values(&self, request: &Request<'_>, expressions: &Expressions) -> Values {
        let mut values: Values =
            Field::ALL.map(|field| (format!("${{{}}}", field.as_str()), quoted(field.of(request)))).into();
        for field in Field::ALL {
            let Some(pattern) = self.pattern(field) else { continue };
            for found in CAPTURE.captures_iter(pattern) {
                let named = Field::ALL.into_iter().find(|field| is_title_of(&found[1], *field));
                let source =
                    named.and_then(|named| Some((named, regular::expression(self.pattern(named)?)?)));
                let Some((named, source)) = source else { continue };
                let Some(expression) = expressions.get(source) else { continue };
                let groups = expression.captures(named.of(request));
                let index: usize = found[2].parse().unwrap_or_default();
                // A group that took no part is empty.
                let taken = groups.filter(|groups| (1..groups.len()).contains(&index));
                let Some(taken) = taken else { continue };
                let text = taken.get(index).map_or("", |group| group.as_str());
                values.push((found[0].to_owned(), text.to_owned()));
            }
        }
        values
    }
}

/// Placeholders and what stands for them, in the order in which they are tried.
pub(super) type Values = Vec<(String, String)>;

static CAPTURE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\{(.+?):([0-9]+)\}").expect("the expression is a constant"));

/// Only the first letter may be written in either case.
fn is_title_of(word: &str, field: Field) -> bool {
    let (first, rest) = field.as_str().split_at(1);
    let mut letters = word.chars();
    letters.next().is_some_and(|letter| letter.to_ascii_lowercase().to_string() == first)
        && letters.as_str() == rest
}

/// A text with a backslash before everything that means something in an expression.
pub(super) fn quoted(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            written.push('\\');
        }
        written.push(character);
    }
    written
}

/// The pattern with each placeholder replaced, from left to right and once.
pub(super) fn replaced(pattern: &str, values: &[(String, String)]) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut rest = pattern;
    'next: while let Some(character) = rest.chars().next() {
        for (placeholder, value) in values {
            if let Some(after) = rest.strip_prefix(placeholder.as_str()) {
                written.push_str(value);
                rest = after;
                continue 'next;
            }
        }
        written.push(character);
        rest = &rest[character.len_utf8()..];
    }
    written
}

/// More combinations of values of labels than this are not tried; docker_auth tries all of them at each request.
const MAX_VARIANTS: usize = 10_000;

/// The pattern without labels replaced, then with each combination of their values.
pub(super) fn variants(pattern: &str, values: &Values, labels: &Labels) -> impl Iterator<Item = String> {
    let mut combinations: Vec<Values> = Vec::new();
    for (label, held) in labels {
        let placeholder = format!("${{labels:{label}}}");
        if !pattern.contains(&placeholder) {
            continue;
        }
        if combinations.is_empty() {
            combinations.push(values.clone());
        }
        combinations = combinations
            .into_iter()
            .flat_map(|known| {
                let placeholder = placeholder.clone();
                held.iter().map(move |value| {
                    known.iter().cloned().chain([(placeholder.clone(), value.clone())]).collect()
                })
            })
            .take(MAX_VARIANTS)
            .collect();
        if combinations.is_empty() {
            break;
        }
    }
    let plain = replaced(pattern, values);
    let pattern = pattern.to_owned();
    std::iter::once(plain).chain(combinations.into_iter().map(move |values| replaced(&pattern, &values)))
}

/// An address of the old kind may come in the clothes of the new one.
fn contains(network: IpNet, address: IpAddr) -> bool {
    network.contains(&address.to_canonical())
}

/// Regular expressions that were prepared, because most are asked again.
#[derive(Debug, Default)]
pub struct Expressions(Mutex<HashMap<String, Option<Arc<Regex>>>>);

/// Placeholders make ever new ones.
const MAX_EXPRESSIONS: usize = 2_000;

impl Expressions {
    /// Whether a pattern without placeholders covers a text.
    pub(super) fn matches(&self, pattern: &str, text: &str) -> bool {
        match regular::expression(pattern) {
            Some(expression) => self.get(expression).is_some_and(|compiled| compiled.is_match(text)),
            None => glob::matches(pattern, text),
        }
    }

    pub(super) fn get(&self, expression: &str) -> Option<Arc<Regex>> {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(compiled) = known.get(expression) {
            return compiled.clone();
        }
        if known.len() >= MAX_EXPRESSIONS {
            known.clear();
        }
        let compiled = regular::compile(expression).map(Arc::new);
        known.insert(expression.to_owned(), compiled.clone());
        compiled
    }
}
