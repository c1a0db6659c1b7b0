//! What can be asked about rights: may somebody do this, there?
//!
//! *Invariant:* a question about a tag asks only for rights that can depend on one, or for reading.

use std::fmt;

use shared::repository_name::{InvalidRepositoryName, RepositoryName};
use shared::repository_pattern::RepositoryPattern;
use shared::scope::Resource;

use super::policy::Held;
use super::right::{Right, RightSet, UnknownRight};

/// Longest tag in bytes, as in the distribution specification.
const MAX_TAG_BYTES: usize = 128;

/// What is asked about: some rights, a repository, and perhaps a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    rights: RightSet,
    repository: RepositoryName,
    tag: Option<String>,
}

/// Why nothing can be asked like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuestion {
    /// Not an action.
    #[error(transparent)]
    Right(#[from] UnknownRight),
    /// Not a repository.
    #[error(transparent)]
    Repository(#[from] InvalidRepositoryName),
    /// Not a tag.
    #[error(
        "`{0}` is no tag: a tag has 1 to {MAX_TAG_BYTES} letters, digits, underscores, dots and dashes, and does not begin \
         with a dot or a dash"
    )]
    Tag(String),
    /// Nothing a tag makes a difference for.
    #[error("{0} does not depend on a tag; ask about the repository alone")]
    NotOfTags(RightSet),
}

impl Question {
    /// Parses an action and `REPOSITORY` or `REPOSITORY:TAG`.
    pub fn parse(action: &str, place: &str) -> Result<Self, InvalidQuestion> {
        let mut rights = RightSet::parse(action)?;
        let (repository, tag) = match place.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (place, None),
        };
        if let Some(tag) = tag.as_ref().filter(|tag| !is_tag(tag)) {
            return Err(InvalidQuestion::Tag(tag.clone()));
        }
        // Reading is the same for all tags, and people ask about what they see.
        if tag.is_some() && rights != RightSet::of(&[Right::Pull]) {
            let of_tags = rights.intersection(RightSet::OF_TAGS);
            if of_tags.is_empty() {
                return Err(InvalidQuestion::NotOfTags(rights));
            }
            rights = of_tags;
        }
        Ok(Self { rights, repository: RepositoryName::parse(repository)?, tag })
    }

    /// The repository, as a token request names it.
    pub fn resource(&self) -> Resource {
        Resource::Repository(self.repository.clone())
    }

    /// The repository as a pattern that covers nothing else.
    pub fn place(&self) -> RepositoryPattern {
        RepositoryPattern::exactly(self.repository.clone())
    }

    /// The rights that are asked about.
    pub fn rights(&self) -> RightSet {
        self.rights
    }

    /// The repository that is asked about.
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The tag that is asked about.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Those of them that are held.
    pub fn answered_by(&self, held: &Held) -> RightSet {
        let held = self.rights.iter().filter(|right| held.allows(*right, self.tag.as_deref()));
        held.fold(RightSet::EMPTY, |set, right| set.union(RightSet::of(&[right])))
    }
}

/// The grammar of the distribution specification, `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn is_tag(text: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let begins_well = text.bytes().next().is_some_and(|first| first != b'.' && first != b'-');
    begins_well && text.len() <= MAX_TAG_BYTES && text.bytes().all(is_inside)
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rights, self.repository)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_an_action_and_a_place() {
        for (action, place, expected) in [
            ("push", "a/b", "push a/b"),
            ("push", "a/b:v1", "tag-create,tag-update a/b:v1"),
            ("pull", "a/b:v1", "pull a/b:v1"),
            ("delete", "a:v1", "tag-delete a:v1"),
            ("*", "a", "* a"),
            ("tag-update", "a:latest", "tag-update a:latest"),
        ] {
            assert_eq!(Question::parse(action, place).unwrap().to_string(), expected);
        }
        let bad = [("write", "a"), ("push", "A"), ("attach", "a:v1"), ("push", "")];
        let bad_tags =
            [("pull", "a/b:"), ("push", "a:b:c"), ("pull", "a:.x"), ("pull", "a:-"), ("pull", "a:x y")];
        for (action, place) in bad.into_iter().chain(bad_tags) {
            assert!(Question::parse(action, place).is_err(), "{action} {place}");
        }
    }
}
