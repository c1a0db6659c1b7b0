//! What a grant allows: the closed list of roles.
//!
//! *Invariant:* each role allows everything the one before it allows.

use std::fmt;

use shared::action::{Action, ActionSet};

/// One role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read.
    Viewer,
    /// Read and write.
    Writer,
    /// Read, write and delete.
    Maintainer,
    /// Everything, now and later; on `**`, also the list of all repositories.
    Owner,
}

impl Role {
    /// Every role, from least to most.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Writer, Self::Maintainer, Self::Owner];

    /// The word people write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Writer => "writer",
            Self::Maintainer => "maintainer",
            Self::Owner => "owner",
        }
    }

    /// The role of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// What it allows on a repository.
    pub const fn actions(self) -> ActionSet {
        match self {
            Self::Viewer => ActionSet::of(&[Action::Pull]),
            Self::Writer => ActionSet::of(&[Action::Pull, Action::Push]),
            Self::Maintainer => ActionSet::of(&[Action::Pull, Action::Push, Action::Delete]),
            Self::Owner => ActionSet::of(&Action::ALL),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_allows_what_the_one_before_it_allows() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[0].actions().difference(pair[1].actions()).is_empty(), "{} {}", pair[0], pair[1]);
            assert_ne!(pair[0].actions(), pair[1].actions());
        }
        assert!(Role::ALL.into_iter().all(|role| Role::parse(role.as_str()) == Some(role)));
    }
}
