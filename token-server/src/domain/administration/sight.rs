//! What somebody may see of users, teams, workloads, roles, rights, namespaces, robots and the record.
//!
//! Whoever administers any place sees users, teams, workloads and roles, because rights are given to and by them. Rights are seen
//! by those who hold everything, by those who administer the place they lie in, and by those they apply to. Namespaces,
//! robots and requests for rights are seen by those who own them or can do something with them.
//!
//! *Invariant:* what somebody may not see is for them as if it were not there.

use shared::repository_pattern::RepositoryPattern;

use super::super::actor::Actor;
use super::super::delegation::{Authority, NotDelegated};
use super::super::elevation;
use super::super::error::TokenServerError;
use super::super::grant::{Grant, What};
use super::super::grant_subject::GrantSubject;
use super::super::login::subject::Subject;
use super::super::namespace;
use super::super::policy::Rows;
use super::super::principal_name::PrincipalName;
use super::super::right::Right;
use super::super::robot_name::RobotName;
use super::super::role::Role;
use super::super::stored_rows;
use super::{Administration, namespaces};
use crate::db::elevations::ElevationRow;
use crate::db::grants::GrantSummary;
use crate::db::namespaces::NamespaceRow;
use crate::db::principals::{self, PrincipalRow};
use crate::db::robots::RobotSummary;
use crate::db::{Transaction, teams};

/// What whoever asks may see.
pub(super) enum Sight {
    /// Everything: commands on the server itself.
    All,
    /// What somebody may see who logged in.
    Of(Box<SubjectSight>),
}

/// What somebody may see who logged in.
pub(super) struct SubjectSight {
    pub(super) subject: Subject,
    /// The teams they are in, through however many others.
    pub(super) teams: Vec<PrincipalRow>,
    authority: Authority,
    /// Whether they would see more with a second factor.
    lacks_second_factor: bool,
    /// Roles that were made and that their own rows name.
    roles: Vec<String>,
}

impl Administration {
    /// What whoever asks may see at this moment.
    pub(super) async fn sight(&self, tx: &mut Transaction) -> Result<Sight, TokenServerError> {
        let Actor::Subject { subject, origin } = &self.actor else { return Ok(Sight::All) };
        let rows = stored_rows::all_held(tx, subject.pid()).await?;
        let named = rows.grants.iter().filter_map(|row| match &row.what {
            What::Role(role) => Some(role.name()),
            What::Rights(_) => None,
        });
        let mut roles: Vec<String> =
            named.filter(|name| Role::find_built_in(name).is_none()).map(str::to_owned).collect();
        roles.sort_unstable();
        roles.dedup();
        let circumstances = self.circumstances_of(subject, origin);
        let mut authority = Authority::of(rows, subject.user_name(), circumstances);
        let lacks_second_factor = self.second_factor.is_missing(subject, &authority);
        if lacks_second_factor {
            // Until then they see what is their own, so that they can get one.
            authority = Authority::of(Rows::default(), subject.user_name(), circumstances);
        }
        let teams = match subject.pid() {
            Some(pid) => teams::list_teams_of(&mut **tx, pid).await?,
            None => Vec::new(),
        };
        Ok(Sight::Of(Box::new(SubjectSight {
            subject: subject.clone(),
            teams,
            authority,
            lacks_second_factor,
            roles,
        })))
    }
}

impl Sight {
    /// Whose sight it is, where not everybody is seen.
    pub(super) fn narrowed(&self) -> Option<&SubjectSight> {
        match self {
            Self::All => None,
            Self::Of(sight) if sight.authority.administers_anything() => None,
            Self::Of(sight) => Some(sight),
        }
    }

    /// Whether everybody's rights are seen, wherever they lie.
    pub(super) fn is_everything(&self) -> bool {
        match self {
            Self::All => true,
            Self::Of(sight) => sight.authority.is_everything(),
        }
    }

    /// Lets through whoever sees everybody's rights in a place; `what` says for what, as in "listing barriers".
    pub(super) fn demand_within(
        &self,
        what: &'static str,
        place: &RepositoryPattern,
    ) -> Result<(), NotDelegated> {
        self.demand(what, Right::GrantManage, place)
    }

    /// Lets through whoever holds a right on all of a place.
    pub(super) fn demand(
        &self,
        what: &'static str,
        right: Right,
        place: &RepositoryPattern,
    ) -> Result<(), NotDelegated> {
        match self {
            Self::All => Ok(()),
            Self::Of(sight) if sight.authority.demand(right, place).is_ok() => Ok(()),
            Self::Of(_) => {
                Err(self.refused(NotDelegated::NotHeld { what, right, pattern: place.to_string() }))
            }
        }
    }

