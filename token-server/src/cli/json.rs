//! Listings for programs: the representations of the API, so that both always say the same.
//!
//! *Invariant:* a member that was printed once keeps its name and meaning, and is there in every element, `null` where
//! there is nothing to say.

use serde::Serialize;
use serde_json::{Value, json, to_value};
use time::OffsetDateTime;

use crate::db::audit::EventRow;
use crate::db::barriers::BarrierRow;
use crate::db::elevations::ElevationRow;
use crate::db::grants::GrantSummary;
use crate::db::namespaces::NamespaceRow;
use crate::db::robots::{RobotSummary, SecretSummary};
use crate::db::roles::RoleRow;
use crate::db::teams::TeamSummary;
use crate::db::users::UserSummary;
use crate::domain::audit_chain::Verdict;
use crate::domain::explanation::{Capable, Explanation};
use crate::domain::grant_subject::GrantSubject;
use crate::domain::moment;
use crate::domain::question::Question;
use crate::domain::right::RightSet;
use crate::domain::role;
use crate::http::api;
use crate::http::api::audit::{AuditEvent, AuditVerdict};
use crate::http::api::roles::Role;

fn value(representation: &impl Serialize) -> Value {
    to_value(representation).expect("representations are plain data")
}

fn represented<'a, T, R: From<&'a T> + Serialize>(items: &'a [T]) -> Value {
    Value::Array(items.iter().map(|item| value(&R::from(item))).collect())
}

pub(super) fn time(at: OffsetDateTime) -> String {
    moment::written(at)
}

pub(super) fn list<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
    Value::Array(items.iter().map(one).collect())
}

pub(super) fn actions(rights: RightSet) -> Vec<&'static str> {
    rights.iter().map(crate::domain::right::Right::as_str).collect()
}

/// All users.
pub(super) fn users(users: &[UserSummary]) -> Value {
    represented::<_, api::users::User>(users)
}

/// All teams.
pub(super) fn teams(teams: &[TeamSummary]) -> Value {
    represented::<_, api::teams::Team>(teams)
}

/// All rights.
pub(super) fn grants(grants: &[GrantSummary]) -> Value {
    represented::<_, api::grants::Grant>(grants)
}

/// Requests for rights for a while.
pub(super) fn elevations(rows: &[ElevationRow]) -> Value {
    list(rows, |row| {
        json!({
            "id": row.id.to_string(),
            "user": row.user,
            "role": row.role,
            "actions": row.rights.as_ref().map(|rights| rights.split(',').collect::<Vec<_>>()),
            "pattern": row.pattern,
            "tags": row.tags,
            "lasts_seconds": row.lasts_seconds,
            "reason": row.reason,
            "break_glass": row.is_break_glass,
            "requested_at": time(row.requested_at),
            "state": row.state,
            "decided_by": row.decided_by,
            "decided_at": row.decided_at.map(time),
            "decision_reason": row.decision_reason,
            "ends_at": row.ends_at.map(time),
        })
    })
}

/// All namespaces.
pub(super) fn namespaces(namespaces: &[NamespaceRow]) -> Value {
    list(namespaces, |row| {
        json!({
            "name": row.name,
            "owner": format!("{}:{}", row.owner_kind, row.owner_name),
            "visibility": row.visibility,
            "create": row.create_policy,
            "added_at": time(row.created_at),
        })
    })
}

/// Robots.
pub(super) fn robots(robots: &[RobotSummary]) -> Value {
    list(robots, |robot| {
        json!({
            "name": robot.name,
            "description": robot.description,
            "disabled_at": robot.disabled_at.map(time),
            "secrets": robot.secrets,
            "added_at": time(robot.created_at),
        })
    })
}

/// Secrets of a robot, without what is secret of them.
pub(super) fn secrets(secrets: &[SecretSummary]) -> Value {
    list(secrets, |secret| {
        json!({
            "id": secret.id.to_string(),
            "robot": secret.robot,
            "label": secret.label,
            "added_at": time(secret.created_at),
            "last_used_at": secret.last_used_at.map(time),
            "expires_at": secret.expires_at.map(time),
        })
    })
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
