//! What a client asks for: the resource-scope grammar of the token endpoint and of the challenge.
//!
//! Parsing is lenient as a whole and strict in each part: a scope that is malformed or of an unknown type is left
//! out instead of failing the request, because clients merge scopes of several operations and would otherwise get
//! nothing. What is left out cannot become a right.
//!
//! *Invariant:* a [`ScopeList`] names each resource once, within the limits it was parsed with.
//!
//! Spec: distribution, "Token Scope Documentation".

use std::collections::BTreeMap;
use std::fmt;

use crate::action::{Action, ActionSet};
use crate::repository_name::RepositoryName;

/// More resources than this in one request are left out: the token would no longer fit a request header.
pub const MAX_RESOURCES: usize = 64;

/// Text beyond this many bytes of scopes is not looked at.
pub const MAX_SCOPE_BYTES: usize = 8 * 1024;

/// What Docker asks for on the catalogue before it searches there; what it finds is a part of the list.
const SEARCH: &str = "search";

/// Something rights can be held on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// One repository, which need not exist yet.
    Repository(RepositoryName),
    /// The list of all repositories, `registry:catalog`.
    Catalog,
}

impl Resource {
    /// The word for its kind on the wire.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Repository(_) => "repository",
            Self::Catalog => "registry",
        }
    }

    /// The repository, if it is one.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Repository(name) => Some(name),
            Self::Catalog => None,
        }
    }

    /// Its name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Repository(name) => name.as_str(),
            Self::Catalog => "catalog",
        }
    }

    /// The resource of that kind and name; the deprecated class, as in `repository(plugin)`, is ignored.
    pub fn parse(kind: &str, name: &str) -> Option<Self> {
        let kind = match kind.split_once('(') {
            Some((kind, class)) if class.len() > 1 && class.ends_with(')') => kind,
            Some(_) => return None,
            None => kind,
        };
        match kind {
            "repository" => RepositoryName::parse(name).ok().map(Self::Repository),
            "registry" if name == "catalog" => Some(Self::Catalog),
            _ => None,
        }
    }
}

/// One resource and the actions asked for on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// On what.
    pub resource: Resource,
    /// What to do with it.
    pub actions: ActionSet,
}

impl Scope {
    /// The scope for actions on a repository.
    pub fn repository(name: RepositoryName, actions: &[Action]) -> Self {
        Self { resource: Resource::Repository(name), actions: ActionSet::of(actions) }
    }

    /// The scope for listing all repositories.
    pub fn catalog() -> Self {
        Self { resource: Resource::Catalog, actions: ActionSet::of(&[Action::All]) }
    }

    /// Parses `type[(class)]:name:action,…`. The name may hold colons (a port), so the first and the last count.
    /// Nothing is returned for a malformed scope, an unknown resource, or one without a known action.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, words) = rest.rsplit_once(':')?;
        let resource = Resource::parse(kind, name)?;
        let mut actions = ActionSet::parse_known(words);
        if resource == Resource::Catalog && words.split(',').any(|word| word == SEARCH) {
            actions = actions.union(ActionSet::of(&[Action::All]));
        }
        (!actions.is_empty()).then_some(Self { resource, actions })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.resource.kind(), self.resource.name(), self.actions)
    }
}

/// The scopes of one request, merged by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeList {
    scopes: Vec<Scope>,
    dropped: usize,
}

