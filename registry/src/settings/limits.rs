//! `catalog` and `tags`: how long the pages of listings may be.
//!
//! *Invariant:* a limit is at least one.

use serde::Deserialize;
use shared::server::settings::{Key, Kind};

use super::findings::Findings;

pub(super) const KEYS: &[Key] = &[
    Key::new("catalog.maxentries", Kind::Scalar, "1000", "Most repositories in one page of the catalogue."),
    Key::new("tags.maxtags", Kind::Scalar, "1000", "Most tags in one page, when a page size is asked for."),
];

#[derive(Deserialize)]
pub(super) struct RawCatalog {
    maxentries: i64,
}

#[derive(Deserialize)]
pub(super) struct RawTags {
    maxtags: i64,
}

/// Longest pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitSettings {
    pub(crate) catalog_max_entries: usize,
    pub(crate) tags_max_entries: usize,
}

impl LimitSettings {
    pub(super) fn parse(catalog: &RawCatalog, tags: &RawTags, findings: &mut Findings) -> Self {
        if tags.maxtags < 0 {
            findings.refuse(format!("`tags.maxtags` is {}; it cannot be negative", tags.maxtags));
        }
        Self { catalog_max_entries: limit(catalog.maxentries), tags_max_entries: limit(tags.maxtags) }
    }
}

/// Zero and less mean the default of 1000, as with the peer.
fn limit(entries: i64) -> usize {
    usize::try_from(entries).ok().filter(|entries| *entries > 0).unwrap_or(1000)
}
