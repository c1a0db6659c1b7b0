//! What a token carries: the `access` claim.
//!
//! *Invariant:* matching is by exact resource; there are no wildcards in names, and an entry this version does not
//! understand grants nothing.
//!
//! Spec: distribution, "Docker Registry v2 Bearer token specification", `access`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::action::{Action, ActionSet};
use crate::scope::{Resource, Scope};

/// One entry as it stands in the token.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResourceActions {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    actions: ActionSet,
}

impl ResourceActions {
    pub(crate) fn of(scope: &Scope) -> Self {
        Self {
            kind: scope.resource.kind().into(),
            name: scope.resource.name().into(),
            actions: scope.actions,
        }
    }

    /// The class is not stripped here: a token for `repository(plugin)` is not a token for `repository`.
    pub(crate) fn into_scope(self) -> Option<Scope> {
        if self.kind.contains('(') {
            return None;
        }
        Some(Scope { resource: Resource::parse(&self.kind, &self.name)?, actions: self.actions })
    }
}

/// Everything a token allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access(Vec<Scope>);

impl Access {
    /// Exactly these rights.
    pub fn new(scopes: Vec<Scope>) -> Self {
        Self(scopes)
    }

    /// These rights and more.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = Scope>) -> Self {
        self.0.extend(more);
        self
    }

    /// Whether the token allows `action` on `resource`.
    pub fn allows(&self, resource: &Resource, action: Action) -> bool {
        self.0.iter().any(|scope| scope.resource == *resource && scope.actions.allows(action))
    }

    /// Whether the token says anything of `resource`, be it that nothing is allowed.
    pub fn mentions(&self, resource: &Resource) -> bool {
        self.0.iter().any(|scope| scope.resource == *resource)
    }

    /// The entries, in the order of the token.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Whether it allows nothing at all.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|scope| scope.actions.is_empty())
    }
}

impl Serialize for Access {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ResourceActions::of))
    }
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Other issuers write null for an empty list.
        let entries = Option::<Vec<ResourceActions>>::deserialize(deserializer)?.unwrap_or_default();
        Ok(Self(entries.into_iter().filter_map(ResourceActions::into_scope).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(json: &str) -> Access {
        serde_json::from_str(json).expect("a list of entries")
    }

    fn repository(name: &str) -> Resource {
        Resource::Repository(name.parse().expect("a name"))
    }

    #[test]
    fn entries_match_exactly() {
        let access = access(
            r#"[{"type":"repository","name":"a/b","actions":["pull"]},{"type":"registry","name":"catalog","actions":["*"]}]"#,
        );
        assert!(access.allows(&repository("a/b"), Action::Pull));
        assert!(!access.allows(&repository("a/b"), Action::Push));
        assert!(!access.allows(&repository("a"), Action::Pull));
        assert!(access.allows(&Resource::Catalog, Action::All));
    }

    #[test]
    fn an_entry_without_actions_tells_that_it_was_asked_for() {
        let access = access(r#"[{"type":"repository","name":"a","actions":[]}]"#);
        assert!(access.mentions(&repository("a")) && !access.mentions(&repository("b")));
        assert!(!access.allows(&repository("a"), Action::Pull));
    }

    #[test]
    fn entries_that_are_not_understood_grant_nothing() {
        let access = access(
            r#"[{"type":"repository(plugin)","name":"a","actions":["pull"]},{"type":"repository","name":"*","actions":["*"]},
                {"type":"scanner","name":"a","actions":["pull"]},{"type":"repository","class":"image","name":"b","actions":null}]"#,
        );
        assert!(access.is_empty());
        assert!(!access.allows(&repository("a"), Action::Pull));
    }

    #[test]
    fn null_is_an_empty_list() {
        assert!(access("null").is_empty());
    }
}
