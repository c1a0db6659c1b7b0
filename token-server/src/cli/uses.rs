//! What was used, for people and for programs.
//!
//! *Invariant:* as in the other listings, one row is one line, and members of JSON are always there.

use serde::Serialize;
use serde_json::Value;

use super::command_lines;
use super::json::represented;
use super::listings::{MOMENT, printed, table, time};
use crate::db::token_uses::TokenUseRow;
use crate::domain::grant_subject::spelled;
use crate::domain::least_privilege::{Finding, Report};
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
pub(super) fn unused(report: &Report, days: u32) -> String {
    if report.findings.is_empty() {
        return format!("# nothing to take away: every right that is older than {days} days was used\n");
    }
    let paragraphs = report.findings.iter().map(|finding| {
        let grant = &finding.grant;
        let used = match (finding.last_used, finding.uses) {
            (None, _) => "never used".to_owned(),
            (Some(day), 0) => format!("last used {day}"),
            (Some(day), uses) => {
                format!("of all it gives, only this was used ({uses} times in {days} days, last {day})")
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
        [vec![said], commands(finding)].concat().join("\n") + "\n"
    });
    paragraphs.collect::<Vec<_>>().join("\n")
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
    format!(
        "of {} rights that are older than {days} days, {} were not used since and {} could be smaller{skipped}; nothing was \
         changed",
        report.judged,
        unused.len(),
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
        Self { grant: UnusedGrant::from(finding), commands: commands(finding) }
    }
}

/// First what is to stay, so that nobody is without it for a moment.
fn commands(finding: &Finding) -> Vec<String> {
    let grant = &finding.grant;
    let smaller = finding
        .enough
        .iter()
        .map(|part| command_lines::add_smaller(grant, part.repository.as_str(), part.rights));
    smaller.chain([command_lines::remove(grant)]).collect()
}
