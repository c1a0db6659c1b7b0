//! Users of the file: under which name they are users here, and who cannot be one.
//!
//! *Invariant:* two users of the file never become one.

use std::collections::BTreeMap;

use super::super::config::{Config, User};
use super::super::people::Person;
use super::super::rule::Labels;
use super::{PlannedUser, Stored, UserOutcome};
use crate::domain::login::password_bcrypt::ImportedHash;
use crate::domain::principal_name::PrincipalName;

/// A user of the file as somebody whose rights are compared, if they can be a user here.
pub(super) fn known(config: &Config, user: &PlannedUser) -> Option<Person> {
    let name = match &user.outcome {
        UserOutcome::New(name, _) | UserOutcome::AlreadyThere(name) => name,
        UserOutcome::Refused(_) => return None,
    };
    let labels = config.user(&user.account).map_or(Labels::new(), |user| user.labels.clone());
    Some(Person::known(&user.account, name, &labels))
}

/// What becomes of the users of the file.
pub(super) fn users(config: &Config, stored: &Stored) -> Vec<PlannedUser> {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let of = |user: &User| {
        let outcome = outcome(user, stored, &mut taken).unwrap_or_else(UserOutcome::Refused);
        PlannedUser { line: user.line, account: user.name.clone(), outcome }
    };
    config.users.iter().map(of).collect()
}

fn outcome(
    user: &User,
    stored: &Stored,
    taken: &mut BTreeMap<String, String>,
) -> Result<UserOutcome, String> {
    let name = PrincipalName::parse_new(&user.name).map_err(|error| error.to_string())?;
    if let Some(other) = taken.get(name.as_str()) {
        return Err(format!(
            "upper and lower case are the same here, so it would be the same user as {other}"
        ));
    }
    if stored.teams.contains(name.as_str()) {
        return Err(format!("there is a team named {name}"));
    }
    if stored.users.contains(name.as_str()) {
        taken.insert(name.to_string(), user.name.clone());
        return Ok(UserOutcome::AlreadyThere(name));
    }
    let Some(hash) = &user.password else {
        return Err(
            "there is no password, so anybody could log in with any; add the user with `user add`".into()
        );
    };
    let hash = ImportedHash::parse(hash.expose())
        .map_err(|error| format!("the password cannot be taken: {error}; add the user with `user add`"))?;
    taken.insert(name.to_string(), user.name.clone());
    Ok(UserOutcome::New(name, hash))
}
