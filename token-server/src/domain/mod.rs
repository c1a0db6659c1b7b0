//! What the token server does, without HTTP.
//!
//! Reading order: what people write ([`words`]), who holds rights ([`principal_name`], [`robot_name`],
//! [`grant_subject`]), which rights ([`right`], [`role`], [`grant`], [`barrier`], [`namespace`], [`credential_limits`],
//! written as [`grant_spec`] and [`team_member`]), how one is decided ([`policy`] on [`stored_rows`] or a
//! [`snapshot`], by [`row_source`]), explained ([`question`], [`explanation`]) and becomes claims ([`issue`],
//! [`audience`], less [`withholding`]) or a refusal ([`grantors`]); who changes them ([`delegation`], [`actor`]), also
//! for a while ([`elevation`]) or all at once ([`policy_file`]), and what that does ([`effects`], [`background`]); how
//! people and machines log in ([`login`], [`trust`], with a [`second_factor`], or by [`signon`]); how tokens are signed ([`keys`]) and taken back ([`revocation_feed`]); what
//! others would say ([`docker_auth`], [`shadow`]); what is asked for ([`token_issuer`], [`administration`]); what is
//! remembered ([`record`]) and what is not kept ([`pruning`]).
//!
//! *Invariant:* nothing here knows HTTP, reads the clock or makes randomness by itself, and no connection to the
//! database is held while a password is hashed.

pub mod error;

pub mod random;

pub mod words;

pub mod background;

pub mod principal_name;

pub mod robot_name;

pub mod grant_subject;

pub mod right;

pub mod role;

pub mod grant;

pub mod barrier;

pub mod namespace;

pub mod grant_spec;

pub mod team_member;

pub mod credential_limits;

pub mod policy;

pub mod delegation;

pub mod grantors;

pub mod stored_rows;

pub mod snapshot;

pub mod row_source;

pub mod revocation_feed;

pub mod question;

pub mod explanation;

pub mod audience;

pub mod issue;

pub mod withholding;

pub mod login;

pub mod trust;

pub mod second_factor;

pub mod signon;

pub mod provisioning;

pub mod keys;

pub mod docker_auth;

pub mod shadow;

pub mod token_issuer;

pub mod policy_file;

pub mod actor;

pub mod elevation;

pub mod administration;

pub mod record;

pub mod pruning;

pub mod effects;
