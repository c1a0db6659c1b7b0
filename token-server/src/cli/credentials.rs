//! `token` and `login`: what users log in with in place of the password, and what their devices keep.
//!
//! *Invariant:* a secret is alone on standard output, and is printed once.

use std::io::Read as _;
use std::path::Path;

use shared::secret::Secret;

use super::arguments::Output;
use super::arguments::credentials::{LimitArguments, LoginCommand, TokenCommand};
use super::error::CliError;
use super::terminal::{confirm, print, remark, show};
use super::times::parse_ahead;
use super::{credential_listings as listings, json};
use crate::db::limit_words::LimitWords;
use crate::domain::administration::Administration;
use crate::domain::administration::credentials::{MadeCredential, WantedCredential};
use crate::domain::administration::leaks::FoundSecret;
use crate::domain::error::TokenServerError;
use crate::domain::grant_subject::GrantSubject;
use crate::domain::principal_name::PrincipalName;
use crate::domain::record::audit::{COMMAND_LINE, Origin, moment};
use crate::domain::words::counted::counted;

/// A longer file is no list of secrets.
const MAX_LEAKED_BYTES: u64 = 16 * 1024 * 1024;

/// What a secret is to be good for.
pub(super) fn limits(arguments: LimitArguments) -> LimitWords {
    let LimitArguments { repository: repositories, actions, tags, network: networks } = arguments;
    LimitWords { repositories, actions, tags, networks }
}

/// When a secret ends, for a remark.
pub(super) fn end(made: &MadeCredential) -> String {
    made.shown.expires_at.map_or_else(|| "does not end".to_owned(), |end| format!("ends {}", moment(end)))
}

fn user(text: &str) -> Result<PrincipalName, CliError> {
    match GrantSubject::parse(text).map_err(TokenServerError::from)? {
        GrantSubject::User(name) => Ok(name),
        _ => Err(CliError::Usage(format!("{text} is no user; write user:NAME"))),
    }
}

/// Runs a command about personal access tokens.
pub(super) async fn token(
    command: TokenCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        TokenCommand::Create { user: name, name: label, expires, limits: arguments } => {
            let name = user(&name)?;
            let expires_at = expires.map(|text| parse_ahead(&text, administration.now())).transpose()?;
            let wanted = WantedCredential { label: Some(label), expires_at, limits: limits(arguments) };
            let made = administration.add_personal_token(&name, &wanted).await?;
            remark(&format!(
                "personal access token {} of user {name} {}; log in with `docker login --username {name}` and the \
                 token as the password",
                made.shown.id,
                end(&made)
            ));
            print(made.secret.expose())?;
        }
        TokenCommand::List { user: name } => {
            let found = administration.list_personal_tokens(&user(&name)?).await?;
            show(output, || listings::tokens(&found), || json::tokens(&found))?;
        }
        TokenCommand::Revoke { id, confirmation } => {
            confirm(&format!("Revoke personal access token {id}?"), confirmation)?;
            let owner = administration.revoke_personal_token(id, None).await?;
            remark(&format!("personal access token {id} of user {owner} revoked"));
        }
        TokenCommand::Leaked { file, place } => {
            let found = read_leaked(file.as_deref(), place.as_deref())?;
            let origin = Origin::default();
            let revoked = administration.revoke_leaked(&found, None, COMMAND_LINE, &origin).await?;
            let revoked = revoked.into_iter().filter(|was_living| *was_living).count();
            let of = counted(found.len(), "line", "lines");
            remark(&format!("{of} read; {} revoked", counted(revoked, "living secret", "living secrets")));
        }
    }
    Ok(())
}

fn read_leaked(file: Option<&Path>, place: Option<&str>) -> Result<Vec<FoundSecret>, CliError> {
    let mut text = String::new();
    match file {
        Some(file) => std::fs::File::open(file)?.take(MAX_LEAKED_BYTES).read_to_string(&mut text)?,
        None => std::io::stdin().lock().take(MAX_LEAKED_BYTES).read_to_string(&mut text)?,
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(|line| FoundSecret { secret: Secret::new(line), place: place.map(str::to_owned) }).collect())
}

/// Runs a command about logins that devices keep.
pub(super) async fn login(
    command: LoginCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        LoginCommand::List { user: name } => {
            let found = administration.list_logins(&user(&name)?).await?;
            show(output, || listings::logins(&found), || json::logins(&found))?;
        }
        LoginCommand::Revoke { id: Some(id), confirmation, .. } => {
            confirm(&format!("End the login {id}?"), confirmation)?;
            let owner = administration.end_login(id, None).await?;
            remark(&format!("login {id} of user {owner} ended"));
        }
        LoginCommand::Revoke { id: None, all, confirmation } => {
            let name = user(&all.unwrap_or_default())?;
            confirm(&format!("End all logins that devices of user {name} keep?"), confirmation)?;
            let ended = administration.end_logins(&name).await?;
            remark(&format!("{} of user {name} ended", counted(ended, "login", "logins")));
        }
    }
    Ok(())
}
