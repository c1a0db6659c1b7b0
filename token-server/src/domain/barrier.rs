//! Where inheritance stops: below a barrier, rows that stand above it do not give what it keeps out.
//!
//! *Invariant:* a barrier only takes away, and only from rows that give; what stands below it, and any denial, counts
//! as ever.

use shared::repository_name::RepositoryName;
use shared::repository_pattern::RepositoryPattern;

use super::grant::{Effect, Grant};
use super::right::{Right, RightSet};
use crate::db::barriers::BarrierRow;
use crate::db::error::DbError;

/// One barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// `a/b/**`: that repository and everything below it.
    pub pattern: RepositoryPattern,
    /// What does not come in from above.
    pub rights: RightSet,
}

/// Why a pattern cannot be that of a barrier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a barrier stands around `NAME/**`, and not around {0}")]
pub struct NotASubtree(pub String);

impl Barrier {
    /// Checks that the pattern is a subtree.
    pub fn new(pattern: RepositoryPattern, rights: RightSet) -> Result<Self, NotASubtree> {
        // `*` in a token stands for everything, so whoever lacks a part of it must not have it.
        let rights = rights.union(rights.takes_along()).union(RightSet::of(&[Right::All]));
        if pattern.is_subtree() {
            Ok(Self { pattern, rights })
        } else {
            Err(NotASubtree(pattern.to_string()))
        }
    }

    /// Understands a stored row.
    pub fn read(row: &BarrierRow) -> Result<Self, DbError> {
        Self::read_texts(&row.pattern, &row.rights)
    }

    /// Understands what a stored row says.
    pub fn read_texts(pattern: &str, rights: &str) -> Result<Self, DbError> {
        let wrong = |column, value: &str| DbError::Inconsistent {
            table: "acl_barrier",
            column,
            value: value.to_owned(),
        };
        let parsed = RepositoryPattern::parse(pattern).map_err(|_| wrong("pattern", pattern))?;
        let rights = RightSet::parse(rights).map_err(|_| wrong("rights", rights))?;
        Self::new(parsed, rights).map_err(|_| wrong("pattern", pattern))
    }

    /// What of a row it keeps away from a repository.
    pub fn keeps_out(&self, grant: &Grant, repository: &RepositoryName) -> RightSet {
        if self.pattern.matches(repository, None) && self.is_above(grant) {
            self.rights
        } else {
            RightSet::EMPTY
        }
    }

    /// Whether a row gives something and stands above.
    pub fn is_above(&self, grant: &Grant) -> bool {
        grant.effect == Effect::Allow && !grant.pattern.stands_below(&self.pattern)
    }
}
