//! A grant in a few bytes: what many rows say alike is there once.
//!
//! *Invariant:* what a row comes to is read by the same function that reads rows of the database, and a row that
//! cannot be understood fails the decisions that would need it, and no others.

use std::collections::HashMap;
use std::sync::Arc;

use shared::repository_name::RepositoryName;
use shared::repository_pattern::RepositoryPattern;

use super::super::grant::{Effect, Grant, What};
use super::super::right::{Right, RightSet};
use super::super::role::Role;
use crate::db::copied_grants::CopiedGrant;
use crate::db::error::DbError;
use crate::db::grants::GrantRow;

/// What the roles allow that administrators made, by name.
pub(super) type Roles = HashMap<Arc<str>, Result<RightSet, Unusable>>;

/// A stored value that means nothing to this release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    table: &'static str,
    column: &'static str,
    value: Arc<str>,
}

impl Unusable {
    pub(super) fn new(table: &'static str, column: &'static str, value: &str) -> Self {
        Self { table, column, value: value.into() }
    }

    /// Keeps what can be kept of an error; there is no other kind in understanding a row.
    pub(super) fn of(error: DbError, table: &'static str) -> Self {
        match error {
            DbError::Inconsistent { table, column, value } => Self { table, column, value: value.into() },
            other => Self::new(table, "", &other.to_string()),
        }
    }

    pub(super) fn error(&self) -> DbError {
        DbError::Inconsistent { table: self.table, column: self.column, value: self.value.to_string() }
    }
}

/// A row; the anchor is known from where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredGrant {
    pub(super) id: i64,
    pub(super) holder: i64,
    /// Everything but who, where and which number. Of a role only the name counts.
    terms: Arc<Result<Grant, Unusable>>,
    /// Unless the anchor says it already.
    pattern: Option<Arc<Result<RepositoryPattern, Unusable>>>,
}

impl StoredGrant {
    /// Whether it is a row that gives this right, to be looked at closer.
    pub(super) fn gives(&self, right: Right, roles: &Roles) -> bool {
        let Ok(terms) = self.terms.as_ref() else { return false };
        let rights = match &terms.what {
            What::Role(role) if !role.is_built_in() => {
                roles.get(role.name()).and_then(|rights| rights.as_ref().ok().copied())
            }
            what => Some(what.rights()),
        };
        terms.effect == Effect::Allow && rights.is_some_and(|rights| rights.contains(right))
    }

    /// Whether it has to do with one of these repositories, which have its anchor; yes if that cannot be understood.
    pub(super) fn is_about(&self, names: &[&RepositoryName]) -> bool {
        match self.pattern.as_deref() {
            Some(Ok(pattern)) => names.iter().any(|name| pattern.can_match(name)),
            None | Some(Err(_)) => !names.is_empty(),
        }
    }

    /// The row as decisions want it.
    pub(super) fn read(&self, anchor: &str, roles: &Roles) -> Result<Grant, DbError> {
        let terms = self.terms.as_ref().as_ref().map_err(Unusable::error)?;
        let what = match &terms.what {
            What::Role(role) if !role.is_built_in() => {
                let missing = || Unusable::new(TABLE, "role", role.name()).error();
                let rights = roles.get(role.name()).ok_or_else(missing)?;
                let rights = rights.as_ref().map_err(Unusable::error)?;
                What::Role(Role::stored(role.name().to_owned(), *rights))
            }
            what => what.clone(),
        };
        let pattern = match self.pattern.as_deref() {
            None => {
                let wrong = || Unusable::new(TABLE, "pattern", anchor).error();
                RepositoryPattern::plain(anchor).ok_or_else(wrong)?
            }
            Some(pattern) => pattern.as_ref().map_err(Unusable::error)?.clone(),
        };
        Ok(Grant {
            id: self.id,
            holder: self.holder,
            effect: terms.effect,
            what,
            pattern,
            tags: terms.tags.clone(),
            conditions: terms.conditions.clone(),
        })
    }
}

const TABLE: &str = "acl_grant";

/// Stands for what a role allows, which is looked up when the row is read, because it can change without the row.
const LOOKED_UP: &str = "list";

/// Finds what was there before, so that it is kept once.
#[derive(Debug, Default)]
pub(super) struct Interner {
    /// By the bytes that the database has for them.
    terms: HashMap<Box<[u8]>, Arc<Result<Grant, Unusable>>>,
    patterns: HashMap<Box<str>, Arc<Result<RepositoryPattern, Unusable>>>,
}

