//! `what-if`.
//!
//! *Invariant:* the exit codes 0 and 1 are answers, whether anybody loses anything; whatever keeps from answering has
//! another one. Nothing is changed.

pub mod arguments;

pub(super) mod words;

use std::process::ExitCode;

use time::OffsetDateTime;

use super::arguments::Output;
use super::error::CliError;
use super::terminal::show;
use super::{administration, barriers, json, people, rights};
use crate::domain::administration::what_if::Change;
use crate::domain::effects::Direction;
use crate::domain::grant::Conditions;
use crate::settings::TokenServerSettings;
use arguments::{
    ProposedBarrier, ProposedChange, ProposedGrant, ProposedMember, ProposedTeam, WhatIfArguments,
};

/// Says what a change would mean.
pub(super) async fn what_if(
    arguments: WhatIfArguments,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<ExitCode, CliError> {
    let WhatIfArguments { days, change } = arguments;
    let administration = administration(settings).await?;
    let found = administration.what_if(&parse(change, administration.now())?, days).await?;
    show(output, || words::sentences(&found, days), || json::what_if(&found, days))?;
    // Of whoever was not looked at, it cannot be said that they lose nothing.
    let is_loss = found.effects.not_looked_at > 0
        || found.effects.personal.iter().any(|effect| effect.direction == Direction::Lose);
    Ok(if is_loss { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn parse(change: ProposedChange, now: OffsetDateTime) -> Result<Change, CliError> {
    Ok(match change {
        ProposedChange::Grant(ProposedGrant::Add { grant, conditions }) => {
            let grant = rights::parse(&grant)?;
            let conditions: Conditions = rights::parse_conditions(&conditions, grant.effect, now)?;
            Change::AddGrant(grant, conditions)
        }
        ProposedChange::Grant(ProposedGrant::Remove { grant }) => Change::RemoveGrant(rights::parse(&grant)?),
        ProposedChange::Barrier(ProposedBarrier::Add { pattern, actions, reason: _ }) => {
            Change::AddBarrier(barriers::parse(&pattern)?, barriers::parse_actions(&actions)?)
        }
        ProposedChange::Barrier(ProposedBarrier::Remove { pattern }) => {
            Change::RemoveBarrier(barriers::parse(&pattern)?)
        }
        ProposedChange::Team(ProposedTeam::Member(ProposedMember::Add { team, member, maintainer: _ })) => {
            Change::AddMember(people::name(&team)?, people::team_member(&member)?)
        }
        ProposedChange::Team(ProposedTeam::Member(ProposedMember::Remove { team, member })) => {
            Change::RemoveMember(people::name(&team)?, people::team_member(&member)?)
        }
    })
}
