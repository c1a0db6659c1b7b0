//! Grants and denials: add, list, remove.
//!
//! *Invariant:* what is stored was parsed first, so that every stored pattern means something.

use shared::limits::TagPattern;

use super::super::delegation::Touched;
use super::super::error::TokenServerError;
use super::super::grant::{Conditions, Grant, What};
use super::super::grant_spec::{GrantSpec, NamedWhat};
use super::super::grant_subject::{GrantSubject, spelled};
use super::super::record::audit::Event;
use super::super::right::RightSet;
use super::super::role::Role;
use super::super::words::remark;
use super::expectation::Present;
use super::{Administration, allow, hold_subject};
use crate::db::error::DbError;
use crate::db::grants::{self, GrantSummary, Inserted, NewGrant, Source};
use crate::db::{self, Transaction, grant_pages, roles};

impl Administration {
    /// Gives or denies a right; returns the number of the row.
    pub async fn add_grant(
        &self,
        grant: &GrantSpec,
        conditions: &Conditions,
        reason: Option<&str>,
    ) -> Result<i64, TokenServerError> {
        let mut tx = self.begin().await?;
        let id = self.insert_grant(&mut tx, grant, conditions, reason).await?;
        let said: Vec<String> = [conditions.to_string(), reason.unwrap_or_default().to_owned()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        let remark = (!said.is_empty()).then(|| said.join("; "));
        self.record(&mut tx, Event::GrantAdded, &grant.to_string(), remark.as_deref()).await?;
        db::commit(tx).await?;
        Ok(id)
    }

    /// Stores a row, if whoever acts may give or deny that; returns its number.
    pub(super) async fn insert_grant(
        &self,
        tx: &mut Transaction,
        grant: &GrantSpec,
        conditions: &Conditions,
        reason: Option<&str>,
    ) -> Result<i64, TokenServerError> {
        remark::check(reason)?;
        conditions.check(grant.effect, self.clock.now())?;
        let own = self.authority(tx).await?;
        // Before anything is told of the roles that there are.
        allow(own.as_ref(), |own| own.demand_administered(&grant.pattern))?;
        let row = meant(tx, grant, conditions).await?;
        if row.tags.is_some() && row.what.rights().intersection(RightSet::OF_TAGS).is_empty() {
            let sentence = format!("{} is not about tags, so a pattern of tags has no meaning", grant.what);
            return Err(TokenServerError::Contradiction(sentence));
        }
        allow(own.as_ref(), |own| own.demand_row(Touched { grant: &row, is_added: true }))?;
        let holder = hold_subject(tx, &grant.subject).await?;
        let texts = Texts::of(&row);
        let stored = NewGrant { reason, created_by: self.actor.pid(), ..texts.new_grant(holder, &row) };
        match grants::insert_grant(tx, &stored, self.clock.now()).await? {
            Inserted::New(id) => Ok(id),
            Inserted::Same => Err(TokenServerError::AlreadyThere { kind: "grant", name: grant.to_string() }),
            Inserted::OtherConditions => Err(TokenServerError::OtherConditions(grant.to_string())),
        }
    }

    /// All rows, by subject.
    pub async fn list_grants(&self) -> Result<Vec<GrantSummary>, TokenServerError> {
        self.demand_sight_of_all("listing all rights").await?;
        Ok(grants::list_grants(&self.pool).await?)
    }

    /// Takes a row away. Tokens that carry what it gave live on for at most their lifetime.
    pub async fn remove_grant(&self, grant: &GrantSpec) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        self.delete_grant(&mut tx, grant).await?;
        self.record(&mut tx, Event::GrantRemoved, &grant.to_string(), None).await?;
        Ok(db::commit(tx).await?)
    }

    /// Removes a row, if whoever acts may take that away.
    pub(super) async fn delete_grant(
        &self,
        tx: &mut Transaction,
        grant: &GrantSpec,
    ) -> Result<(), TokenServerError> {
        let own = self.authority(tx).await?;
        allow(own.as_ref(), |own| own.demand_administered(&grant.pattern))?;
        let row = meant(tx, grant, &Conditions::default()).await?;
        allow(own.as_ref(), |own| own.demand_row(Touched { grant: &row, is_added: false }))?;
        let holder = hold_subject(tx, &grant.subject).await?;
        let texts = Texts::of(&row);
        let stored = texts.new_grant(holder, &row);
        if grants::delete_grant(&mut **tx, &stored).await?.is_some() {
            return Ok(());
        }
        Err(match grants::find_other_source(&mut **tx, &stored).await? {
            Some(source) => not_by_hand(&format!("the grant {grant}"), &source),
            None => TokenServerError::NotFound { kind: "grant", name: grant.to_string() },
        })
    }
}

