//! `http.debug`: a second listener for operators.
//!
//! *Invariant:* nothing meant for operators is served on the main address.

use shared::server::settings::{Key, Kind};

const MAIN_ADDRESS: &str = "/healthz and /readyz answer on the main address";

pub(in crate::settings) const KEYS: &[Key] = &[
    Key::new("http.debug.addr", Kind::Scalar, "", "Address of the listener for operators.")
        .no_effect(MAIN_ADDRESS),
    Key::new("http.debug.prometheus.enabled", Kind::Scalar, "", "Whether metrics are served there.")
        .no_effect(MAIN_ADDRESS),
    Key::new("http.debug.prometheus.path", Kind::Scalar, "", "Path of the metrics.").no_effect(MAIN_ADDRESS),
];
