//! `scim`.
//!
//! *Invariant:* a secret is alone on standard output; whatever is said about it goes to standard error.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::arguments::Output;
use super::arguments::scim::{ScimCommand, ScimSecretCommand};
use super::error::CliError;
use super::listings::{printed, table, time};
use super::terminal::{confirm, print, remark, show};
use super::times::parse_ahead;
use crate::db::scim_secrets::ScimSecretRow;
use crate::domain::administration::Administration;

/// Runs a command about SCIM.
pub(super) async fn scim(
    command: ScimCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    let ScimCommand::Secret(command) = command;
    match command {
        ScimSecretCommand::Add { provider, label, expires } => {
            let expires_at = expires.map(|text| parse_ahead(&text, administration.now())).transpose()?;
            let (row, secret) = administration.add_scim_secret(&provider, label, expires_at).await?;
            remark(&format!(
                "secret {} of provider {provider} made; it goes with the address that ends in /scim/v2",
                row.id
            ));
            print(secret.expose())?;
        }
        ScimSecretCommand::List { provider } => {
            let found = administration.list_scim_secrets(provider.as_deref()).await?;
            show(output, || secrets(&found), || Value::Array(found.iter().map(represented).collect()))?;
        }
        ScimSecretCommand::Revoke { id, confirmation } => {
            confirm(&format!("Revoke secret {id}?"), confirmation)?;
            let provider = administration.revoke_scim_secret(id).await?;
            remark(&format!("secret {id} of provider {provider} revoked"));
        }
    }
    Ok(())
}

fn secrets(rows: &[ScimSecretRow]) -> String {
    let mut table = table(&["ID", "PROVIDER", "LABEL", "ADDED", "LAST USED", "EXPIRES"]);
    for row in rows {
        let moment = |at: Option<_>| at.map_or_else(|| "-".to_owned(), time);
        table.add_row([
            &row.id.to_string(),
            &row.provider,
            row.label.as_deref().unwrap_or("-"),
            &time(row.created_at),
            &moment(row.last_used_at),
            &moment(row.expires_at),
        ]);
    }
    printed(&table)
}

fn represented(row: &ScimSecretRow) -> Value {
    let moment = |at: time::OffsetDateTime| at.format(&Rfc3339).ok();
    json!({
        "id": row.id,
        "provider": row.provider,
        "label": row.label,
        "created_at": moment(row.created_at),
        "last_used_at": row.last_used_at.and_then(moment),
        "expires_at": row.expires_at.and_then(moment),
    })
}
