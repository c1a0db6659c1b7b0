//! What limits refuse of a push or a deletion.
//!
//! Limits come in with a call, from whoever knows who is calling; a call without any may do everything. Here stands
//! only what they say about an act on a state. That the state is still the same when the act is done is up to the
//! operation, which asks under the lock it acts under.
//!
//! *Invariant:* whatever the limits do not name is refused, and nothing but the state of what is acted on decides with
//! them.

use std::error::Error;
use std::fmt;

use shared::limits::{Limits, TagSet, is_attachment};

use crate::oci::digest::Digest;
use crate::oci::reference::Tag;

/// The longest list of allowed tags that is told.
const SHOWN_TAGS_CHARS: usize = 200;

/// An act that limits refuse. Its text goes on behind `may not`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeyondLimits {
    /// What was to be done.
    pub act: Act,
    /// What may be done in that repository.
    pub limits: Box<Limits>,
}

/// What can be beyond limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Making the repository by pushing to it.
    CreateRepository,
    /// Making a tag.
    CreateTag(Tag),
    /// Making a tag name another manifest.
    MoveTag(Tag),
    /// Taking a tag away.
    DeleteTag(Tag),
    /// Pushing this manifest by its digest.
    PushByDigest,
    /// Deleting a manifest or a blob by its digest.
    DeleteByDigest,
    /// Deleting a manifest with tags that may not go.
    DeleteTagged,
}

impl BeyondLimits {
    fn new(act: Act, limits: &Limits) -> Self {
        Self { act, limits: Box::new(limits.clone()) }
    }
}

/// A push that gives `tag`, which names `current`, to a manifest.
pub(super) fn check_tagging(
    limits: &Limits,
    tag: &Tag,
    current: Option<&Digest>,
    manifest: &Digest,
) -> Result<(), BeyondLimits> {
    let attaches =
        |set: &TagSet| limits.attach && is_attachment(tag.as_str()) && !set.is_excepted(tag.as_str());
    let may_create = attaches(&limits.create) || limits.create.contains(tag.as_str());
    let may_move = attaches(&limits.update) || limits.update.contains(tag.as_str());
    let (is_allowed, act) = match current {
        None => (may_create, Act::CreateTag(tag.clone())),
        // A client that did not hear the answer pushes again; that changes nothing.
        Some(current) if current == manifest => (may_create || may_move, Act::MoveTag(tag.clone())),
        Some(_) => (may_move, Act::MoveTag(tag.clone())),
    };
    if is_allowed { Ok(()) } else { Err(BeyondLimits::new(act, limits)) }
}

/// A push to a repository that is there, or is not yet.
pub(super) fn check_creation(limits: &Limits, is_there: bool) -> Result<(), BeyondLimits> {
    if limits.new || is_there { Ok(()) } else { Err(BeyondLimits::new(Act::CreateRepository, limits)) }
}

/// A push by digest of a manifest that refers to `subject`.
pub(super) fn check_push_by_digest(limits: &Limits, subject: Option<&Digest>) -> Result<(), BeyondLimits> {
    let is_allowed = limits.digests || (limits.attach && subject.is_some());
    if is_allowed { Ok(()) } else { Err(BeyondLimits::new(Act::PushByDigest, limits)) }
}

/// Deleting a tag.
pub(super) fn check_tag_deletion(limits: &Limits, tag: &Tag) -> Result<(), BeyondLimits> {
    let is_allowed = limits.delete.contains(tag.as_str());
    if is_allowed { Ok(()) } else { Err(BeyondLimits::new(Act::DeleteTag(tag.clone()), limits)) }
}

/// Deleting manifests and blobs at all.
pub(super) fn check_deletion_by_digest(limits: &Limits) -> Result<(), BeyondLimits> {
    if limits.manifests { Ok(()) } else { Err(BeyondLimits::new(Act::DeleteByDigest, limits)) }
}

/// Deleting a manifest that these tags name.
pub(super) fn check_tagged_deletion<'a>(
    limits: &Limits,
    mut tags: impl Iterator<Item = &'a Tag>,
) -> Result<(), BeyondLimits> {
    check_deletion_by_digest(limits)?;
    let is_allowed = tags.all(|tag| limits.delete.contains(tag.as_str()));
    if is_allowed { Ok(()) } else { Err(BeyondLimits::new(Act::DeleteTagged, limits)) }
}

impl Error for BeyondLimits {}

