//! What was used, for people and for programs.
//!
//! *Invariant:* as in the other listings, one row is one line, and members of JSON are always there.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::command_lines;
use super::json::represented;
use super::listings::{MOMENT, printed, table, time};
use crate::db::grants::GrantSummary;
use crate::db::token_uses::TokenUseRow;
use crate::domain::grant_subject::spelled;
use crate::domain::record::least_privilege::{Finding, Report, Smaller};
use crate::domain::words::counted::counted;
use crate::http::api::uses::{ANONYMOUS, TokenUse, UnusedGrant};

/// What tokens were issued for.
pub(super) fn token_uses(rows: &[TokenUseRow]) -> String {
    let mut table = table(&["HOUR", "USER", "REPOSITORY", "ACTIONS", "TOKENS", "LAST", "ADDRESS"]);
    let shown =
        |text: &str, else_: &'static str| if text.is_empty() { else_.to_owned() } else { text.to_owned() };
    for row in rows {
        let last = row.last_at.format(MOMENT).expect("the format has only parts that every time has");
        table.add_row([
            time(row.hour),
            shown(&row.subject, ANONYMOUS),
            shown(&row.repository, "(others)"),
            shown(&row.actions, "-"),
            row.uses.to_string(),
            last,
            shown(row.last_address.as_deref().unwrap_or_default(), "-"),
        ]);
    }
    printed(&table)
}

/// The same for programs.
pub(super) fn token_uses_json(rows: &[TokenUseRow]) -> Value {
    represented::<_, TokenUse>(rows)
}

/// The commands that leave only what was used, a paragraph for each right.
///
/// They are a script that stops where something fails, and whoever runs a part of it takes nothing away without what
/// takes its place.
pub(super) fn unused(report: &Report, days: u32) -> String {
    let days = counted(days, "day", "days");
    if report.findings.is_empty() {
        return format!(
            "# nothing to take away: every right that was looked at is older than {days} and was used\n"
        );
    }
    let others = report.others.iter();
    let mut there: BTreeSet<String> =
        others.map(|grant| command_lines::row(grant, &grant.row.pattern, None)).collect();
    let paragraphs = report.findings.iter().map(|finding| {
        let grant = &finding.grant;
        let used = match (finding.last_used, finding.uses) {
            (None, _) => "never used".to_owned(),
            (Some(day), 0) => format!("last used {day}"),
            (Some(day), uses) => {
                let times = counted(uses, "time", "times");
                format!("of all it gives, only this was used ({times} in {days}, last {day})")
            }
        };
        let added = time(grant.created_at);
        let row = &grant.row;
        let what = row.role.as_deref().or(row.rights.as_deref()).unwrap_or_default();
        let said = format!(
            "# {}: {} {what} {}, added {added}: {used}",
            row.id,
            spelled(&grant.subject_kind, &grant.subject_name),
            row.pattern
        );
        // A row that is there, or that an earlier paragraph makes, is not made again.
        let is_new =
            |part: &&Smaller| there.insert(command_lines::row(grant, part.repository.as_str(), part.rights));
        let commands = commands(grant, finding.enough.iter().filter(is_new));
        [vec![said], commands].concat().join("\n") + "\n"
    });
    let begin = "set -e  # stop where something fails\n".to_owned();
    [begin].into_iter().chain(paragraphs).collect::<Vec<_>>().join("\n")
}

/// What was found, in a sentence.
pub(super) fn unused_in_short(report: &Report, days: u32) -> String {
    let (unused, larger): (Vec<_>, Vec<_>) =
        report.findings.iter().partition(|finding| finding.enough.is_empty());
    let skipped = if report.looked_for_smaller {
        ""
    } else {
        "; there were too many different uses to look for smaller ones"
    };
    let not_shown = match report.not_shown {
        0 => String::new(),
        some => format!(
            "; {} not looked at, because tokens do not show what is done over the API",
            counted(some, "more was", "more were")
        ),
    };
    format!(
        "of {} older than {}, {} not used since and {} could be smaller{skipped}{not_shown}; nothing was changed",
        counted(report.judged, "right that is", "rights that are"),
        counted(days, "day", "days"),
        counted(unused.len(), "was", "were"),
        larger.len()
    )
}

/// The same for programs.
pub(super) fn unused_json(report: &Report) -> Value {
    represented::<_, Listed>(&report.findings)
}

/// A right as the API shows it, with what can be typed about it.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    grant: UnusedGrant,
    commands: Vec<String>,
}

impl From<&Finding> for Listed {
    fn from(finding: &Finding) -> Self {
        let commands = commands(&finding.grant, finding.enough.iter());
        Self { grant: UnusedGrant::from(finding), commands }
    }
}

/// First what is to stay, so that nobody is without it for a moment.
fn commands<'a>(grant: &GrantSummary, enough: impl Iterator<Item = &'a Smaller>) -> Vec<String> {
    let smaller = enough.map(|part| command_lines::add_smaller(grant, part.repository.as_str(), part.rights));
    smaller.chain([command_lines::remove(grant)]).collect()
}
