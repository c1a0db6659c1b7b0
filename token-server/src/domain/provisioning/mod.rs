//! SCIM 2.0: what identity providers say of users and groups, before they sign in and when they leave.
//!
//! Reading order: how things are looked for ([`filter`], [`search`]), what a user and a group are there ([`draft`],
//! [`group`]) and how they are changed ([`path`], [`patch`]). What becomes of it is decided in
//! [`super::administration::scim_users`] and [`super::administration::scim_groups`].
//!
//! *Invariant:* everything here comes from elsewhere and is bounded: texts, lists, and how deep a filter goes.
//!
//! Spec: RFC 7643, RFC 7644.

pub mod filter;

pub mod search;

pub mod path;

pub mod patch;

pub mod draft;

pub mod group;

/// Why something that was said makes no sense, with the word of RFC 7644 §3.12.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScimError {
    /// A filter that cannot be read, or asks for what cannot be searched.
    #[error("{0}")]
    InvalidFilter(String),
    /// A path in a change that cannot be read.
    #[error("{0}")]
    InvalidPath(String),
    /// A value that an attribute cannot have.
    #[error("{0}")]
    InvalidValue(String),
    /// A body that is no message of the protocol.
    #[error("{0}")]
    InvalidSyntax(String),
    /// A change of nothing.
    #[error("{0}")]
    NoTarget(String),
    /// A value that cannot change.
    #[error("{0}")]
    Mutability(String),
    /// Somebody has that already.
    #[error("{0}")]
    Uniqueness(String),
    /// More than is answered at once.
    #[error("{0}")]
    TooMany(String),
}

impl ScimError {
    /// Its word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::InvalidFilter(_) => "invalidFilter",
            Self::InvalidPath(_) => "invalidPath",
            Self::InvalidValue(_) => "invalidValue",
            Self::InvalidSyntax(_) => "invalidSyntax",
            Self::NoTarget(_) => "noTarget",
            Self::Mutability(_) => "mutability",
            Self::Uniqueness(_) => "uniqueness",
            Self::TooMany(_) => "tooMany",
        }
    }
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Users.
    User,
    /// Groups.
    Group,
}

impl Kind {
    /// The URN of its schema.
    pub const fn schema(self) -> &'static str {
        match self {
            Self::User => "urn:ietf:params:scim:schemas:core:2.0:User",
            Self::Group => "urn:ietf:params:scim:schemas:core:2.0:Group",
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// Where they are.
    pub const fn path(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
        }
    }
}
