//! `namespace`.
//!
//! *Invariant:* everything that was typed is understood before anything is looked up.

use super::arguments::Output;
use super::arguments::people::{CreateWord, NamespaceCommand, VisibilityWord};
use super::error::CliError;
use super::terminal::{confirm, remark, show};
use super::{json, listings};
use crate::domain::administration::Administration;
use crate::domain::administration::namespaces::{NamespaceChange, read};
use crate::domain::error::TokenServerError;
use crate::domain::grant_subject::GrantSubject;
use crate::domain::namespace::{self, CreatePolicy, NamespaceSpec, Visibility};
use crate::domain::principal_name::PrincipalName;
use crate::domain::words::counted::counted;

/// Runs a command about namespaces.
pub(super) async fn namespace(
    command: NamespaceCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        NamespaceCommand::Add { name, owner, visibility, create } => {
            let name = PrincipalName::parse_new(&name).map_err(TokenServerError::from)?;
            let spec = NamespaceSpec {
                owner: self::owner(&owner)?,
                visibility: visibility.into(),
                create: create.into(),
            };
            administration.add_namespace(&name, &spec).await?;
            remark(&format!("namespace {name} added: {spec}"));
        }
        NamespaceCommand::List => {
            let found = administration.list_namespaces().await?;
            show(output, || listings::namespaces(&found), || json::namespaces(&found))?;
        }
        NamespaceCommand::Change { name, owner, visibility, create, confirmation } => {
            let name = parse(&name)?;
            let change = NamespaceChange {
                owner: owner.as_deref().map(self::owner).transpose()?,
                visibility: visibility.map(Into::into),
                create: create.map(Into::into),
            };
            if change == NamespaceChange::default() {
                let sentence = "say what to change: --owner, --visibility or --create";
                return Err(CliError::Usage(sentence.to_owned()));
            }
            let before = read(&administration.show_namespace(&name).await?)?;
            if let Some(loss) = loss(&before, &change) {
                confirm(&format!("Change namespace {name}? {loss}."), confirmation)?;
            }
            let (row, is_change) = administration.change_namespace(&name, &change).await?;
            let now = read(&row)?;
            remark(&format!("namespace {name} {}: {now}", if is_change { "is now" } else { "was already" }));
        }
        NamespaceCommand::Remove { name, confirmation } => {
            let name = parse(&name)?;
            confirm(&format!("Remove namespace {name} with its robots?"), confirmation)?;
            let removed = administration.remove_namespace(&name).await?;
            let robots = counted(removed.robots, "robot", "robots");
            let grants = counted(removed.grants, "grant", "grants");
            remark(&format!("namespace {name} removed with {robots} and {grants}"));
        }
    }
    Ok(())
}

fn parse(name: &str) -> Result<PrincipalName, CliError> {
    Ok(PrincipalName::parse(name).map_err(TokenServerError::from)?)
}

/// What a change takes away, and from whom.
fn loss(before: &NamespaceSpec, change: &NamespaceChange) -> Option<String> {
    let mut lost = Vec::new();
    if change.owner.as_ref().is_some_and(|owner| *owner != before.owner) {
        lost.push(format!("It is no longer in the hands of {}", before.owner));
    }
    if let Some(after) = change.visibility.filter(|after| *after < before.visibility) {
        lost.push(format!("It becomes {after} and is no longer {}", before.visibility));
    }
    (!lost.is_empty()).then(|| lost.join(". "))
}

fn owner(text: &str) -> Result<GrantSubject, CliError> {
    namespace::parse_owner(text).map_err(|error| CliError::Usage(error.to_string()))
}

impl From<VisibilityWord> for Visibility {
    fn from(word: VisibilityWord) -> Self {
        match word {
            VisibilityWord::Private => Self::Private,
            VisibilityWord::Internal => Self::Internal,
            VisibilityWord::Public => Self::Public,
        }
    }
}

impl From<CreateWord> for CreatePolicy {
    fn from(word: CreateWord) -> Self {
        match word {
            CreateWord::Pushers => Self::Pushers,
            CreateWord::Admins => Self::Admins,
            CreateWord::Nobody => Self::Nobody,
        }
    }
}
