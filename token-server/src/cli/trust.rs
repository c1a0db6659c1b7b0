//! `trust`.
//!
//! *Invariant:* what is made says in full which tokens it lets in.

use uuid::Uuid;

use super::arguments::Output;
use super::arguments::rights::GrantArguments;
use super::arguments::trust::{TrustCommand, TrustGrants, TrustIssuerCommand, TrustRuleCommand};
use super::error::CliError;
use super::listings::{printed, table, time};
use super::people::name;
use super::terminal::{confirm, remark, show};
use super::{files, json, rights};
use crate::db::trust::{TrustIssuerRow, TrustRuleRow};
use crate::db::trust_attempts::TrustAttemptRow;
use crate::domain::administration::Administration;
use crate::domain::administration::trust::{WantedIssuer, WantedRule};
use crate::domain::error::TokenServerError;
use crate::domain::grant_spec::GrantSpec;
use crate::domain::principal_name::PrincipalName;
use crate::domain::trust::claims::TokenClaims;
use crate::domain::trust::conditions::Conditions;
use crate::domain::trust::platform::Platform;

/// A larger file is no set of keys.
const MAX_KEY_FILE_BYTES: u64 = 1024 * 1024;

/// The longest name that is made of what a token says.
const MAX_NAME_CHARACTERS: usize = 63;

/// Runs a command about trust.
pub(super) async fn trust(
    command: TrustCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        TrustCommand::Issuer(command) => issuer(command, administration, output).await,
        TrustCommand::Rule(command) => rule(command, administration, output).await,
        TrustCommand::Attempts => {
            let found = administration.list_trust_attempts().await?;
            Ok(show(output, || attempts(&found), || json::trust_attempts(&found))?)
        }
        TrustCommand::Accept { attempt, name, grants } => {
            let wrong = || CliError::Usage(format!("{attempt:?} is no number of an attempt"));
            let id: Uuid = attempt.parse().map_err(|_| wrong())?;
            let name = match name {
                Some(name) => new_name(&name)?,
                None => suggested_name(administration, id).await?,
            };
            let grants = parse_grants(&grants, &name)?;
            let has_grants = !grants.is_empty();
            let conditions = administration.accept_trust_attempt(id, &name, grants).await?;
            remark(&format!("workload {name} logs in with tokens of exactly this identity: {conditions}"));
            say_what_is_missing(&name, has_grants);
            Ok(())
        }
    }
}

async fn issuer(
    command: TrustIssuerCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        TrustIssuerCommand::Add { name, issuer, audience, platform, jwks } => {
            let name = new_name(&name)?;
            let key_set = match jwks {
                None => None,
                Some(file) => {
                    let text = files::read_text(&file, MAX_KEY_FILE_BYTES)?;
                    let wrong = |_| CliError::Usage(format!("{} is no JSON Web Key Set", file.display()));
                    Some(serde_json::from_str(&text).map_err(wrong)?)
                }
            };
            let is_asked = key_set.is_none();
            let wanted =
                WantedIssuer { url: issuer, audience, platform: platform.map(Platform::from), key_set };
            administration.add_trust_issuer(&name, &wanted).await?;
            let keys = if is_asked { "; the token server fetches its keys" } else { "" };
            remark(&format!("tokens of {} for {} count now{keys}", wanted.url, wanted.audience));
            remark("`trust rule add` says which of them are a workload");
        }
        TrustIssuerCommand::List => {
            let found = administration.list_trust_issuers().await?;
            show(output, || issuers(&found), || json::trust_issuers(&found))?;
        }
        TrustIssuerCommand::Remove { name: issuer, confirmation } => {
            let issuer = name(&issuer)?;
            confirm(&format!("Trust {issuer} no more?"), confirmation)?;
            administration.remove_trust_issuer(&issuer).await?;
            remark(&format!("tokens of {issuer} do not count any more"));
        }
    }
    Ok(())
}

async fn rule(
    command: TrustRuleCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        TrustRuleCommand::Add { name, issuer, conditions, description, grants } => {
            let name = new_name(&name)?;
            let grants = parse_grants(&grants, &name)?;
            let has_grants = !grants.is_empty();
            let conditions = conditions.iter().map(|word| Conditions::read(word)).collect::<Result<_, _>>();
            let conditions = conditions.map_err(TokenServerError::from)?;
            let wanted = WantedRule { conditions, grants, description };
            let conditions = administration.add_trust_rule(&name, &issuer, &wanted).await?;
            remark(&format!("workload {name} logs in with tokens of {issuer} that say {conditions}"));
            say_what_is_missing(&name, has_grants);
        }
        TrustRuleCommand::List => {
            let found = administration.list_trust_rules().await?;
            show(output, || rules(&found), || json::trust_rules(&found))?;
        }
        TrustRuleCommand::Remove { name: workload, confirmation } => {
            let workload = name(&workload)?;
            confirm(&format!("Let workload {workload} log in no more?"), confirmation)?;
            administration.remove_trust_rule(&workload).await?;
            remark(&format!(
                "workload {workload} logs in no more; it keeps its rights until `workload remove {workload}`"
            ));
        }
    }
    Ok(())
}

