//! `validation`: what a manifest must satisfy to be accepted.
//!
//! *Invariant:* a rule that would refuse something and is not enforced stops the start.

use shared::server::settings::{Key, Kind};

const ALWAYS: &str = "manifests are always validated";
const NO_URLS: &str = "this version does not restrict the URLs of foreign layers";
const NO_INDEXES: &str = "this version wants every manifest of an index to be present";

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "validation.disabled",
        Kind::Scalar,
        "",
        "Whether manifests are accepted without a look at them.",
    )
    .no_effect(ALWAYS),
    Key::new("validation.enabled", Kind::Scalar, "", "Old name of the opposite of validation.disabled.")
        .no_effect(ALWAYS),
    Key::new("validation.manifests.urls.allow", Kind::List, "", "Patterns of the URLs that layers may have.")
        .refused(NO_URLS),
    Key::new(
        "validation.manifests.urls.deny",
        Kind::List,
        "",
        "Patterns of the URLs that layers must not have.",
    )
    .refused(NO_URLS),
    Key::new(
        "validation.manifests.indexes.platforms",
        Kind::Scalar,
        "",
        "Whose images must exist: all, none or list.",
    )
    .refused(NO_INDEXES),
    Key::new(
        "validation.manifests.indexes.platformlist[].architecture",
        Kind::Scalar,
        "",
        "Architecture of a platform whose images must exist.",
    )
    .refused(NO_INDEXES),
    Key::new(
        "validation.manifests.indexes.platformlist[].os",
        Kind::Scalar,
        "",
        "Operating system of a platform whose images must exist.",
    )
    .refused(NO_INDEXES),
];
