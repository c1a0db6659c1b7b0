//! Tables for people.
//!
//! *Invariant:* one row is one line, and columns stay where they are, so that the usual tools can cut them.

use std::fmt::Write as _;

use comfy_table::{Table, presets};
use shared::limits::{TagPattern, TagSet};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::db::audit::EventRow;
use crate::db::barriers::BarrierRow;
use crate::db::elevations::ElevationRow;
use crate::db::grants::GrantSummary;
use crate::db::namespaces::NamespaceRow;
use crate::db::robots::RobotSummary;
use crate::db::roles::RoleRow;
use crate::db::teams::{MemberRow, TeamSummary};
use crate::db::users::UserSummary;
use crate::db::workloads::WorkloadSummary;
use crate::domain::administration::keys::KeySummary;
use crate::domain::audience::Verifier;
use crate::domain::explanation::{Capable, Explanation, Limited};
use crate::domain::grant::{Conditions, Effect, NotNow};
use crate::domain::grant_subject::{GrantSubject, spelled};
use crate::domain::issue::Withheld;
use crate::domain::question::Question;
use crate::domain::right::RightSet;
use crate::domain::role::Role;
use crate::domain::withholding::Withholding;

const TIME: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]Z");

/// For what happens often.
pub(super) const MOMENT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");

pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    table
}

pub(super) fn printed(table: &Table) -> String {
    table.lines().flat_map(|line| [line.trim().to_owned(), "\n".to_owned()]).collect()
}

pub(super) fn time(at: OffsetDateTime) -> String {
    at.format(TIME).expect("the format has only parts that every time has")
}

/// All users.
pub(super) fn users(users: &[UserSummary]) -> String {
    let mut table = table(&["NAME", "STATE", "ADDED", "TEAMS"]);
    for user in users {
        let state = if user.disabled_at.is_some() { "disabled" } else { "active" };
        table.add_row([&user.name, state, &time(user.created_at), &joined(&user.teams)]);
    }
    printed(&table)
}

/// All teams.
pub(super) fn teams(teams: &[TeamSummary]) -> String {
    let mut table = table(&["NAME", "ADDED", "MEMBERS", "MAINTAINERS"]);
    for team in teams {
        let (members, maintainers) = (team.member_count.to_string(), joined(&team.maintainers));
        table.add_row([&team.name, &time(team.created_at), &members, &maintainers]);
    }
    printed(&table)
}

/// Who is in a team.
pub(super) fn members(rows: &[MemberRow]) -> String {
    let mut table = table(&["MEMBER", "ROLE", "SOURCE", "ADDED"]);
    for row in rows {
        let role = if row.is_maintainer { "maintainer" } else { "member" };
        table.add_row([&row.spelled(), role, &row.source, &time(row.added_at)]);
    }
    printed(&table)
}

/// All rights.
pub(super) fn grants(grants: &[GrantSummary]) -> String {
    let mut table =
        table(&["ID", "SUBJECT", "EFFECT", "WHAT", "PATTERN", "TAGS", "ONLY", "SOURCE", "ADDED", "REASON"]);
    for grant in grants {
        let row = &grant.row;
        let what = row.role.as_deref().or(row.rights.as_deref()).unwrap_or("-");
        table.add_row([
            &row.id.to_string(),
            &spelled(&grant.subject_kind, &grant.subject_name),
            &row.effect,
            what,
            &row.pattern,
            row.tags.as_deref().unwrap_or("-"),
            &only(&Conditions {
                not_before: row.not_before,
                expires_at: row.expires_at,
                networks: row.networks.clone().unwrap_or_default(),
                second_factor: row.second_factor,
            }),
            &grant.source,
            &time(grant.created_at),
            grant.reason.as_deref().unwrap_or("-"),
        ]);
    }
    printed(&table)
}

