//! What a collection tells while it goes on, in the words of the distribution registry, which scripts look for.
//!
//! *Invariant:* each event but [`Event::Kept`] prints as the line the distribution registry prints for it.

use std::fmt;

use shared::repository_name::RepositoryName;

use crate::oci::digest::Digest;
use crate::oci::reference::Tag;

/// Who is told.
pub trait Observer: Send {
    /// Takes one event; they come in the order of the lines of the distribution registry.
    fn tell(&mut self, event: Event<'_>);
}

/// One line.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A repository begins.
    Repository(&'a RepositoryName),
    /// A manifest is alive.
    MarkingManifest {
        /// Where.
        repository: &'a RepositoryName,
        /// Which.
        digest: &'a Digest,
    },
    /// Content is alive that was not known to be before.
    MarkingBlob {
        /// Where.
        repository: &'a RepositoryName,
        /// Which.
        digest: &'a Digest,
    },
    /// Something cannot be read or followed, and more is kept because of it.
    Kept {
        /// The path of the repository.
        repository: &'a str,
        /// What is wrong, and what comes of it.
        reason: &'a str,
    },
    /// A manifest no tag leads to.
    ManifestEligible {
        /// Where.
        repository: &'a RepositoryName,
        /// Which.
        digest: &'a Digest,
        /// The tags that once named it.
        tags: &'a [Tag],
    },
    /// All marking is done.
    Summary {
        /// How many blobs are alive, manifests included.
        marked: usize,
        /// How many are not.
        blobs: usize,
        /// How many manifests are not.
        manifests: usize,
    },
    /// Bytes nothing needs.
    BlobEligible {
        /// Which.
        digest: &'a Digest,
    },
    /// A blob no manifest of this repository needs; others may.
    LayerLinkEligible {
        /// Where.
        repository: &'a RepositoryName,
        /// Which.
        digest: &'a Digest,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Repository(repository) => write!(f, "{repository}"),
            // The space at the end is theirs.
            Self::MarkingManifest { repository, digest } => {
                write!(f, "{repository}: marking manifest {digest} ")
            }
            Self::MarkingBlob { repository, digest } => write!(f, "{repository}: marking blob {digest}"),
            Self::Kept { repository, reason } => write!(f, "{repository}: {reason}"),
            Self::ManifestEligible { repository, digest, tags } => {
                write!(f, "manifest eligible for deletion: {{{repository} {digest} [")?;
                for (position, tag) in tags.iter().enumerate() {
                    let space = if position == 0 { "" } else { " " };
                    write!(f, "{space}{tag}")?;
                }
                f.write_str("]}")
            }
            Self::Summary { marked, blobs, manifests } => write!(
                f,
                "\n{marked} blobs marked, {blobs} blobs and {manifests} manifests eligible for deletion"
            ),
            Self::BlobEligible { digest } => write!(f, "blob eligible for deletion: {digest}"),
            Self::LayerLinkEligible { repository, digest } => {
                write!(f, "{repository}: layer link eligible for deletion: {digest}")
            }
        }
    }
}
