//! How somebody becomes a subject.
//!
//! Reading order: who that is ([`subject`]), what they bring ([`password`] with [`password_argon2`] and
//! [`password_bcrypt`], [`opaque_token`], [`credential`], [`refresh`]), programs that people allow in a browser
//! ([`device`], which show a [`user_code`]), the one door ([`authenticate`], and [`by_password`] with [`elsewhere`] for passwords that others know) and who knocks too
//! often ([`door`], [`request_limit`]), when things were used ([`credential_uses`]), and one's own account ([`account`]).
//!
//! *Invariant:* there is one way in for each kind of proof, and every address of the server uses it.

pub mod subject;

pub mod password;

pub mod password_argon2;

pub mod password_bcrypt;

pub mod opaque_token;

pub mod credential;

pub mod credential_uses;

pub mod refresh;

pub mod door;

pub mod request_limit;

pub mod user_code;

pub mod device;

pub mod elsewhere;

pub mod authenticate;

pub mod by_password;

pub mod account;

pub mod scim;