impl fmt::Display for BeyondLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { repository, create, update, delete, attach, .. } = &*self.limits;
        match &self.act {
            Act::CreateRepository => write!(f, "create the repository {repository}"),
            Act::CreateTag(tag) => {
                write!(f, "create the tag {tag} of {repository}{}", alternatives(create, *attach))
            }
            // Whoever publishes has not mistyped the tag, but used one that is taken.
            Act::MoveTag(tag) if update.is_empty() && !create.is_empty() => {
                write!(f, "move the tag {tag} of {repository}: tags that exist stay as they are")?;
                if create.is_everything() {
                    f.write_str("; push under a new one")
                } else {
                    write!(f, "; new ones may be {}", shown(create))
                }
            }
            Act::MoveTag(tag) => {
                write!(f, "move the tag {tag} of {repository}{}", alternatives(update, *attach))
            }
            Act::DeleteTag(tag) => {
                write!(f, "delete the tag {tag} of {repository}{}", alternatives(delete, false))
            }
            Act::PushByDigest if *attach => {
                write!(f, "push a manifest of {repository} by its digest unless it refers to another")
            }
            Act::PushByDigest => write!(f, "push a manifest of {repository} by its digest"),
            Act::DeleteByDigest => write!(f, "delete manifests or blobs of {repository}"),
            // Which tags they are is not told: deleting does not include seeing.
            Act::DeleteTagged if delete.is_empty() => {
                write!(f, "delete a manifest of {repository} with tags")
            }
            Act::DeleteTagged => {
                write!(f, "delete a manifest of {repository} with other tags than {}", shown(delete))
            }
        }
    }
}

/// What may be done to other tags, behind the one it may not be done to.
fn alternatives(tags: &TagSet, with_attachments: bool) -> String {
    match (tags.is_empty(), with_attachments) {
        (true, false) => ", nor any other".to_owned(),
        (true, true) => "; allowed are those of signatures and other attachments".to_owned(),
        (false, false) => format!("; allowed are {}", shown(tags)),
        (false, true) => format!("; allowed are {}, and those of attachments", shown(tags)),
    }
}

