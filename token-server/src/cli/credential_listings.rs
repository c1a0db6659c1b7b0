//! Tables of what people and robots log in with.
//!
//! *Invariant:* nothing here is secret.

use serde_json::Value;
use time::OffsetDateTime;

use super::listings::{printed, table, time};
use crate::db::credentials::CredentialSummary;
use crate::db::refresh_tokens::LoginSummary;
use crate::domain::credential_limits::CredentialLimits;

/// Secrets of a robot.
pub(super) fn secrets(secrets: &[CredentialSummary]) -> String {
    let mut table = table(&["ID", "LABEL", "ADDED", "BY", "LAST USED", "FROM", "EXPIRES", "GOOD FOR"]);
    for secret in secrets {
        let by = match &secret.created_by {
            Some(maker) if secret.is_maker_gone => format!("{maker} (gone)"),
            maker => text(maker.as_ref()).to_owned(),
        };
        let [label, from] = [&secret.label, &secret.last_used_from].map(|one| text(one.as_ref()).to_owned());
        let (used, end) = (moment(secret.last_used_at), moment(secret.expires_at));
        let (id, added) = (secret.id.to_string(), time(secret.created_at));
        table.add_row([id, label, added, by, used, from, end, good_for(secret.limits.as_ref())]);
    }
    printed(&table)
}

/// Personal access tokens.
pub(super) fn tokens(tokens: &[CredentialSummary]) -> String {
    let mut table = table(&["ID", "NAME", "ADDED", "LAST USED", "FROM", "EXPIRES", "GOOD FOR"]);
    for token in tokens {
        let [name, from] = [&token.label, &token.last_used_from].map(|one| text(one.as_ref()).to_owned());
        let (used, end) = (moment(token.last_used_at), moment(token.expires_at));
        let (id, added) = (token.id.to_string(), time(token.created_at));
        table.add_row([id, name, added, used, from, end, good_for(token.limits.as_ref())]);
    }
    printed(&table)
}

/// Logins that devices keep.
pub(super) fn logins(logins: &[LoginSummary]) -> String {
    let mut table =
        table(&["ID", "REGISTRY", "CLIENT", "ADDED", "FROM", "LAST USED", "FROM", "ENDS", "PROGRAM"]);
    for login in logins {
        let [made_from, used_from, agent] =
            [&login.made_from, &login.last_used_from, &login.agent].map(|one| text(one.as_ref()));
        let client = if login.client_id.is_empty() { "-" } else { &login.client_id };
        table.add_row([
            &login.id.to_string(),
            &login.audience,
            client,
            &time(login.created_at),
            made_from,
            &time(login.last_used_at),
            used_from,
            &time(login.expires_at),
            agent,
        ]);
    }
    printed(&table)
}

fn text(text: Option<&String>) -> &str {
    text.map_or("-", String::as_str)
}

fn moment(at: Option<OffsetDateTime>) -> String {
    at.map_or("-".to_owned(), time)
}

fn good_for(limits: Option<&Value>) -> String {
    match limits.map(CredentialLimits::stored) {
        None => "everything".to_owned(),
        Some(Ok(limits)) => limits.to_string(),
        Some(Err(_)) => "nothing: not understood".to_owned(),
    }
}
