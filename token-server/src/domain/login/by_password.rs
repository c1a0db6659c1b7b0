//! Logging in with a password, which is known here or elsewhere.
//!
//! *Invariant:* an unknown user, a wrong password and a disabled user get the same answer after the same work; that
//! somebody has a second factor is told to nobody who does not know the password.

use shared::secret::Secret;

use super::super::error::TokenServerError;
use super::super::principal_name::PrincipalName;
use super::super::record::audit::Origin;
use super::authenticate::{Authenticator, Parts, Typed};
use super::door::{Knock, Place, Try};
use super::elsewhere::{Identity, PasswordsElsewhere, Verdict};
use super::password::{MAX_PASSWORD_BYTES, is_outdated};
use super::subject::User;
use crate::db::users::{self, UserRow};

/// How somebody logged in whose password others know, in the record.
const ELSEWHERE: &str = "directory_password";

/// Where a password comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// On a page, which can ask for more.
    Page,
    /// From a program, which cannot.
    Program,
}

/// Somebody whose password was right.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who.
    pub user: User,
    /// Whether that is not enough, because they have a second factor.
    pub needs_second_factor: bool,
}

impl Known {
    fn by_password(row: UserRow, hash: String) -> Self {
        Self { needs_second_factor: row.has_second_factor, user: User::by_password(row, hash) }
    }

    fn by_password_elsewhere(row: UserRow, identity: Identity) -> Self {
        Self { needs_second_factor: row.has_second_factor, user: User::by_password_elsewhere(row, identity) }
    }
}

impl Authenticator {
    /// Checks a user name and a password.
    pub async fn authenticate_password(
        &self,
        user: &str,
        password: &Secret,
        entrance: Entrance,
        origin: &Origin,
    ) -> Result<Known, TokenServerError> {
        let row = match PrincipalName::parse(user) {
            Ok(name) => users::find_user(&self.0.pool, name.as_str()).await?,
            Err(_) => None,
        };
        let known = row.as_ref().map(|row| row.name.clone());
        let typed = Typed { name: user, known: known.as_deref() };
        if password.expose().len() > MAX_PASSWORD_BYTES {
            return Err(self.refuse_login(typed, "password_too_long", origin).await?);
        }
        let active = row.as_ref().filter(|row| !row.disabled);
        let hash = active.and_then(|row| row.password_hash.as_deref());
        if let (Some(row), Some(hash)) = (active, hash)
            && self.0.verified.contains(row.uid.as_bytes(), hash, password, &*self.0.clock)
        {
            let known = Known::by_password(row.clone(), hash.to_owned());
            return self.let_in(known, "password", entrance, origin).await;
        }
        if let Some(row) = active
            && let Some(known) = self.remembered_elsewhere(row, password).await?
        {
            return self.let_in(known, ELSEWHERE, entrance, origin).await;
        }
        let folded = user.to_ascii_lowercase();
        let place = Place::At(origin.ip());
        let tried = Try { user: &folded, hash: hash.unwrap_or_default(), password, place };
        let reason = match &row {
            None => "unknown_user",
            Some(row) if row.disabled => "disabled_user",
            Some(row) if row.password_hash.is_none() => "no_password",
            Some(_) => "wrong_password",
        };
        let Parts { door, clock, .. } = &self.0;
        match door.knock(&tried, &**clock).await? {
            Knock::Check => {}
            Knock::Wrong => return Err(self.refuse_login(typed, reason, origin).await?),
            Knock::Wait(wait) => {
                self.refuse_login(typed, "too_many_tries", origin).await?;
                return Err(TokenServerError::TooManyTries { seconds: wait.as_secs() });
            }
        }
        let slowest_bcrypt = users::find_slowest_bcrypt(&self.0.pool).await?;
        if let Some(elsewhere) = self.elsewhere(row.as_ref()) {
            // The work for nobody is done at the same time, so that a name that is known here stands out no more.
            let (checked, verdict) = tokio::join!(
                self.0.hasher.verify(password, None, slowest_bcrypt),
                elsewhere.ask(user, password)
            );
            checked?;
            return self.conclude(verdict?, typed, &tried, (entrance, origin)).await;
        }
        if !self.0.hasher.verify(password, hash, slowest_bcrypt).await? {
            door.was_wrong(&tried, &**clock);
            return Err(self.refuse_login(typed, reason, origin).await?);
        }
        door.was_right(&tried, &**clock).await?;
        match self.still_as_checked(row).await? {
            Some((row, hash)) => self.accept(row, hash, password, (entrance, origin)).await,
            None => Err(self.refuse_login(typed, "changed_meanwhile", origin).await?),
        }
    }

