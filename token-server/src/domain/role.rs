//! Named sets of rights: what people are given.
//!
//! Some are built in and mean the same everywhere; others are made by administrators and kept in the database.
//!
//! *Invariant:* each built-in role allows everything the one before it allows, and no role that was made has the name
//! of one that is built in.

use std::borrow::Cow;
use std::fmt;

use super::right::{Right, RightSet};

/// Longest name in bytes.
pub const MAX_ROLE_BYTES: usize = 63;

/// One role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    name: Cow<'static, str>,
    rights: RightSet,
}

/// Why a text cannot name a new role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRole {
    /// It breaks the grammar.
    #[error(
        "a role has a name of 1 to {MAX_ROLE_BYTES} lower-case letters, digits and dashes that begins with a letter"
    )]
    Grammar,
    /// It means something else already.
    #[error("`{0}` is built in; take another name")]
    BuiltIn(String),
}

const VIEWER: RightSet = RightSet::of(&[Right::List, Right::Pull]);
const PUBLISHER: RightSet =
    RightSet::of(&[Right::Attach, Right::PushDigest, Right::TagCreate, Right::RepositoryCreate]);
const MAINTAINER: RightSet = VIEWER.union(RightSet::PUSH).union(RightSet::DELETE);

impl Role {
    /// Pull what one knows the name of.
    pub const PULLER: Self = Self::built_in("puller", RightSet::of(&[Right::Pull]));
    /// See and pull.
    pub const VIEWER: Self = Self::built_in("viewer", VIEWER);
    /// And attach signatures and the like to what is there.
    pub const SIGNER: Self = Self::built_in("signer", VIEWER.union(RightSet::of(&[Right::Attach])));
    /// And push, but move no tag that exists.
    pub const PUBLISHER: Self = Self::built_in("publisher", VIEWER.union(PUBLISHER));
    /// And move tags.
    pub const WRITER: Self = Self::built_in("writer", VIEWER.union(RightSet::PUSH));
    /// And delete.
    pub const MAINTAINER: Self = Self::built_in("maintainer", MAINTAINER);
    /// And give rights to others, make robots, decide about requests, and read what was done.
    pub const ADMIN: Self = Self::built_in("admin", MAINTAINER.union(RightSet::ADMINISTER));
    /// Everything, now and later.
    pub const OWNER: Self = Self::built_in("owner", RightSet::EVERYTHING);

    /// Every role that is built in, from least to most.
    pub const BUILT_IN: [Self; 8] = [
        Self::PULLER,
        Self::VIEWER,
        Self::SIGNER,
        Self::PUBLISHER,
        Self::WRITER,
        Self::MAINTAINER,
        Self::ADMIN,
        Self::OWNER,
    ];

    const fn built_in(name: &'static str, rights: RightSet) -> Self {
        Self { name: Cow::Borrowed(name), rights }
    }

    /// The built-in role of that name.
    pub fn find_built_in(name: &str) -> Option<Self> {
        Self::BUILT_IN.into_iter().find(|role| role.name == name)
    }

    /// Whether it means the same everywhere.
    pub const fn is_built_in(&self) -> bool {
        matches!(self.name, Cow::Borrowed(_))
    }

    /// A role that is stored under this name.
    pub fn stored(name: String, rights: RightSet) -> Self {
        Self { name: Cow::Owned(name), rights }
    }

    /// Whether a text is well-formed as the name of a role.
    pub fn is_name(text: &str) -> bool {
        text.len() <= MAX_ROLE_BYTES
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }

    /// Checks a name that a role is about to get.
    pub fn check_new_name(name: &str) -> Result<(), InvalidRole> {
        match Self::find_built_in(name) {
            _ if !Self::is_name(name) => Err(InvalidRole::Grammar),
            Some(_) => Err(InvalidRole::BuiltIn(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it allows on a repository.
    pub const fn rights(&self) -> RightSet {
        self.rights
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_allows_what_the_one_before_it_allows() {
        for pair in Role::BUILT_IN.windows(2) {
            assert!(pair[0].rights().difference(pair[1].rights()).is_empty(), "{} {}", pair[0], pair[1]);
            assert_ne!(pair[0].rights(), pair[1].rights());
        }
        assert!(Role::BUILT_IN.into_iter().all(|role| Role::find_built_in(role.name()) == Some(role)));
    }

    #[test]
    fn new_roles_have_names_of_their_own() {
        for name in ["deployer", "ci-2", "a"] {
            assert_eq!(Role::check_new_name(name), Ok(()), "{name}");
        }
        assert_eq!(Role::check_new_name("owner"), Err(InvalidRole::BuiltIn("owner".into())));
        for name in ["", "-a", "2a", "A", "a b", "a,b", "ä", &"a".repeat(64)] {
            assert_eq!(Role::check_new_name(name), Err(InvalidRole::Grammar), "{name}");
        }
    }
}
