//! `auth.htpasswd`: users and passwords in a file.
//!
//! *Invariant:* a registry that is told to ask for passwords does, or does not start.

use shared::server::settings::{Key, Kind};

const NO_HTPASSWD: &str = "this version knows `auth: token` and `auth: none` only";

pub(in crate::settings) const KEYS: &[Key] = &[
    Key::new("auth.htpasswd.realm", Kind::Scalar, "", "What clients are told they log in to.")
        .refused(NO_HTPASSWD),
    Key::new("auth.htpasswd.path", Kind::Scalar, "", "File with users and bcrypt hashes.")
        .refused(NO_HTPASSWD),
];