    /// Why something is not shown; what would help is said first.
    pub(super) fn refused(&self, why: NotDelegated) -> NotDelegated {
        match self {
            Self::Of(sight) if sight.lacks_second_factor => NotDelegated::SecondFactorFirst,
            Self::All | Self::Of(_) => why,
        }
    }

    /// Whether a row of this subject applies to whoever asks.
    pub(super) fn is_own(&self, subject: &GrantSubject) -> bool {
        let Self::Of(sight) = self else { return false };
        match subject {
            GrantSubject::Everyone | GrantSubject::Authenticated => true,
            GrantSubject::User(name) => sight.subject.user_name() == Some(name.as_str()),
            GrantSubject::Robot(name) => sight.is_robot() && sight.subject.name() == name.as_str(),
            // Nobody can have logged in as one.
            GrantSubject::Workload(_) => false,
            GrantSubject::Team(name) => sight.teams.iter().any(|team| team.name == name.as_str()),
        }
    }

    /// Whether a stored row is seen.
    pub(super) fn shows_row(&self, found: &GrantSummary, row: &Grant) -> bool {
        match self {
            Self::All => true,
            Self::Of(sight) => {
                sight.own_numbers().concat().contains(&found.row.subject_pid)
                    || sight.authority.demand(Right::GrantManage, &row.pattern).is_ok()
            }
        }
    }

    /// Whether a namespace is seen: by its owner, by whoever may pull all of it, and by whoever administers it.
    pub(super) fn shows_namespace(&self, row: &NamespaceRow) -> Result<bool, TokenServerError> {
        let Self::Of(sight) = self else { return Ok(true) };
        let spec = namespaces::read(row)?;
        let all = namespace::all_of(&PrincipalName::parse(&row.name)?)?;
        let holds = |right| sight.authority.demand(right, &all).is_ok();
        Ok(self.is_own(&spec.owner) || holds(Right::Pull) || holds(Right::GrantManage))
    }

    /// Whether a robot is seen: by itself, by the user it belongs to, and by whoever manages the robots there.
    pub(super) fn shows_robot(&self, row: &RobotSummary) -> Result<bool, TokenServerError> {
        let Self::Of(sight) = self else { return Ok(true) };
        let mine = sight.subject.pid();
        if mine.is_some() && (mine == Some(row.pid) || mine == row.user_pid) {
            return Ok(true);
        }
        let name = RobotName::parse(&row.name)?;
        Ok(match namespace::all_of(name.owner()) {
            Ok(all) => sight.authority.demand(Right::RobotManage, &all).is_ok(),
            Err(_) => sight.authority.is_everything(),
        })
    }

    /// Whether a request for rights is seen: by whoever asked, and by whoever may decide about it.
    pub(super) fn shows_elevation(&self, row: &ElevationRow) -> Result<bool, TokenServerError> {
        let Self::Of(sight) = self else { return Ok(true) };
        let pattern = elevation::pattern(row)?;
        let decides = || sight.authority.demand(Right::ElevationApprove, &pattern).is_ok();
        Ok(sight.subject.pid() == Some(row.pid) || decides())
    }

    /// Whether a user of this name is seen.
    pub(super) fn shows_user(&self, name: &str) -> bool {
        self.narrowed().is_none_or(|sight| sight.subject.user_name() == Some(name))
    }

    /// Whether a team of this name is seen.
    pub(super) fn shows_team(&self, name: &str) -> bool {
        self.narrowed().is_none_or(|sight| sight.teams.iter().any(|team| team.name == name))
    }

    /// Whether a role of this name that was made is seen.
    pub(super) fn shows_role(&self, name: &str) -> bool {
        self.narrowed().is_none_or(|sight| sight.roles.iter().any(|role| role == name))
    }
}

impl SubjectSight {
    fn is_robot(&self) -> bool {
        matches!(self.subject, Subject::Robot(_))
    }

    /// The numbers of those whose rows apply to them, the nearest first.
    pub(super) fn own_numbers(&self) -> [Vec<i64>; 4] {
        [
            self.subject.pid().into_iter().collect(),
            self.team_numbers(),
            vec![principals::AUTHENTICATED],
            vec![principals::EVERYONE],
        ]
    }

    /// The numbers of their teams.
    pub(super) fn team_numbers(&self) -> Vec<i64> {
        self.teams.iter().map(|team| team.pid).collect()
    }

    /// The names of roles that were made and that their own rows name.
    pub(super) fn role_names(&self) -> &[String] {
        &self.roles
    }
}
