//! Secrets of robots: make, list, revoke.
//!
//! *Invariant:* a secret leaves this server once, when it is made; and nobody makes one by which they could do more, or
//! for longer, than they hold themselves.

use shared::secret::Secret;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::audit::{self, Change, Event};
use super::super::credential_limits::CredentialLimits;
use super::super::delegation::NotDelegated;
use super::super::error::TokenServerError;
use super::super::grant::Conditions;
use super::super::random;
use super::super::remark;
use super::super::robot_name::RobotName;
use super::super::robot_secret::MAX_SECRETS;
use super::super::stored_rows;
use super::{Administration, find_robot, hold_robot};
use crate::db::limit_words::LimitWords;
use crate::db::principals::{AUTHENTICATED, EVERYONE, ROBOT};
use crate::db::robots::{self, NewSecret, SecretSummary};
use crate::db::{self, teams};

/// A secret that was just made.
#[derive(Clone, Debug)]
pub struct MadeSecret {
    /// Its number, by which it is revoked.
    pub id: Uuid,
    /// What the robot logs in with.
    pub secret: Secret,
}

/// A secret to be made.
#[derive(Clone, Debug, Default)]
pub struct WantedSecret {
    /// What it is called.
    pub label: Option<String>,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// What it is good for.
    pub limits: LimitWords,
}

impl Administration {
    /// Makes a secret for a robot, which has at most [`MAX_SECRETS`] at once.
    pub async fn add_robot_secret(
        &self,
        name: &RobotName,
        wanted: &WantedSecret,
    ) -> Result<MadeSecret, TokenServerError> {
        let WantedSecret { label, expires_at, limits } = wanted;
        let (label, expires_at) = (label.as_deref(), *expires_at);
        let limits = CredentialLimits::read(limits)?;
        let stored = limits.as_ref().map(CredentialLimits::words);
        let now = self.clock.now();
        if expires_at.is_some_and(|end| end <= now) {
            let sentence = "the secret would have ended before it is made".to_owned();
            return Err(TokenServerError::Contradiction(sentence));
        }
        remark::check(label)?;
        let id = random::dated_id(&self.random, &*self.clock)?;
        let (secret, mac) = self.secrets.generate(&self.random)?;
        self.demand_no_longer_than_own(expires_at)?;
        let mut tx = self.begin().await?;
        let conditions = Conditions { expires_at, ..Conditions::default() };
        self.demand_owner_while(&mut tx, name, Some(&conditions)).await?;
        let pid = hold_robot(&mut *tx, name).await?;
        let rows = stored_rows::all_held(&mut tx, Some(pid)).await?.grants;
        let own = rows.iter().filter(|row| ![EVERYONE, AUTHENTICATED].contains(&row.holder));
        self.demand(&mut tx, |authority| authority.demand_as_much(own)).await.map_err(
            |error| match error {
                TokenServerError::NotDelegated(NotDelegated::Beyond { rights, pattern }) => {
                    let what = format!("{rights} on {pattern}");
                    TokenServerError::RobotHoldsMore { robot: name.to_string(), what }
                }
                error => error,
            },
        )?;
        if teams::maintains_any(&mut *tx, pid).await? {
            self.demand_everything(&mut tx, "making a secret for a robot that maintains a team").await?;
        }
        robots::delete_ended_secrets(&mut *tx, pid, now).await?;
        if robots::list_secrets(&mut *tx, pid).await?.len() >= MAX_SECRETS {
            return Err(TokenServerError::TooManySecrets(name.to_string()));
        }
        let created_by = self.actor.pid();
        let row = NewSecret { id, mac: &mac, pid, label, created_by, expires_at, limits: stored.as_ref() };
        robots::insert_secret(&mut *tx, &row, now).await?;
        let target = format!("{name} {id}");
        match limits {
            None => self.record(&mut tx, Event::RobotSecretAdded, &target, label).await?,
            Some(limits) => {
                let target = label.map_or_else(|| target.clone(), |label| format!("{target} ({label})"));
                let change = Change { before: "", after: &format!("good for {limits}") };
                self.record_change(&mut tx, Event::RobotSecretAdded, &target, change).await?;
            }
        }
        db::commit(tx).await?;
        Ok(MadeSecret { id, secret })
    }

    /// Refuses a robot a secret that is good for longer than the one it brought, which was to end.
    fn demand_no_longer_than_own(&self, expires_at: Option<OffsetDateTime>) -> Result<(), TokenServerError> {
        let Some(own) = self.actor.robot().and_then(|robot| robot.secret_ends_at) else { return Ok(()) };
        if expires_at.is_some_and(|end| end <= own) {
            return Ok(());
        }
        let own = audit::moment(own);
        let sentence =
            format!("you logged in with a secret that ends {own}; one that you make ends no later");
        Err(TokenServerError::Contradiction(sentence))
    }

    /// The secrets of a robot, oldest first.
    pub async fn list_robot_secrets(&self, name: &RobotName) -> Result<Vec<SecretSummary>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        self.demand_owner(&mut tx, name).await?;
        let pid = find_robot(&mut *tx, name).await?;
        Ok(robots::list_secrets(&mut *tx, pid).await?)
    }

    /// The same, for whom there is no robot that they do not manage.
    pub async fn show_robot_secrets(&self, name: &RobotName) -> Result<Vec<SecretSummary>, TokenServerError> {
        match self.list_robot_secrets(name).await {
            Err(TokenServerError::NotDelegated(_)) => {
                Err(TokenServerError::NotFound { kind: ROBOT, name: name.to_string() })
            }
            outcome => outcome,
        }
    }

    /// Revokes a secret by its number, if it is one of this robot where one is named; says whose it was.
    pub async fn revoke_robot_secret(
        &self,
        id: Uuid,
        of: Option<&RobotName>,
    ) -> Result<String, TokenServerError> {
        let missing = || TokenServerError::NotFound { kind: "secret", name: id.to_string() };
        let mut tx = self.begin().await?;
        let found = robots::find_secret_summary(&mut *tx, id).await?;
        let is_of = |found: &SecretSummary| of.is_none_or(|robot| robot.as_str() == found.robot);
        let found = found.filter(is_of).ok_or_else(missing)?;
        let robot = RobotName::parse(&found.robot)?;
        match self.demand_owner(&mut tx, &robot).await {
            // Numbers of other people's secrets are no different from those of none.
            Err(TokenServerError::NotDelegated(_)) => return Err(missing()),
            outcome => outcome?,
        };
        robots::delete_secret(&mut *tx, id).await?;
        self.record(&mut tx, Event::RobotSecretRevoked, &format!("{robot} {id}"), None).await?;
        db::commit(tx).await?;
        Ok(robot.to_string())
    }
}
