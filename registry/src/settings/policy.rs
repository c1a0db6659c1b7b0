//! `policy`: what kinds of content repositories may hold.
//!
//! *Invariant:* a restriction that is not enforced stops the start.

use shared::server::settings::{Key, Kind};

pub(super) const KEYS: &[Key] = &[Key::new(
    "policy.repository.classes",
    Kind::List,
    "",
    "Classes of content that may be pushed: image, plugin.",
)
.refused("this version does not restrict repository classes")];
