//! Secrets of robots: make, list, revoke.
//!
//! *Invariant:* nobody makes a secret by which they could do more, or for longer, than they hold themselves.

use uuid::Uuid;

use super::super::delegation::NotDelegated;
use super::super::error::TokenServerError;
use super::super::grant::Conditions;
use super::super::login::credential::MAX_ROBOT_SECRETS;
use super::super::login::opaque_token::TokenKind;
use super::super::record::audit::Event;
use super::super::robot_name::RobotName;
use super::super::stored_rows;
use super::credentials::{For, MadeCredential, WantedCredential};
use super::{Administration, find_robot, hold_robot};
use crate::db::credentials::{self, CredentialSummary};
use crate::db::principals::{AUTHENTICATED, EVERYONE, ROBOT};
use crate::db::{self, teams};

impl Administration {
    /// Makes a secret for a robot, which has at most [`MAX_ROBOT_SECRETS`] at once.
    pub async fn add_robot_secret(
        &self,
        name: &RobotName,
        wanted: &WantedCredential,
    ) -> Result<MadeCredential, TokenServerError> {
        let sensible = self.sensible(TokenKind::Robot, wanted)?;
        let mut tx = self.begin().await?;
        let conditions = Conditions { expires_at: sensible.expires_at, ..Conditions::default() };
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
        if self.living_credentials(&mut tx, TokenKind::Robot, pid).await?.len() >= MAX_ROBOT_SECRETS {
            return Err(TokenServerError::TooManySecrets(name.to_string()));
        }
        let owner = For { pid, name: name.as_str(), event: Event::RobotSecretAdded };
        let made = self.store_credential(&mut tx, owner, &sensible).await?;
        db::commit(tx).await?;
        Ok(made)
    }

    /// The secrets of a robot, oldest first.
    pub async fn list_robot_secrets(
        &self,
        name: &RobotName,
    ) -> Result<Vec<CredentialSummary>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        self.demand_owner(&mut tx, name).await?;
        let pid = find_robot(&mut *tx, name).await?;
        self.credentials_of(&mut tx, TokenKind::Robot, pid).await
    }

    /// The same, for whom there is no robot that they do not manage.
    pub async fn show_robot_secrets(
        &self,
        name: &RobotName,
    ) -> Result<Vec<CredentialSummary>, TokenServerError> {
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
        let found = credentials::find_credential_summary(&mut *tx, id).await?;
        let is_of = |found: &CredentialSummary| {
            found.owner_kind == ROBOT && of.is_none_or(|robot| robot.as_str() == found.owner)
        };
        let found = found.filter(is_of).ok_or_else(missing)?;
        let robot = RobotName::parse(&found.owner)?;
        match self.demand_owner(&mut tx, &robot).await {
            // Numbers of other people's secrets are no different from those of none.
            Err(TokenServerError::NotDelegated(_)) => return Err(missing()),
            outcome => outcome?,
        };
        credentials::delete_credential(&mut *tx, id).await?;
        self.record(&mut tx, Event::RobotSecretRevoked, &format!("{robot} {id}"), None).await?;
        db::commit(tx).await?;
        Ok(robot.to_string())
    }
}