/// Rows of the audit record; what clients call themselves is in JSON only.
pub(super) fn events(rows: &[EventRow]) -> String {
    let mut table = table(&["ID", "AT", "EVENT", "ACTOR", "OUTCOME", "ADDRESS", "TARGET (REASON): CHANGE"]);
    let shown = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    for row in rows {
        let at = row.at.format(MOMENT).expect("the format has only parts that every time has");
        // Together, and last, because that is what differs most in length.
        let mut what = shown(&row.target);
        // Writing into a text cannot fail.
        if let Some(reason) = &row.reason {
            let _ = write!(what, " ({reason})");
        }
        if row.before.is_some() || row.after.is_some() {
            let text = |text: &Option<String>| shown(text.as_deref().unwrap_or_default());
            let _ = write!(what, ": {} → {}", text(&row.before), text(&row.after));
        }
        let (id, outcome) = (row.id.to_string(), row.outcome.clone());
        let address = shown(row.address.as_deref().unwrap_or_default());
        table.add_row([id, at, shown(&row.event), shown(&row.actor), outcome, address, what]);
    }
    printed(&table)
}

/// Requests for rights for a while.
pub(super) fn elevations(rows: &[ElevationRow], now: OffsetDateTime) -> String {
    let mut table = table(&["ID", "USER", "WHAT", "PATTERN", "TAGS", "FOR", "STATE", "ENDS", "BY", "REASON"]);
    for row in rows {
        let length = std::time::Duration::from_secs(u64::try_from(row.lasts_seconds).unwrap_or(0));
        let what = row.role.as_deref().or(row.rights.as_deref()).unwrap_or("-");
        let state = match row.state.as_str() {
            "approved" if row.ends_at.is_some_and(|end| end <= now) => "over",
            "approved" if row.is_break_glass => "glass broken",
            state => state,
        };
        table.add_row([
            &row.id.to_string(),
            &row.user,
            what,
            &row.pattern,
            row.tags.as_deref().unwrap_or("-"),
            &humantime::format_duration(length).to_string(),
            state,
            &row.ends_at.map_or("-".to_owned(), time),
            row.decided_by.as_deref().unwrap_or("-"),
            &row.reason,
        ]);
    }
    printed(&table)
}

/// All namespaces.
pub(super) fn namespaces(namespaces: &[NamespaceRow]) -> String {
    let mut table = table(&["NAME", "OWNER", "VISIBILITY", "NEW REPOSITORIES", "ADDED"]);
    for row in namespaces {
        let owner = format!("{}:{}", row.owner_kind, row.owner_name);
        table.add_row([&row.name, &owner, &row.visibility, &row.create_policy, &time(row.created_at)]);
    }
    printed(&table)
}

/// Robots.
pub(super) fn robots(robots: &[RobotSummary]) -> String {
    let mut table = table(&["NAME", "STATE", "SECRETS", "ADDED", "DESCRIPTION"]);
    for robot in robots {
        let state = if robot.disabled_at.is_some() { "disabled" } else { "active" };
        let description = robot.description.as_deref().unwrap_or("-");
        let (secrets, added) = (robot.secrets.to_string(), time(robot.created_at));
        table.add_row([&robot.name, state, &secrets, &added, description]);
    }
    printed(&table)
}

/// All workloads.
pub(super) fn workloads(workloads: &[WorkloadSummary]) -> String {
    let mut table = table(&["NAME", "STATE", "ADDED", "BY", "DESCRIPTION"]);
    for workload in workloads {
        let state = if workload.disabled_at.is_some() { "disabled" } else { "active" };
        let [by, description] =
            [&workload.created_by, &workload.description].map(|text| text.as_deref().unwrap_or("-"));
        table.add_row([&workload.name, state, &time(workload.created_at), by, description]);
    }
    printed(&table)
}

/// The keys that sign tokens.
pub(super) fn keys(keys: &[KeySummary]) -> String {
    let mut table = table(&["ID", "ALGORITHM", "FOR", "ORIGIN", "STATE", "SIGNS SINCE", "RETIRES AT"]);
    for key in keys {
        table.add_row([
            &key.kid,
            key.algorithm.as_str(),
            key.signs_for.as_str(),
            key.origin.as_str(),
            key.state.as_str(),
            &time(key.signs_since),
            &key.retires_at.map_or_else(|| "-".to_owned(), time),
        ]);
    }
    printed(&table)
}

