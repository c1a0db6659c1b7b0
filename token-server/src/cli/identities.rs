//! `identity`.
//!
//! *Invariant:* what is changed names both the user and who they are elsewhere.

use uuid::Uuid;

use super::arguments::Output;
use super::arguments::identities::IdentityCommand;
use super::error::CliError;
use super::json;
use super::listings::{printed, table, time};
use super::people::name;
use super::terminal::{confirm, remark, show};
use crate::db::identities::{IdentityRow, PendingRow};
use crate::domain::administration::Administration;

/// Runs a command about who users are elsewhere.
pub(super) async fn identity(
    command: IdentityCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        IdentityCommand::List { user } => {
            let user = user.as_deref().map(name).transpose()?;
            let found = administration.list_identities(user.as_ref()).await?;
            show(output, || identities(&found), || json::identities(&found))?;
        }
        IdentityCommand::Pending => {
            let found = administration.list_pending_identities().await?;
            show(output, || pending(&found), || json::pending_identities(&found))?;
        }
        IdentityCommand::Accept { identity, user } => {
            let user = user.as_deref().map(name).transpose()?;
            let accepted = administration.accept_identity(number(&identity)?, user.as_ref()).await?;
            remark(&format!("{} is user {} from now on, and can sign in", accepted.name, accepted.user));
        }
        IdentityCommand::Link { user, provider, subject } => {
            let user = name(&user)?;
            let made = administration.link_subject(&user, &provider, &subject).await?;
            remark(&format!("user {user} is {subject} of {} from now on", made.issuer));
        }
        IdentityCommand::Unlink { identity, confirmation } => {
            confirm(&format!("Unlink {identity}, so that nobody signs in with it?"), confirmation)?;
            let gone = administration.unlink_identity(number(&identity)?).await?;
            remark(&format!("user {} is {} of {} no more", gone.user, gone.subject, gone.issuer));
        }
    }
    Ok(())
}

fn number(text: &str) -> Result<Uuid, CliError> {
    text.parse().map_err(|_| CliError::Usage(format!("{text:?} is no number of an identity")))
}

fn identities(rows: &[IdentityRow]) -> String {
    let mut table = table(&["ID", "USER", "PROVIDER", "SUBJECT", "NAME THERE", "GROUPS", "LAST LOGIN"]);
    for row in rows {
        let last = row.last_login_at.map_or_else(|| "-".to_owned(), time);
        let groups = row.groups.join(", ");
        table.add_row([
            &row.id.to_string(),
            &row.user,
            &row.provider,
            &row.subject,
            &row.name,
            &groups,
            &last,
        ]);
    }
    printed(&table)
}

fn pending(rows: &[PendingRow]) -> String {
    let mut table = table(&["ID", "PROVIDER", "SUBJECT", "NAME THERE", "CALLED", "LAST", "TIMES", "WHY"]);
    for row in rows {
        table.add_row([
            &row.id.to_string(),
            &row.provider,
            &row.subject,
            &row.name,
            row.display_name.as_deref().unwrap_or("-"),
            &time(row.last_at),
            &row.tries.to_string(),
            &row.reason,
        ]);
    }
    printed(&table)
}
