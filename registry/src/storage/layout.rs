//! Where everything lies: the key tree of the distribution registry, byte for byte, and our additions to it.
//!
//! ```text
//! docker/registry/v2/
//!   blobs/<alg>/<first 2 hex>/<hex>/data                   content: layers, configs, manifests; sha256 only
//!   repositories/<name>/
//!     _layers/<alg>/<hex>/link                             this blob belongs to the repository
//!     _manifests/
//!       revisions/<alg>/<hex>/link                         this manifest belongs to the repository
//!       tags/<tag>/current/link                            what the tag names now
//!       tags/<tag>/index/<alg>/<hex>/link                  what the tag ever named
//!       referrers/<alg>/<hex>/                         (*) what refers to this manifest, present or not
//!         <alg>/<hex>                                      descriptor of a manifest that does, as it is listed
//!         merged                                           which index behind the referrers tag was looked at
//!       referrers/complete                             (*) manifests from before we came were looked at
//!     _uploads/<id>/
//!       startedat                                          RFC 3339, UTC, whole seconds; exists = session exists
//!       data                                               bytes so far
//!       hashstates/sha256/<offset>                         SHA-256 state after <offset> bytes
//!       hashstates/sha512/<offset>                     (*) SHA-512 state, if that was announced
//!       portcullis                                     (*) who opened the session, what was verified
//!     _portcullis/
//!       locks/referrers   locks/<2 hex>   locks/tag-<2 hex>   (*) empty files to lock, see below
//!       deleted                                        (*) when the repository was last deleted as a whole
//! ```
//! (*) ours; the distribution registry passes over these names. A link holds a digest and nothing else, no newline.
//!
//! Lock files are shared by digests (tags) whose first two digits (hash's first two digits) are the same: at most 512
//! empty files per repository, which go only with the repository.
//!
//! *Invariant:* this is the only place that spells a key, and it does so from values whose grammar forbids to climb.

use std::fmt;

use shared::repository_name::RepositoryName;

use crate::oci::digest::{Algorithm, Digest};
use crate::oci::reference::Tag;

const ROOT: &str = "docker/registry/v2";

/// The folder of a repository's upload sessions. What is inside goes with a session and is nobody's promise.
pub const UPLOADS: &str = "_uploads";

/// What we keep of a repository besides its content.
const OURS: &str = "_portcullis";

const REFERRERS_LOCK: &str = "referrers";

/// Directory of a repository in which its blobs are linked.
pub const LAYERS: &str = "_layers";

/// Directory of a repository in which its manifests and tags are linked.
pub const MANIFESTS: &str = "_manifests";

