//! What the token server does, without HTTP.
//!
//! Reading order: what people write ([`moment`], [`plain_text`], [`remark`], [`counted`]), who holds rights
//! ([`principal_name`], [`robot_name`], [`grant_subject`], [`subject`]), which rights ([`right`], [`role`], [`grant`],
//! [`barrier`], [`namespace`], [`credential_limits`], written as [`grant_spec`] and [`team_member`]), how one is
//! decided ([`policy`] on [`stored_rows`] or a [`snapshot`], by [`row_source`]), explained ([`question`],
//! [`explanation`]) and becomes claims ([`issue`], [`audience`], less [`withholding`]) or a refusal ([`grantors`]); who
//! changes them ([`delegation`], [`actor`]), also for a while ([`elevation`]) or all at once ([`policy_file`]); how
//! people log in ([`password`], [`opaque_token`], [`credential`], [`credential_uses`], [`refresh`], [`door`],
//! [`authenticate`]); how tokens are signed ([`master_secret`], [`sealing`], [`signing`], [`signing_import`],
//! [`key_policy`], [`key_ring`], [`key_store`], [`key_life`]); what others would say ([`docker_auth`], [`shadow`]);
//! what is asked for ([`token_issuer`], [`account`], [`administration`]); what is kept ([`audit`], [`audit_repeats`],
//! [`audit_backlog`]), read ([`audit_pages`], [`audit_chain`]) and not kept ([`audit_retention`], [`pruning`]); what
//! tokens were for ([`token_uses`], [`least_privilege`]); what changes do ([`effects`], [`background`]).
//!
//! *Invariant:* nothing here knows HTTP, reads the clock or makes randomness by itself, and no connection to the
//! database is held while a password is hashed.

pub mod error;

pub mod random;

pub mod moment;

pub mod plain_text;

pub mod remark;

pub mod counted;

pub mod background;

pub mod principal_name;

pub mod robot_name;

pub mod grant_subject;

pub mod subject;

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

pub mod password;

pub mod password_argon2;
pub mod password_bcrypt;

pub mod master_secret;

pub mod opaque_token;

pub mod refresh;

pub mod credential;

pub mod credential_uses;

pub mod door;

pub mod request_limit;

pub mod authenticate;

pub mod sealing;

pub mod key_names;

pub mod signing;

pub mod signing_import;

pub mod key_policy;

pub mod key_ring;

pub mod key_store;

pub mod key_life;

pub mod key_rotation;

pub mod docker_auth;

pub mod shadow;

pub mod token_issuer;

pub mod account;

pub mod policy_file;

pub mod actor;

pub mod elevation;

pub mod administration;

pub mod audit;

pub mod audit_repeats;

pub mod audit_backlog;

pub mod audit_pages;

pub mod audit_chain;

pub mod audit_retention;

pub mod pruning;

pub mod token_uses;

pub mod least_privilege;

pub mod effects;
