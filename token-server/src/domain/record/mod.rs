//! What is remembered of what was done.
//!
//! Reading order: what can happen ([`event`]), one record ([`audit`]), the same again ([`audit_repeats`]), records while the database is away
//! ([`audit_backlog`]), how they are read ([`audit_pages`]), checked ([`audit_chain`]) and forgotten
//! ([`audit_retention`]); what tokens were for ([`token_uses`]) and which rights that took ([`least_privilege`]).
//!
//! *Invariant:* no secret is written here, and what is refused leaves a record as well.

pub mod event;

pub mod audit;

pub mod audit_repeats;

pub mod audit_backlog;

pub mod audit_pages;

pub mod audit_chain;

pub mod audit_retention;

pub mod token_uses;

pub mod least_privilege;
