//! What making a secret of a robot and making a personal access token have in common.
//!
//! *Invariant:* a secret leaves this server once, when it is made, and ends no later than the policy says, nor than what
//! its maker logged in with.

use shared::secret::Secret;
use time::OffsetDateTime;

use super::super::credential_limits::CredentialLimits;
use super::super::error::TokenServerError;
use super::super::login::opaque_token::TokenKind;
use super::super::random;
use super::super::record::audit::{self, Change, Event};
use super::super::words::remark;
use super::Administration;
use crate::db::Transaction;
use crate::db::credentials::{self, CredentialSummary, NewCredential};
use crate::db::limit_words::LimitWords;

/// A credential that was just made.
#[derive(Clone, Debug)]
pub struct MadeCredential {
    /// As listings show it.
    pub shown: CredentialSummary,
    /// What its owner logs in with.
    pub secret: Secret,
}

/// A credential to be made.
#[derive(Clone, Debug, Default)]
pub struct WantedCredential {
    /// What it is called.
    pub label: Option<String>,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// What it is good for.
    pub limits: LimitWords,
}

/// The same, once it was found to make sense.
#[derive(Clone, Debug)]
pub(super) struct Sensible<'a> {
    pub(super) kind: TokenKind,
    pub(super) label: Option<&'a str>,
    pub(super) expires_at: Option<OffsetDateTime>,
    pub(super) limits: Option<CredentialLimits>,
}

/// Whose it is, and what the record calls making it.
#[derive(Clone, Copy, Debug)]
pub(super) struct For<'a> {
    pub(super) pid: i64,
    pub(super) name: &'a str,
    pub(super) event: Event,
}

impl Administration {
    /// Refuses what makes no sense, is too long for the policy, or longer than whoever makes it is there.
    pub(super) fn sensible<'a>(
        &self,
        kind: TokenKind,
        wanted: &'a WantedCredential,
    ) -> Result<Sensible<'a>, TokenServerError> {
        let WantedCredential { label, expires_at, limits } = wanted;
        let (label, now) = (label.as_deref(), self.clock.now());
        let limits = CredentialLimits::read(limits)?;
        if expires_at.is_some_and(|end| end <= now) {
            let sentence = "the secret would have ended before it is made".to_owned();
            return Err(TokenServerError::Contradiction(sentence));
        }
        remark::check(label)?;
        // The database keeps microseconds.
        let latest = self.policy.end(kind, now, None).map(|end| end.replace_nanosecond(0).unwrap_or(end));
        if let (Some(end), Some(latest)) = (expires_at, latest)
            && *end > latest
        {
            let latest = audit::moment(latest);
            let sentence = format!("the settings of this server let it end {latest} at the latest");
            return Err(TokenServerError::Contradiction(sentence));
        }
        let expires_at = expires_at.or(latest);
        self.demand_no_longer_than_own(expires_at)?;
        Ok(Sensible { kind, label, expires_at, limits })
    }

    /// Refuses a secret that is good for longer than the one that was brought to make it.
    fn demand_no_longer_than_own(&self, expires_at: Option<OffsetDateTime>) -> Result<(), TokenServerError> {
        let own = self.actor.credential().and_then(|credential| credential.ends_at);
        let Some(own) = own else { return Ok(()) };
        if expires_at.is_some_and(|end| end <= own) {
            return Ok(());
        }
        let own = audit::moment(own);
        let sentence =
            format!("you logged in with a secret that ends {own}; one that you make ends no later");
        Err(TokenServerError::Contradiction(sentence))
    }

    /// What somebody logs in with at this moment, oldest first; what has ended is removed.
    pub(super) async fn living_credentials(
        &self,
        tx: &mut Transaction,
        kind: TokenKind,
        pid: i64,
    ) -> Result<Vec<CredentialSummary>, TokenServerError> {
        let now = self.clock.now();
        let (ended, living): (Vec<_>, Vec<_>) = self
            .credentials_of(&mut *tx, kind, pid)
            .await?
            .into_iter()
            .partition(|row| row.expires_at.is_some_and(|end| end <= now));
        for row in ended {
            credentials::delete_credential(&mut **tx, row.id).await?;
        }
        Ok(living)
    }

    /// What somebody logs in with, oldest first, with the end that the policy sets.
    pub(super) async fn credentials_of(
        &self,
        tx: &mut Transaction,
        kind: TokenKind,
        pid: i64,
    ) -> Result<Vec<CredentialSummary>, TokenServerError> {
        let rows = credentials::list_credentials(&mut **tx, pid).await?;
        Ok(rows.into_iter().map(|row| self.as_policy_ends(kind, row)).collect())
    }

    fn as_policy_ends(&self, kind: TokenKind, row: CredentialSummary) -> CredentialSummary {
        CredentialSummary { expires_at: self.policy.end(kind, row.created_at, row.expires_at), ..row }
    }

    /// Makes and stores it, with its record.
    pub(super) async fn store_credential(
        &self,
        tx: &mut Transaction,
        owner: For<'_>,
        sensible: &Sensible<'_>,
    ) -> Result<MadeCredential, TokenServerError> {
        let Sensible { kind, label, expires_at, limits } = sensible;
        let id = random::dated_id(&self.random, &*self.clock)?;
        let (secret, mac) = self.secrets.generate(*kind, &self.random)?;
        let stored = limits.as_ref().map(CredentialLimits::words);
        let row = NewCredential {
            id,
            mac: &mac,
            pid: owner.pid,
            label: *label,
            created_by: self.actor.pid(),
            expires_at: *expires_at,
            limits: stored.as_ref(),
            second_factor: self.actor.has_second_factor(),
        };
        credentials::insert_credential(&mut **tx, &row, self.clock.now()).await?;
        let target = format!("{} {id}", owner.name);
        match limits {
            None => self.record(tx, owner.event, &target, *label).await?,
            Some(limits) => {
                let target = label.map_or_else(|| target.clone(), |label| format!("{target} ({label})"));
                let change = Change { before: "", after: &format!("good for {limits}") };
                self.record_change(tx, owner.event, &target, change).await?;
            }
        }
        // Read before the end of the transaction, because a secret whose answer fails is lost.
        let shown = credentials::find_credential_summary(&mut **tx, id).await?;
        let shown = shown.ok_or(TokenServerError::NotFound { kind: "secret", name: id.to_string() })?;
        Ok(MadeCredential { shown: self.as_policy_ends(*kind, shown), secret })
    }
}
