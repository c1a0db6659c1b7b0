//! Listings for programs.
//!
//! *Invariant:* a member that was printed once keeps its name and meaning, and is there in every element, `null` where
//! there is nothing to say.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::listings::holder;
use crate::db::audit::EventRow;
use crate::db::barriers::BarrierRow;
use crate::db::elevations::ElevationRow;
use crate::db::grants::GrantSummary;
use crate::db::namespaces::NamespaceRow;
use crate::db::robots::{RobotSummary, SecretSummary};
use crate::db::roles::RoleRow;
use crate::db::teams::TeamSummary;
use crate::db::users::UserSummary;
use crate::domain::audit_chain::{EventHash, Verdict};
use crate::domain::explanation::{Capable, Explanation};
use crate::domain::grant::NotNow;
use crate::domain::grant_subject::GrantSubject;
use crate::domain::question::Question;
use crate::domain::right::RightSet;
use crate::domain::role::Role;

pub(super) fn time(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).expect("times of the database are within the years that RFC 3339 can write")
}

pub(super) fn list<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
    Value::Array(items.iter().map(one).collect())
}

pub(super) fn actions(rights: RightSet) -> Vec<&'static str> {
    rights.iter().map(crate::domain::right::Right::as_str).collect()
}

/// All users.
pub(super) fn users(users: &[UserSummary]) -> Value {
    list(users, |user| {
        json!({
            "name": user.name,
            "disabled_at": user.disabled_at.map(time),
            "added_at": time(user.created_at),
            "teams": user.teams,
        })
    })
}

/// All teams.
pub(super) fn teams(teams: &[TeamSummary]) -> Value {
    list(
        teams,
        |team| json!({ "name": team.name, "added_at": time(team.created_at), "members": team.members }),
    )
}

/// All rights.
pub(super) fn grants(grants: &[GrantSummary]) -> Value {
    list(grants, |grant| {
        let row = &grant.row;
        json!({
            "id": row.id,
            "subject": holder(grant),
            "effect": row.effect,
            "role": row.role,
            "actions": row.rights.as_ref().map(|rights| rights.split(',').collect::<Vec<_>>()),
            "pattern": row.pattern,
            "tags": row.tags,
            "not_before": row.not_before.map(time),
            "expires_at": row.expires_at.map(time),
            "networks": row.networks.iter().flatten().map(ToString::to_string).collect::<Vec<_>>(),
            "source": grant.source,
            "reason": grant.reason,
            "added_by": grant.created_by,
            "added_at": time(grant.created_at),
        })
    })
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
    let built_in = Role::BUILT_IN.into_iter().map(|role| {
        json!({
            "name": role.name(),
            "actions": role.rights().to_string().split(',').collect::<Vec<_>>(),
            "built_in": true,
            "description": null,
            "added_at": null,
        })
    });
    let made = roles.iter().map(|role| {
        json!({
            "name": role.name,
            "actions": role.rights.split(',').collect::<Vec<_>>(),
            "built_in": false,
            "description": role.description,
            "added_at": time(role.created_at),
        })
    });
    Value::Array(built_in.chain(made).collect())
}

/// All barriers.
pub(super) fn barriers(barriers: &[BarrierRow]) -> Value {
    list(barriers, |barrier| {
        json!({
            "pattern": barrier.pattern,
            "actions": barrier.rights.split(',').collect::<Vec<_>>(),
            "reason": barrier.reason,
            "added_at": time(barrier.created_at),
        })
    })
}

/// One row of the audit record, with every column.
pub(super) fn event(row: &EventRow) -> Value {
    json!({
        "id": row.id,
        "at": time(row.at),
        "event": row.event,
        "actor": row.actor,
        "actor_uid": row.actor_uid.map(|uid| uid.to_string()),
        "target": row.target,
        "outcome": row.outcome,
        "reason": row.reason,
        "address": row.address,
        "agent": row.agent,
        "before": row.before,
        "after": row.after,
        "hash": EventHash::from_row(row).to_string(),
    })
}

/// Rows of the audit record.
pub(super) fn events(rows: &[EventRow]) -> Value {
    list(rows, event)
}

/// Whether the audit record is whole.
pub(super) fn verdict(verdict: &Verdict) -> Value {
    let (whole, misfit, missing) = match verdict {
        Verdict::Whole(chain) => (Some(chain), None, None),
        Verdict::Broken(misfit) => (None, Some(misfit), None),
        Verdict::Missing(hash) => (None, None, Some(hash)),
    };
    json!({
        "whole": whole.is_some(),
        "rows": whole.map(|chain| chain.rows),
        "last_id": whole.map(|chain| chain.last_id),
        "last_hash": whole.map(|chain| chain.last.to_string()),
        "misfit_id": misfit.map(|misfit| misfit.id),
        "missing_hash": missing.map(ToString::to_string),
        "sentence": verdict.to_string(),
    })
}

/// A verdict and the rows that decide it.
pub(super) fn explanation(subject: &GrantSubject, question: &Question, found: &Explanation) -> Value {
    let rows = list(&found.rows, |row| {
        json!({
            "id": row.grant.id,
            "holder": row.holder,
            "effect": row.grant.effect.as_str(),
            "what": row.grant.what.to_string(),
            "about": actions(row.rights),
            "pattern": row.grant.pattern.to_string(),
            "tags": row.grant.tags.as_ref().map(ToString::to_string),
            "counts": row.not_now.is_none(),
            "kept_out": actions(row.kept_out),
            "why_not": row.not_now.map(|reason| match reason {
                NotNow::TooEarly => "too_early",
                NotNow::Expired => "expired",
                NotNow::Elsewhere => "elsewhere",
            }),
        })
    });
    json!({
        "subject": subject.to_string(),
        "question": question.to_string(),
        "allowed": !found.held.is_empty(),
        "actions": actions(found.held),
        "disabled": found.is_disabled,
        "rows": rows,
    })
}

/// Who may, and the rows that give it.
pub(super) fn capable(found: &[Capable]) -> Value {
    list(
        found,
        |capable| json!({ "subject": capable.subject, "actions": actions(capable.held), "rows": capable.rows }),
    )
}