fn read_terms(row: CopiedGrant<'_>) -> Result<Grant, Unusable> {
    let stored = row.read_terms().and_then(|stored| {
        let role_rights = stored.role.as_ref().map(|_| LOOKED_UP.to_owned());
        // Who, where and which number is kept with the row.
        let pattern = RepositoryPattern::all().to_string();
        Grant::read(GrantRow { id: 0, subject_pid: 0, pattern, role_rights, ..stored })
    });
    stored.map_err(|error| Unusable::of(error, TABLE))
}

impl Interner {
    /// Keeps what is not said by the place of a row.
    pub(super) fn store(&mut self, row: CopiedGrant<'_>) -> StoredGrant {
        let is_plain = RepositoryPattern::is_plain(row.pattern, row.anchor);
        let pattern = (!is_plain).then(|| self.pattern(row.pattern));
        let terms = if let Some(known) = self.terms.get(row.terms) {
            known.clone()
        } else {
            let read = Arc::new(read_terms(row));
            self.terms.insert(row.terms.into(), read.clone());
            read
        };
        StoredGrant { id: row.id, holder: row.subject_pid, terms, pattern }
    }

    fn pattern(&mut self, text: &str) -> Arc<Result<RepositoryPattern, Unusable>> {
        if let Some(known) = self.patterns.get(text) {
            return known.clone();
        }
        let read = RepositoryPattern::parse(text).map_err(|_| Unusable::new(TABLE, "pattern", text));
        let read = Arc::new(read);
        self.patterns.insert(text.into(), read.clone());
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row with these terms; without role and rights, terms that are none.
    fn terms(role: Option<&str>, rights: Option<&str>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [Some("allow"), role, rights, None, None, None, None, Some("\0")] {
            let length = field.map_or(-1, |field| i32::try_from(field.len()).unwrap());
            bytes.extend(length.to_be_bytes());
            bytes.extend(field.unwrap_or_default().as_bytes());
        }
        bytes
    }

    fn row<'a>(terms: &'a [u8], anchor: &'a str, pattern: &'a str) -> CopiedGrant<'a> {
        CopiedGrant { id: 7, subject_pid: 100, anchor, pattern, terms }
    }

    impl StoredGrant {
        /// A row that lets somebody see what is below a folder, whose anchor it stands at.
        pub(in super::super) fn viewer(id: i64, holder: i64) -> Self {
            let terms = terms(Some("viewer"), None);
            Interner::default().store(CopiedGrant { id, subject_pid: holder, ..row(&terms, "s:a/", "a/**") })
        }
    }

    #[test]
    fn a_row_comes_back_as_it_was() {
        let mut interner = Interner::default();
        let roles = Roles::from([("deployer".into(), Ok(RightSet::parse("pull").unwrap()))]);
        for (role, rights, anchor, pattern) in [
            (Some("writer"), None, "r:a/b", "a/b"),
            (Some("deployer"), None, "s:a/", "a/**"),
            (None, Some("push,pull"), "s:a/", "a/*-dev"),
            (None, Some("pull"), "s:", "${user}/**"),
        ] {
            let terms = terms(role, rights);
            let read = interner.store(row(&terms, anchor, pattern)).read(anchor, &roles).unwrap();
            assert_eq!((read.id, read.holder, read.effect), (7, 100, Effect::Allow));
            assert_eq!(read.pattern.to_string(), pattern);
            assert_eq!(read.what.to_string(), role.or(rights).unwrap());
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_and_not_passed_over() {
        let mut interner = Interner::default();
        for (role, rights, pattern) in [
            (Some("gone"), None, "a"),
            (None, None, "a"),
            (None, Some("fly"), "a"),
            (Some("writer"), None, "a/["),
        ] {
            let terms = terms(role, rights);
            let error =
                interner.store(row(&terms, "r:a", pattern)).read("r:a", &Roles::default()).unwrap_err();
            assert!(matches!(error, DbError::Inconsistent { table: TABLE, .. }), "{error}");
        }
        let read = interner.store(row(b"\0", "r:a", "a")).read("r:a", &Roles::default());
        assert!(read.is_err());
    }

    #[test]
    fn rows_share_what_they_have_in_common() {
        let (mut interner, terms) = (Interner::default(), terms(Some("writer"), None));
        let one = interner.store(row(&terms, "s:a/", "a/*"));
        let two = interner.store(row(&terms, "s:a/", "a/*"));
        assert!(Arc::ptr_eq(&one.terms, &two.terms));
        assert!(Arc::ptr_eq(&one.pattern.unwrap(), &two.pattern.unwrap()));
    }
}
