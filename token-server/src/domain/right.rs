//! What can be done to a repository, finer than the actions of the token specification.
//!
//! *Invariant:* each right has one word and one bit, and neither ever changes its meaning: words are stored.

use std::fmt;

use shared::action::Action;
use shared::limits::is_attachment;

/// One right on a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// See the repository in lists.
    List,
    /// Read manifests, blobs and tags.
    Pull,
    /// Push what refers to another manifest, such as a signature.
    Attach,
    /// Push manifests by digest; needed for images of more than one platform.
    PushDigest,
    /// Make tags.
    TagCreate,
    /// Move tags to another manifest.
    TagUpdate,
    /// Take tags away.
    TagDelete,
    /// Delete manifests and blobs by digest.
    ManifestDelete,
    /// Push to a repository that is not there yet.
    RepositoryCreate,
    /// Delete the repository as a whole.
    RepositoryDelete,
    /// Give and take away rights, up to one's own.
    GrantManage,
    /// Make robots and their secrets.
    RobotManage,
    /// Decide about rights that somebody asks for.
    ElevationApprove,
    /// Read what was done.
    AuditRead,
    /// Take everything for an hour, in an emergency.
    BreakGlass,
    /// Everything, now and later.
    All,
}

impl Right {
    /// Every right, in the order in which sets print.
    pub const ALL: [Self; 16] = [
        Self::List,
        Self::Pull,
        Self::Attach,
        Self::PushDigest,
        Self::TagCreate,
        Self::TagUpdate,
        Self::TagDelete,
        Self::ManifestDelete,
        Self::RepositoryCreate,
        Self::RepositoryDelete,
        Self::GrantManage,
        Self::RobotManage,
        Self::ElevationApprove,
        Self::AuditRead,
        Self::BreakGlass,
        Self::All,
    ];

    /// The word people write and the database keeps.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Pull => "pull",
            Self::Attach => "attach",
            Self::PushDigest => "push-digest",
            Self::TagCreate => "tag-create",
            Self::TagUpdate => "tag-update",
            Self::TagDelete => "tag-delete",
            Self::ManifestDelete => "manifest-delete",
            Self::RepositoryCreate => "repository-create",
            Self::RepositoryDelete => "repository-delete",
            Self::GrantManage => "grant-manage",
            Self::RobotManage => "robot-manage",
            Self::ElevationApprove => "elevation-approve",
            Self::AuditRead => "audit-read",
            Self::BreakGlass => "break-glass",
            Self::All => "*",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of rights.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RightSet(u32);

/// A word is neither a right nor a name for several.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an action; use list, pull, push, delete, repository-delete, administer, break-glass, *, or parts of push (attach, \
     push-digest, tag-create, tag-update, repository-create), of delete (tag-delete, manifest-delete) and of administer \
     (grant-manage, robot-manage, elevation-approve, audit-read)"
)]
pub struct UnknownRight(pub String);

impl RightSet {
    /// No right.
    pub const EMPTY: Self = Self(0);

    /// What `push` stands for.
    pub const PUSH: Self = Self::of(&[
        Right::Attach,
        Right::PushDigest,
        Right::TagCreate,
        Right::TagUpdate,
        Right::RepositoryCreate,
    ]);

    /// What `delete` stands for.
    pub const DELETE: Self = Self::of(&[Right::TagDelete, Right::ManifestDelete]);

    /// What `administer` stands for.
    pub const ADMINISTER: Self =
        Self::of(&[Right::GrantManage, Right::RobotManage, Right::ElevationApprove, Right::AuditRead]);

    /// The rights that are about one tag at a time.
    pub const OF_TAGS: Self = Self::of(&[Right::TagCreate, Right::TagUpdate, Right::TagDelete]);

    /// What is needed to push under a tag, besides rights about tags.
    const AROUND_TAGS: Self =
        Self::of(&[Right::List, Right::Pull, Right::PushDigest, Right::RepositoryCreate]);

    /// What `attach` gives for the tags of attachments.
    pub const OF_ATTACHMENTS: Self = Self::of(&[Right::TagCreate, Right::TagUpdate]);

