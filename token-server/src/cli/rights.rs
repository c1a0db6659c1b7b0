//! `grant`.
//!
//! *Invariant:* everything that was typed is understood before anything is looked up.

use shared::limits::TagPattern;
use shared::repository_pattern::RepositoryPattern;
use time::OffsetDateTime;

use super::arguments::Output;
use super::arguments::rights::{ConditionArguments, GrantArguments, GrantCommand};
use super::error::CliError;
use super::terminal::{confirm, remark, show};
use super::times::{parse_ahead, parse_time};
use super::{json, listings, uses};
use crate::domain::administration::Administration;
use crate::domain::error::TokenServerError;
use crate::domain::grant::{Conditions, Effect};
use crate::domain::grant_spec::{GrantSpec, NamedWhat};
use crate::domain::grant_subject::GrantSubject;
use crate::domain::right::RightSet;

/// Runs a command about rights.
pub(super) async fn grant(
    command: GrantCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        GrantCommand::Add { grant, conditions } => {
            let grant = parse(&grant)?;
            let parsed = parse_conditions(&conditions, grant.effect, administration.now())?;
            administration.add_grant(&grant, &parsed, conditions.reason.as_deref()).await?;
            remark(&format!("grant {grant} added"));
        }
        GrantCommand::List => {
            let found = administration.list_grants().await?;
            show(output, || listings::grants(&found), || json::grants(&found))?;
        }
        GrantCommand::Unused { days } => {
            let found = administration.unused_rights(days).await?;
            show(output, || uses::unused(&found, days), || uses::unused_json(&found))?;
            remark(&uses::unused_in_short(&found, days));
        }
        GrantCommand::Remove { grant, confirmation } => {
            let grant = parse(&grant)?;
            confirm(&format!("Remove grant {grant}?"), confirmation)?;
            administration.remove_grant(&grant).await?;
            remark(&format!("grant {grant} removed; tokens that carry it end within their lifetime"));
        }
    }
    Ok(())
}

fn usage(sentence: impl std::fmt::Display) -> CliError {
    CliError::Usage(sentence.to_string())
}

pub(super) fn parse(arguments: &GrantArguments) -> Result<GrantSpec, CliError> {
    let (what, pattern) = match (&arguments.actions, arguments.what.as_slice()) {
        (None, [role, pattern]) => (NamedWhat::Role(role.clone()), pattern),
        (Some(actions), [pattern]) => (NamedWhat::Rights(RightSet::parse(actions).map_err(usage)?), pattern),
        (None, _) => return Err(usage("write a role and a pattern, or --actions and a pattern")),
        (Some(_), _) => return Err(usage("with --actions there is no role, only a pattern")),
    };
    let tags = arguments.tags.as_deref().map(TagPattern::parse).transpose().map_err(usage)?;
    Ok(GrantSpec {
        subject: GrantSubject::parse(&arguments.subject).map_err(TokenServerError::from)?,
        effect: if arguments.deny { Effect::Deny } else { Effect::Allow },
        what,
        pattern: RepositoryPattern::parse(pattern).map_err(TokenServerError::from)?,
        tags,
    })
}

pub(super) fn parse_conditions(
    arguments: &ConditionArguments,
    effect: Effect,
    now: OffsetDateTime,
) -> Result<Conditions, CliError> {
    let not_before = arguments.from.as_deref().map(parse_time).transpose()?;
    let expires_at = arguments.expires.as_deref().map(|text| parse_ahead(text, now)).transpose()?;
    let networks = arguments.network.iter().map(|text| Conditions::parse_network(text));
    let networks = networks.collect::<Result<_, _>>().map_err(usage)?;
    let second_factor = arguments.second_factor;
    let conditions = Conditions { not_before, expires_at, networks, second_factor };
    conditions.check(effect, now).map_err(usage)?;
    Ok(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str], actions: Option<&str>, tags: Option<&str>) -> GrantArguments {
        GrantArguments {
            subject: "user:ann".into(),
            what: words.iter().map(|word| (*word).to_owned()).collect(),
            actions: actions.map(str::to_owned),
            deny: actions.is_some(),
            tags: tags.map(str::to_owned),
        }
    }

    #[test]
    fn a_right_is_a_role_or_a_list_of_actions() {
        for (arguments, expected) in [
            (words(&["writer", "a/**"], None, None), "user:ann writer a/**"),
            (words(&["writer", "a"], None, Some("pr-*")), "user:ann writer a:pr-*"),
            (words(&["a/**"], Some("tag-create,push"), None), "user:ann deny push a/**"),
            (words(&["a"], Some("*"), None), "user:ann deny * a"),
        ] {
            assert_eq!(parse(&arguments).unwrap().to_string(), expected);
        }
        for (arguments, part) in [
            (words(&["a/**"], None, None), "a role and a pattern"),
            (words(&["writer", "a"], Some("pull"), None), "no role"),
            (words(&["a"], Some("write"), None), "`write`"),
            (words(&["writer", "a"], None, Some("a/b")), "slashes"),
        ] {
            let error = parse(&arguments).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn conditions_are_times_and_networks() {
        let now = parse_time("2026-12-01T00:00:00Z").unwrap();
        let arguments = |from: Option<&str>, expires: Option<&str>, network: &[&str]| ConditionArguments {
            from: from.map(str::to_owned),
            expires: expires.map(str::to_owned),
            network: network.iter().map(|text| (*text).to_owned()).collect(),
            second_factor: false,
            reason: None,
        };
        let limited = arguments(None, Some("30d"), &["192.0.2.7/24", "2001:db8::1"]);
        let parsed = parse_conditions(&limited, Effect::Allow, now).unwrap();
        assert_eq!(parsed.expires_at.unwrap().to_string(), "2026-12-31 0:00:00.0 +00:00:00");
        let networks: Vec<_> = parsed.networks.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["192.0.2.0/24", "2001:db8::1/128"]);
        for bad in [
            arguments(Some("tomorrow"), None, &[]),
            arguments(None, Some("2026-11-01T00:00:00Z"), &[]),
            arguments(Some("2027-02-01T00:00:00Z"), Some("30d"), &[]),
            arguments(None, None, &["192.0.2.0/33"]),
        ] {
            assert!(matches!(parse_conditions(&bad, Effect::Allow, now), Err(CliError::Usage(_))), "{bad:?}");
        }
        let strict = ConditionArguments { second_factor: true, ..arguments(None, None, &[]) };
        assert!(parse_conditions(&strict, Effect::Allow, now).unwrap().second_factor);
        assert!(parse_conditions(&strict, Effect::Deny, now).is_err());
    }
}
