//! Tables for people.
//!
//! *Invariant:* one row is one line, and columns stay where they are, so that the usual tools can cut them.

use comfy_table::{Table, presets};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::db::grants::GrantSummary;
use crate::db::principals;
use crate::db::teams::TeamSummary;
use crate::db::users::UserSummary;

const TIME: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]Z");

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    table
}

fn printed(table: &Table) -> String {
    table.lines().flat_map(|line| [line.trim().to_owned(), "\n".to_owned()]).collect()
}

fn time(at: OffsetDateTime) -> String {
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
    let mut table = table(&["NAME", "ADDED", "MEMBERS"]);
    for team in teams {
        table.add_row([&team.name, &time(team.created_at), &joined(&team.members)]);
    }
    printed(&table)
}

/// All rights.
pub(super) fn grants(grants: &[GrantSummary]) -> String {
    let mut table = table(&["SUBJECT", "ROLE", "PATTERN", "ADDED"]);
    for grant in grants {
        let subject = match grant.subject_kind.as_str() {
            kind @ (principals::USER | principals::TEAM) => format!("{kind}:{}", grant.subject_name),
            _ => grant.subject_name.clone(),
        };
        table.add_row([&subject, &grant.role, &grant.pattern, &time(grant.created_at)]);
    }
    printed(&table)
}

fn joined(names: &[String]) -> String {
    if names.is_empty() { "-".to_owned() } else { names.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_listed_as_they_are_typed() {
        let grant = |kind: &str, name: &str| GrantSummary {
            subject_kind: kind.into(),
            subject_name: name.into(),
            role: "viewer".into(),
            pattern: "public/**".into(),
            created_at: OffsetDateTime::UNIX_EPOCH,
        };
        let listing = grants(&[grant("builtin", "everyone"), grant("team", "platform")]);
        let rows: Vec<Vec<&str>> = listing.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["SUBJECT", "ROLE", "PATTERN", "ADDED"]);
        assert_eq!(rows[1], ["everyone", "viewer", "public/**", "1970-01-01", "00:00Z"]);
        assert_eq!(rows[2][0], "team:platform");
    }
}