/// All roles, first those that are built in.
pub(super) fn roles(roles: &[RoleRow]) -> String {
    let mut table = table(&["NAME", "ALLOWS", "KIND", "DESCRIPTION"]);
    for role in Role::BUILT_IN {
        table.add_row([role.name(), &role.rights().to_string(), "built in", "-"]);
    }
    for role in roles {
        table.add_row([&role.name, &role.rights, "made", role.description.as_deref().unwrap_or("-")]);
    }
    printed(&table)
}

/// All barriers.
pub(super) fn barriers(barriers: &[BarrierRow]) -> String {
    let mut table = table(&["PATTERN", "KEEPS OUT", "ADDED", "REASON"]);
    for barrier in barriers {
        let reason = barrier.reason.as_deref().unwrap_or("-");
        table.add_row([&barrier.pattern, &barrier.rights, &time(barrier.created_at), reason]);
    }
    printed(&table)
}

/// When and from where a row counts.
fn only(conditions: &Conditions) -> String {
    let mut words = Vec::new();
    words.extend(conditions.not_before.map(|start| format!("from {}", time(start))));
    words.extend(conditions.expires_at.map(|end| format!("until {}", time(end))));
    let networks = conditions.networks.iter().map(ToString::to_string).collect::<Vec<_>>();
    if !networks.is_empty() {
        words.push(format!("in {}", networks.join(",")));
    }
    words.extend(conditions.second_factor.then(|| "with a second factor".to_owned()));
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// A verdict and the rows that decide it.
pub(super) fn explanation(subject: &GrantSubject, question: &Question, found: &Explanation) -> String {
    let verdict = match (found.is_disabled, found.held.is_empty()) {
        (true, _) => "no: logins are disabled".to_owned(),
        (false, true) if found.rows.is_empty() => "no: no row is about it".to_owned(),
        (false, true) => "no".to_owned(),
        (false, false) if found.is_whole() => format!("yes: {}", found.held) + existing(found),
        (false, false) => in_part(found),
    };
    let mut text = format!("{subject} {question}: {verdict}\n");
    for withholding in &found.withheld {
        text.push_str(&left_out(withholding));
    }
    let mut table = table(&["ID", "HOLDER", "SAYS", "ABOUT", "PATTERN", "TAGS", "ONLY", "COUNTS"]);
    for row in &found.rows {
        let grant = &row.grant;
        let keepers = row.kept_out_by.join(" and ");
        let counts = match row.not_now {
            None if row.rights.difference(row.kept_out).is_empty() => format!("kept out by {keepers}"),
            None if row.kept_out.is_empty() => "yes".to_owned(),
            None => format!("yes, less {}, kept out by {keepers}", row.kept_out),
            Some(NotNow::TooEarly) => "not yet".to_owned(),
            Some(NotNow::Expired) => "no longer".to_owned(),
            Some(NotNow::Elsewhere) => "not from this address".to_owned(),
            Some(NotNow::NoSecondFactor) => "not without a second factor".to_owned(),
        };
        let says = match grant.effect {
            Effect::Allow => grant.what.to_string(),
            Effect::Deny => format!("deny {}", grant.what),
        };
        table.add_row([
            grant.id.to_string().as_str(),
            &row.holder,
            &says,
            &row.rights.to_string(),
            &grant.pattern.to_string(),
            grant.tags.as_ref().map_or("-", TagPattern::as_str),
            &only(&grant.conditions),
            &counts,
        ]);
    }
    if !found.rows.is_empty() {
        text.push_str(&printed(&table));
    }
    text
}

/// What is held of what was asked about, and what is not.
fn in_part(found: &Explanation) -> String {
    let mut text = format!("yes, in part: {}", found.held);
    // Most often the same tags limit several rights.
    let mut sets: Vec<(&TagSet, RightSet)> = Vec::new();
    for Limited { right, tags } in &found.limited {
        let right = RightSet::of(&[*right]);
        match sets.iter_mut().find(|(set, _)| *set == tags) {
            Some((_, rights)) => *rights = rights.union(right),
            None => sets.push((tags, right)),
        }
    }
    let said =
        |patterns: &[TagPattern]| patterns.iter().map(TagPattern::as_str).collect::<Vec<_>>().join(",");
    for (TagSet { within, except }, rights) in sets {
        // Writing into a text cannot fail.
        let _ = match (within.contains(&TagPattern::any()), except.is_empty()) {
            (true, _) => write!(text, "; {rights} not for the tags {}", said(except)),
            (false, true) => write!(text, "; {rights} only for the tags {}", said(within)),
            (false, false) => {
                write!(text, "; {rights} only for the tags {}, and not {}", said(within), said(except))
            }
        };
    }
    if !found.missing.is_empty() {
        let _ = write!(text, "; not {}", found.missing);
    }
    text + existing(found)
}

/// What tokens do not say although it is held.
fn left_out(Withholding { actions, why, verifiers }: &Withholding) -> String {
    let whose = if verifiers.contains(&Verifier::Portcullis) {
        "a token for our registry"
    } else {
        "a token for registries of another kind"
    };
    let why = match why {
        Withheld::LimitedCredential => "the secret is not good for it",
        Withheld::Unenforceable => "it is limited, and they know no limits",
        Withheld::TooManyPatterns => "it takes more patterns of tags than a token has room for",
        Withheld::TokenTooLarge => "its patterns of tags are too long for a token",
    };
    format!("{whose} leaves {actions} out: {why}\n")
}

fn existing(found: &Explanation) -> &'static str {
    if found.needs_repository { "; only in a repository that is there already" } else { "" }
}

