//! Who has to show a second factor before they administer anything.
//!
//! *Invariant:* it is about people; robots have none, and commands on the server ask nobody.

use super::super::delegation::Authority;
use super::super::login::subject::Subject;

/// Who has to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requirement {
    /// Nobody.
    #[default]
    None,
    /// Those who hold everything everywhere.
    Administrators,
    /// Everybody who administers anything.
    Everybody,
}

impl Requirement {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::None, Self::Administrators, Self::Everybody];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Administrators => "administrators",
            Self::Everybody => "everybody",
        }
    }

    /// The one of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|requirement| requirement.as_str() == word)
    }

    /// Whether somebody with these rights has to show one first.
    pub fn is_missing(self, subject: &Subject, authority: &Authority) -> bool {
        let is_person = matches!(subject, Subject::User(user) if !user.has_second_factor);
        is_person
            && match self {
                Self::None => false,
                Self::Administrators => authority.is_everything(),
                Self::Everybody => authority.administers_anything(),
            }
    }
}
