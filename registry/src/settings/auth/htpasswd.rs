//! `auth.htpasswd`: users and passwords in a file.
//!
//! *Invariant:* a registry that is told to ask for passwords does, or does not start.

use std::path::PathBuf;

use serde::Deserialize;
use shared::server::settings::{Key, Kind};

use crate::auth::htpasswd::HtpasswdSettings;
use crate::settings::findings::Findings;

pub(in crate::settings) const KEYS: &[Key] = &[
    Key::new("auth.htpasswd.realm", Kind::Scalar, "", "What clients are told they log in to."),
    Key::new("auth.htpasswd.path", Kind::Scalar, "", "File with users and bcrypt hashes."),
];

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawHtpasswd {
    realm: String,
    path: PathBuf,
}

impl RawHtpasswd {
    pub(super) fn parse(self, findings: &mut Findings) -> Option<HtpasswdSettings> {
        let missing = [("realm", self.realm.is_empty()), ("path", self.path.as_os_str().is_empty())];
        for (name, _) in missing.into_iter().filter(|(_, missing)| *missing) {
            findings.refuse(format!("`auth.htpasswd.{name}` is missing"));
        }
        let complete = missing.iter().all(|(_, missing)| !missing);
        complete.then_some(HtpasswdSettings { realm: self.realm, path: self.path })
    }
}