impl ScopeList {
    /// Parses any mixture of repeated parameters and space-separated lists.
    pub fn parse<'a>(parameters: impl IntoIterator<Item = &'a str>) -> Self {
        let mut merged: BTreeMap<Resource, ActionSet> = BTreeMap::new();
        let mut dropped = 0;
        let mut budget = MAX_SCOPE_BYTES;
        for piece in parameters.into_iter().flat_map(|text| text.split(' ')).filter(|piece| !piece.is_empty())
        {
            if piece.len() > budget {
                budget = 0;
                dropped += 1;
                continue;
            }
            budget -= piece.len();
            let Some(Scope { resource, actions }) = Scope::parse(piece) else {
                dropped += 1;
                continue;
            };
            if merged.len() >= MAX_RESOURCES && !merged.contains_key(&resource) {
                dropped += 1;
                continue;
            }
            let known = merged.entry(resource).or_default();
            *known = known.union(actions);
        }
        let scopes = merged.into_iter().map(|(resource, actions)| Scope { resource, actions }).collect();
        Self { scopes, dropped }
    }

    /// The scopes, ordered by resource.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter()
    }

    /// Whether nothing understandable was asked for.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// How many scopes were left out because they were malformed, unknown or too many.
    pub fn dropped(&self) -> usize {
        self.dropped
    }
}

impl FromIterator<Scope> for ScopeList {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut merged: BTreeMap<Resource, ActionSet> = BTreeMap::new();
        for Scope { resource, actions } in scopes {
            let known = merged.entry(resource).or_default();
            *known = known.union(actions);
        }
        Self {
            scopes: merged.into_iter().map(|(resource, actions)| Scope { resource, actions }).collect(),
            dropped: 0,
        }
    }
}

impl fmt::Display for ScopeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, scope) in self.scopes.iter().enumerate() {
            if position > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{scope}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(parameters: &[&str]) -> String {
        ScopeList::parse(parameters.iter().copied()).to_string()
    }

    #[test]
    fn repetition_spaces_and_duplicates_merge() {
        assert_eq!(
            printed(&["repository:b:pull  repository:a:push", "repository:a:pull ", ""]),
            "repository:a:pull,push repository:b:pull"
        );
    }

    #[test]
    fn malformed_and_unknown_scopes_are_left_out() {
        for scope in [
            "repository::pull",
            "repository:a",
            "a",
            ":",
            "::",
            "repository:A:pull",
            "repository:a/*:pull",
            "repository:a:fly",
            "repository:a:",
            "plugin:a:pull",
            "registry:other:*",
            "repository(:a:pull",
            "repository:a/../b:pull",
            "repository:host:5000/a:pull",
        ] {
            let list = ScopeList::parse([scope]);
            assert!(list.is_empty(), "{scope}");
            assert_eq!(list.dropped(), 1, "{scope}");
        }
    }

    #[test]
    fn the_class_is_ignored_and_a_repository_named_catalog_is_not_the_catalogue() {
        assert_eq!(printed(&["repository(plugin):a:pull"]), "repository:a:pull");
        assert_eq!(Scope::parse("repository:catalog:*").expect("a repository").resource.kind(), "repository");
        assert_eq!(Scope::parse("registry:catalog:*"), Some(Scope::catalog()));
    }

    #[test]
    fn searching_is_listing() {
        assert_eq!(Scope::parse("registry:catalog:search"), Some(Scope::catalog()));
        assert_eq!(printed(&["registry:catalog:search,*"]), "registry:catalog:*");
        assert_eq!(Scope::parse("repository:a:search"), None);
    }

    #[test]
    fn limits_narrow_instead_of_failing() {
        let many: Vec<String> = (0..10_000).map(|number| format!("repository:r{number}:pull")).collect();
        let list = ScopeList::parse(many.iter().map(String::as_str));
        assert_eq!(list.iter().count(), MAX_RESOURCES);
        assert_eq!(list.dropped(), 10_000 - MAX_RESOURCES);
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(names in proptest::collection::vec("[a-z]{1,6}(/[a-z]{1,4})?", 0..6), bits in 1u8..8) {
            let actions: Vec<Action> = Action::ALL.into_iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, a)| a).collect();
            let list: ScopeList = names.iter().map(|n| Scope::repository(n.parse().expect("a name"), &actions)).collect();
            prop_assert_eq!(ScopeList::parse([list.to_string().as_str()]), list);
        }

        #[test]
        fn any_text_is_survived(text in ".{0,200}") {
            let _ = ScopeList::parse([text.as_str()]);
        }
    }
}