fn shown(tags: &TagSet) -> String {
    let text = tags.to_string();
    match text.char_indices().nth(SHOWN_TAGS_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::testing::{limits, tag};

    const SIGNATURE: &str = "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.sig";

    #[test]
    fn a_tag_is_made_moved_or_left_as_it_is() {
        let (old, new) = (Digest::sha256_of(b"old"), Digest::sha256_of(b"new"));
        let rows: [(Value, &str, [bool; 3]); 13] = [
            // Whether it may be made, moved, and given again to what it names.
            (json!({}), "v1", [false, false, false]),
            (json!({"create": {"in": ["v*"]}}), "v1", [true, false, true]),
            (json!({"create": {"in": ["v*"]}}), "w1", [false, false, false]),
            (json!({"update": {"in": ["v*"]}}), "v1", [false, true, true]),
            (
                json!({"create": {"in": ["*"]}, "update": {"in": ["*"], "not": ["v*"]}}),
                "v1",
                [true, false, true],
            ),
            (
                json!({"create": {"in": ["*"]}, "update": {"in": ["*"], "not": ["v*"]}}),
                "w1",
                [true, true, true],
            ),
            (
                json!({"delete": {"in": ["*"]}, "digests": true, "manifests": true}),
                "v1",
                [false, false, false],
            ),
            (json!({"attach": true}), SIGNATURE, [true, true, true]),
            (json!({"attach": true}), "v1", [false, false, false]),
            (json!({"create": {"in": ["v*"]}}), SIGNATURE, [false, false, false]),
            (json!({"create": {"in": ["sha256-*"]}}), SIGNATURE, [true, false, true]),
            (
                json!({"attach": true, "create": {"in": ["*"], "not": ["sha256-*"]}}),
                SIGNATURE,
                [false, true, true],
            ),
            (json!({"attach": true, "update": {"not": ["*"]}}), SIGNATURE, [true, false, true]),
        ];
        for (row, name, expected) in rows {
            let (limits, tag) = (limits("a/b", row.clone()), tag(name));
            let found = [None, Some(&old), Some(&new)]
                .map(|current| check_tagging(&limits, &tag, current, &new).is_ok());
            assert_eq!(found, expected, "{row} {name}");
        }
    }

    #[test]
    fn by_digest_everything_needs_a_right_of_its_own() {
        let subject = Digest::sha256_of(b"subject");
        let rows: [(Value, [bool; 4]); 5] = [
            // Whether a manifest may be pushed, one with a subject too, and deleted without and with the tag v1.
            (json!({"create": {"in": ["*"]}, "update": {"in": ["*"]}, "delete": {"in": ["*"]}}), [false; 4]),
            (json!({"digests": true}), [true, true, false, false]),
            (json!({"attach": true}), [false, true, false, false]),
            (json!({"manifests": true}), [false, false, true, false]),
            (json!({"manifests": true, "delete": {"in": ["*"], "not": ["w*"]}}), [false, false, true, true]),
        ];
        for (row, expected) in rows {
            let limits = limits("a/b", row.clone());
            let found = [
                check_push_by_digest(&limits, None),
                check_push_by_digest(&limits, Some(&subject)),
                check_tagged_deletion(&limits, [].into_iter()),
                check_tagged_deletion(&limits, [&tag("v1")].into_iter()),
            ];
            assert_eq!(found.map(|outcome| outcome.is_ok()), expected, "{row}");
        }
        let some = limits("a/b", json!({"manifests": true, "delete": {"in": ["v*"]}}));
        assert!(check_tagged_deletion(&some, [&tag("v1"), &tag("w1")].into_iter()).is_err());
        assert!(
            check_tag_deletion(&some, &tag("v1")).is_ok() && check_tag_deletion(&some, &tag("w1")).is_err()
        );
    }

    #[test]
    fn a_repository_is_made_only_by_those_who_may() {
        let (may, may_not) = (limits("a/b", json!({"new": true})), limits("a/b", json!({"digests": true})));
        assert!(check_creation(&may, false).is_ok() && check_creation(&may_not, true).is_ok());
        let beyond = check_creation(&may_not, false).unwrap_err();
        assert_eq!(beyond.to_string(), "create the repository a/b");
    }

    #[test]
    fn the_sentence_says_what_is_allowed_instead() {
        let v1 = || tag("v1");
        for (row, act, expected) in [
            (json!({}), Act::CreateTag(v1()), "create the tag v1 of a/b, nor any other"),
            (
                json!({"update": {"in": ["pr-*"]}}),
                Act::MoveTag(v1()),
                "move the tag v1 of a/b; allowed are pr-*",
            ),
            (
                json!({"create": {"in": ["*"]}, "attach": true}),
                Act::MoveTag(v1()),
                "move the tag v1 of a/b: tags that exist stay as they are; push under a new one",
            ),
            (
                json!({"create": {"in": ["v*"]}}),
                Act::MoveTag(v1()),
                "move the tag v1 of a/b: tags that exist stay as they are; new ones may be v*",
            ),
            (json!({}), Act::MoveTag(v1()), "move the tag v1 of a/b, nor any other"),
            (
                json!({"delete": {"in": ["*"], "not": ["v*"]}, "attach": true}),
                Act::DeleteTag(v1()),
                "delete the tag v1 of a/b; allowed are * but not v*",
            ),
            (
                json!({"attach": true}),
                Act::CreateTag(v1()),
                "create the tag v1 of a/b; allowed are those of signatures and other attachments",
            ),
            (
                json!({"attach": true, "create": {"in": ["w*"]}}),
                Act::CreateTag(v1()),
                "create the tag v1 of a/b; allowed are w*, and those of attachments",
            ),
            (json!({}), Act::PushByDigest, "push a manifest of a/b by its digest"),
            (
                json!({"attach": true}),
                Act::PushByDigest,
                "push a manifest of a/b by its digest unless it refers to another",
            ),
            (json!({}), Act::DeleteByDigest, "delete manifests or blobs of a/b"),
            (json!({"manifests": true}), Act::DeleteTagged, "delete a manifest of a/b with tags"),
            (
                json!({"manifests": true, "delete": {"in": ["pr-*"]}}),
                Act::DeleteTagged,
                "delete a manifest of a/b with other tags than pr-*",
            ),
        ] {
            assert_eq!(BeyondLimits::new(act, &limits("a/b", row)).to_string(), expected);
        }
        let many = vec!["x".repeat(99); 30];
        let beyond = BeyondLimits::new(Act::MoveTag(v1()), &limits("a/b", json!({"update": {"in": many}})));
        assert!(beyond.to_string().ends_with("xx…") && beyond.to_string().len() < 300, "{beyond}");
    }
}