/// Who may, and the rows that give it.
pub(super) fn capable(found: &[Capable]) -> String {
    let mut table = table(&["SUBJECT", "MAY", "BY"]);
    for capable in found {
        let rows: Vec<String> = capable.rows.iter().map(ToString::to_string).collect();
        table.add_row([&capable.subject, &capable.held.to_string(), &joined(&rows)]);
    }
    printed(&table)
}

fn joined(names: &[String]) -> String {
    if names.is_empty() { "-".to_owned() } else { names.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::grants::GrantRow;

    #[test]
    fn rows_are_listed_as_they_are_typed() {
        let row = |kind: &str, name: &str| GrantSummary {
            subject_kind: kind.into(),
            subject_name: name.into(),
            row: GrantRow {
                role_rights: None,
                id: 7,
                subject_pid: 1,
                effect: "allow".into(),
                role: Some("viewer".into()),
                rights: None,
                pattern: "public/**".into(),
                tags: None,
                not_before: None,
                expires_at: None,
                networks: None,
                second_factor: false,
            },
            reason: None,
            source: "manual".into(),
            created_by: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
        };
        let mut limited = row("team", "platform");
        limited.row.tags = Some("v*".into());
        limited.row.expires_at = Some(OffsetDateTime::UNIX_EPOCH);
        limited.row.networks = Some(vec!["192.0.2.0/24".parse().unwrap()]);
        let listing = grants(&[row("builtin", "everyone"), limited]);
        let rows: Vec<Vec<&str>> = listing.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows[0],
            ["ID", "SUBJECT", "EFFECT", "WHAT", "PATTERN", "TAGS", "ONLY", "SOURCE", "ADDED", "REASON"]
        );
        assert_eq!(
            rows[1],
            [
                "7",
                "everyone",
                "allow",
                "viewer",
                "public/**",
                "-",
                "-",
                "manual",
                "1970-01-01",
                "00:00Z",
                "-"
            ]
        );
        assert_eq!(rows[2][1..6], ["team:platform", "allow", "viewer", "public/**", "v*"]);
        assert!(listing.contains("until 1970-01-01 00:00Z, in 192.0.2.0/24"), "{listing}");
    }
}
