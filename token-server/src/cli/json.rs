//! Listings for programs: the representations of the API, so that both always say the same.
//!
//! *Invariant:* a member that was printed once keeps its name and meaning, and is there in every element, `null` where
//! there is nothing to say.

use serde::Serialize;
use serde_json::{Value, to_value};

use crate::db::audit::EventRow;
use crate::db::barriers::BarrierRow;
use crate::db::credentials::CredentialSummary;
use crate::db::elevations::ElevationRow;
use crate::db::grants::GrantSummary;
use crate::db::identities::{IdentityRow, PendingRow};
use crate::db::namespaces::NamespaceRow;
use crate::db::refresh_tokens::LoginSummary;
use crate::db::robots::RobotSummary;
use crate::db::roles::RoleRow;
use crate::db::teams::{MemberRow, TeamSummary};
use crate::db::trust::{TrustIssuerRow, TrustRuleRow};
use crate::db::trust_attempts::TrustAttemptRow;
use crate::db::users::UserSummary;
use crate::db::workloads::WorkloadSummary;
use crate::domain::administration::keys::KeySummary;
use crate::domain::administration::what_if::WhatIf;
use crate::domain::explanation::{Capable, Explanation};
use crate::domain::grant_subject::GrantSubject;
use crate::domain::policy_file::document::Document;
use crate::domain::policy_file::plan::Plan;
use crate::domain::question::Question;
use crate::domain::record::audit_chain::Verdict;
use crate::domain::role;
use crate::http::api;
use crate::http::api::audit::{AuditEvent, AuditVerdict};
use crate::http::api::roles::Role;

fn value(representation: &impl Serialize) -> Value {
    to_value(representation).expect("representations are plain data")
}

pub(super) fn represented<'a, T, R: From<&'a T> + Serialize>(items: &'a [T]) -> Value {
    Value::Array(items.iter().map(|item| value(&R::from(item))).collect())
}

/// All users.
pub(super) fn users(users: &[UserSummary]) -> Value {
    represented::<_, api::users::User>(users)
}

/// Who users are elsewhere.
pub(super) fn identities(rows: &[IdentityRow]) -> Value {
    represented::<_, api::identities::Identity>(rows)
}

/// People who are nobody yet.
pub(super) fn pending_identities(rows: &[PendingRow]) -> Value {
    represented::<_, api::identities::PendingIdentity>(rows)
}

/// All teams.
pub(super) fn teams(teams: &[TeamSummary]) -> Value {
    represented::<_, api::teams::Team>(teams)
}

/// Who is in a team.
pub(super) fn members(rows: &[MemberRow]) -> Value {
    represented::<_, api::members::Member>(rows)
}

/// All rights.
pub(super) fn grants(grants: &[GrantSummary]) -> Value {
    represented::<_, api::grants::Grant>(grants)
}

/// Requests for rights for a while.
pub(super) fn elevations(rows: &[ElevationRow]) -> Value {
    represented::<_, api::elevations::Elevation>(rows)
}

/// All namespaces.
pub(super) fn namespaces(namespaces: &[NamespaceRow]) -> Value {
    represented::<_, api::namespaces::Namespace>(namespaces)
}

/// Robots.
pub(super) fn robots(robots: &[RobotSummary]) -> Value {
    represented::<_, api::robots::Robot>(robots)
}

/// Secrets of a robot, without what is secret of them.
pub(super) fn secrets(secrets: &[CredentialSummary]) -> Value {
    represented::<_, api::robot_secrets::RobotSecret>(secrets)
}

/// Personal access tokens, without what is secret of them.
pub(super) fn tokens(tokens: &[CredentialSummary]) -> Value {
    represented::<_, api::personal_tokens::PersonalToken>(tokens)
}

/// Logins that devices keep.
pub(super) fn logins(logins: &[LoginSummary]) -> Value {
    represented::<_, api::logins::Login>(logins)
}

/// All workloads.
pub(super) fn workloads(workloads: &[WorkloadSummary]) -> Value {
    represented::<_, api::workloads::Workload>(workloads)
}

/// Trusted issuers.
pub(super) fn trust_issuers(issuers: &[TrustIssuerRow]) -> Value {
    represented::<_, api::trust_issuers::TrustIssuer>(issuers)
}

/// Trust rules.
pub(super) fn trust_rules(rules: &[TrustRuleRow]) -> Value {
    represented::<_, api::trust_rules::TrustRule>(rules)
}

/// Attempts of unknown identities.
pub(super) fn trust_attempts(attempts: &[TrustAttemptRow]) -> Value {
    represented::<_, api::trust_rules::TrustAttempt>(attempts)
}

/// The keys that sign tokens, without what is secret of them.
pub(super) fn keys(keys: &[KeySummary]) -> Value {
    represented::<_, api::signing_keys::SigningKey>(keys)
}

/// One of them.
pub(super) fn key(key: &KeySummary) -> Value {
    value(&api::signing_keys::SigningKey::from(key))
}

/// All roles, first those that are built in.
pub(super) fn roles(roles: &[RoleRow]) -> Value {
    let built_in = role::Role::BUILT_IN.into_iter().map(|role| value(&Role::from(&role)));
    Value::Array(built_in.chain(roles.iter().map(|role| value(&Role::from(role)))).collect())
}

/// All barriers.
pub(super) fn barriers(barriers: &[BarrierRow]) -> Value {
    represented::<_, api::barriers::Barrier>(barriers)
}

/// One row of the audit record, with every column.
pub(super) fn event(row: &EventRow) -> Value {
    value(&AuditEvent::from(row))
}

/// Rows of the audit record.
pub(super) fn events(rows: &[EventRow]) -> Value {
    represented::<_, AuditEvent>(rows)
}

/// Whether the audit record is whole.
pub(super) fn verdict(verdict: &Verdict) -> Value {
    value(&AuditVerdict::from(verdict))
}

/// A verdict and the rows that decide it.
pub(super) fn explanation(subject: &GrantSubject, question: &Question, found: &Explanation) -> Value {
    value(&api::questions::Explanation::new(subject, question, found))
}

/// Who may, and the rows that give it.
pub(super) fn capable(found: &[Capable]) -> Value {
    represented::<_, api::questions::Capable>(found)
}

/// What a change would mean.
pub(super) fn what_if(found: &WhatIf, days: u32) -> Value {
    value(&api::what_if::WhatIf::new(found, days))
}

/// The whole policy.
pub(super) fn policy(document: &Document) -> Value {
    value(document)
}

/// What a policy changes.
pub(super) fn policy_changes(plan: &Plan) -> Value {
    value(&api::policy::PolicyChanges::from(plan))
}

/// The same, and what it would mean.
pub(super) fn policy_plan(plan: &Plan, found: Option<&WhatIf>, days: u32) -> Value {
    let effects = found.map(|found| api::what_if::WhatIf::new(found, days));
    value(&api::policy::PolicyPlan::new(plan, effects))
}

/// What an import comes to.
pub(super) fn import_report(report: &api::imports::ImportReport) -> Value {
    value(report)
}