    /// Words that stand for several rights.
    const GROUPS: [(&'static str, Self); 3] =
        [("push", Self::PUSH), ("delete", Self::DELETE), ("administer", Self::ADMINISTER)];

    /// Every right.
    pub const EVERYTHING: Self = Self::of(&Right::ALL);

    /// The rights any of which is enough for an action.
    pub const fn behind(action: Action) -> Self {
        match action {
            Action::Pull => Self::of(&[Right::Pull]),
            // To make a repository without pushing anything to it is nothing.
            Action::Push => Self::PUSH.difference(Self::of(&[Right::RepositoryCreate])),
            Action::Delete => Self::DELETE,
            Action::RepositoryDelete => Self::of(&[Right::RepositoryDelete]),
            Action::All => Self::of(&[Right::All]),
        }
    }

    /// The set of exactly these.
    pub const fn of(rights: &[Right]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < rights.len() {
            bits |= rights[index].bit();
            index += 1;
        }
        Self(bits)
    }

    /// Parses words with commas between them; `push`, `delete` and `administer` stand for their parts, `*` for every
    /// right.
    pub fn parse(words: &str) -> Result<Self, UnknownRight> {
        let mut set = Self::EMPTY;
        for word in words.split(',').map(str::trim) {
            let part = match word {
                "*" => Self::EVERYTHING,
                word => {
                    let group = Self::GROUPS.into_iter().find(|(name, _)| *name == word);
                    let right = Right::ALL.into_iter().find(|right| right.as_str() == word);
                    let part = group.map(|(_, group)| group).or(right.map(|right| Self::of(&[right])));
                    part.ok_or_else(|| UnknownRight(word.to_owned()))?
                }
            };
            set = set.union(part);
        }
        Ok(set)
    }

    /// Whether a right is in the set.
    pub const fn contains(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What of them can be confined to some tags, and what is needed around that.
    #[must_use]
    pub const fn confined_to_tags(self) -> Self {
        self.intersection(Self::OF_TAGS.union(Self::AROUND_TAGS))
    }

    /// What must not be held by whoever is denied these, because it would take along what they protect: deleting a
    /// manifest takes its tags and what an index needs, deleting a repository takes everything. What cannot be pulled
    /// is not listed either.
    #[must_use]
    pub const fn takes_along(self) -> Self {
        let deletion = if self.contains(Right::TagDelete) {
            Self::of(&[Right::ManifestDelete, Right::RepositoryDelete])
        } else if self.contains(Right::ManifestDelete) {
            Self::of(&[Right::RepositoryDelete])
        } else {
            Self::EMPTY
        };
        let sight = if self.contains(Right::Pull) { Self::of(&[Right::List]) } else { Self::EMPTY };
        deletion.union(sight)
    }

    /// Whether they give [`Self::OF_ATTACHMENTS`] for this tag.
    pub fn attaches(self, tag: &str) -> bool {
        self.contains(Right::Attach) && is_attachment(tag)
    }

    /// The members in printing order.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.contains(*right))
    }
}

/// The shortest words that parse back to the same set.
impl fmt::Display for RightSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::EVERYTHING {
            return f.write_str("*");
        }
        let mut words = Vec::new();
        let mut rest = *self;
        for (word, group) in Self::GROUPS {
            if group.difference(*self).is_empty() {
                words.push(word);
                rest = rest.difference(group);
            }
        }
        words.extend(rest.iter().map(Right::as_str));
        f.write_str(&words.join(","))
    }
}

impl fmt::Debug for RightSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_prints_as_words_that_mean_it() {
        for bits in 1..1 << Right::ALL.len() {
            // `*` as a word stands for everything, so alone it cannot be written.
            let set = RightSet(bits);
            if set.contains(Right::All) && set != RightSet::EVERYTHING {
                continue;
            }
            assert_eq!(RightSet::parse(&set.to_string()), Ok(set), "{set}");
        }
        assert_eq!(RightSet::parse("push, pull").unwrap().to_string(), "push,pull");
        assert_eq!(
            RightSet::parse("tag-create,attach,push-digest,tag-update,repository-create").unwrap(),
            RightSet::PUSH
        );
        for words in ["", "pull,", "Push", "write"] {
            assert!(RightSet::parse(words).is_err(), "{words}");
        }
    }
}