/// Refuses to take a row away by itself that was not made by hand.
fn not_by_hand(row: &str, source: &str) -> TokenServerError {
    const POLICY: &str = Source::Policy.as_str();
    let origin = match source {
        POLICY => "the policy file, and goes when the file no longer says it",
        "namespace" => "a namespace, and changes with it",
        _ => "a request for a while, and goes when that ends",
    };
    TokenServerError::Contradiction(format!("{row} comes from {origin}"))
}

impl Administration {
    /// Takes the row of that number away.
    pub async fn remove_grant_numbered(&self, id: i64) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        let (found, row) = self.visible_grant(&mut tx, id).await?;
        self.demand(&mut tx, |own| own.demand_row(Touched { grant: &row, is_added: false })).await?;
        if found.source != Source::Manual.as_str() {
            return Err(not_by_hand(&format!("the right {id}"), &found.source));
        }
        let holder = spelled(&found.subject_kind, &found.subject_name);
        self.compare(Present::Grant(&found))?;
        grant_pages::delete_grant_numbered(&mut *tx, id).await?;
        let what = match &row.what {
            What::Role(role) => NamedWhat::Role(role.name().to_owned()),
            What::Rights(rights) => NamedWhat::Rights(*rights),
        };
        let subject = GrantSubject::parse(&holder)?;
        let spec = GrantSpec { subject, effect: row.effect, what, pattern: row.pattern, tags: row.tags };
        self.record(&mut tx, Event::GrantRemoved, &spec.to_string(), None).await?;
        Ok(db::commit(tx).await?)
    }

    /// The row of that number, if whoever asks may see it.
    pub(super) async fn visible_grant(
        &self,
        tx: &mut Transaction,
        id: i64,
    ) -> Result<(GrantSummary, Grant), TokenServerError> {
        let sight = self.sight(tx).await?;
        let missing = || TokenServerError::NotFound { kind: "grant", name: id.to_string() };
        let found = grant_pages::find_grant(&mut **tx, id).await?.ok_or_else(missing)?;
        let row = Grant::read(found.row.clone())?;
        if sight.shows_row(&found, &row) { Ok((found, row)) } else { Err(missing()) }
    }
}

/// The row that is meant, whoever is to hold it; the role it names stays as it is until the transaction ends.
pub(super) async fn meant(
    tx: &mut Transaction,
    grant: &GrantSpec,
    conditions: &Conditions,
) -> Result<Grant, TokenServerError> {
    let what = match &grant.what {
        NamedWhat::Rights(rights) => What::Rights(*rights),
        NamedWhat::Role(name) => What::Role(hold_role(tx, name).await?),
    };
    Ok(Grant {
        id: 0,
        holder: 0,
        effect: grant.effect,
        what,
        pattern: grant.pattern.clone(),
        tags: grant.tags.clone(),
        conditions: conditions.clone(),
    })
}

async fn hold_role(tx: &mut Transaction, name: &str) -> Result<Role, TokenServerError> {
    if let Some(role) = Role::find_built_in(name) {
        return Ok(role);
    }
    if !Role::is_name(name) {
        return Err(TokenServerError::NotFound { kind: "role", name: name.to_owned() });
    }
    let found = roles::find_role_held(&mut **tx, name).await?;
    let row = found.ok_or_else(|| TokenServerError::NotFound { kind: "role", name: name.to_owned() })?;
    let rights = RightSet::parse(&row.rights).map_err(|_| DbError::Inconsistent {
        table: "role",
        column: "rights",
        value: row.rights.clone(),
    })?;
    Ok(Role::stored(row.name, rights))
}

/// The texts of a row, for as long as a statement needs them.
pub(super) struct Texts {
    anchor: String,
    pattern: String,
    rights: Option<String>,
}

impl Texts {
    pub(super) fn of(row: &Grant) -> Self {
        let rights = match &row.what {
            What::Role(_) => None,
            What::Rights(rights) => Some(rights.to_string()),
        };
        Self { anchor: row.pattern.anchor(), pattern: row.pattern.to_string(), rights }
    }

    pub(super) fn new_grant<'a>(&'a self, subject_pid: i64, row: &'a Grant) -> NewGrant<'a> {
        NewGrant {
            subject_pid,
            anchor: &self.anchor,
            pattern: &self.pattern,
            effect: row.effect.as_str(),
            role: match &row.what {
                What::Role(role) => Some(role.name()),
                What::Rights(_) => None,
            },
            rights: self.rights.as_deref(),
            tags: row.tags.as_ref().map(TagPattern::as_str),
            not_before: row.conditions.not_before,
            expires_at: row.conditions.expires_at,
            networks: &row.conditions.networks,
            second_factor: row.conditions.second_factor,
            reason: None,
            created_by: None,
            source: Source::Manual,
        }
    }
}
