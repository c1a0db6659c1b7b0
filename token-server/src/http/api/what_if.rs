//! What a change would mean: `/api/v1/what-if`.
//!
//! *Invariant:* the answer is that of the command, for a change that is written as it would be sent to be made; nothing
//! is changed.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use shared::action::Action;
use shared::repository_pattern::RepositoryPattern;
use utoipa::ToSchema;

use super::barriers::NewBarrier;
use super::call::Call;
use super::endpoint::Endpoint;
use super::grants::{GrantWords, NewGrant};
use super::reply::Reply;
use super::trials::{DAYS, turn};
use super::{questions, roles};
use crate::domain::administration::what_if;
use crate::domain::effects::replay::Refused;
use crate::domain::effects::{Direction, PersonalEffect, places};
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::team_member::TeamMember;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

/// What a change would mean, for people and for what they did.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhatIf {
    /// What people would lose and gain, losses first.
    pub effects: Vec<WhatIfEffect>,
    /// How many people were not looked at, because the change is about too many names at once.
    pub not_looked_at: usize,
    /// The requests of so many days were looked at.
    pub days: u32,
    /// Since when requests are known, if that is less.
    #[schema(required = true, format = DateTime)]
    pub known_since: Option<String>,
    /// How many requests there were of those whom the change is about.
    pub requests: i64,
    /// How many of them would have been refused, in part or as a whole.
    pub refused: i64,
    /// Of how many it is not known.
    pub not_known: i64,
    /// Those that would have been refused, the most frequent first.
    pub refusals: Vec<WhatIfRefusal>,
    /// Patterns of the change that no repository was found for: what it means there is not known.
    pub unknown_patterns: Vec<String>,
}

/// What some people would lose or gain.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhatIfEffect {
    /// `lose` or `gain`.
    pub change: String,
    /// What.
    pub actions: Vec<String>,
    /// Whether only for some tags.
    pub for_some_tags: bool,
    /// Where.
    pub places: Vec<WhatIfPlace>,
    /// Names of users and robots; `null` stands for clients without a login.
    pub users: Vec<Option<String>>,
}

/// A place.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhatIfPlace {
    /// A pattern or a name.
    pub pattern: String,
    /// Patterns and names inside of it that are not meant.
    pub except: Vec<String>,
    /// Whether only parts of it are meant that nobody wrote a pattern for.
    pub in_part: bool,
}

/// Requests that would have been refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhatIfRefusal {
    /// Whose; `null` for clients without a login.
    #[schema(required = true)]
    pub user: Option<String>,
    /// What they would have lacked.
    pub actions: Vec<String>,
    /// Where.
    pub repository: String,
    /// How many.
    pub requests: i64,
}

impl WhatIf {
    /// What was found, by looking at the requests of so many days.
    pub fn new(found: &what_if::WhatIf, days: u32) -> Self {
        let replay = &found.replay;
        Self {
            effects: found.effects.personal.iter().map(WhatIfEffect::from).collect(),
            not_looked_at: found.effects.not_looked_at,
            days,
            known_since: found.known_since.map(written),
            requests: replay.requests,
            refused: replay.refused,
            not_known: replay.unknown,
            refusals: replay.refusals.iter().map(WhatIfRefusal::from).collect(),
            unknown_patterns: found.unknown.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&PersonalEffect> for WhatIfEffect {
    fn from(effect: &PersonalEffect) -> Self {
        let change = match effect.direction {
            Direction::Lose => "lose",
            Direction::Gain => "gain",
        };
        Self {
            change: change.to_owned(),
            actions: questions::words(effect.rights),
            for_some_tags: effect.for_some_tags,
            places: effect.places.iter().map(WhatIfPlace::from).collect(),
            users: effect.people.iter().cloned().collect(),
        }
    }
}

impl From<&places::Place> for WhatIfPlace {
    fn from(place: &places::Place) -> Self {
        Self { pattern: place.pattern.clone(), except: place.except.clone(), in_part: place.in_part }
    }
}

impl From<&Refused> for WhatIfRefusal {
    fn from(refused: &Refused) -> Self {
        Self {
            user: refused.person.clone(),
            actions: refused.actions.iter().map(Action::as_str).map(str::to_owned).collect(),
            repository: refused.repository.to_string(),
            requests: refused.requests,
        }
    }
}

/// A barrier that is there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BarrierWords {
    /// Around what it stands.
    pattern: String,
}

/// Somebody in a team.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MemberWords {
    /// The name of a team.
    team: String,
    /// The name of a user, or `team:NAME`, or `robot:OWNER/NAME`.
    member: String,
}

/// One change, as it would be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(
    min_properties = 1,
    max_properties = 1,
    example = json!({"add_barrier": {"pattern": "core/prod/**", "actions": ["push"]}})
)]
struct ProposedChange {
    /// If a right were given or denied.
    add_grant: Option<NewGrant>,
    /// If a right were taken away.
    remove_grant: Option<GrantWords>,
    /// If a barrier were put up.
    add_barrier: Option<NewBarrier>,
    /// If a barrier were taken away.
    remove_barrier: Option<BarrierWords>,
    /// If somebody came into a team.
    add_member: Option<MemberWords>,
    /// If somebody left a team.
    remove_member: Option<MemberWords>,
}

impl ProposedChange {
    fn understand(&self) -> Result<what_if::Change, TokenServerError> {
        use what_if::Change;
        let mut changes: Vec<Change> = Vec::new();
        if let Some(grant) = &self.add_grant {
            let (spec, conditions) = grant.understand()?;
            changes.push(Change::AddGrant(spec, conditions));
        }
        if let Some(grant) = &self.remove_grant {
            changes.push(Change::RemoveGrant(grant.understand()?));
        }
        if let Some(barrier) = &self.add_barrier {
            let rights = roles::rights(&barrier.actions)?;
            changes.push(Change::AddBarrier(RepositoryPattern::parse(&barrier.pattern)?, rights));
        }
        if let Some(barrier) = &self.remove_barrier {
            changes.push(Change::RemoveBarrier(RepositoryPattern::parse(&barrier.pattern)?));
        }
        if let Some(words) = &self.add_member {
            let (team, member) = words.understand()?;
            changes.push(Change::AddMember(team, member));
        }
        if let Some(words) = &self.remove_member {
            let (team, member) = words.understand()?;
            changes.push(Change::RemoveMember(team, member));
        }
        if let (Some(change), true) = (changes.pop(), changes.is_empty()) {
            return Ok(change);
        }
        let sentence = "propose one change: add_grant, remove_grant, add_barrier, remove_barrier, add_member or \
                        remove_member";
        Err(TokenServerError::Contradiction(sentence.to_owned()))
    }
}

impl MemberWords {
    fn understand(&self) -> Result<(PrincipalName, TeamMember), TokenServerError> {
        Ok((PrincipalName::parse(&self.team)?, TeamMember::parse(&self.member)?))
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::POST, "/api/v1/what-if", "whatIf", |call| what_if(call).boxed_local())
            .summary(
                "Says what a change would mean for people and for the requests of the last days, without making it; \
                 for who holds everything.",
            )
            .query(&[DAYS])
            .body::<ProposedChange>()
            .one::<WhatIf>(),
    ]
}

async fn what_if(call: Call) -> Result<Reply, ApiError> {
    let change: ProposedChange = call.body()?;
    let (change, days) = (change.understand()?, call.query.number(&DAYS));
    let _turn = turn(&call, what_if::ASKING).await?;
    let found = call.administration()?.what_if(&change, days).await?;
    Ok(Reply::answer(&WhatIf::new(&found, days)))
}
