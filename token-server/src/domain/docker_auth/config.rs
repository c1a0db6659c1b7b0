//! The settings of docker_auth, as far as they say who may do what.
//!
//! *Invariant:* what is read means what docker_auth takes it for, also where somebody meant something else; wherever the
//! two can differ, there is a [`Trap`]. What docker_auth itself cannot start or work with is a [`Problem`].
//!
//! Spec: docker_auth, reference of its settings.

use std::fmt;

use shared::secret::Secret;

use super::rule::{Expressions, Labels, Rule};
use super::{document, reader};

/// Something that docker_auth takes otherwise than it reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trap {
    /// Where.
    pub line: usize,
    /// Which kind, in a word.
    pub kind: &'static str,
    /// What happens.
    pub sentence: String,
}

/// Something that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub line: usize,
    /// What.
    pub sentence: String,
}

/// Settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidConfig(pub Vec<Problem>);

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = self.0.iter().map(|problem| format!("line {}: {}", problem.line, problem.sentence));
        f.write_str(&problems.collect::<Vec<_>>().join("; "))
    }
}

/// A user with a password in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Where.
    pub line: usize,
    /// As it is written.
    pub name: String,
    /// The hash; without one any password is right.
    pub password: Option<Secret>,
    /// Attributes that rules can be about.
    pub labels: Labels,
}

/// A source of users or rights outside of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Where.
    pub line: usize,
    /// Its key.
    pub key: String,
    /// Whether people log in with it; otherwise it gives rights.
    pub is_login: bool,
}

/// What tokens are like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSection {
    /// The claim `iss`.
    pub issuer: Option<String>,
    /// Their lifetime in seconds.
    pub expiration: Option<String>,
    /// What stands before the paths of the token endpoint.
    pub path_prefix: Option<String>,
    /// The header that names clients' addresses.
    pub real_ip_header: Option<String>,
    /// Whether keys are named as the 3.x line names them.
    pub thumbprints: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Config {
    /// Users in the order of the file.
    pub users: Vec<User>,
    /// The labels of people without a login, if those are let in.
    pub anonymous: Option<Labels>,
    /// The list of rights in its order.
    pub rules: Vec<Rule>,
    /// What else gives logins and rights.
    pub externals: Vec<External>,
    /// What tokens are like.
    pub token: TokenSection,
    /// What is not as it reads.
    pub traps: Vec<Trap>,
    /// Prepared expressions of the rules.
    pub expressions: Expressions,
}

impl Config {
    /// Reads the text of the file.
    pub fn parse(text: &str) -> Result<Self, InvalidConfig> {
        let root = document::parse(text).map_err(|malformed| {
            let sentence = format!("this is no YAML: {}", malformed.what);
            InvalidConfig(vec![Problem { line: malformed.line, sentence }])
        })?;
        let mut config = reader::read(&root).map_err(InvalidConfig)?;
        super::traps::find(&mut config);
        config.traps.sort();
        Ok(config)
    }

    /// Whether people log in who are not in the file.
    pub fn has_other_logins(&self) -> bool {
        self.externals.iter().any(|external| external.is_login)
    }

    /// The user of that name, as it is written.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }
}
