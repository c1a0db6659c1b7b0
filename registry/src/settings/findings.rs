//! What is said about settings while they are read.
//!
//! *Invariant:* everything is looked at before anything is refused, so that one start tells all there is to mend.

use shared::server::settings::SettingsError;

/// Sentences for the operator, each with the key it is about.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) warnings: Vec<String>,
    pub(super) problems: Vec<String>,
}

impl Findings {
    /// Something the operator should know and that stops nothing.
    pub(super) fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }

    /// Something that stops the start.
    pub(super) fn refuse(&mut self, sentence: impl Into<String>) {
        self.problems.push(sentence.into());
    }

    /// The value, or its problem.
    pub(super) fn take<T>(&mut self, outcome: Result<T, SettingsError>) -> Option<T> {
        outcome.map_err(|error| self.refuse(error.to_string())).ok()
    }
}
