//! `policy`: what kinds of content repositories may hold.
//!
//! *Invariant:* a class that nobody knows stops the start, since a misspelt list would refuse everything.

use serde::Deserialize;
use shared::server::settings::{Key, Kind};

use super::findings::Findings;
use crate::domain::manifests::rules::Class;

pub(super) const KEYS: &[Key] = &[Key::new(
    "policy.repository.classes",
    Kind::List,
    "",
    "Classes of images that may be pushed: image, plugin. Without a list everything may.",
)];

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPolicy {
    repository: RawRepository,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawRepository {
    classes: Vec<String>,
}

impl RawPolicy {
    /// The classes that are taken; all without one.
    pub(super) fn parse(&self, findings: &mut Findings) -> Vec<Class> {
        let class = |text: &String| {
            let known = [Class::Image, Class::Plugin].into_iter().find(|class| class.as_str() == text);
            if known.is_none() {
                findings.refuse(format!("`policy.repository.classes`: `{text}` is neither image nor plugin"));
            }
            known
        };
        self.repository.classes.iter().filter_map(class).collect()
    }
}
