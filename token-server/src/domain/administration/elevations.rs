//! Rights for a while: asked for, decided about by somebody else, ended by time or before.
//!
//! *Invariant:* nobody decides about their own request, also not by a robot that they made or made a secret for; and
//! nobody approves more than they hold themselves; what comes of a request is a grant that ends by itself, and tokens
//! end with it. The one exception, breaking the glass in an emergency, takes a right of its own, lasts [`BREAK_GLASS`],
//! and is told in the record and the log.

use std::time::Duration;

use uuid::Uuid;

use super::super::delegation::Authority;
use super::super::elevation::{self, State};
use super::super::error::TokenServerError;
use super::super::grant::{Conditions, Effect, Grant};
use super::super::grant_spec::{GrantSpec, NamedWhat};
use super::super::grant_subject::GrantSubject;
use super::super::principal_name::PrincipalName;
use super::super::random;
use super::super::record::audit::Event;
use super::super::right::Right;
use super::super::role::Role;
use super::super::words::remark;
use super::grants::{Texts, meant};
use super::pages::{Page, page_of_shown};
use super::{Administration, hold_user};
use crate::db::elevations::{self, Decision, ElevationRow, NewElevation};
use crate::db::grants::{self, NewGrant, Source};
use crate::db::{self, Transaction, robots};

/// How long rights last that were taken in an emergency.
pub const BREAK_GLASS: Duration = Duration::from_hours(1);

/// The longest time rights can be asked for.
pub const MAX_LENGTH: Duration = Duration::from_hours(30 * 24);

/// So many requests of one user wait for an answer.
const MAX_OPEN: i64 = 20;

/// The most requests that a listing shows.
const MAX_LISTED: usize = 1_000;

impl Administration {
    /// Asks for a right for a user, for a while; returns the number of the request. Users ask for themselves.
    pub async fn request_elevation(
        &self,
        grant: &GrantSpec,
        length: Duration,
        reason: &str,
    ) -> Result<Uuid, TokenServerError> {
        let length = elevation::check(length, MAX_LENGTH, reason)?;
        let mut tx = self.begin().await?;
        let user = self.requester(grant)?;
        let row = meant(&mut tx, grant, &Conditions::default()).await?;
        let pid = hold_user(&mut *tx, user).await?;
        if elevations::count_open(&mut *tx, pid).await? >= MAX_OPEN {
            return Err(TokenServerError::TooManyRequests);
        }
        let id = self.insert_elevation(&mut tx, pid, &row, length, reason, false).await?;
        self.record(&mut tx, Event::ElevationRequested, &format!("{grant} {id}"), Some(reason)).await?;
        db::commit(tx).await?;
        Ok(id)
    }

    /// The newest requests that wait or last, or all of them, newest first: one's own, and those one can decide about.
    pub async fn list_elevations(&self, with_past: bool) -> Result<Vec<ElevationRow>, TokenServerError> {
        Ok(self.page_of_elevations(with_past, None, MAX_LISTED).await?.items)
    }

    /// Requests before one, newest first; those that wait or last, or all of them.
    pub async fn page_of_elevations(
        &self,
        with_past: bool,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Page<ElevationRow, Uuid>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        let now = self.clock.now();
        let read = async |before: &Option<Uuid>, at_most| {
            elevations::list_elevations_before(&mut *tx, *before, with_past, now, at_most).await
        };
        let is_shown = |row: &ElevationRow| sight.shows_elevation(row);
        let Page { items, next } = page_of_shown(before, limit, read, |row| Some(row.id), is_shown).await?;
        Ok(Page { items, next: next.flatten() })
    }

