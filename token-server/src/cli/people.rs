//! `user` and `team`.
//!
//! *Invariant:* a name is checked before a password is asked for or anything is confirmed.

use super::arguments::Output;
use super::arguments::people::{MemberCommand, TeamCommand, UserCommand};
use super::error::CliError;
use super::terminal::{confirm, new_password, remark, show};
use super::{json, listings};
use crate::domain::administration::Administration;
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::team_member::{Standing, TeamMember};
use crate::domain::words::counted::counted;

pub(super) fn name(text: &str) -> Result<PrincipalName, TokenServerError> {
    Ok(PrincipalName::parse(text)?)
}

pub(super) fn team_member(text: &str) -> Result<TeamMember, TokenServerError> {
    Ok(TeamMember::parse(text)?)
}

/// Runs a command about users.
pub(super) async fn user(
    command: UserCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        UserCommand::Add { name, no_password, password } => {
            let name = PrincipalName::parse_new(&name).map_err(TokenServerError::from)?;
            let password = if no_password { None } else { Some(new_password(password)?) };
            administration.add_user(&name, password.as_ref()).await?;
            remark(&format!("user {name} added; `grant add user:{name} …` gives rights"));
        }
        UserCommand::List => {
            let found = administration.list_users().await?;
            show(output, || listings::users(&found), || json::users(&found))?;
        }
        UserCommand::Password { name: user, password, confirmation } => {
            let user = name(&user)?;
            confirm(&format!("Set another password for user {user} and end all logins?"), confirmation)?;
            let tokens = administration.set_password(&user, &new_password(password)?).await?;
            remark(&format!("password of user {user} set; earlier logins have ended"));
            if tokens > 0 {
                let tokens = counted(tokens, "personal access token stays", "personal access tokens stay");
                remark(&format!("{tokens} good; `token list user:{user}` shows what to revoke"));
            }
        }
        UserCommand::Disable { name: user, confirmation } => {
            let user = name(&user)?;
            confirm(&format!("Disable user {user} and end all logins?"), confirmation)?;
            let disabled = administration.disable_user(&user).await?;
            let since = if disabled.is_change { "is now" } else { "was already" };
            let tokens = counted(disabled.tokens, "personal access token", "personal access tokens");
            remark(&format!("user {user} {since} disabled; {tokens} revoked"));
            if !disabled.knows_secrets_of.is_empty() {
                let robots = disabled.knows_secrets_of.join(", ");
                remark(&format!(
                    "{user} made secrets of {robots}, which stay good; `robot secret list` shows them, and whoever \
                     manages the robot decides"
                ));
            }
        }
        UserCommand::RemoveSecondFactors { name: user, confirmation } => {
            let user = name(&user)?;
            confirm(&format!("Take all second factors of user {user} away?"), confirmation)?;
            let removed = administration.remove_second_factors(&user).await?;
            let removed = counted(removed, "second factor", "second factors");
            remark(&format!("user {user} had {removed}, and has none now"));
        }
        UserCommand::Enable { name: user } => {
            let user = name(&user)?;
            let changed = administration.enable_user(&user).await?;
            remark(&format!("user {user} {} enabled", if changed { "is now" } else { "was already" }));
        }
    }
    Ok(())
}

/// Runs a command about teams.
pub(super) async fn team(
    command: TeamCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        TeamCommand::Add { name } => {
            let name = PrincipalName::parse_new(&name).map_err(TokenServerError::from)?;
            administration.add_team(&name).await?;
            remark(&format!("team {name} added"));
        }
        TeamCommand::List => {
            let found = administration.list_teams().await?;
            show(output, || listings::teams(&found), || json::teams(&found))?;
        }
        TeamCommand::Remove { name: team, confirmation } => {
            let team = name(&team)?;
            confirm(&format!("Remove team {team} with its memberships and rights?"), confirmation)?;
            let removed = administration.remove_team(&team).await?;
            let members = counted(removed.members, "membership", "memberships");
            let grants = counted(removed.grants, "grant", "grants");
            remark(&format!("team {team} removed with {members} and {grants}"));
        }
        TeamCommand::Member(MemberCommand::List { team }) => {
            let found = administration.list_team_members(&name(&team)?).await?;
            show(output, || listings::members(&found), || json::members(&found))?;
        }
        TeamCommand::Member(MemberCommand::Add { team, member, maintainer }) => {
            let (team, member) = (name(&team)?, team_member(&member)?);
            administration.add_team_member(&team, &member, Standing::of(maintainer)).await?;
            let role = if maintainer { ", as a maintainer" } else { "" };
            remark(&format!("{member} is now in team {team}{role}"));
        }
        TeamCommand::Member(MemberCommand::Change {
            team,
            member,
            maintainer,
            no_maintainer: _,
            confirmation,
        }) => {
            let (team, member) = (name(&team)?, team_member(&member)?);
            if !maintainer {
                confirm(&format!("Let {member} no longer maintain team {team}?"), confirmation)?;
            }
            let standing = Standing::of(maintainer);
            let changed = administration.change_team_member(&team, &member, standing).await?;
            let since = if changed { "is now" } else { "was already" };
            let what = if maintainer { "a maintainer" } else { "a member like others" };
            remark(&format!("{member} {since} {what} in team {team}"));
        }
        TeamCommand::Member(MemberCommand::Remove { team, member, confirmation }) => {
            let (team, member) = (name(&team)?, team_member(&member)?);
            confirm(&format!("Remove {member} from team {team}?"), confirmation)?;
            administration.remove_team_member(&team, &member).await?;
            remark(&format!("{member} is no longer in team {team}"));
        }
    }
    Ok(())
}