fn new_name(text: &str) -> Result<PrincipalName, CliError> {
    Ok(PrincipalName::parse_new(text).map_err(TokenServerError::from)?)
}

fn say_what_is_missing(name: &PrincipalName, has_grants: bool) {
    if !has_grants {
        remark(&format!("it holds nothing yet; `grant add workload:{name} ROLE PATTERN` gives it something"));
    }
}

/// `ROLE PATTERN [TAGS]`, for the workload.
fn parse_grants(grants: &TrustGrants, name: &PrincipalName) -> Result<Vec<GrantSpec>, CliError> {
    let parse = |text: &String| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (what, tags) = match *words.as_slice() {
            [role, pattern] => ([role, pattern], None),
            [role, pattern, tags] => ([role, pattern], Some(tags.to_owned())),
            _ => return Err(CliError::Usage(format!("{text:?} is not ROLE PATTERN or ROLE PATTERN TAGS"))),
        };
        rights::parse(&GrantArguments {
            subject: format!("workload:{name}"),
            what: what.map(str::to_owned).to_vec(),
            actions: None,
            deny: false,
            tags,
        })
    };
    grants.grants.iter().map(parse).collect()
}

/// After the last part of what tells the identity from others.
async fn suggested_name(administration: &Administration, id: Uuid) -> Result<PrincipalName, CliError> {
    let found = administration.list_trust_attempts().await?;
    let found = found.into_iter().find(|attempt| attempt.id == id);
    let missing = || TokenServerError::NotFound { kind: "attempt", name: id.to_string() };
    let found = found.ok_or_else(missing)?;
    let claims = found.claims.as_object().map(TokenClaims::new).unwrap_or_default();
    let telling = ["repository", "project_path", "kubernetes.io/serviceaccount/name", "pipeline_slug", "sub"];
    let said = telling.iter().find_map(|claim| claims.one(claim)).unwrap_or_default();
    let letters = format!("{}-{said}", found.issuer).to_ascii_lowercase();
    let letters = letters.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let name: String = letters.take(MAX_NAME_CHARACTERS).collect();
    PrincipalName::parse_new(name.trim_matches('-'))
        .map_err(|_| CliError::Usage("say with --name what the workload is to be called".to_owned()))
}

fn issuers(issuers: &[TrustIssuerRow]) -> String {
    let mut table = table(&["NAME", "ISSUER", "AUDIENCE", "PLATFORM", "KEYS", "ADDED", "BY"]);
    for issuer in issuers {
        let keys = if issuer.key_set.is_some() { "from a file" } else { "fetched" };
        let by = issuer.created_by.as_deref().unwrap_or("-");
        let added = time(issuer.created_at);
        table.add_row([&issuer.name, &issuer.url, &issuer.audience, &issuer.platform, keys, &added, by]);
    }
    printed(&table)
}

fn conditions_of(rule: &TrustRuleRow) -> Vec<(String, String)> {
    serde_json::from_value(rule.conditions.clone()).unwrap_or_default()
}

fn rules(rules: &[TrustRuleRow]) -> String {
    let mut table = table(&["WORKLOAD", "STATE", "ISSUER", "TOKENS THAT SAY", "ADDED", "BY"]);
    for rule in rules {
        let state = if rule.disabled_at.is_some() { "disabled" } else { "active" };
        let said: Vec<_> =
            conditions_of(rule).iter().map(|(claim, value)| format!("{claim}={value}")).collect();
        let by = rule.created_by.as_deref().unwrap_or("-");
        table.add_row([&rule.name, state, &rule.issuer, &said.join(" "), &time(rule.created_at), by]);
    }
    printed(&table)
}

fn attempts(attempts: &[TrustAttemptRow]) -> String {
    let mut table = table(&["ID", "ISSUER", "LAST", "TIMES", "FROM", "WHY", "WHO"]);
    for attempt in attempts {
        let claims = attempt.claims.as_object().map(TokenClaims::new).unwrap_or_default();
        let platform = Platform::parse(&attempt.platform).unwrap_or(Platform::Generic);
        let who: Vec<_> = platform
            .identity()
            .iter()
            .filter_map(|claim| Some(format!("{claim}={}", claims.one(claim)?)))
            .collect();
        table.add_row([
            &attempt.id.to_string(),
            &attempt.issuer,
            &time(attempt.last_at),
            &attempt.tries.to_string(),
            attempt.address.as_deref().unwrap_or("-"),
            &attempt.reason,
            &who.join(" "),
        ]);
    }
    printed(&table)
}
