//! Named sets of rights: what people are given.
//!
//! *Invariant:* each role allows everything the one before it allows.

use std::fmt;

use super::right::{Right, RightSet};

/// One role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read.
    Viewer,
    /// Read, and attach signatures and the like to what is there.
    Signer,
    /// Read and push, but move no tag that exists.
    Publisher,
    /// Read and write.
    Writer,
    /// Read, write and delete.
    Maintainer,
    /// Everything, now and later.
    Owner,
}

impl Role {
    /// Every role, from least to most.
    pub const ALL: [Self; 6] =
        [Self::Viewer, Self::Signer, Self::Publisher, Self::Writer, Self::Maintainer, Self::Owner];

    /// The word people write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Signer => "signer",
            Self::Publisher => "publisher",
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
    pub const fn rights(self) -> RightSet {
        const VIEWER: RightSet = RightSet::of(&[Right::Pull]);
        match self {
            Self::Viewer => VIEWER,
            Self::Signer => VIEWER.union(RightSet::of(&[Right::Attach])),
            Self::Publisher => {
                VIEWER.union(RightSet::of(&[Right::Attach, Right::PushDigest, Right::TagCreate]))
            }
            Self::Writer => VIEWER.union(RightSet::PUSH),
            Self::Maintainer => VIEWER.union(RightSet::PUSH).union(RightSet::DELETE),
            Self::Owner => RightSet::EVERYTHING,
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
            assert!(pair[0].rights().difference(pair[1].rights()).is_empty(), "{} {}", pair[0], pair[1]);
            assert_ne!(pair[0].rights(), pair[1].rights());
        }
        assert!(Role::ALL.into_iter().all(|role| Role::parse(role.as_str()) == Some(role)));
    }
}