/// The name of an object or a folder: components joined by `/`, relative to the root of the driver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn child(&self, name: &str) -> Self {
        Self(format!("{}/{name}", self.0))
    }

    fn digest_folder(&self, digest: &Digest) -> Self {
        Self(format!("{}/{}/{}", self.0, digest.algorithm().as_str(), digest.hex()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder of all folders.
pub fn root() -> Key {
    Key(ROOT.to_owned())
}

/// What a registry that serves this tree holds shared, and what must be held alone to collect garbage in it. Beside the
/// tree, so that the tree stays what the distribution registry knows.
pub(super) fn serving_lock() -> Key {
    Key("portcullis/serving".to_owned())
}

/// The folder of all repositories.
pub fn repositories() -> Key {
    root().child("repositories")
}

/// A folder below [`repositories`], by the components of its path; it need not be a repository itself.
pub fn repository_folder(path: &str) -> Key {
    repositories().child(path)
}

/// Content by its canonical digest.
pub fn blob(digest: &Digest) -> Key {
    let (algorithm, hex) = (digest.algorithm().as_str(), digest.hex());
    Key(format!("{ROOT}/blobs/{algorithm}/{}/{hex}/data", &hex[..2]))
}

/// The folder of all content: it has a folder for each beginning of a hash.
pub fn blobs() -> Key {
    root().child("blobs").child(Algorithm::Sha256.as_str())
}

/// The folder of the content whose hash begins with `beginning`, a name listed in [`blobs`].
pub fn blobs_beginning(beginning: &str) -> Key {
    blobs().child(beginning)
}

/// The folder of one blob; besides its content there can be leftovers of a crash in it.
pub fn blob_folder(digest: &Digest) -> Key {
    blobs_beginning(&digest.hex()[..2]).child(digest.hex())
}

/// The folder of the links of all blobs a repository knows by digests of one algorithm, each a folder named by its hash.
pub fn layers(repository: &RepositoryName, algorithm: Algorithm) -> Key {
    of(repository, LAYERS).child(algorithm.as_str())
}

/// The folder of one blob's link.
pub fn layer_folder(repository: &RepositoryName, digest: &Digest) -> Key {
    of(repository, LAYERS).digest_folder(digest)
}

/// The mark that a blob belongs to a repository.
pub fn layer_link(repository: &RepositoryName, digest: &Digest) -> Key {
    layer_folder(repository, digest).child("link")
}

/// The folder of the links of all manifests of a repository, by the algorithm of their digests.
pub fn revision_algorithms(repository: &RepositoryName) -> Key {
    of(repository, MANIFESTS).child("revisions")
}

/// The folder of all manifests of a repository with digests of one algorithm, each a folder named by its hash.
pub fn revisions(repository: &RepositoryName, algorithm: Algorithm) -> Key {
    revision_algorithms(repository).child(algorithm.as_str())
}

/// The folder of one manifest's link; old registries kept signatures beside it.
pub fn revision_folder(repository: &RepositoryName, digest: &Digest) -> Key {
    revision_algorithms(repository).digest_folder(digest)
}

/// The mark that a manifest belongs to a repository.
pub fn revision_link(repository: &RepositoryName, digest: &Digest) -> Key {
    revision_folder(repository, digest).child("link")
}

/// The folder of all subjects with digests of one algorithm, each a folder named by its hash.
pub fn subjects(repository: &RepositoryName, algorithm: Algorithm) -> Key {
    of(repository, MANIFESTS).child("referrers").child(algorithm.as_str())
}

/// The folder of what refers to a subject by digests of one algorithm, each an object named by its hash.
pub fn referrers(repository: &RepositoryName, subject: &Digest, algorithm: Algorithm) -> Key {
    of(repository, MANIFESTS).child("referrers").digest_folder(subject).child(algorithm.as_str())
}

/// How one manifest stands among the referrers of its subject.
pub fn referrer(repository: &RepositoryName, subject: &Digest, referrer: &Digest) -> Key {
    referrers(repository, subject, referrer.algorithm()).child(referrer.hex())
}

/// A link to the index that stood behind the referrers tag of a subject when that was last looked at.
pub fn referrers_merged(repository: &RepositoryName, subject: &Digest) -> Key {
    of(repository, MANIFESTS).child("referrers").digest_folder(subject).child("merged")
}

/// The mark that all manifests of a repository were looked at for what they refer to.
pub fn referrers_complete(repository: &RepositoryName) -> Key {
    of(repository, MANIFESTS).child("referrers/complete")
}

/// What is locked to look at all of them.
pub fn referrers_lock(repository: &RepositoryName) -> Key {
    locks(repository).child(REFERRERS_LOCK)
}

/// The folder of everything about the manifests of a repository; the repository is listed as long as it or
/// [`all_layers`] is there.
pub fn manifests(repository: &RepositoryName) -> Key {
    of(repository, MANIFESTS)
}

/// The folder of the links to a repository's blobs.
pub fn all_layers(repository: &RepositoryName) -> Key {
    of(repository, LAYERS)
}

/// The folder of a repository's upload sessions.
pub fn uploads(repository: &RepositoryName) -> Key {
    of(repository, UPLOADS)
}

/// What says when the repository was last deleted as a whole. It lies in a folder because the distribution registry
/// passes over folders with such a name, but stops at files.
pub fn deletion(repository: &RepositoryName) -> Key {
    of(repository, OURS).child("deleted")
}

/// The folder of all tags of a repository.
pub fn tags(repository: &RepositoryName) -> Key {
    of(repository, MANIFESTS).child("tags")
}

/// Everything about one tag.
pub fn tag(repository: &RepositoryName, tag: &Tag) -> Key {
    tags(repository).child(tag.as_str())
}

/// What a tag names now.
pub fn tag_current_link(repository: &RepositoryName, tag: &Tag) -> Key {
    self::tag(repository, tag).child("current/link")
}

/// The folder of all that a tag ever named by digests of one algorithm, each a folder named by its hash.
pub fn tag_index(repository: &RepositoryName, tag: &Tag, algorithm: Algorithm) -> Key {
    self::tag(repository, tag).child("index").child(algorithm.as_str())
}

/// The folder of one manifest that a tag once named.
pub fn tag_index_folder(repository: &RepositoryName, tag: &Tag, digest: &Digest) -> Key {
    self::tag(repository, tag).child("index").digest_folder(digest)
}

/// The mark that a tag once named a manifest.
pub fn tag_index_link(repository: &RepositoryName, tag: &Tag, digest: &Digest) -> Key {
    tag_index_folder(repository, tag, digest).child("link")
}

/// What is locked to change whether a manifest belongs to a repository, or to add a blob.
pub fn revision_lock(repository: &RepositoryName, digest: &Digest) -> Key {
    locks(repository).child(&digest.hex()[..2])
}

/// What is locked to change a tag; where both are needed it is taken after [`revision_lock`].
pub fn tag_lock(repository: &RepositoryName, tag: &Tag) -> Key {
    let spread = Digest::sha256_of(tag.as_str().as_bytes());
    locks(repository).child(&format!("tag-{}", &spread.hex()[..2]))
}

/// The folder of a repository's locks. It is not one of those that make a repository: whoever waited for a lock while
/// the repository was deleted must not bring it back.
pub fn locks(repository: &RepositoryName) -> Key {
    of(repository, OURS).child("locks")
}

/// All locks of a repository, in the order in which they have to be taken.
pub fn all_locks(repository: &RepositoryName) -> Vec<Key> {
    let folder = locks(repository);
    let numbered = |prefix: &'static str| (0..=u8::MAX).map(move |number| format!("{prefix}{number:02x}"));
    let names = numbered("").chain(numbered("tag-"));
    std::iter::once(referrers_lock(repository)).chain(names.map(|name| folder.child(&name))).collect()
}

/// The keys of one upload session.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    /// All of it.
    pub folder: Key,
    /// When it was opened; the session exists as long as this does.
    pub started_at: Key,
    /// The bytes so far.
    pub data: Key,
    /// Our own record.
    pub record: Key,
}

impl SessionKeys {
    /// The keys of the session `id`, which must be a single harmless path component such as a UUID.
    pub fn new(repository: &RepositoryName, id: uuid::Uuid) -> Self {
        let folder = of(repository, UPLOADS).child(&id.as_hyphenated().to_string());
        Self {
            started_at: folder.child("startedat"),
            data: folder.child("data"),
            record: folder.child("portcullis"),
            folder,
        }
    }

    /// The folder of saved states of a hash function, named by their offset in decimal.
    pub fn hash_states(&self, algorithm: Algorithm) -> Key {
        self.folder.child("hashstates").child(algorithm.as_str())
    }

    /// The saved state of a hash function after `offset` bytes.
    pub fn hash_state(&self, algorithm: Algorithm, offset: u64) -> Key {
        self.hash_states(algorithm).child(&offset.to_string())
    }
}

fn of(repository: &RepositoryName, area: &str) -> Key {
    Key(format!("{ROOT}/repositories/{repository}/{area}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_distribution_registry() {
        let name = RepositoryName::parse("a/b").expect("a name");
        let tag = Tag::parse("v1").expect("a tag");
        let digest = Digest::sha256_of(b"");
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let id = uuid::Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef);
        let session = SessionKeys::new(&name, id);
        let repository = "docker/registry/v2/repositories/a/b";
        for (key, expected) in [
            (blob(&digest), format!("docker/registry/v2/blobs/sha256/e3/{hex}/data")),
            (layer_link(&name, &digest), format!("{repository}/_layers/sha256/{hex}/link")),
            (revision_link(&name, &digest), format!("{repository}/_manifests/revisions/sha256/{hex}/link")),
            (tag_current_link(&name, &tag), format!("{repository}/_manifests/tags/v1/current/link")),
            (
                tag_index_link(&name, &tag, &digest),
                format!("{repository}/_manifests/tags/v1/index/sha256/{hex}/link"),
            ),
            (
                session.started_at.clone(),
                format!("{repository}/_uploads/12345678-9abc-4def-8123-456789abcdef/startedat"),
            ),
            (
                session.hash_state(Algorithm::Sha256, 12),
                format!("{repository}/_uploads/12345678-9abc-4def-8123-456789abcdef/hashstates/sha256/12"),
            ),
        ] {
            assert_eq!(key.as_str(), expected);
        }
    }

    #[test]
    fn a_sha512_link_lies_under_its_own_algorithm() {
        let name = RepositoryName::parse("a").expect("a name");
        let digest = Digest::of(Algorithm::Sha512, b"");
        let expected = format!("docker/registry/v2/repositories/a/_layers/sha512/{}/link", digest.hex());
        assert_eq!(layer_link(&name, &digest).as_str(), expected);
    }

    #[test]
    fn locks_of_digests_and_of_tags_never_coincide() {
        let name = RepositoryName::parse("a").expect("a name");
        let digest = Digest::sha256_of(b"v1");
        let tag = Tag::parse("v1").expect("a tag");
        assert_ne!(revision_lock(&name, &digest), tag_lock(&name, &tag));
        let all = all_locks(&name);
        let place = |lock: &Key| all.iter().position(|key| key == lock).expect("among all");
        assert!(place(&revision_lock(&name, &digest)) < place(&tag_lock(&name, &tag)));
    }
}
