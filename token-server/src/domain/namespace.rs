//! Namespaces: the first component of repository names in somebody's hands.
//!
//! *Invariant:* a namespace gives nothing by itself: what its owner holds and who sees it are grants that belong to it,
//! which everybody can read; who makes repositories in it only takes away.

use std::fmt;

use shared::repository_name::RepositoryName;
use shared::repository_pattern::RepositoryPattern;

use super::grant::{Effect, Grant};
use super::grant_subject::{GrantSubject, InvalidSubject};
use super::principal_name::PrincipalName;
use super::right::{Right, RightSet};
use super::role::Role;
use crate::db::error::DbError;
use crate::db::namespaces::CreatePolicyRow;

/// Who sees and pulls all of a namespace; the more people, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Visibility {
    /// Those who were given a right.
    Private,
    /// And everybody who logged in.
    Internal,
    /// Everybody, also without a login.
    Public,
}

impl Visibility {
    /// Every one, from least to most.
    pub const ALL: [Self; 3] = [Self::Private, Self::Internal, Self::Public];

    /// The word people write and the database keeps.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Internal => "internal",
            Self::Public => "public",
        }
    }

    /// The visibility of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|visibility| visibility.as_str() == word)
    }
}

/// Who makes repositories in a namespace by pushing to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreatePolicy {
    /// Whoever may push there.
    Pushers,
    /// Whoever administers rights there, by the same row.
    Admins,
    /// Nobody.
    Nobody,
}

impl CreatePolicy {
    /// Every one, from most to least.
    pub const ALL: [Self; 3] = [Self::Pushers, Self::Admins, Self::Nobody];

    /// The word people write and the database keeps.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pushers => "pushers",
            Self::Admins => "admins",
            Self::Nobody => "nobody",
        }
    }

    /// The policy of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }
}

/// How a namespace is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceSpec {
    /// A user or a team.
    pub owner: GrantSubject,
    /// Who sees it.
    pub visibility: Visibility,
    /// Who makes repositories in it.
    pub create: CreatePolicy,
}

impl fmt::Display for NamespaceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, new repositories by {}", self.owner, self.visibility, self.create)
    }
}

/// What a decision has to know of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Who makes repositories in it.
    pub create: CreatePolicy,
}

impl Namespace {
    /// Understands a stored row.
    pub fn read(row: CreatePolicyRow) -> Result<Self, DbError> {
        match CreatePolicy::parse(&row.create_policy) {
            Some(create) => Ok(Self { name: row.name, create }),
            None => Err(DbError::Inconsistent {
                table: "namespace",
                column: "create_policy",
                value: row.create_policy,
            }),
        }
    }

    /// What of a row it keeps away from a repository.
    pub fn keeps_out(&self, grant: &Grant, repository: &RepositoryName) -> RightSet {
        let may_make = match self.create {
            CreatePolicy::Pushers => true,
            CreatePolicy::Admins => grant.rights().contains(Right::GrantManage),
            CreatePolicy::Nobody => false,
        };
        if may_make || grant.effect == Effect::Deny || first_component(repository.as_str()) != self.name {
            RightSet::EMPTY
        } else {
            RightSet::of(&[Right::RepositoryCreate])
        }
    }
}

/// The namespace that a repository is in.
pub fn first_component(repository: &str) -> &str {
    repository.split('/').next().unwrap_or_default()
}

/// Why a text does not say who owns a namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOwner {
    /// Neither of the two forms.
    #[error("a namespace belongs to a user or a team; write its owner as user:NAME or team:NAME")]
    Form,
    /// Somebody who owns nothing.
    #[error("a namespace belongs to a user or a team, and not to {0}")]
    Nobody(GrantSubject),
    /// A name that cannot be.
    #[error(transparent)]
    Name(InvalidSubject),
}

/// Parses `user:NAME` or `team:NAME`.
pub fn parse_owner(text: &str) -> Result<GrantSubject, InvalidOwner> {
    match GrantSubject::parse(text) {
        Ok(owner @ (GrantSubject::User(_) | GrantSubject::Team(_))) => Ok(owner),
        Ok(other) => Err(InvalidOwner::Nobody(other)),
        Err(InvalidSubject::Form) => Err(InvalidOwner::Form),
        Err(error) => Err(InvalidOwner::Name(error)),
    }
}

/// Why a text is not the name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot begin the name of a repository, so it is no name for a namespace")]
pub struct NotAComponent(pub String);

/// All repositories of the namespace of that name.
pub fn all_of(name: &PrincipalName) -> Result<RepositoryPattern, NotAComponent> {
    RepositoryPattern::parse(&format!("{name}/**")).map_err(|_| NotAComponent(name.to_string()))
}

/// What the owner of a namespace holds in it.
pub const OWNER_ROLE: Role = Role::OWNER;

/// What those hold who see it.
pub const VISITOR_ROLE: Role = Role::VIEWER;

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for CreatePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
