//! What was used, for people and for programs.
//!
//! *Invariant:* as in the other listings, one row is one line, and members of JSON are always there.

use serde_json::{Value, json};

use super::json::{list, time as json_time};
use super::listings::{MOMENT, printed, table, time};
use crate::db::token_uses::TokenUseRow;

/// What clients without a login are called.
pub(super) const ANONYMOUS: &str = "anonymous";

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

/// The same; `null` stands for clients without a login, and for repositories that are not kept apart.
pub(super) fn token_uses_json(rows: &[TokenUseRow]) -> Value {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    list(rows, |row| {
        json!({
            "hour": json_time(row.hour),
            "user": said(&row.subject),
            "user_uid": row.subject_uid.map(|uid| uid.to_string()),
            "repository": said(&row.repository),
            "actions": row.actions.split(',').filter(|word| !word.is_empty()).collect::<Vec<_>>(),
            "tokens": row.uses,
            "last_at": json_time(row.last_at),
            "last_address": row.last_address,
        })
    })
}
