//! A right as people write it: `user:ann writer platform/app:pr-*`.
//!
//! *Invariant:* what it prints names one row of its source, whenever and from wherever that counts.

use std::fmt;

use shared::limits::TagPattern;
use shared::repository_pattern::RepositoryPattern;

use super::grant::Effect;
use super::grant_subject::GrantSubject;
use super::right::RightSet;

/// What a row gives or denies, as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedWhat {
    /// A role by its name.
    Role(String),
    /// Rights one by one.
    Rights(RightSet),
}

impl fmt::Display for NamedWhat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(name) => f.write_str(name),
            Self::Rights(rights) => rights.fmt(f),
        }
    }
}

/// A row as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSpec {
    /// Who is given or denied something.
    pub subject: GrantSubject,
    /// Which of both.
    pub effect: Effect,
    /// What.
    pub what: NamedWhat,
    /// On which repositories.
    pub pattern: RepositoryPattern,
    /// On which tags only.
    pub tags: Option<TagPattern>,
}

impl fmt::Display for GrantSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let denies = if self.effect == Effect::Deny { "deny " } else { "" };
        write!(f, "{} {denies}{} {}", self.subject, self.what, self.pattern)?;
        self.tags.as_ref().map_or(Ok(()), |tags| write!(f, ":{tags}"))
    }
}
