//! The API below `/api/v1`: what the command line does, for people with rights of their own.
//!
//! Reading order: what an address of the API is ([`endpoint`]), what reaches a handler ([`call`], [`parameters`],
//! [`media_type`], [`request_body`], [`cursor`]), what it answers ([`reply`], [`etag`]), and what takes turns
//! ([`trials`]); then one file for each resource with its representation, its addresses and its handlers; and what is
//! said about all of them ([`document`], [`manual`]). The command line prints the same representations, so that the two
//! cannot drift apart.
//!
//! *Invariant:* a handler runs only for somebody who logged in, and with tools that act on their behalf, so the domain
//! decides; every address is in [`Resource::endpoints`], and nowhere else.

pub mod endpoint;

pub mod call;

pub mod parameters;

pub mod media_type;

pub mod request_body;

pub mod cursor;

pub mod reply;

pub mod etag;

pub mod trials;

pub mod account;

pub mod users;

pub mod identities;

pub mod teams;

pub mod members;

pub mod roles;

pub mod grants;

pub mod barriers;

pub mod namespaces;

pub mod robots;

pub mod robot_secrets;

pub mod limits;

pub mod personal_tokens;

pub mod logins;

pub mod leaked_secrets;

pub mod workloads;

pub mod trust_issuers;

pub mod trust_rules;

pub mod elevations;

pub mod audit;

pub mod uses;

pub mod questions;

pub mod what_if;

pub mod policy;

pub mod imports;

pub mod signing_keys;

pub mod key;

pub mod document;

pub mod manual;

use actix_web::web;

use super::error;
use endpoint::Endpoint;

/// What the API is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Whoever asks.
    Account,
    /// Users.
    Users,
    /// Who users are elsewhere.
    Identities,
    /// Teams.
    Teams,
    /// Who is in a team.
    Members,
    /// Roles.
    Roles,
    /// Rights.
    Grants,
    /// Barriers.
    Barriers,
    /// Namespaces.
    Namespaces,
    /// Robots.
    Robots,
    /// What robots log in with.
    RobotSecrets,
    /// What users log in with in place of the password.
    PersonalTokens,
    /// Logins that devices keep.
    Logins,
    /// Secrets that were found where they should not be.
    LeakedSecrets,
    /// Workloads.
    Workloads,
    /// Issuers whose tokens say who workloads are.
    TrustIssuers,
    /// Which of their tokens are a workload, and those that were none yet.
    TrustRules,
    /// Rights for a while.
    Elevations,
    /// The audit record.
    Audit,
    /// What tokens were issued for, and rights that did not take.
    Uses,
    /// Who may do what, and why.
    Questions,
    /// What a change would mean.
    WhatIf,
    /// The whole policy.
    Policy,
    /// Users and rights of other token servers.
    Imports,
    /// The keys that sign tokens.
    SigningKeys,
    /// The public key.
    Key,
    /// The description of the API.
    Document,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 27] = [
        Self::Account,
        Self::Users,
        Self::Identities,
        Self::Teams,
        Self::Members,
        Self::Roles,
        Self::Grants,
        Self::Barriers,
        Self::Namespaces,
        Self::Robots,
        Self::RobotSecrets,
        Self::PersonalTokens,
        Self::Logins,
        Self::LeakedSecrets,
        Self::Workloads,
        Self::TrustIssuers,
        Self::TrustRules,
        Self::Elevations,
        Self::Audit,
        Self::Uses,
        Self::Questions,
        Self::WhatIf,
        Self::Policy,
        Self::Imports,
        Self::SigningKeys,
        Self::Key,
        Self::Document,
    ];

    /// Its title in the description of the API.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Account => "Account",
            Self::Users => "Users",
            Self::Identities => "Identities",
            Self::Teams => "Teams",
            Self::Members => "Members",
            Self::Roles => "Roles",
            Self::Grants => "Rights",
            Self::Barriers => "Barriers",
            Self::Namespaces => "Namespaces",
            Self::Robots => "Robots",
            Self::RobotSecrets => "Secrets of robots",
            Self::PersonalTokens => "Personal access tokens",
            Self::Logins => "Kept logins",
            Self::LeakedSecrets => "Leaked secrets",
            Self::Workloads => "Workloads",
            Self::TrustIssuers => "Trusted issuers",
            Self::TrustRules => "Trust rules",
            Self::Elevations => "Rights for a while",
            Self::Audit => "Audit",
            Self::Uses => "Uses",
            Self::Questions => "Questions",
            Self::WhatIf => "What if",
            Self::Policy => "Policy",
            Self::Imports => "Imports",
            Self::SigningKeys => "Signing keys",
            Self::Key => "Key",
            Self::Document => "Description",
        }
    }

    /// What can be done with it.
    pub fn endpoints(self) -> Vec<Endpoint> {
        match self {
            Self::Account => account::endpoints(),
            Self::Users => users::endpoints(),
            Self::Identities => identities::endpoints(),
            Self::Teams => teams::endpoints(),
            Self::Members => members::endpoints(),
            Self::Roles => roles::endpoints(),
            Self::Grants => grants::endpoints(),
            Self::Barriers => barriers::endpoints(),
            Self::Namespaces => namespaces::endpoints(),
            Self::Robots => robots::endpoints(),
            Self::RobotSecrets => robot_secrets::endpoints(),
            Self::PersonalTokens => personal_tokens::endpoints(),
            Self::Logins => logins::endpoints(),
            Self::LeakedSecrets => leaked_secrets::endpoints(),
            Self::Workloads => workloads::endpoints(),
            Self::TrustIssuers => trust_issuers::endpoints(),
            Self::TrustRules => trust_rules::endpoints(),
            Self::Elevations => elevations::endpoints(),
            Self::Audit => audit::endpoints(),
            Self::Uses => uses::endpoints(),
            Self::Questions => questions::endpoints(),
            Self::WhatIf => what_if::endpoints(),
            Self::Policy => policy::endpoints(),
            Self::Imports => imports::endpoints(),
            Self::SigningKeys => signing_keys::endpoints(),
            Self::Key => key::endpoints(),
            Self::Document => document::endpoints(),
        }
    }
}

/// Every address with a method.
pub fn endpoints() -> Vec<Endpoint> {
    Resource::ALL.into_iter().flat_map(Resource::endpoints).collect()
}

/// Routes for all of them.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut rest = endpoints();
    while let Some(path) = rest.first().map(|endpoint| endpoint.path) {
        let (here, elsewhere): (Vec<_>, Vec<_>) = rest.into_iter().partition(|other| other.path == path);
        rest = elsewhere;
        let mut allowed = Vec::new();
        let mut resource = web::resource(endpoint::pattern(path));
        for endpoint in here {
            allowed.extend(endpoint.methods());
            for route in endpoint.routes() {
                resource = resource.route(route);
            }
        }
        config.service(resource.default_service(error::api_method_not_allowed(&allowed)));
    }
    config.service(web::scope("/api").default_service(web::to(error::api_not_found)));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_manual_lists_every_address() {
        let manual = include_str!("../../../README.md");
        for endpoint in endpoints() {
            let row = format!("| `{} {}` |", endpoint.method, endpoint.path);
            assert!(manual.contains(&row), "{row}");
        }
    }

    #[test]
    fn every_address_and_every_name_is_there_once() {
        let all = endpoints();
        let names: BTreeSet<_> = all.iter().map(|endpoint| endpoint.id).collect();
        let addresses: BTreeSet<_> =
            all.iter().map(|endpoint| (endpoint.path, endpoint.method.as_str())).collect();
        assert_eq!((names.len(), addresses.len()), (all.len(), all.len()));
    }
}
