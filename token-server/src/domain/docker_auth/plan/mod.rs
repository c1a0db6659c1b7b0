//! What is taken over from docker_auth, what is not, and what the difference is.
//!
//! Rules become rows as if each stood alone. Where an earlier rule keeps a later one from counting, a denial does that.
//! What is given too much even so is not given at all: nobody gets more than before by an import, except what anybody
//! has without a login anyway.
//!
//! *Invariant:* the differences are what a comparison found, and every one of them is listed.

mod accounts;

mod draft;

mod remarks;

use std::collections::BTreeSet;

use shared::repository_name::RepositoryName;
use time::OffsetDateTime;

use super::comparison::{Cases, Difference, Effort, StoredRights, TooMuch};
use super::config::Config;
use super::people::Person;
use super::rows::{PlannedRow, Scene};
use crate::domain::login::password_bcrypt::ImportedHash;
use crate::domain::principal_name::PrincipalName;
use draft::Draft;

/// Something to know, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The line in the file, if it is about one.
    pub line: Option<usize>,
    /// What.
    pub sentence: String,
}

/// What becomes of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserOutcome {
    /// A new user with the old password.
    New(PrincipalName, ImportedHash),
    /// There is a user of that name, who stays as is.
    AlreadyThere(PrincipalName),
    /// The name, the password or both are not taken, because of this.
    Refused(String),
}

/// A user of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedUser {
    /// Where.
    pub line: usize,
    /// The name there.
    pub account: String,
    /// What becomes of them.
    pub outcome: UserOutcome,
}

/// What is stored here already.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Names of users.
    pub users: BTreeSet<String>,
    /// Names of teams, which users cannot have.
    pub teams: BTreeSet<String>,
    /// Rows, in the words in which they are added.
    pub rows: BTreeSet<String>,
    /// Rights.
    pub rights: StoredRights,
}

/// What the settings here say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSettings {
    /// Names of the registries, as they call themselves.
    pub services: Vec<String>,
    /// The issuer.
    pub issuer: String,
    /// Paths of the token endpoint.
    pub token_paths: Vec<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// What the settings here say.
    pub own: &'a OwnSettings,
    /// Repositories to compare; without them, names that the rules tell apart.
    pub repositories: Option<&'a BTreeSet<RepositoryName>>,
    /// How much is compared at most.
    pub effort: Effort,
    /// Now.
    pub now: OffsetDateTime,
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Questions that were asked of both.
    pub combinations: usize,
    /// People.
    pub people: usize,
    /// Different repositories.
    pub repositories: usize,
    /// Registries.
    pub services: usize,
    /// Addresses of clients.
    pub addresses: usize,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Users, in the order of the file.
    pub users: Vec<PlannedUser>,
    /// Rows, in the order of the rules they come from.
    pub rows: Vec<PlannedRow>,
    /// Those of the rows that are stored already, in words.
    pub stored_rows: BTreeSet<String>,
    /// What is taken over, and worth knowing.
    pub notes: Vec<Remark>,
    /// What is not.
    pub remainder: Vec<Remark>,
    /// How much was compared.
    pub extent: Extent,
    /// What is answered otherwise.
    pub differences: Vec<Difference>,
}

impl Plan {
    /// Whether everything is as before.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && self.remainder.is_empty()
    }

    /// Plans an import.
    pub fn make(config: &Config, stored: &Stored, wish: Wish<'_>) -> Result<Self, TooMuch> {
        let services = &wish.own.services;
        let users = accounts::users(config, stored);
        let nobody = Person::nobody(config);
        let known: Vec<Person> = users.iter().filter_map(|user| accounts::known(config, user)).collect();
        let strangers = Person::strangers(config);
        let scene = Scene { config, nobody: &nobody, known: &known, strangers: &strangers, services };
        let people: Vec<&Person> = known.iter().chain(strangers.first()).chain([&nobody]).collect();
        let mut draft = Draft::new(&scene);
        let samples = Cases::new(config, people.clone(), services, None, wish.effort)?;
        draft.settle(&samples, wish.now);
        let given;
        let cases = match wish.repositories {
            None => &samples,
            some => {
                given = Cases::new(config, people, services, some, wish.effort)?;
                &given
            }
        };
        let answers = cases.answers(&stored.rights, &draft.rows, wish.now);
        let differences = cases.differences(config, &answers);
        let mut plan = Self {
            extent: Extent {
                combinations: cases.combinations(),
                people: cases.people.len(),
                repositories: cases.repositories,
                services: cases.services.len(),
                addresses: cases.addresses.len(),
            },
            ..Self::default()
        };
        plan.add_elsewhere(config);
        plan.add_users(&users);
        plan.add_rules(config, &draft, &differences);
        plan.add_listings(&cases.listings(config, &stored.rights, &draft.rows, wish.now));
        plan.add_settings(config, wish);
        for remarks in [&mut plan.notes, &mut plan.remainder] {
            remarks.sort();
            remarks.dedup();
        }
        Ok(Self { users, rows: draft.rows, stored_rows: stored.rows.clone(), differences, ..plan })
    }
}

#[cfg(test)]
mod tests;