    /// Who else may know the password of a user, or of nobody: of those whose password is here, nobody.
    fn elsewhere(&self, row: Option<&UserRow>) -> Option<&dyn PasswordsElsewhere> {
        let is_here = row.is_some_and(|row| row.password_hash.is_some());
        self.0.elsewhere.as_deref().filter(|_| !is_here)
    }

    /// A user whose password was right elsewhere a moment ago.
    async fn remembered_elsewhere(
        &self,
        row: &UserRow,
        password: &Secret,
    ) -> Result<Option<Known>, TokenServerError> {
        let Some(elsewhere) = self.elsewhere(Some(row)) else { return Ok(None) };
        let known = elsewhere.known(row.pid).await?;
        let is_right =
            |since: &str| self.0.verified.contains(row.uid.as_bytes(), since, password, &*self.0.clock);
        let found = known.into_iter().find(|(_, since)| is_right(since));
        Ok(found.map(|(identity, _)| Known::by_password_elsewhere(row.clone(), identity)))
    }

    /// What becomes of somebody about whom others were asked.
    async fn conclude(
        &self,
        verdict: Verdict,
        typed: Typed<'_>,
        tried: &Try<'_>,
        (entrance, origin): (Entrance, &Origin),
    ) -> Result<Known, TokenServerError> {
        let Parts { door, clock, verified, .. } = &self.0;
        match verdict {
            Verdict::User(row, identity) => {
                door.was_right(tried, &**clock).await?;
                if let Some(elsewhere) = &self.0.elsewhere {
                    let known = elsewhere.known(row.pid).await?;
                    if let Some((_, since)) = known.iter().find(|(known, _)| *known == identity) {
                        verified.insert(row.uid.as_bytes(), since, tried.password, &**clock);
                    }
                }
                let known = Known::by_password_elsewhere(row, identity);
                self.let_in(known, ELSEWHERE, entrance, origin).await
            }
            Verdict::Pending => {
                door.was_right(tried, &**clock).await?;
                self.refuse_login(typed, "pending_identity", origin).await?;
                Err(TokenServerError::NotLetInYet)
            }
            Verdict::Refused(reason) => {
                door.was_wrong(tried, &**clock);
                Err(self.refuse_login(typed, reason, origin).await?)
            }
            Verdict::Away { was_tried } => {
                if !was_tried {
                    door.was_not_checked(tried).await?;
                }
                self.refuse_login(typed, "directory_away", origin).await?;
                Err(TokenServerError::DirectoryAway)
            }
        }
    }

    /// A check can wait long in the queue; what counts is the user as it is afterwards.
    async fn still_as_checked(
        &self,
        row: Option<UserRow>,
    ) -> Result<Option<(UserRow, String)>, TokenServerError> {
        let Some(checked) = row else { return Ok(None) };
        let now = users::find_user(&self.0.pool, &checked.name).await?;
        let same = now.filter(|now| {
            now.uid == checked.uid && !now.disabled && now.password_hash == checked.password_hash
        });
        Ok(same.and_then(|row| row.password_hash.clone().map(|hash| (row, hash))))
    }

    async fn accept(
        &self,
        row: UserRow,
        mut hash: String,
        password: &Secret,
        (entrance, origin): (Entrance, &Origin),
    ) -> Result<Known, TokenServerError> {
        if is_outdated(&hash) {
            let fresh = self.0.hasher.hash_unchecked(password).await?;
            users::update_rehashed(&self.0.pool, row.pid, &hash, &fresh).await?;
            hash = fresh;
        }
        self.0.verified.insert(row.uid.as_bytes(), &hash, password, &*self.0.clock);
        self.let_in(Known::by_password(row, hash), "password", entrance, origin).await
    }

    /// Lets in whose password was right; whoever has a second factor as well is let in by it alone at no door. On a page
    /// they are asked for the other, and the record says what came of it if they go on.
    async fn let_in(
        &self,
        known: Known,
        how: &str,
        entrance: Entrance,
        origin: &Origin,
    ) -> Result<Known, TokenServerError> {
        let User { name, uid, .. } = &known.user;
        if !known.needs_second_factor {
            self.record_login(name, *uid, how, origin).await?;
        } else if entrance == Entrance::Program {
            let typed = Typed { name, known: Some(name) };
            self.refuse_login(typed, "second_factor_missing", origin).await?;
            return Err(TokenServerError::PasswordNotEnough);
        }
        Ok(known)
    }
}
