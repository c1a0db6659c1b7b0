//! How long keys sign and are published.
//!
//! *Invariant:* keys do not become more than registries look at.

use std::time::Duration;

use serde::Deserialize;
use shared::server::settings::Duration as DurationText;

use super::{Problems, TEN_YEARS};
use crate::domain::audience::Audiences;
use crate::domain::keys::key_policy::{KeyPolicy, MIN_VERIFICATION};

/// A key is published for some minutes before it signs, so it has to sign for longer than that.
const MIN_ROTATION: Duration = Duration::from_hours(1);

/// So many keys are published at most that were replaced by time.
const MAX_SUPERSEDED: u32 = 20;

#[derive(Debug, Deserialize)]
pub(super) struct RawKeys {
    rotation: Option<DurationText>,
    verification: DurationText,
}

impl RawKeys {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Problems::default();
        problems.range("keys.verification", self.verification, MIN_VERIFICATION, TEN_YEARS);
        if let Some(rotation) = self.rotation {
            problems.range("keys.rotation", rotation, MIN_ROTATION, TEN_YEARS);
            let most = DurationText(rotation.0.saturating_mul(MAX_SUPERSEDED));
            if self.verification.0 > most.0 {
                problems.add(format!(
                    "`keys.verification` is {}; with a `keys.rotation` of {rotation} it must be at most {most}",
                    self.verification
                ));
            }
        }
        problems.0
    }

    pub(super) fn policy(&self, audiences: &Audiences) -> KeyPolicy {
        KeyPolicy::new(self.rotation.map(|rotation| rotation.0), self.verification.0, audiences)
    }
}