    /// One request.
    pub async fn show_elevation(&self, id: Uuid) -> Result<ElevationRow, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        match elevations::find_elevation(&mut *tx, id).await? {
            Some(row) if sight.shows_elevation(&row)? => Ok(row),
            Some(_) | None => Err(missing(id)),
        }
    }

    /// Gives what was asked for, from now on; says until when.
    pub async fn approve_elevation(
        &self,
        id: Uuid,
        remark: Option<&str>,
    ) -> Result<ElevationRow, TokenServerError> {
        remark::check(remark)?;
        let mut tx = self.begin().await?;
        let row = self.find_to_decide(&mut tx, id).await?;
        self.demand_waiting(&row)?;
        let ends_at = self.clock.now() + elevation::length(&row);
        let grant = self.asked_for(&mut tx, &row, ends_at).await?;
        self.demand(&mut tx, |own| own.demand_as_much([&grant])).await?;
        self.give(&mut tx, &row, &grant).await?;
        self.decide(&mut tx, &row, Event::ElevationApproved, State::Approved, remark, Some(ends_at)).await?;
        let given = elevations::find_elevation(&mut *tx, id).await?.ok_or_else(|| missing(id))?;
        db::commit(tx).await?;
        Ok(given)
    }

    /// Refuses what was asked for.
    pub async fn deny_elevation(
        &self,
        id: Uuid,
        remark: Option<&str>,
    ) -> Result<ElevationRow, TokenServerError> {
        remark::check(remark)?;
        let mut tx = self.begin().await?;
        let row = self.find_to_decide(&mut tx, id).await?;
        self.demand_waiting(&row)?;
        self.decide(&mut tx, &row, Event::ElevationDenied, State::Denied, remark, None).await?;
        db::commit(tx).await?;
        Ok(row)
    }

    /// Takes a request back, or ends before its time what came of it. Tokens live on for at most their lifetime.
    pub async fn end_elevation(&self, id: Uuid) -> Result<ElevationRow, TokenServerError> {
        let mut tx = self.begin().await?;
        let row = elevations::find_elevation(&mut *tx, id).await?.ok_or_else(|| missing(id))?;
        if self.actor.pid() != Some(row.pid) {
            self.demand_decider(&mut tx, &row).await?;
        }
        let now = self.clock.now();
        let lasts = row.state == State::Approved.as_str() && row.ends_at.is_some_and(|end| end > now);
        if !lasts && row.state != State::Requested.as_str() {
            return Err(TokenServerError::ElevationOver { id: id.to_string(), state: row.state });
        }
        elevations::delete_grant_of(&mut *tx, id).await?;
        self.decide(&mut tx, &row, Event::ElevationEnded, State::Ended, None, Some(now)).await?;
        db::commit(tx).await?;
        Ok(row)
    }

    /// Takes everything on a place, now and for an hour, and sounds the alarm.
    pub async fn break_glass(
        &self,
        grant: &GrantSpec,
        reason: &str,
    ) -> Result<ElevationRow, TokenServerError> {
        let length = elevation::check(BREAK_GLASS, BREAK_GLASS, reason)?;
        let grant = GrantSpec { what: NamedWhat::Role(Role::OWNER.name().to_owned()), ..grant.clone() };
        let mut tx = self.begin().await?;
        let user = self.requester(&grant)?;
        let ends_at = self.clock.now() + BREAK_GLASS;
        let conditions = Conditions { expires_at: Some(ends_at), ..Conditions::default() };
        // What was taken includes `break-glass`, which must not make it last.
        let may_break = |own: &Authority| own.demand_for(Right::BreakGlass, &grant.pattern, &conditions);
        self.demand(&mut tx, may_break).await?;
        let pid = hold_user(&mut *tx, user).await?;
        let given = meant(&mut tx, &grant, &conditions).await?;
        let id = self.insert_elevation(&mut tx, pid, &given, length, reason, true).await?;
        let row = elevations::find_elevation(&mut *tx, id).await?.ok_or_else(|| missing(id))?;
        self.give(&mut tx, &row, &given).await?;
        self.decide(&mut tx, &row, Event::GlassBroken, State::Approved, Some(reason), Some(ends_at)).await?;
        let row = elevations::find_elevation(&mut *tx, id).await?.ok_or_else(|| missing(id))?;
        db::commit(tx).await?;
        tracing::error!(user = %user, place = %grant.pattern, reason, by = self.actor.name(), "the glass was broken");
        Ok(row)
    }

    /// The user a request is for, which is oneself unless one runs the server.
    fn requester<'a>(&self, grant: &'a GrantSpec) -> Result<&'a PrincipalName, TokenServerError> {
        let GrantSubject::User(user) = &grant.subject else {
            let sentence = format!("rights for a while are for a user, and not for {}", grant.subject);
            return Err(TokenServerError::Contradiction(sentence));
        };
        if self.actor.pid().is_some() && self.actor.name() != user.as_str() {
            return Err(TokenServerError::Contradiction("everybody asks for themselves".to_owned()));
        }
        if grant.effect == Effect::Deny {
            return Err(TokenServerError::Contradiction("nobody asks to be denied something".to_owned()));
        }
        Ok(user)
    }

    async fn insert_elevation(
        &self,
        tx: &mut Transaction,
        pid: i64,
        row: &Grant,
        lasts_seconds: i32,
        reason: &str,
        is_break_glass: bool,
    ) -> Result<Uuid, TokenServerError> {
        let id = random::dated_id(&self.random, &*self.clock)?;
        let texts = Texts::of(row);
        let NewGrant { pattern, role, rights, tags, .. } = texts.new_grant(pid, row);
        let new =
            NewElevation { id, pid, pattern, role, rights, tags, lasts_seconds, reason, is_break_glass };
        elevations::insert_elevation(&mut **tx, &new, self.clock.now()).await?;
        Ok(id)
    }

    /// A request that whoever acts may decide about; others are told that there is none.
    async fn find_to_decide(&self, tx: &mut Transaction, id: Uuid) -> Result<ElevationRow, TokenServerError> {
        let row = elevations::find_elevation(&mut **tx, id).await?.ok_or_else(|| missing(id))?;
        if self.actor.pid() == Some(row.pid) {
            return Err(TokenServerError::OwnElevation);
        }
        self.demand_decider(tx, &row).await?;
        if let Some(robot) = self.actor.robot()
            && robots::is_in_hands_of(&mut **tx, robot.pid, row.pid).await?
        {
            return Err(TokenServerError::OwnElevation);
        }
        Ok(row)
    }

    async fn demand_decider(&self, tx: &mut Transaction, row: &ElevationRow) -> Result<(), TokenServerError> {
        let pattern = elevation::pattern(row)?;
        let decides = |own: &Authority| own.demand(Right::ElevationApprove, &pattern);
        match self.demand(tx, decides).await {
            Err(TokenServerError::NotDelegated(_)) => Err(missing(row.id)),
            outcome => outcome,
        }
    }

    fn demand_waiting(&self, row: &ElevationRow) -> Result<(), TokenServerError> {
        if row.state != State::Requested.as_str() {
            return Err(TokenServerError::ElevationOver { id: row.id.to_string(), state: row.state.clone() });
        }
        if self.clock.now() - row.requested_at > elevation::PATIENCE {
            let state = "forgotten".to_owned();
            return Err(TokenServerError::ElevationOver { id: row.id.to_string(), state });
        }
        Ok(())
    }

    /// The grant that a request comes to if it is approved until a moment.
    async fn asked_for(
        &self,
        tx: &mut Transaction,
        row: &ElevationRow,
        ends_at: time::OffsetDateTime,
    ) -> Result<Grant, TokenServerError> {
        let conditions = Conditions { expires_at: Some(ends_at), ..Conditions::default() };
        meant(tx, &elevation::spec(row)?, &conditions).await
    }

    async fn give(
        &self,
        tx: &mut Transaction,
        row: &ElevationRow,
        grant: &Grant,
    ) -> Result<(), TokenServerError> {
        let texts = Texts::of(grant);
        let new = NewGrant {
            reason: Some(&row.reason),
            created_by: self.actor.pid(),
            source: Source::Elevation(row.id),
            ..texts.new_grant(row.pid, grant)
        };
        grants::insert_grant(tx, &new, self.clock.now()).await?;
        Ok(())
    }

    async fn decide(
        &self,
        tx: &mut Transaction,
        row: &ElevationRow,
        event: Event,
        state: State,
        remark: Option<&str>,
        ends_at: Option<time::OffsetDateTime>,
    ) -> Result<(), TokenServerError> {
        let decided_by = self.actor.pid();
        let decision = Decision { state: state.as_str(), decided_by, reason: remark, ends_at };
        elevations::update_decision(&mut **tx, row.id, &decision, self.clock.now()).await?;
        let target = format!("{} {}", elevation::spec(row)?, row.id);
        self.record(tx, event, &target, remark).await
    }
}

fn missing(id: Uuid) -> TokenServerError {
    TokenServerError::NotFound { kind: "request", name: id.to_string() }
}
